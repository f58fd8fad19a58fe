// A person resumes a failed or cancelled run: a new attempt in which all that is not success runs again.
#include <fmt/format.h>

#include "engine/step.h"

namespace pawl::engine {

Result<Answer> resume(Step& step, const ResumeRequested& event) {
  RunState& s = step.s;
  if (!is_final(s.attempt.status))
    return fail(Code::conflict,
                fmt::format("run {} is {}: only a failed or cancelled run can be resumed", to_string(s.run.id),
                            to_string(s.attempt.status)),
                "run_open");
  if (s.attempt.status == RunStatus::success)
    return fail(Code::conflict, fmt::format("run {} succeeded: there is nothing left to resume", to_string(s.run.id)),
                "run_final");
  if (event.with_current)
    return fail(Code::refused, "resume with the workflow's current version is not supported yet", "not_supported");
  Who who = event.who;
  who.trigger = Trigger::resume;
  who.at = step.now;
  step.emit(AttemptStarted{s.attempt.number + 1, s.attempt.version, std::move(who)}, s.plan);
  begin_attempt(step);
  return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
}

}  // namespace pawl::engine
