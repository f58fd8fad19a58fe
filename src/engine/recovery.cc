// The node died: every verdict stays, what was in flight is cut off, and a new attempt goes on (docs/semantics.md, 5).
#include <array>

#include <fmt/format.h>

#include "engine/step.h"

namespace pawl::engine {
namespace {

constexpr auto probation_delays =
    std::to_array<Duration>({std::chrono::seconds(1), std::chrono::seconds(10), std::chrono::seconds(60)});

}  // namespace

void recover(Step& step, Instant last_life) {
  RunState& s = step.s;
  if (is_final(s.attempt.status)) return;
  if (s.in_flight.empty()) return;  // adopted: same attempt, nothing written

  const Recover& policy = s.plan->workflow->recover;
  const Instant began = s.attempt.started_at.value_or(s.attempt.created_at);
  const Instant died = std::clamp(last_life, began, std::max(began, step.now));
  const bool counted = !s.stop_noted && died - began <= policy.window;
  const int version = s.attempt.version;
  const int number = s.attempt.number;
  const auto plan = s.plan;
  step.emit(
      AttemptInterrupted{s.stop_noted ? "interrupted by system stop" : "interrupted by system restart", counted, died});
  if (s.counted_recoveries > policy.max) {
    const auto cause = json::object{{"code", "interrupted"}, {"message", "interrupted by system restart"}};
    step.emit(AttemptEnded{
        RunStatus::failed,
        failure("recovery_limit",
                fmt::format("interrupted by system restart {} times in a row, each within {} of the attempt's start; "
                            "recover.max is {}",
                            s.counted_recoveries, to_text(policy.window), policy.max),
                cause)});
    return;
  }
  Who who;
  who.trigger = Trigger::recovery;
  who.client = "system-recovery";
  who.user_agent = "workflow-system-recovery";
  who.at = step.now;
  step.emit(AttemptStarted{number + 1, version, who}, plan);
  if (s.counted_recoveries >= 2) {
    const auto wait =
        std::min<std::size_t>(static_cast<std::size_t>(s.counted_recoveries) - 2, probation_delays.size() - 1);
    step.emit(AttemptHeld{WaitsFor::timer, step.now + probation_delays[wait]});
    return;
  }
  begin_attempt(step);
}

void cut_off(Step& step) {
  if (!is_final(step.s.attempt.status) && !step.s.in_flight.empty() && !step.s.stop_noted) step.emit(StopNoted{});
}

}  // namespace pawl::engine
