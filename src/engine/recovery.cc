// The node died: every verdict stays, what was in flight is cut off, and a new attempt goes on (docs/semantics.md, 5).
#include <array>

#include <fmt/format.h>

#include "base/planted.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

constexpr auto probation_delays =
    std::to_array<Duration>({std::chrono::seconds(1), std::chrono::seconds(10), std::chrono::seconds(60)});

// The run ends here, but not in silence: what was open is given the reason, and `on-failure` and `always` follow.
void give_up(Step& step, const FailurePtr& limit) {
  RunState& s = step.s;
  const auto close = [&](int job) {
    if (is_final(step.job(job).status) || step.broken()) return;
    const bool begun = step.progress(job).condition_held;
    if (!begun) return end_job(step, job, WorkStatus::skipped, SkipReason::upstream);
    step.emit(JobStarted{job});
    for (std::size_t t = 0; t < step.job(job).tasks.size(); ++t) {
      const TaskRef ref{job, static_cast<int>(t)};
      if (s.cut_off.contains(ref) || s.task(ref).status == WorkStatus::waiting)
        end_task(step, ref, WorkStatus::failed, SkipReason::none, limit);
    }
    end_job(step, job, WorkStatus::failed, SkipReason::none, limit);
  };
  for (std::size_t j = 0; j < s.plan->jobs.size(); ++j) {
    if (s.plan->jobs[j].job->role != Role::normal) continue;
    if (!is_final(s.attempt.jobs[j].status) && s.progress[j].condition_held) {
      const std::vector<int> instances = s.attempt.jobs[j].instances;
      for (const int instance : instances) close(instance);
    }
    close(static_cast<int>(j));
  }
  step.ready.clear();
  if (!s.verdict) step.emit(VerdictReached{RunStatus::failed, limit});
  settle(step);
}

}  // namespace

void recover(Step& step, Instant last_life) {
  RunState& s = step.s;
  if (is_final(s.attempt.status)) return;
  if (s.in_flight.empty()) return;  // adopted: same attempt, nothing written

  const Recover& policy = s.plan->workflow->recover;
  // Its life is the time in which something of it ran: a wait before the task that kills the server makes none.
  const Instant began = s.running_since.value_or(s.attempt.created_at);
  const Instant died = std::clamp(last_life, began, std::max(began, step.now));
  const bool counted =
      (!s.stop_noted || planted(Planted::counted_stop)) && s.ran - s.ran_before + (died - began) <= policy.window;
  const int version = s.attempt.version;
  const int number = s.attempt.number;
  const auto plan = s.plan;
  Who recovery;
  recovery.trigger = Trigger::recovery;
  recovery.client = "system-recovery";
  recovery.user_agent = "workflow-system-recovery";
  recovery.at = step.now;
  step.emit(
      AttemptInterrupted{s.stop_noted ? "interrupted by system stop" : "interrupted by system restart", counted, died});
  if (s.counted_recoveries > policy.max) {
    const auto cause = json::object{{"code", "interrupted"}, {"message", "interrupted by system restart"}};
    const FailurePtr limit =
        failure("recovery_limit",
                fmt::format("interrupted by system restart {} times in a row, each within {} of the attempt's start; "
                            "recover.max is {}",
                            s.counted_recoveries, to_text(policy.window), policy.max),
                cause);
    // Nothing follows where nothing is asked for, nor where it was what followed that was cut off.
    if (!policy.then_hold && (!plan->has_reserved || s.verdict || is_late(s))) {
      const bool had = s.verdict.has_value();
      return step.emit(
          AttemptEnded{had && s.verdict->status != RunStatus::success ? s.verdict->status : RunStatus::failed, limit});
    }
    step.emit(AttemptStarted{number + 1, version, recovery, {}, {}, {}, {}}, plan);
    if (step.broken()) return;
    if (!policy.then_hold) return give_up(step, limit);
    step.hold_cut_off = true;
    return begin_attempt(step);
  }
  step.emit(AttemptStarted{number + 1, version, recovery, {}, {}, {}, {}}, plan);
  if (s.counted_recoveries >= 2 && !planted(Planted::no_probation)) {
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
