// What an attempt begins with: the verdicts of the one before it, and what of its work is thrown away.
#pragma once

#include "engine/state.h"

namespace pawl::engine {

// Jobs of a first attempt: everything pending.
std::vector<JobRun> fresh_jobs(const Plan& plan);

// A task that an attempt holds for the first time. Where the version has changed, an earlier one may have had another
// task of the same name: no generation has had the number of an attempt that is only beginning, so no key is given twice.
TaskRun unknown_task(const RunState& state, int attempt);

// Success, now or in an earlier attempt.
bool is_done(const TaskRun& task);
bool is_done(const JobRun& job);
// Of a final task: whether its job fails by it.
bool failure_counts(const TaskPlan& plan, const TaskRun& task);

// After an interruption: every verdict stays, cut-off jobs go on where they were (docs/semantics.md). `holds`: what was
// in flight will wait for a person, so no job begins again. Sets carried, carried_progress and carried_cut_off.
void carry_over_interruption(RunState& state, bool holds);

// After a person's resume: all that is not success runs again. With `from`, a rerun: that task or job (task -1), the
// later tasks of its job and all that needs the job begin a new generation. With another plan than the attempt's, jobs
// and tasks are matched by their ids first.
std::vector<JobRun> carry_over_resume(const RunState& state, const std::shared_ptr<const Plan>& plan,
                                      std::optional<TaskRef> from);

// Done tasks that another version cannot be sure to hold as well, because they have no explicit id, or because their job
// got a matrix or lost it: `job/task`.
std::vector<std::string> unmatched(const RunState& state, const Plan& plan);

}  // namespace pawl::engine
