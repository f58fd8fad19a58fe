// A schedule's slots: those of its expression, in its zone, from its start to its end; and when each is due.
// Immutable: any number of threads may ask one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "calendar/slots.h"
#include "model/schedule.h"

namespace pawl::calendar {

class Timetable {
 public:
  // @every counts from the rule's start, or from `created_at`. Error: invalid with the name cron_invalid.
  static Result<Timetable> make(const ScheduleRule& rule, std::shared_ptr<const Zone> zone, ScheduleId id,
                                Instant created_at);

  // The same, of an expression that is parsed already: one for all schedules that share it. `cron` is not null.
  static Timetable make(const ScheduleRule& rule, std::shared_ptr<const Cron> cron, std::shared_ptr<const Zone> zone,
                        ScheduleId id, Instant created_at) {
    return {Slots(std::move(cron), std::move(zone), rule.start.value_or(created_at)), rule, id};
  }

  // That of a schedule of the same rule which has just been given its id: its jitter, and what @every counts from, are its own.
  Timetable of(ScheduleId id, Instant created_at) const;

  // The first slot later than `after`, the last slot earlier than `before`, and how many are later than `after` and not
  // later than `until`; as Slots has them, in the bounds of start and end.
  std::optional<Instant> next(Instant after) const;
  std::optional<Instant> previous(Instant before) const;
  std::int64_t count(Instant after, Instant until) const;

  // When the slot is due: later by its share of the jitter, which the schedule's id and the slot give, so that it is always
  // the same. Never later than the next slot, so slots are due in their order.
  Instant due(Instant slot) const;
  // Whether a slot that is due at `now` or earlier lies behind `after`; the last of them.
  std::optional<Instant> last_due(Instant after, Instant now) const;

  const Slots& slots() const { return slots_; }

 private:
  Timetable(Slots slots, const ScheduleRule& rule, ScheduleId id)
      : slots_(std::move(slots)), start_(rule.start), end_(rule.end), jitter_(rule.jitter), id_(id) {}

  Slots slots_;
  std::optional<Instant> start_, end_;
  Duration jitter_;
  ScheduleId id_;
};

// What two schedules of one workflow must not have in common: expression, zone and inputs.
std::string rule_key(const ScheduleRule& rule);

}  // namespace pawl::calendar
