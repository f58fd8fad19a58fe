// A schedule whose time has come: what becomes of its next slot, or of all that were missed together (docs/schedules.md).
// Each decision moves the cursor over one slot that gets a run, with all that are passed over before it, or over slots that get
// none; what is still due then is decided next.
#include <fmt/format.h>

#include "base/planted.h"
#include "engine/schedule_rules.h"
#include "engine/start.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

using calendar::Timetable;

constexpr std::string_view scheduler_client = "system-scheduler";
constexpr std::string_view scheduler_agent = "pawl-scheduler";
constexpr auto instant_before = Duration(1);

bool has_on_late(const Plan& plan) {
  return std::ranges::any_of(plan.workflow->jobs, [](const Job& job) { return job.role == Role::on_late; });
}

bool is_stopped(const ScheduleRow& row, const WorkflowRow& workflow) {
  return !is_active(row, workflow) && !planted(Planted::fire_when_disabled);
}

class Firing {
 public:
  Firing(const View& view, Instant now, std::uint64_t seed)
      : view_(view),
        before_(view.schedule->progress),
        row_(*view.schedule),
        rule_(row_.rule),
        slots_(*view.timetable),
        workflow_(*view.workflow),
        now_(now),
        random_(seed) {}

  Decision decide() {
    if (row_.deleted_at) return {};
    if (is_stopped(row_, workflow_)) {
      row_.progress.parked = row_.enabled && !workflow_.deleted_at;
      row_.progress.late.reset();
    } else {
      row_.progress.parked = false;
      go_on();
    }
    if (!decision_.broken.empty()) return std::move(decision_);
    row_.progress.next_at = next_look(row_, slots_, workflow_);
    if (planted(Planted::lost_schedule) && changes_.ledger.size() > 1) row_.progress.next_at.reset();
    if (row_.progress == before_) return std::move(decision_);
    changes_.moved = ScheduleChanges::Moved{row_.id, before_.cursor, row_.progress};
    decision_.changes.schedules = std::make_shared<const ScheduleChanges>(std::move(changes_));
    return std::move(decision_);
  }

 private:
  void go_on() {
    if (row_.progress.late && row_.progress.late->due <= now_) return tell_late();
    const Instant cursor = row_.progress.cursor;
    const auto first = slots_.next(cursor);
    if (!first || slots_.due(*first) > now_) return;
    // The workflow was disabled meanwhile: slots of that time are passed over, and what lies before is decided first.
    Instant until = now_;
    if (workflow_.disabled_from < workflow_.switched_at && cursor < workflow_.switched_at) {
      if (*first >= workflow_.disabled_from && *first < workflow_.switched_at)
        return pass_over(workflow_.switched_at - instant_before, SlotOutcome::skipped, SlotReason::disabled);
      if (*first < workflow_.disabled_from) until = std::min(until, workflow_.disabled_from - instant_before);
    }
    auto missed = slots_.last_due(cursor, now_ - rule_.misfire_threshold - instant_before);
    // Slots are due in their order, so that one before a missed one is missed too.
    if (missed && *missed > until) missed = slots_.previous(until + instant_before);
    if (missed)
      make_up_for(*first, *missed);
    else
      fire(*first, false);
  }

  // All slots up to `missed` are later than the threshold.
  void make_up_for(Instant first, Instant missed) {
    if (rule_.end && now_ > *rule_.end) return pass_over(missed, SlotOutcome::skipped, SlotReason::end);
    Instant chosen = missed;
    switch (rule_.misfire) {
      case Misfire::skip: return pass_over(missed, SlotOutcome::misfired, SlotReason::misfired);
      case Misfire::run_once:
        if (now_ - missed > rule_.misfire_window) return pass_over(missed, SlotOutcome::misfired, SlotReason::misfired);
        if (planted(Planted::misfire_twice) && missed > first) chosen = *slots_.previous(missed);
        break;
      case Misfire::run_all:
        chosen = first;
        if (slots_.count(row_.progress.cursor, missed) > rule_.max_catch_up) {
          chosen = missed;
          for (int i = 1; i < rule_.max_catch_up; ++i) chosen = *slots_.previous(chosen);
        }
        break;
    }
    if (chosen > first) pass_over(chosen - instant_before, SlotOutcome::misfired, SlotReason::misfired);
    fire(chosen, rule_.misfire == Misfire::run_all);
  }

