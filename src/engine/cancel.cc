// Stopping a run: a person's cancel, or the end of the run's own time. Cancel is final (P8): from the record on nothing
// starts but clean-up that asks for it.
#include "engine/step.h"

namespace pawl::engine {

void stop_run(Step& step, const Who& who, bool hard, FailurePtr error) {
  RunState& s = step.s;
  const bool was_held = s.held();
  step.emit(StopAsked{who, hard, std::move(error)});
  if (step.broken()) return;
  if (was_held) step.emit(AttemptHeld{});
  for (const TaskRef ref : s.in_flight) {
    const auto* process = std::get_if<ProcessAction>(&s.plan_of(ref).task->action);
    step.command(StopTask{s.run.id, ref, s.task(ref).last_try, process && !hard ? process->grace : Duration{}});
  }
  // Jobs that wait for a timer or a slot, and those that have not begun, are decided now; those with a try in flight
  // when it has ended.
  for (std::size_t j = 0; j < s.attempt.jobs.size() && !step.broken(); ++j) {
    const int job = static_cast<int>(j);
    if (s.attempt.jobs[j].status == WorkStatus::running) {
      const auto first = s.in_flight.lower_bound({job, 0});
      if (first == s.in_flight.end() || first->job != job) advance_job(step, job);
    } else if (s.attempt.jobs[j].status == WorkStatus::pending && s.progress[j].open_needs == 0) {
      look_at_job(step, job);
    }
  }
  settle(step);
}

}  // namespace pawl::engine
