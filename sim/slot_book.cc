#include "sim/slot_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::sim {
namespace {

constexpr auto instant_before = Duration(1);

bool same_times(const ScheduleRule& a, const ScheduleRule& b) {
  return a.cron == b.cron && a.timezone == b.timezone && a.start == b.start && a.end == b.end;
}

void pause(auto& pauses, Instant at) {
  if (pauses.empty() || pauses.back().to) pauses.push_back({at, std::nullopt});
}
void go_on(auto& pauses, Instant at) {
  if (!pauses.empty() && !pauses.back().to) pauses.back().to = at;
}

bool is_own(const Run& run) { return run.who.trigger != Trigger::late && !run.slot->backfill; }

}  // namespace

void SlotCounts::add(const SlotCounts& other) {
  slots += other.slots;
  one_by_one += other.one_by_one;
  runs += other.runs;
  doubled += other.doubled;
  missing += other.missing;
}

void SlotBook::say(std::string_view promise, const Kept& kept, const std::string& what) const {
  report_(promise, fmt::format("schedule {}/{}: {}", kept.row.workflow, kept.row.name, what));
}

const ScheduleRow* SlotBook::find(ScheduleId id) const {
  const auto found = kept_.find(id);
  return found == kept_.end() ? nullptr : &found->second.row;
}

std::vector<const ScheduleRow*> SlotBook::schedules() const {
  std::vector<const ScheduleRow*> rows;
  for (const auto& [id, kept] : kept_)
    if (!kept.row.deleted_at) rows.push_back(&kept.row);
  return rows;
}

bool SlotBook::is_active(const Kept& kept) const {
  const auto flow = flows_.find(kept.row.workflow);
  return kept.row.enabled && !kept.row.deleted_at && flow != flows_.end() && flow->second.active;
}

// --- commits ---------------------------------------------------------------------------------------------------------

void SlotBook::read(const Changeset& changes) {
  if (changes.workflow) workflow(*changes.workflow);
  static const ScheduleChanges nothing;
  const ScheduleChanges& schedules = changes.schedules ? *changes.schedules : nothing;
  if (tell) tell_of(schedules);
  if (schedules.dropped) drop(*schedules.dropped);
  for (const ScheduleRow& row : schedules.put) put(row);
  if (const auto& moved = schedules.moved)
    if (const auto found = kept_.find(moved->id); found != kept_.end()) {
      if (moved->progress.cursor < found->second.row.progress.cursor)
        say("P7", found->second, "it goes back over slots that are decided");
      found->second.row.progress = moved->progress;
    }
  for (const LedgerRow& row : schedules.ledger_removed) strike(row);
  for (const LedgerRow& row : schedules.ledger) write(row, changes);
  if (schedules.backfill) backfill(*schedules.backfill);
  if (changes.new_run && changes.new_run->slot) begun(*changes.new_run, schedules);
  if (changes.run && changes.run->slot) follow(*changes.run, false);
  for (const ScheduleRow& row : schedules.put)
    if (const auto found = kept_.find(row.id); found != kept_.end()) look_at(found->second);
  if (schedules.moved)
    if (const auto found = kept_.find(schedules.moved->id); found != kept_.end()) look_at(found->second);
}

void SlotBook::tell_of(const ScheduleChanges& changes) const {
  const auto name = [&](ScheduleId id) {
    const ScheduleRow* row = find(id);
    return row ? row->workflow + "/" + row->name : std::string("?");
  };
  const auto time = [](const std::optional<Instant>& at) { return at ? to_rfc3339(*at) : std::string("never"); };
  for (const ScheduleRow& row : changes.put)
    tell(fmt::format("{}/{} is {}{}, next {}", row.workflow, row.name, row.rule.cron,
                     row.deleted_at ? ", deleted"
                     : row.enabled  ? ""
                                    : ", disabled",
                     time(row.progress.next_at)));
  for (const LedgerRow& row : changes.ledger)
    tell(fmt::format("{}: {} to {}: {} {} {}", name(row.schedule), to_rfc3339(row.from), to_rfc3339(row.to), row.count,
                     to_string(row.outcome), row.run ? fmt::format("#{}", row.run_number) : to_string(row.reason)));
  if (changes.moved)
    tell(fmt::format("{} stands at {}, next {}{}", name(changes.moved->id), to_rfc3339(changes.moved->progress.cursor),
                     time(changes.moved->progress.next_at), changes.moved->progress.parked ? ", parked" : ""));
  if (const auto& row = changes.backfill)
    tell(fmt::format("a backfill of {} stands at {} and is {}", name(row->schedule), to_rfc3339(row->cursor),
                     to_string(row->status)));
}

