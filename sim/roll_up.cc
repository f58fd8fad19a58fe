#include "sim/roll_up.h"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::sim {
namespace {

const JobRun& job_of(const engine::RunState& state, int job) {
  return state.attempt.jobs[static_cast<std::size_t>(job)];
}

const engine::JobPlan& plan_of(const engine::RunState& state, int job) {
  return state.plan->jobs[static_cast<std::size_t>(job)];
}

// Whether jobs that need it may run.
bool lets_go_on(const engine::RunState& state, int job) {
  const JobRun& run = job_of(state, job);
  switch (run.status) {
    case WorkStatus::success: return true;
    case WorkStatus::skipped: return run.reason == SkipReason::done || run.reason == SkipReason::condition;
    case WorkStatus::failed: return plan_of(state, job).job->keep_going;
    case WorkStatus::cancelled:
    case WorkStatus::pending:
    case WorkStatus::running:
    case WorkStatus::waiting: return false;
  }
  return false;
}

// Whether the work below a job holds such a verdict: its instances, or its tasks whose failure counts.
bool holds(const engine::RunState& state, int job, WorkStatus status) {
  const JobRun& run = job_of(state, job);
  for (const int instance : run.instances)
    if (job_of(state, instance).status == status) return true;
  const auto& plans = state.job_plan(job).tasks;
  for (std::size_t t = 0; t < run.tasks.size(); ++t)
    if (run.tasks[t].status == status && !(status == WorkStatus::failed && plans[t].task->continue_on_error))
      return true;
  return false;
}

}  // namespace

std::optional<std::string> wrong_start(const engine::RunState& state, const JobStarted& change) {
  if (job_of(state, change.job).of >= 0) return std::nullopt;
  const engine::JobPlan& plan = plan_of(state, change.job);
  for (const int need : plan.job->needs) {
    const std::string what = fmt::format("{} starts, and {} is {}", plan.job->id, plan_of(state, need).job->id,
                                         to_string(job_of(state, need).status));
    if (!is_final(job_of(state, need).status)) return what;
    if (!plan.condition.has_status && !lets_go_on(state, need)) return what;
  }
  return std::nullopt;
}

std::optional<std::string> wrong_skip(const engine::RunState& state, const JobEnded& change) {
  if (change.status != WorkStatus::skipped || change.reason != SkipReason::upstream) return std::nullopt;
  if (job_of(state, change.job).of >= 0) return std::nullopt;
  const engine::JobPlan& plan = plan_of(state, change.job);
  if (std::ranges::any_of(plan.job->needs, [&](int need) { return !lets_go_on(state, need); })) return std::nullopt;
  return plan.job->id + " is passed over, and nothing that it needs has failed";
}

std::optional<std::string> wrong_end(const engine::RunState& state, const JobEnded& change, bool stopped) {
  const std::string name = state.job_name(change.job);
  const bool failed = holds(state, change.job, WorkStatus::failed);
  if (change.status == WorkStatus::success && (failed || holds(state, change.job, WorkStatus::cancelled)))
    return name + " succeeds, and not all below it has";
  if (change.status == WorkStatus::failed && change.error && change.error->code == "task_failed" && !failed)
    return name + " fails, and nothing below it has failed in a way that counts";
  if (change.status == WorkStatus::cancelled && !stopped) return name + " is cancelled, and nobody has asked for that";
  return std::nullopt;
}

RunStatus end_of_run(const engine::RunState& state, Stopped stopped) {
  if (stopped == Stopped::by_person) return RunStatus::cancelled;
  if (stopped == Stopped::by_time) return RunStatus::failed;
  for (std::size_t j = 0; j < state.plan->jobs.size(); ++j)
    if (engine::makes_verdict(state, state.plan->jobs[j].job->role) &&
        state.attempt.jobs[j].status == WorkStatus::failed)
      return RunStatus::failed;
  return RunStatus::success;
}

}  // namespace pawl::sim
