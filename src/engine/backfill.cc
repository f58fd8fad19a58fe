// Slots of a past range that have no run get one: the oldest first, so many at once, and a slot that had a run never a second
// one. Each step looks at one slot; what it found is durable with it, so that the next one goes on behind it.
#include <fmt/format.h>

#include "base/planted.h"
#include "engine/schedule_rules.h"
#include "engine/start.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

constexpr std::string_view backfill_agent = "pawl-backfill";
constexpr auto instant_before = Duration(1);

Decision with(ScheduleChanges changes, Result<Answer> answer) {
  Decision decision;
  decision.answer = std::move(answer);
  decision.changes.schedules = std::make_shared<const ScheduleChanges>(std::move(changes));
  return decision;
}

// Whether the slots of the entry are slots of the rule as it is now. Those that an earlier rule has left behind cannot be told
// apart any more.
bool is_of_this_rule(const LedgerRow& entry, const calendar::Timetable& slots) {
  const auto is_slot = [&](Instant at) { return slots.next(at - instant_before) == at; };
  return is_slot(entry.from) && is_slot(entry.to) && slots.count(entry.from - instant_before, entry.to) == entry.count;
}

// The entry without one of its slots: what is left of it before and behind.
void split(const LedgerRow& entry, Instant slot, const calendar::Timetable& slots, ScheduleChanges& changes) {
  changes.ledger_removed.push_back(entry);
  const auto part = [&](Instant from, Instant to, std::int64_t count) {
    if (count <= 0 || from > to) return;
    LedgerRow left = entry;
    left.from = from;
    left.to = to;
    left.count = count;
    changes.ledger.push_back(std::move(left));
  };
  const std::int64_t earlier = slots.count(entry.from - instant_before, slot - instant_before);
  if (const auto before = slots.previous(slot)) part(entry.from, *before, earlier);
  if (const auto behind = slots.next(slot)) part(*behind, entry.to, entry.count - earlier - 1);
}

}  // namespace

Decision begin_backfill(const View& view, const BackfillRequested& event, Instant now, std::uint64_t seed) {
  if (!view.schedule || view.schedule->deleted_at || !view.workflow || view.workflow->deleted_at)
    return refuse(Code::not_found, "there is no such schedule", "schedule_unknown");
  if (const auto fine = check_backfill(event.from, event.to, event.limit, now); !fine)
    return refuse(fine.error().code, fine.error().message, fine.error().name);
  if (!view.workflow->active())
    return refuse(Code::conflict, fmt::format("workflow '{}' is disabled", view.workflow->name), "workflow_disabled");
  SplitMix random(seed);
  ScheduleChanges changes;
  ScheduleRow row = *view.schedule;
  // Slots of a schedule that is disabled are nobody's yet: they become entries, which the backfill then fills in.
  if (!row.enabled) {
    close_slots(row, *view.timetable, SlotReason::disabled, now, changes);
    changes.moved = ScheduleChanges::Moved{row.id, view.schedule->progress.cursor, row.progress};
  }
  BackfillRow backfill;
  backfill.id = BackfillId{uuid_v7(now, random.next(), random.next())};
  backfill.schedule = row.id;
  backfill.workflow = row.workflow;
  backfill.from = event.from;
  // Those behind the cursor are the schedule's own to decide.
  backfill.to = std::min(event.to, row.progress.cursor);
  backfill.cursor = event.from - instant_before;
  backfill.limit = event.limit;
  backfill.user = event.who.user;
  backfill.client = event.who.client;
  backfill.created_at = now;
  changes.backfill = backfill;
  Decision decision = with(std::move(changes), BackfillAccepted{backfill.id});
  decision.follow_ups.emplace_back(BackfillGoesOn{backfill.id});
  return decision;
}

Decision go_on_with_backfill(const View& view, Instant now, std::uint64_t seed) {
  if (!view.backfill || view.backfill->status != BackfillStatus::running || !view.workflow) return {};
  BackfillRow backfill = *view.backfill;
  ScheduleChanges changes;
  const auto end = [&](BackfillStatus status) {
    backfill.status = status;
    backfill.finished_at = now;
    changes.backfill = backfill;
    return with(std::move(changes), Answer{});
  };
  if (!view.schedule || view.schedule->deleted_at || view.workflow->deleted_at) return end(BackfillStatus::cancelled);
  if (view.limits->overlaps.open_of(backfill.id) >= backfill.limit && !planted(Planted::wide_backfill)) return {};
  if (!view.workflow->active() || !view.plan) return {};  // it goes on when the workflow is enabled
  const auto slot = view.timetable->next(backfill.cursor);
  if (!slot || *slot > backfill.to) return end(BackfillStatus::success);

  Decision decision;
  backfill.cursor = *slot;
  const bool had_run = view.covering && view.covering->outcome == SlotOutcome::fired;
  if ((had_run && !planted(Planted::backfill_twice)) ||
      (view.covering && !is_of_this_rule(*view.covering, *view.timetable))) {
    ++backfill.passed_over;
  } else {
    RunOrder order;
    order.who.trigger = Trigger::schedule;
    order.who.user = backfill.user;
    order.who.client = backfill.client;
    order.who.user_agent = backfill_agent;
    SlotOrigin origin{view.schedule->id, view.schedule->name, *slot, false, false, backfill.id};
    auto inputs = schedule_inputs(view, view.schedule->rule.inputs, order.who, origin, now);
    Result<RunAccepted> run = fail(Code::invalid, "");
    SplitMix random(seed);
    if (inputs) {
      order.inputs = std::move(*inputs);
      order.slot = std::move(origin);
      run = begin_run(view, std::move(order), now, random, decision);
    }
    if (run) {
      ++backfill.started;
      LedgerRow entry{.schedule = view.schedule->id, .from = *slot, .to = *slot, .at = now};
      entry.run = run->run;
      entry.run_number = run->number;
      entry.lateness = now - view.timetable->due(*slot);
      entry.backfill = backfill.id;
      if (view.covering && !had_run) split(*view.covering, *slot, *view.timetable, changes);
      if (!had_run) changes.ledger.push_back(std::move(entry));
    } else {
      ++backfill.passed_over;
    }
  }
  changes.backfill = backfill;
  decision.changes.schedules = std::make_shared<const ScheduleChanges>(std::move(changes));
  decision.follow_ups.emplace_back(BackfillGoesOn{backfill.id});
  return decision;
}

Decision cancel_backfill(const View& view, Instant now) {
  if (!view.backfill) return refuse(Code::not_found, "there is no such backfill", "backfill_unknown");
  if (view.backfill->status != BackfillStatus::running)
    return refuse(Code::conflict, fmt::format("the backfill is {} already", to_string(view.backfill->status)),
                  "backfill_final");
  ScheduleChanges changes;
  changes.backfill = view.backfill;
  changes.backfill->status = BackfillStatus::cancelled;
  changes.backfill->finished_at = now;
  return with(std::move(changes), BackfillAccepted{view.backfill->id});
}

}  // namespace pawl::engine
