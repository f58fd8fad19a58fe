// Rows of `runs` between SQL and model/run.h.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/run.h"
#include "store/sqlite/connection.h"

namespace pawl::store {

// The columns that read_run() expects, in its order, from `runs`.
inline constexpr std::string_view run_columns =
    "id, workflow, number, version, trace_id, status, waits_for, due_us, attempt, who_trigger, who_user, who_client, "
    "who_user_agent, who_at_us, created_at_us, started_at_us, finished_at_us, error, group_name, group_limit, "
    "group_cancels, group_since_us, group_held, expires_us";
inline constexpr int run_column_count = 24;

// All but inputs, vars and env. Error: corrupt, naming table, run and column.
Result<Run> read_run(const Statement& row);

// Null is NULL, and the other way round. Error: corrupt, naming table, run and column.
Result<Json> read_json(const Statement& row, int column, std::string_view table, std::string_view name, RunId run);

// What stands in `error`; appended to `out`. Nothing for none.
void append_failure(std::string& out, const FailurePtr& failure);

}  // namespace pawl::store