void SlotBook::workflow(const WorkflowRow& row) {
  Flow& flow = flows_[row.name];
  const bool was_active = std::exchange(flow.active, row.active());
  const bool was_deleted = std::exchange(flow.deleted, row.deleted_at.has_value());
  if (was_deleted && !flow.deleted) flow.pauses.clear();  // its schedules are others
  if (was_active && !flow.active)
    pause(flow.pauses, row.deleted_at.value_or(row.switched_at));
  else if (!was_active && flow.active)
    go_on(flow.pauses, row.switched_at);
}

void SlotBook::put(const ScheduleRow& row) {
  const auto [found, is_new] = kept_.try_emplace(row.id, row);
  Kept& kept = found->second;
  if (is_new) {
    if (!row.enabled) pause(kept.pauses, row.created_at);
    return;
  }
  if (kept.row.deleted_at) say("deleted", kept, "it is changed, and had been deleted");
  if (row.progress.cursor < kept.row.progress.cursor) say("P7", kept, "it goes back over slots that are decided");
  if (row.enabled != kept.row.enabled)
    row.enabled ? go_on(kept.pauses, row.updated_at) : pause(kept.pauses, row.updated_at);
  if (!row.deleted_at && !same_times(row.rule, kept.row.rule)) take_rule(kept, row);
  if (const auto& after = row.rule.late_after)
    kept.late_after = kept.late_after ? std::min(*kept.late_after, *after) : *after;
  kept.row = row;
}

// What lies behind are slots of the rule before, and the new one's begin here.
void SlotBook::take_rule(Kept& kept, const ScheduleRow& row) {
  const Instant since = std::max(row.updated_at, kept.row.progress.cursor);
  kept.due_before += kept.ticks().count(kept.since(), since);
  kept.rules.push_back({since, Ticks(row.rule, row.created_at)});
  if (row.progress.cursor < row.updated_at) say("P7", kept, "its rule changes, and slots of the old one are open");
}

void SlotBook::drop(const ScheduleChanges::Dropped& dropped) {
  for (auto& [id, kept] : kept_) {
    if (kept.row.workflow != dropped.workflow || kept.row.deleted_at) continue;
    kept.row.deleted_at = dropped.at;
    kept.row.progress = {.cursor = kept.row.progress.cursor};
  }
}

void SlotBook::strike(const LedgerRow& row) {
  const auto found = kept_.find(row.schedule);
  if (found == kept_.end()) return;
  Kept& kept = found->second;
  const auto entry = kept.entries.find(row.from);
  if (entry == kept.entries.end()) return say("P7", kept, "an entry is struck that is not there");
  if (entry->second.outcome == SlotOutcome::fired) say("P7", kept, "a slot with a run loses its entry");
  if (!kept.outside.contains(row.from)) kept.covered -= entry->second.count;
  kept.entries.erase(entry);
}

