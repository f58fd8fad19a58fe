// Rows between SQL and the model.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/changeset.h"
#include "store/sqlite/connection.h"

namespace pawl::store {

// The columns that read_run() expects, in its order, from `runs`.
inline constexpr std::string_view run_columns =
    "id, workflow, number, version, trace_id, status, waits_for, due_us, attempt, who_trigger, who_user, who_client, "
    "who_user_agent, who_at_us, created_at_us, started_at_us, finished_at_us, error, group_name, group_limit, "
    "group_cancels, group_since_us, group_held, expires_us, schedule, schedule_name, slot_us, slot_in_line, backfill";
inline constexpr int run_column_count = 29;

// All but inputs, vars and env. Error: corrupt, naming table, run and column.
Result<Run> read_run(const Statement& row);

// The same for the other tables; those of a schedule are behind its id, from `schedules` and `schedule_progress`, of which
// either may have no row.
inline constexpr std::string_view workflow_columns =
    "name, enabled, version, last_number, created_at_us, updated_at_us, switched_at_us, disabled_from_us, "
    "deleted_at_us, "
    "file, file_gone, file_error";
inline constexpr std::string_view schedule_columns =
    "workflow, name, cron, timezone, misfire, misfire_threshold_us, misfire_window_us, max_catch_up, overlap, "
    "start_us, "
    "end_us, jitter_us, late_after_us, inputs, same, defined, enabled, created_at_us, updated_at_us, deleted_at_us, "
    "cursor_us, next_at_us, parked_in IS NOT NULL, late_slot_us, late_due_us, late_run";
inline constexpr std::string_view ledger_columns =
    "from_us, to_us, count, outcome, reason, message, run, run_number, lateness_us, at_us, backfill";
inline constexpr std::string_view backfill_columns =
    "id, schedule, workflow, from_us, to_us, cursor_us, run_limit, status, started, passed_over, user, client, "
    "created_at_us, finished_at_us";

// Error: corrupt, naming table, key and column.
Result<WorkflowRow> read_workflow(const Statement& row);
Result<ScheduleRow> read_schedule(const Statement& row);
Result<LedgerRow> read_ledger(const Statement& row, ScheduleId schedule);
Result<BackfillRow> read_backfill(const Statement& row);

// What stands in `slot_in_line`: 0 in no line, 1 in line, 2 in line and cancelling those before it.
inline int line_of(const SlotOrigin& slot) { return slot.in_line ? slot.cancels ? 2 : 1 : 0; }

// Null is NULL, and the other way round. Error: corrupt, naming table, run and column.
Result<Json> read_json(const Statement& row, int column, std::string_view table, std::string_view name, RunId run);

// What stands in `error`; appended to `out`. Nothing for none.
void append_failure(std::string& out, const FailurePtr& failure);

}  // namespace pawl::store
