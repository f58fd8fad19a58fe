// From records to runs. The same function in server, CLI and simulator.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "engine/state.h"
#include "model/changeset.h"
#include "model/record.h"

namespace pawl::engine {

// The compiled definition of a version of the run's workflow.
using Plans = std::function<Result<std::shared_ptr<const Plan>>(int version)>;

// The members of an object, sorted, as the key of an instance: db=x,os=a. Objects that differ may share one.
std::string instance_key(const Json& values);

// Applies one change that happened at `at`. `new_plan` is the plan of the attempt that an AttemptStarted begins.
// Error: corrupt, if the change does not fit the state; the state is then unusable.
Result<void> apply(RunState& state, const Change& change, Instant at,
                   const std::shared_ptr<const Plan>& new_plan = nullptr);

// After all changes of a record: brings status, waits_for, due and times of attempt and row up to date. True: the row
// has changed and has to be stored.
bool settle_row(RunState& state, Instant at);

// Folds all records of `run`, in order. `run` is the row as created; what records say of status and times wins.
// With `keep_past` the earlier attempts are kept for looking at. Error: corrupt, with the seq that does not fit.
Result<RunState> fold(Run run, const Plans& plans, const std::vector<RecordRow>& records, bool keep_past);

// The attempts of a folded run, oldest first.
RunHistory history(RunState&& state);

}  // namespace pawl::engine
