// A run: how an attempt begins, goes on and ends.
#include <fmt/format.h>

#include "base/planted.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

// The first job that failed, in the file's order, and why.
FailurePtr failure_of_run(const Step& step) {
  for (std::size_t j = 0; j < step.s.plan->jobs.size(); ++j) {
    const JobRun& job = step.s.attempt.jobs[j];
    if (job.status != WorkStatus::failed || !makes_verdict(step.s, step.s.plan->jobs[j].job->role)) continue;
    if (planted(Planted::forgiven_failure) && step.s.plan->jobs[j].job->keep_going) continue;
    const std::string message =
        fmt::format("job {}{}", step.s.plan->jobs[j].job->id, job.error ? ": " + job.error->message : " failed");
    return failure("task_failed", message, job.error ? job.error->cause : Json(nullptr));
  }
  return nullptr;
}

Verdict verdict_of(const Step& step) {
  const RunState& s = step.s;
  if (s.stop_asked && (!s.stop_error || planted(Planted::timeout_cancels))) return {RunStatus::cancelled, nullptr};
  if (s.stop_asked) return {RunStatus::failed, s.stop_error};
  if (auto error = failure_of_run(step)) return {RunStatus::failed, std::move(error)};
  return {RunStatus::success, nullptr};
}

// No job that makes the verdict is open: the verdict, then what follows it, then the end.
void conclude(Step& step) {
  RunState& s = step.s;
  if (s.plan->has_reserved && !is_late(s) && !s.verdict) {
    Verdict verdict = verdict_of(step);
    step.emit(VerdictReached{verdict.status, std::move(verdict.error)});
  }
  if (s.open_reserved > 0)
    for (std::size_t j = 0; j < s.plan->jobs.size() && !step.broken(); ++j)
      if (!makes_verdict(s, s.plan->jobs[j].job->role)) look_at_job(step, static_cast<int>(j));
  if (step.broken() || s.open_reserved > 0) return;
  const Verdict verdict = s.verdict ? *s.verdict : verdict_of(step);
  step.emit(AttemptEnded{verdict.status, verdict.error});
}

}  // namespace

void settle(Step& step) {
  // A list instead of recursion: a chain of ten thousand skipped jobs is walked in place.
  for (std::size_t i = 0; i < step.ready.size() && !step.broken(); ++i) look_at_job(step, step.ready[i]);
  step.ready.clear();
  if (planted(Planted::left_open) && step.s.stop_asked) return;
  if (!step.broken() && step.s.open_jobs == 0 && !is_final(step.s.attempt.status)) conclude(step);
}

void begin_attempt(Step& step) {
  for (std::size_t j = 0; j < step.s.plan->jobs.size(); ++j)
    if (step.s.progress[j].open_needs == 0 && !is_final(step.s.attempt.jobs[j].status) &&
        makes_verdict(step.s, step.s.plan->jobs[j].job->role))
      step.ready.push_back(static_cast<int>(j));
  settle(step);
}

}  // namespace pawl::engine