  // Slots behind the cursor, up to `until`, get no run.
  void pass_over(Instant until, SlotOutcome outcome, SlotReason reason) {
    auto entry = passed_over(row_, slots_, row_.progress.cursor, until, outcome, reason, now_);
    if (!entry) return;
    row_.progress.cursor = entry->to;
    if (reason != SlotReason::disabled && reason != SlotReason::end) watch(entry->to, std::nullopt);
    if (!planted(Planted::unwritten_slots)) changes_.ledger.push_back(std::move(*entry));
  }

  void fire(Instant slot, bool catches_up) {
    row_.progress.cursor = slot;
    if (planted(Planted::lost_slot) && now_ - slot > std::chrono::seconds(30)) return;
    LedgerRow entry{.schedule = row_.id, .from = slot, .to = slot, .at = now_};
    const auto pass = [&](SlotReason reason, std::string message) {
      entry.outcome = SlotOutcome::skipped;
      entry.reason = reason;
      entry.message = std::move(message);
      watch(slot, std::nullopt);
      changes_.ledger.push_back(std::move(entry));
    };
    SlotOrigin origin{row_.id, row_.name, slot, false, false, std::nullopt};
    const Overlaps& overlaps = view_.limits->overlaps;
    if (overlaps.any_open(row_.id)) switch (rule_.overlap) {
        case Overlap::allow: break;
        case Overlap::skip: return pass(SlotReason::overlap, {});
        case Overlap::queue:
          // Slots that are made up for queue up in their order; of the others one waits at most.
          if (!catches_up && overlaps.any_in_line(row_.id)) return pass(SlotReason::overlap, {});
          origin.in_line = true;
          break;
        case Overlap::cancel_running: origin.in_line = origin.cancels = true; break;
      }
    const auto run = begin(Trigger::schedule, std::move(origin));
    if (!run) return pass(SlotReason::invalid, run.error().message);
    entry.run = run->run;
    entry.run_number = run->number;
    entry.lateness = now_ - slots_.due(slot);
    if (rule_.late_after && now_ > slots_.due(slot) + *rule_.late_after)
      watch(slot, std::nullopt);
    else if (decision_.created->held())
      watch(slot, run->run);
    changes_.ledger.push_back(std::move(entry));
    if (planted(Planted::slot_twice) && entry.lateness > std::chrono::seconds(5)) {
      changes_.ledger.back().from = changes_.ledger.back().to = now_;
      row_.progress.cursor = before_.cursor;
    }
  }

  Result<RunAccepted> begin(Trigger trigger, SlotOrigin origin) {
    if (!view_.plan) return fail(Code::internal, "the workflow has no version that can be read");
    RunOrder order;
    order.who.trigger = trigger;
    order.who.client = scheduler_client;
    order.who.user_agent = scheduler_agent;
    auto inputs = schedule_inputs(view_, rule_.inputs, order.who, origin, now_);
    if (!inputs) return std::unexpected(inputs.error());
    order.inputs = std::move(*inputs);
    order.slot = std::move(origin);
    return begin_run(view_, std::move(order), now_, random_, decision_);
  }

  // One slot is watched at a time: those that are passed over meanwhile have their say in its run.
  void watch(Instant slot, std::optional<RunId> run) {
    if (!rule_.late_after || row_.progress.late || !view_.plan || !has_on_late(*view_.plan)) return;
    row_.progress.late = LateWatch{slot, slots_.due(slot) + *rule_.late_after, run};
  }