void SlotBook::write(const LedgerRow& row, const Changeset& changes) {
  const auto found = kept_.find(row.schedule);
  if (found == kept_.end()) return report_("P7", "an entry of a schedule that is not there");
  Kept& kept = found->second;
  const std::string where = fmt::format("{} to {}", to_rfc3339(row.from), to_rfc3339(row.to));
  const auto [entry, is_new] = kept.entries.emplace(row.from, row);
  const auto next = std::next(entry);
  if (!is_new || (next != kept.entries.end() && next->first <= row.to) ||
      (entry != kept.entries.begin() && std::prev(entry)->second.to >= row.from))
    say("P7", kept, where + " has an entry already");
  if (row.outcome == SlotOutcome::fired) {
    if (row.from != row.to || row.count != 1 || !row.run) say("P7", kept, where + " has a run, and is no single slot");
    if (!changes.new_run || changes.new_run->id != row.run || !changes.new_run->slot ||
        changes.new_run->slot->schedule != row.schedule || changes.new_run->slot->slot != row.from)
      say("P7", kept, where + " has a run, by its entry, that does not begin with it");
  } else if (row.run) {
    say("P7", kept, where + " has a run, and has not fired");
  }
  const bool is_change = changes.schedules && !changes.schedules->put.empty();
  const bool is_split = changes.schedules && !changes.schedules->ledger_removed.empty();
  // A backfill asks for slots as the rule is now, whatever it was then.
  const Ticks* const ticks = ticks_at(kept, row.from);
  const bool is_slot = ticks && ticks->has(row.from);
  if (row.backfill && !is_slot && !is_split) {
    kept.outside.insert(row.from);
    return;
  }
  kept.covered += row.count;
  if (!is_slot || !ticks->has(row.to) || ticks->count(row.from - instant_before, row.to) != row.count)
    say("P7", kept, fmt::format("{} is not {} of its slots", where, row.count));
  if (!row.backfill && !is_split) decided(kept, row, is_change || changes.schedules->backfill.has_value());
}

// --- what a schedule says --------------------------------------------------------------------------------------------

std::optional<SlotBook::Pause> SlotBook::pause_at(const Kept& kept, Instant slot) const {
  const auto holds = [&](const Pause& one) { return slot > one.from && (!one.to || slot < *one.to); };
  if (const auto own = std::ranges::find_if(kept.pauses, holds); own != kept.pauses.end()) return *own;
  const auto flow = flows_.find(kept.row.workflow);
  if (flow == flows_.end()) return std::nullopt;
  const auto its = std::ranges::find_if(flow->second.pauses, holds);
  return its == flow->second.pauses.end() ? std::nullopt : std::optional(*its);
}

// Disabled again within a minute, a workflow may count as not having been enabled.
bool SlotBook::is_hardly_enabled(const Kept& kept, Instant slot) const {
  const auto flow = flows_.find(kept.row.workflow);
  return flow != flows_.end() && std::ranges::any_of(flow->second.pauses, [&](const Pause& one) {
           return one.from >= slot && one.from - slot <= std::chrono::minutes(1);
         });
}

std::int64_t SlotBook::missed_from(const Kept& kept, Instant slot, Instant now) const {
  const ScheduleRule& rule = kept.row.rule;
  Instant until = now - rule.misfire_threshold - rule.jitter - instant_before;
  const auto flow = flows_.find(kept.row.workflow);
  if (flow != flows_.end())
    for (const Pause& one : flow->second.pauses)
      if (one.from >= slot) until = std::min(until, one.from - instant_before);
  return kept.ticks().count(slot - instant_before, until);
}

// An entry that the schedule itself has made; or, `by_person`, a change that leaves slots behind.
void SlotBook::decided(const Kept& kept, const LedgerRow& row, bool by_person) {
  const ScheduleRule& rule = kept.row.rule;
  const std::string slot = to_rfc3339(row.to);
  const bool has_others = !kept.open.empty() || !kept.in_line.empty();
  if (row.outcome == SlotOutcome::fired) {
    if (!is_active(kept)) say("disabled", kept, slot + " fires, and it is disabled or deleted");
    if (pause_at(kept, row.from)) say("disabled", kept, slot + " fires, and lies in a time in which it was disabled");
    missed(kept, row);
    return;
  }
  if (by_person) return;
  switch (row.reason) {
    case SlotReason::misfired:
      if (row.at - row.to <= rule.misfire_threshold) say("misfire", kept, slot + " is passed over, and is not late");
      break;
    case SlotReason::overlap:
      if (!has_others || rule.overlap == Overlap::allow || rule.overlap == Overlap::cancel_running)
        say("overlap", kept, slot + " is passed over, and nothing is in its way");
      break;
    case SlotReason::disabled:
      if (!pause_at(kept, row.to) && !pause_at(kept, row.from) && row.from != row.to &&
          !is_hardly_enabled(kept, row.to))
        say("disabled", kept, slot + " is passed over as one of a time in which it was not disabled");
      break;
    case SlotReason::end:
      if (!rule.end || row.at <= *rule.end) say("misfire", kept, slot + " is passed over before its end");
      break;
    case SlotReason::invalid: break;
    case SlotReason::none: say("P7", kept, slot + " has no run, and nothing says why");
  }
}

