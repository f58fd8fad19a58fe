#include "engine/engine.h"

#include <fmt/format.h>

#include "engine/start.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

Result<Answer> cancel(Step& step, const CancelRequested& event) {
  RunState& s = step.s;
  if (is_final(s.attempt.status))
    return fail(Code::conflict, fmt::format("run {} is {} already", to_string(s.run.id), to_string(s.attempt.status)),
                "run_final");
  // A group wants back a place, and asks only for what nobody has asked for yet; a second cancel of a person stops the
  // clean-up too.
  if (event.who.client == group_client && (s.stop_asked || !s.run.group_held))
    return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
  if (event.who.client == schedule_client && s.stop_asked)
    return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
  // What a person was told is in the history, also of a run whose time is over and that is being killed for it.
  if (!s.stop_hard || !s.attempt.cancel_requested) stop_run(step, event.who, s.stop_asked, nullptr);
  return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
}

// A run that a person opened again in time stays, and so does one that is taken already.
Decision take(const View& view, Instant now) {
  const Run* const run = view.run ? &view.run->run : view.row ? &*view.row : nullptr;
  Decision decision;
  if (!run || !is_final(run->status) || !run->expires_at || *run->expires_at > now) return decision;
  decision.changes.gone = run->id;
  decision.commands.emplace_back(ForgetRun{run->id});
  return decision;
}

Decision clear_away(const RemainsRemoved& event) {
  Decision decision;
  decision.changes.cleared = event.run;
  return decision;
}

}  // namespace

Needs needs(const Event& event) {
  struct Visit {
    Needs operator()(const WorkflowSubmitted& e) const {
      return {.workflow = e.workflow->name, .changes_schedules = true};
    }
    Needs operator()(const WorkflowSwitched& e) const { return {.workflow = e.workflow, .changes_schedules = true}; }
    Needs operator()(const WorkflowDeleted& e) const { return {.workflow = e.workflow, .changes_schedules = true}; }
    Needs operator()(const WorkflowFileLost& e) const { return {.workflow = e.workflow, .changes_schedules = true}; }
    Needs operator()(const ScheduleDue& e) const { return {.schedule = e.schedule}; }
    Needs operator()(const ScheduleAdded& e) const { return {.workflow = e.workflow, .changes_schedules = true}; }
    Needs operator()(const ScheduleChanged& e) const { return {.schedule = e.schedule, .changes_schedules = true}; }
    Needs operator()(const ScheduleDeleted& e) const { return {.schedule = e.schedule, .changes_schedules = true}; }
    Needs operator()(const BackfillRequested& e) const { return {.schedule = e.schedule, .changes_schedules = true}; }
    Needs operator()(const BackfillCancelled& e) const { return {.backfill = e.backfill, .changes_schedules = true}; }
    Needs operator()(const BackfillGoesOn& e) const { return {.backfill = e.backfill, .changes_schedules = true}; }
    Needs operator()(const RunRequested& e) const { return {std::nullopt, e.workflow, e.key}; }
    Needs operator()(const TaskFinished& e) const { return {e.run, {}, {}}; }
    Needs operator()(const CancelRequested& e) const { return {e.run, {}, {}}; }
    Needs operator()(const ResumeRequested& e) const { return {e.run, {}, {}, e.with_current}; }
    Needs operator()(const RerunRequested& e) const { return {e.run, {}, {}}; }
    Needs operator()(const AnswerRequested& e) const { return {e.run, {}, {}}; }
    Needs operator()(const TimerDue& e) const { return {e.run, {}, {}}; }
    Needs operator()(const SeatFree& e) const { return {e.run, {}, {}}; }
    Needs operator()(const RunOrphaned& e) const { return {e.run, {}, {}}; }
    Needs operator()(const RunCutOff& e) const { return {e.run, {}, {}}; }
    Needs operator()(const RetentionReached& e) const { return {.row = e.run}; }
    Needs operator()(const RemainsRemoved&) const { return {}; }
  };
  return std::visit(Visit{}, event);
}

Decision decide(View& view, const Event& event, Instant now, std::uint64_t seed) {
  if (const auto* submitted = std::get_if<WorkflowSubmitted>(&event)) return submit(view, *submitted, now, seed);
  if (const auto* requested = std::get_if<RunRequested>(&event)) return start(view, *requested, now, seed);
  if (std::holds_alternative<ScheduleDue>(event)) return fire(view, now, seed);
  if (const auto* switched = std::get_if<WorkflowSwitched>(&event)) return switch_workflow(view, *switched, now);
  if (const auto* deleted = std::get_if<WorkflowDeleted>(&event)) return delete_workflow(view, *deleted, now);
  if (const auto* lost = std::get_if<WorkflowFileLost>(&event)) return lose_file(view, *lost, now);
  if (const auto* added = std::get_if<ScheduleAdded>(&event)) return add_schedule(view, *added, now, seed);
  if (const auto* changed = std::get_if<ScheduleChanged>(&event)) return change_schedule(view, *changed, now);
  if (const auto* dropped = std::get_if<ScheduleDeleted>(&event)) return delete_schedule(view, *dropped, now);
  if (const auto* asked_for = std::get_if<BackfillRequested>(&event))
    return begin_backfill(view, *asked_for, now, seed);
  if (std::holds_alternative<BackfillGoesOn>(event)) return go_on_with_backfill(view, now, seed);
  if (std::holds_alternative<BackfillCancelled>(event)) return cancel_backfill(view, now);

  if (std::holds_alternative<RetentionReached>(event)) return take(view, now);
  if (const auto* removed = std::get_if<RemainsRemoved>(&event)) return clear_away(*removed);

  Decision decision;
  if (!view.run) {
    decision.answer = fail(Code::not_found, "there is no such run", "run_unknown");
    return decision;
  }
  Step step(*view.run, *view.limits, now, decision);
  if (const auto* finished = std::get_if<TaskFinished>(&event))
    finish_try(step, *finished);
  else if (const auto* asked = std::get_if<CancelRequested>(&event))
    decision.answer = cancel(step, *asked);
  else if (const auto* resumed = std::get_if<ResumeRequested>(&event))
    decision.answer = resume(step, *resumed, view);
  else if (const auto* again = std::get_if<RerunRequested>(&event))
    decision.answer = rerun(step, *again);
  else if (const auto* answered = std::get_if<AnswerRequested>(&event))
    decision.answer = answer(step, *answered);
  else if (std::holds_alternative<TimerDue>(event))
    on_timer(step);
  else if (std::holds_alternative<SeatFree>(event))
    use_free_seats(step);
  else if (const auto* orphaned = std::get_if<RunOrphaned>(&event))
    recover(step, orphaned->last_life);
  else if (std::holds_alternative<RunCutOff>(event))
    cut_off(step);
  step.finish();
  return decision;
}

}  // namespace pawl::engine
