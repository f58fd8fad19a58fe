// The schedules that the driver has in its hands: those that are due soon, and those that decisions under way have changed.
// All others stay in the store, so that a million of them cost nothing until they are due.
// Threads: one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "calendar/timetable.h"
#include "model/schedule.h"
#include "store/reader.h"

namespace pawl::driver {

class Schedules {
 public:
  // `reader` must outlive it. `timezone`: of rules that name none.
  Schedules(store::Reader& reader, std::string timezone) : reader_(reader), timezone_(std::move(timezone)) {}

  struct Known {
    ScheduleRow row;  // as it was decided last, perhaps not durable yet
    std::shared_ptr<const calendar::Timetable> slots;
    int undecided = 0;  // decisions under way that have changed it
    std::optional<Instant> timer;
  };
  // nullptr: there is none. Valid until the next call that is not const. Errors: what the reader says; invalid, if its zone or
  // expression cannot be read on this machine.
  Result<const Known*> know(ScheduleId id);
  // A row from the store, as it was decided last.
  ScheduleRow newest(ScheduleRow row) const;
  Result<std::shared_ptr<const calendar::Timetable>> timetable(const ScheduleRule& rule, ScheduleId id,
                                                               Instant created_at) const;
  const std::string& timezone() const { return timezone_; }

  // A decision writes these changes. Whether they become durable is told by settled() for what decided() gave, or by
  // forget_all().
  std::vector<ScheduleId> decided(const ScheduleChanges& changes);
  void settled(const std::vector<ScheduleId>& changed);
  // The deletion of a workflow is durable: what was read of it before that is deleted too.
  void dropped(const ScheduleChanges::Dropped& dropped);
  // A commit has failed: what is in memory may be what never was.
  void forget_all();

  // The next schedule that has to be looked at, taken off the list; it comes again when decided() says so.
  std::optional<ScheduleId> take_due(Instant now);
  bool has_due(Instant now) const { return !timers_.empty() && timers_.begin()->at <= now; }
  // When has_due() or wants_look() will be true; nullopt: never, as things are.
  std::optional<Instant> next() const;
  // Whether what comes next has to be fetched from the store.
  bool wants_look(Instant now) const;
  Result<void> look_ahead(Instant now);

 private:
  Result<std::shared_ptr<const calendar::Cron>> cron(const std::string& text) const;
  Known& keep(ScheduleRow row, std::shared_ptr<const calendar::Timetable> slots);
  void set_timer(ScheduleId id, Known& known, std::optional<Instant> at);
  void let_go(ScheduleId id);
  bool is_seen(const store::ScheduleTime& time) const { return seen_ && time <= *seen_; }

  store::Reader& reader_;
  const std::string timezone_;
  mutable std::unordered_map<std::string, std::weak_ptr<const calendar::Cron>> crons_;  // those in use, by their text
  mutable std::size_t crons_limit_ = 8'192;  // from so many on those that nobody uses any more are looked for
  std::unordered_map<ScheduleId, Known> known_;
  std::set<store::ScheduleTime> timers_;
  std::set<ScheduleId> changing_;  // those with undecided > 0
  std::set<ScheduleId> broken_;  // told once: they cannot be read on this machine
  std::optional<store::ScheduleTime> seen_;  // all up to here are in timers_; absent: nothing has been looked at
  std::optional<Instant> further_;  // the next one behind that; absent: none
};

}  // namespace pawl::driver