  void tell_late() {
    const LateWatch late = *row_.progress.late;
    if (!planted(Planted::late_again)) row_.progress.late.reset();
    // The run that was held back has begun, or somebody has ended it.
    if (late.run && (!view_.row || view_.row->status != RunStatus::queued || view_.row->started_at)) return;
    if (!view_.plan || !has_on_late(*view_.plan)) return;
    // A workflow that takes no such run tells of it in the ledger's entry of its next slot.
    (void)begin(Trigger::late, {row_.id, row_.name, late.slot, false, false, std::nullopt});
  }

  const View& view_;
  const ScheduleProgress before_;
  ScheduleRow row_;
  const ScheduleRule& rule_;
  const Timetable& slots_;
  const WorkflowRow& workflow_;
  const Instant now_;
  SplitMix random_;
  Decision decision_;
  ScheduleChanges changes_;
};

}  // namespace

Result<Json> schedule_inputs(const View& view, const Json& inputs, const Who& who, const SlotOrigin& origin,
                             Instant now) {
  if (const auto* members = inputs.if_object(); members && members->empty())
    return view.check_inputs(*view.plan->workflow, inputs);
  const auto tree = expression::Tree::parse(inputs);
  if (!tree) return fail(Code::invalid, "inputs: " + tree.error().message, "inputs_invalid");
  Run asked;
  asked.workflow = view.workflow->name;
  asked.version = view.plan->version;
  asked.number = view.last_number + 1;
  asked.who = who;
  asked.slot = origin;
  asked.env = view.environment ? *view.environment : Json(json::object{});
  const RunContext context(StartContext{view.plan->workflow.get(), &asked}, now);
  auto given = tree->evaluate(context);
  if (!given) return fail(Code::invalid, "inputs: " + given.error().message, "inputs_invalid");
  return view.check_inputs(*view.plan->workflow, *given);
}

std::optional<LedgerRow> passed_over(const ScheduleRow& row, const Timetable& slots, Instant after, Instant until,
                                     SlotOutcome outcome, SlotReason reason, Instant now) {
  const auto first = slots.next(after);
  const auto last = slots.previous(until + instant_before);
  if (!first || !last || *first > *last) return std::nullopt;
  return LedgerRow{.schedule = row.id,
                   .from = *first,
                   .to = *last,
                   .count = slots.count(*first - instant_before, *last),
                   .outcome = outcome,
                   .reason = reason,
                   .at = now};
}

std::optional<Instant> next_look(const ScheduleRow& row, const Timetable& slots, const WorkflowRow& workflow) {
  if (is_stopped(row, workflow)) return std::nullopt;
  std::optional<Instant> at;
  if (const auto next = slots.next(row.progress.cursor)) at = slots.due(*next);
  if (row.progress.late && (!at || row.progress.late->due < *at)) at = row.progress.late->due;
  return at;
}

Result<void> check_fires(const Timetable& slots, Instant now) {
  if (slots.next(now)) return {};
  return fail(Code::invalid,
              "the schedule can never fire: no time of its expression lies between now, its start and its end",
              "schedule_never_fires");
}

void close_slots(ScheduleRow& row, const Timetable& slots, SlotReason reason, Instant now, ScheduleChanges& changes) {
  const auto outcome = reason == SlotReason::misfired ? SlotOutcome::misfired : SlotOutcome::skipped;
  if (auto entry = passed_over(row, slots, row.progress.cursor, now, outcome, reason, now))
    changes.ledger.push_back(std::move(*entry));
  row.progress.cursor = std::max(row.progress.cursor, now);
}

Decision fire(const View& view, Instant now, std::uint64_t seed) {
  if (!view.schedule || !view.timetable || !view.workflow) return {};
  return Firing(view, now, seed).decide();
}

}  // namespace pawl::engine
