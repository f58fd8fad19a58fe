#include "driver/schedules.h"

#include <algorithm>

#include "base/log.h"
#include "base/planted.h"
#include "zones/zones.h"

namespace pawl::driver {
namespace {

// So far ahead, and so many at the most, are fetched at once; and the next ones so long before they are due.
constexpr auto ahead = std::chrono::seconds(10), early = std::chrono::seconds(2);
constexpr std::size_t page = 2'048;

ScheduleId last_id() {
  ScheduleId id;
  id.value.bytes.fill(0xff);
  return id;
}

// True: it was one of that workflow, and is now known to be deleted with it.
bool drop(ScheduleRow& row, const ScheduleChanges::Dropped& dropped) {
  if (row.workflow != dropped.workflow || row.deleted_at) return false;
  row.deleted_at = dropped.at;
  row.progress = {.cursor = row.progress.cursor};
  return true;
}

}  // namespace

Result<std::shared_ptr<const calendar::Timetable>> Schedules::timetable(const ScheduleRule& rule, ScheduleId id,
                                                                        Instant created_at) const {
  auto zone = zones::load(rule.timezone.empty() ? timezone_ : rule.timezone);
  if (!zone) return fail(Code::invalid, zone.error().message, zone.error().name);
  auto expression = cron(rule.cron);
  if (!expression) return std::unexpected(expression.error());
  return std::make_shared<const calendar::Timetable>(
      calendar::Timetable::make(rule, std::move(*expression), std::move(*zone), id, created_at));
}

// Of many schedules that are due together most say the same, and to read an expression takes longer than to fire.
Result<std::shared_ptr<const calendar::Cron>> Schedules::cron(const std::string& text) const {
  std::weak_ptr<const calendar::Cron>& kept = crons_[text];
  if (auto known = kept.lock()) return known;
  auto parsed = calendar::Cron::parse(text);
  if (!parsed) {
    crons_.erase(text);
    return fail(Code::invalid, calendar::to_text(parsed.error()), "cron_invalid");
  }
  auto made = std::make_shared<const calendar::Cron>(std::move(*parsed));
  kept = made;
  if (crons_.size() >= crons_limit_) {
    std::erase_if(crons_, [](const auto& one) { return one.second.expired(); });
    crons_limit_ = std::max(page, 2 * crons_.size());
  }
  return made;
}

Result<const Schedules::Known*> Schedules::know(ScheduleId id) {
  if (const auto found = known_.find(id); found != known_.end()) return &found->second;
  auto row = reader_.schedule(id);
  if (!row) return std::unexpected(row.error());
  if (!*row) return nullptr;
  auto slots = timetable((*row)->rule, id, (*row)->created_at);
  if (!slots) return std::unexpected(slots.error());
  return &keep(std::move(**row), std::move(*slots));
}

ScheduleRow Schedules::newest(ScheduleRow row) const {
  const auto found = known_.find(row.id);
  return found == known_.end() ? row : found->second.row;
}

Schedules::Known& Schedules::keep(ScheduleRow row, std::shared_ptr<const calendar::Timetable> slots) {
  const ScheduleId id = row.id;
  Known& known = known_[id];
  known.row = std::move(row);
  known.slots = std::move(slots);
  return known;
}

void Schedules::set_timer(ScheduleId id, Known& known, std::optional<Instant> at) {
  if (known.timer) timers_.erase({*known.timer, id});
  known.timer.reset();
  if (!at) return;
  if (is_seen({*at, id})) {
    known.timer = at;
    timers_.insert({*at, id});
  } else if (seen_ && (!further_ || *at < *further_)) {
    further_ = at;
  }
}

void Schedules::let_go(ScheduleId id) {
  const auto found = known_.find(id);
  if (found == known_.end() || found->second.undecided > 0 || found->second.timer) return;
  known_.erase(found);
}

std::vector<ScheduleId> Schedules::decided(const ScheduleChanges& changes) {
  std::vector<ScheduleId> changed;
  const auto note = [&](ScheduleId id, Known& known) {
    set_timer(id, known, known.row.progress.next_at);
    ++known.undecided;
    changing_.insert(id);
    changed.push_back(id);
  };
  if (changes.dropped)
    for (auto& [id, known] : known_)
      if (drop(known.row, *changes.dropped)) note(id, known);
  for (const ScheduleRow& row : changes.put) {
    auto slots = timetable(row.rule, row.id, row.created_at);
    if (!slots) continue;  // it was just made for the decision, so it can be made
    note(row.id, keep(row, std::move(*slots)));
  }
  if (changes.moved)
    if (const auto found = known_.find(changes.moved->id); found != known_.end()) {
      found->second.row.progress = changes.moved->progress;
      note(found->first, found->second);
    }
  return changed;
}

void Schedules::settled(const std::vector<ScheduleId>& changed) {
  for (const ScheduleId id : changed) {
    const auto found = known_.find(id);
    if (found == known_.end() || --found->second.undecided > 0) continue;
    changing_.erase(id);
    let_go(id);
  }
}

void Schedules::dropped(const ScheduleChanges::Dropped& dropped) {
  std::vector<ScheduleId> gone;
  for (auto& [id, known] : known_) {
    if (!drop(known.row, dropped)) continue;
    set_timer(id, known, std::nullopt);
    gone.push_back(id);
  }
  for (const ScheduleId id : gone) let_go(id);
}

void Schedules::forget_all() {
  known_.clear();
  timers_.clear();
  changing_.clear();
  seen_.reset();
  further_.reset();
}

std::optional<ScheduleId> Schedules::take_due(Instant now) {
  if (!has_due(now)) return std::nullopt;
  const ScheduleId id = timers_.begin()->schedule;
  timers_.erase(timers_.begin());
  if (const auto found = known_.find(id); found != known_.end()) found->second.timer.reset();
  return id;
}

bool Schedules::wants_look(Instant now) const {
  if (!seen_) return true;
  return further_ && timers_.size() < page && *further_ - early <= now;
}

std::optional<Instant> Schedules::next() const {
  if (!seen_) return Instant{};
  std::optional<Instant> at;
  if (!timers_.empty()) at = timers_.begin()->at;
  if (further_ && timers_.size() < page && (!at || *further_ - early < *at)) at = *further_ - early;
  return at;
}

Result<void> Schedules::look_ahead(Instant now) {
  const Instant until = now + ahead;
  store::ScheduleTime seen = seen_.value_or(store::ScheduleTime{});
  std::size_t passed_over = 0;
  auto rows = reader_.due_schedules(seen_, until, page, [&](const store::ScheduleTime& at, const Error& error) {
    ++passed_over;
    seen = std::max(seen, at);
    if (broken_.insert(at.schedule).second)
      log::error("a schedule cannot be read and does not fire",
                 {{"schedule", to_string(at.schedule)}, {"why", error.message}});
  });
  if (!rows) return std::unexpected(rows.error());
  const bool all = rows->size() + passed_over < page;
  if (!rows->empty()) seen = std::max(seen, {*rows->back().progress.next_at, rows->back().id});
  if (all) seen = std::max(seen, {until, last_id()});
  std::optional<Instant> further = all ? std::nullopt : std::optional(seen.at);
  if (all) {
    const auto next = reader_.next_schedule(seen);
    if (!next) return std::unexpected(next.error());
    if (*next) further = (*next)->at;
  }
  seen_ = seen;
  further_ = further;
  for (ScheduleRow& row : *rows) {
    if (broken_.contains(row.id)) continue;
    // What is in memory is newer. It has its timer by what was decided, unless somebody has only asked for it.
    if (const auto found = known_.find(row.id); found != known_.end() && !planted(Planted::stale_due)) {
      if (!found->second.timer) set_timer(row.id, found->second, found->second.row.progress.next_at);
      continue;
    }
    auto slots = timetable(row.rule, row.id, row.created_at);
    if (!slots) {
      broken_.insert(row.id);
      log::error("a schedule cannot be read on this machine and does not fire",
                 {{"workflow", row.workflow}, {"schedule", row.name}, {"why", slots.error().message}});
      continue;
    }
    const ScheduleId id = row.id;
    Known& known = keep(std::move(row), std::move(*slots));
    set_timer(id, known, known.row.progress.next_at);
  }
  // What was decided for a time that was not looked at then, and is not durable yet, is not among the rows.
  for (const ScheduleId id : changing_) {
    Known& known = known_.at(id);
    if (!known.timer) set_timer(id, known, known.row.progress.next_at);
  }
  return {};
}

}  // namespace pawl::driver