// A slot fires. If it is one that was missed, it must be one that may be made up for.
void SlotBook::missed(const Kept& kept, const LedgerRow& row) {
  const ScheduleRule& rule = kept.row.rule;
  const Instant slot = row.from;
  if (row.at < slot) say("misfire", kept, to_rfc3339(slot) + " fires before its time");
  if (row.at - slot <= rule.misfire_threshold + rule.jitter) return;
  const std::string what = fmt::format("{} fires {} late", to_rfc3339(slot), pawl::to_text(row.at - slot));
  const std::int64_t from_here = missed_from(kept, slot, row.at);
  switch (rule.misfire) {
    case Misfire::skip: say("misfire", kept, what + ", and what is missed is to be skipped"); break;
    case Misfire::run_once:
      if (row.at - slot > rule.misfire_window) say("misfire", kept, what + ": that is too old");
      if (from_here > 1) say("misfire", kept, fmt::format("{}, and {} later ones are missed too", what, from_here - 1));
      break;
    case Misfire::run_all:
      if (from_here > rule.max_catch_up)
        say("misfire", kept, fmt::format("{}, and {} are missed from there on", what, from_here));
      break;
  }
}

// --- runs ------------------------------------------------------------------------------------------------------------

void SlotBook::begun(const Run& run, const ScheduleChanges& changes) {
  const auto found = kept_.find(run.slot->schedule);
  if (found == kept_.end()) return report_("P7", "a run of a schedule that is not there");
  Kept& kept = found->second;
  const Instant slot = run.slot->slot;
  const std::string where = to_rfc3339(slot);
  if (run.who.trigger == Trigger::late) {
    if (!kept.late.emplace(slot, run.id).second) say("late", kept, "it is told twice that " + where + " is late");
    if (!kept.row.rule.late_after || run.created_at - slot < *kept.late_after)
      say("late", kept, "it is told that " + where + " is late, and it is not");
    if (!is_active(kept)) say("disabled", kept, "it is told that " + where + " is late, and it is disabled");
    return;
  }
  if (!kept.runs.emplace(slot, run.id).second) {
    ++doubled_;
    say("P7", kept, where + " has two runs");
  }
  const auto has_entry = [&](const LedgerRow& row) {
    return row.schedule == run.slot->schedule && row.from == slot && row.run == run.id;
  };
  if (std::ranges::none_of(changes.ledger, has_entry)) say("P7", kept, where + " has a run and no entry");
  const bool has_others = !kept.open.empty() || !kept.in_line.empty();
  if (is_own(run) && has_others) {
    const Overlap overlap = kept.row.rule.overlap;
    const bool stands = run.slot->in_line;
    if (overlap == Overlap::skip || (overlap != Overlap::allow && !stands))
      say("overlap", kept, where + " begins while an earlier run is open");
    if (overlap == Overlap::queue && kept.row.rule.misfire != Misfire::run_all && !kept.in_line.empty())
      say("overlap", kept, where + " stands in line, and another one does already");
  }
  if (const auto fill = run.slot->backfill ? fills_.find(*run.slot->backfill) : fills_.end(); fill != fills_.end()) {
    ++fill->second.runs;
    if (slot < fill->second.row.from || slot > fill->second.row.to)
      say("backfill", kept, where + " gets a run, and was not asked for");
    if (static_cast<int>(fill->second.open.size()) >= fill->second.row.limit)
      say("backfill", kept,
          fmt::format("{} gets a run beside {} others; the limit is {}", where, fill->second.open.size(),
                      fill->second.row.limit));
  }
  follow(run, true);
}

void SlotBook::follow(const Run& run, bool is_new) {
  const auto found = kept_.find(run.slot->schedule);
  if (found == kept_.end() || run.who.trigger == Trigger::late) return;
  Kept& kept = found->second;
  if (run.slot->backfill) {
    const auto fill = fills_.find(*run.slot->backfill);
    if (fill == fills_.end()) return say("backfill", kept, "a run of a backfill that is not there");
    fill->second.open.erase(run.id);
    if (!is_final(run.status)) fill->second.open.insert(run.id);
    return;
  }
  const bool was_in_line = kept.in_line.erase(run.id) > 0;
  if (is_final(run.status)) {
    kept.open.erase(run.id);
  } else if (run.slot->in_line) {
    kept.in_line.emplace(run.id, run.slot->slot);
  } else {
    if (was_in_line && !is_new && !kept.open.empty())
      say("overlap", kept, fmt::format("{} begins while an earlier run is open", to_rfc3339(run.slot->slot)));
    kept.open.insert(run.id);
  }
}

