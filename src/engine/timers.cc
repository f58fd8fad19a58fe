// What time alone changes: retries that are due, the end of a hold, of a run's time, of clean-up.
#include <fmt/format.h>

#include "engine/step.h"

namespace pawl::engine {

void on_timer(Step& step) {
  RunState& s = step.s;
  if (is_final(s.attempt.status)) return;
  if (s.held()) {
    if (s.attempt.due && *s.attempt.due > step.now) return;
    if (!may_leave_probation_queue(step)) {
      if (s.attempt.waits_for != WaitsFor::limit) step.emit(AttemptHeld{WaitsFor::limit, std::nullopt});
      return;
    }
    if (!admit(step)) return;
    step.emit(AttemptHeld{});
    return begin_attempt(step);
  }
  const Duration limit = s.plan->workflow->timeout;
  if (s.stop_asked) {
    if (!s.stop_hard && *s.stop_at + s.plan->workflow->cleanup_timeout <= step.now)
      return stop_run(step, s.attempt.who, true, s.stop_error);
  } else if (s.running_since && *s.running_since + (limit - s.ran) <= step.now) {
    return stop_run(step, s.attempt.who, false,
                    failure("timeout", fmt::format("the run took longer than {}", to_text(limit))));
  }
  // Also after a stop: clean-up, and what follows the verdict, has retries and waits of its own.
  while (!s.timers.empty() && s.timers.begin()->first <= step.now && !step.broken())
    task_is_due(step, s.timers.begin()->second);
  settle(step);
}

}  // namespace pawl::engine
