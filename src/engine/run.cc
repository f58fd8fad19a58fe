// A run: how an attempt begins, goes on and ends.
#include <fmt/format.h>

#include "engine/step.h"

namespace pawl::engine {
namespace {

// The first job that failed, in the file's order, and why.
FailurePtr failure_of_run(const Step& step) {
  for (std::size_t j = 0; j < step.s.attempt.jobs.size(); ++j) {
    const JobRun& job = step.s.attempt.jobs[j];
    if (job.status != WorkStatus::failed) continue;
    const std::string message =
        fmt::format("job {}{}", step.s.plan->jobs[j].job->id, job.error ? ": " + job.error->message : " failed");
    return failure("task_failed", message, job.error ? job.error->cause : Json(nullptr));
  }
  return nullptr;
}

void end_attempt(Step& step) {
  RunState& s = step.s;
  if (s.stop_asked && !s.stop_error) return step.emit(AttemptEnded{RunStatus::cancelled, nullptr});
  if (s.stop_asked) return step.emit(AttemptEnded{RunStatus::failed, s.stop_error});
  if (auto error = failure_of_run(step)) return step.emit(AttemptEnded{RunStatus::failed, std::move(error)});
  step.emit(AttemptEnded{RunStatus::success, nullptr});
}

}  // namespace

void settle(Step& step) {
  // A list instead of recursion: a chain of ten thousand skipped jobs is walked in place.
  for (std::size_t i = 0; i < step.ready.size() && !step.broken(); ++i) look_at_job(step, step.ready[i]);
  step.ready.clear();
  if (!step.broken() && step.s.open_jobs == 0 && !is_final(step.s.attempt.status)) end_attempt(step);
}

void begin_attempt(Step& step) {
  for (std::size_t j = 0; j < step.s.progress.size(); ++j)
    if (step.s.progress[j].open_needs == 0 && !is_final(step.s.attempt.jobs[j].status))
      step.ready.push_back(static_cast<int>(j));
  settle(step);
}

}  // namespace pawl::engine