// --- what must hold ----------------------------------------------------------------------------------------------------

std::int64_t SlotBook::slots_behind(const Kept& kept) {
  return kept.due_before + kept.ticks().count(kept.since(), std::max(kept.since(), kept.row.progress.cursor));
}

const Ticks* SlotBook::ticks_at(const Kept& kept, Instant slot) {
  for (auto rule = kept.rules.rbegin(); rule != kept.rules.rend(); ++rule)
    if (slot > rule->since) return &rule->ticks;
  return nullptr;
}

void SlotBook::look_at(const Kept& kept) {
  const std::int64_t behind = slots_behind(kept);
  if (kept.covered != behind)
    say("P7", kept,
        fmt::format("{} slots lie behind it, up to {}, and {} have an entry", behind,
                    to_rfc3339(kept.row.progress.cursor), kept.covered));
}

void SlotBook::backfill(const BackfillRow& row) {
  const auto [found, is_new] = fills_.try_emplace(row.id, Fill{row, {}, 0});
  if (is_new) return;
  Fill& fill = found->second;
  const auto owner = kept_.find(row.schedule);
  if (owner == kept_.end()) return;
  const Kept& kept = owner->second;
  if (fill.row.status != BackfillStatus::running) say("backfill", kept, "one that has ended goes on");
  if (row.cursor < fill.row.cursor) say("backfill", kept, "it goes back");
  fill.row = row;
  if (row.status != BackfillStatus::success) return;
  if (kept.ticks().count(std::max(row.cursor, row.from - instant_before), row.to) > 0)
    say("backfill", kept, "it ends before its range does");
  if (fill.runs != row.started) say("backfill", kept, fmt::format("it counts {} runs of {}", row.started, fill.runs));
}

void SlotBook::quiet(Instant now) const {
  for (const auto& [id, kept] : kept_) {
    if (is_active(kept))
      if (const auto slot = kept.ticks().next(std::max(kept.row.progress.cursor, kept.since()));
          slot && *slot + kept.row.rule.jitter <= now)
        say("P5", kept, fmt::format("{} is due, and nothing happens", to_rfc3339(*slot)));
    if (!kept.in_line.empty() && kept.open.empty())
      say("P5", kept, "runs stand in line, and there is none before them");
  }
  for (const auto& [id, fill] : fills_) {
    const Kept& kept = kept_.at(fill.row.schedule);
    const auto flow = flows_.find(fill.row.workflow);
    if (fill.row.status != BackfillStatus::running || flow == flows_.end() || !flow->second.active) continue;
    if (static_cast<int>(fill.open.size()) < fill.row.limit)
      say("P5", kept, fmt::format("a backfill stands at {}, and nothing is in its way", to_rfc3339(fill.row.cursor)));
  }
}

void SlotBook::at_rest() const {
  for (const auto& [id, fill] : fills_)
    if (const auto flow = flows_.find(fill.row.workflow);
        fill.row.status == BackfillStatus::running && flow != flows_.end() && flow->second.active)
      say("P5", kept_.at(fill.row.schedule), "a backfill has not ended, and nothing will ever happen");
}

SlotCounts SlotBook::counts() const {
  SlotCounts all;
  all.doubled = doubled_;
  for (const auto& [id, kept] : kept_) {
    all.slots += static_cast<std::uint64_t>(kept.covered) + kept.outside.size();
    all.runs += kept.runs.size();
    all.one_by_one += static_cast<std::uint64_t>(
        std::ranges::count_if(kept.entries, [](const auto& one) { return one.second.count == 1; }));
    all.missing += static_cast<std::uint64_t>(std::max<std::int64_t>(0, slots_behind(kept) - kept.covered));
  }
  return all;
}

}  // namespace pawl::sim
