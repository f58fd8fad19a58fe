// Stopping a run: a person's cancel, or the end of the run's own time. Cancel is final (P8): from the record on nothing
// starts but clean-up that asks for it.
#include "base/planted.h"
#include "engine/step.h"

namespace pawl::engine {

void stop_run(Step& step, const Who& who, bool hard, FailurePtr error) {
  RunState& s = step.s;
  const bool was_held = s.held();
  // Without its place in the group it may start nothing, not even clean-up; it has begun nothing to clean up either.
  hard |= !planted(Planted::cleanup_without_place) && was_held && s.attempt.waits_for == WaitsFor::group;
  step.emit(StopAsked{who, hard, std::move(error)});
  if (step.broken()) return;
  step.stopping_now = true;
  if (was_held) step.emit(AttemptHeld{});
  for (const TaskRef ref : s.in_flight) {
    if (!is_stopping(step, ref.job) || planted(Planted::deaf_tries))
      continue;  // it follows the verdict, and is clean-up itself
    const auto* process = std::get_if<ProcessAction>(&s.plan_of(ref).task->action);
    step.command(StopTask{s.run.id, ref, s.task(ref).last_try, process && !hard ? process->grace : Duration{}});
  }
  // Jobs that wait for a timer or a seat, and those that have not begun, are decided now; those with a try in flight
  // when it has ended.
  const auto waits = [&](int job) {
    const auto first = s.in_flight.lower_bound({job, 0});
    return first == s.in_flight.end() || first->job != job;
  };
  for (std::size_t j = 0; j < s.plan->jobs.size() && !step.broken(); ++j) {
    const int job = static_cast<int>(j);
    if (!is_stopping(step, job)) continue;
    if (s.attempt.jobs[j].status == WorkStatus::running && s.plan->jobs[j].job->matrix) {
      const std::vector<int> instances = s.attempt.jobs[j].instances;
      for (const int instance : instances)
        if (step.job(instance).status == WorkStatus::running && waits(instance) && !step.broken())
          advance_job(step, instance);
      advance_instances(step, job);
    } else if (s.attempt.jobs[j].status == WorkStatus::running) {
      if (waits(job)) advance_job(step, job);
    } else if (s.attempt.jobs[j].status == WorkStatus::pending && s.progress[j].open_needs == 0) {
      look_at_job(step, job);
    }
  }
  step.stopping_now = false;
  settle(step);
}

}  // namespace pawl::engine
