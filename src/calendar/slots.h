// When a cron expression fires: its slots in one time zone. Pure arithmetic over the wall clock's fields and the zone's
// stretches; nothing goes through the seconds one by one.
//
// Where the clock changes:
//   An expression that follows elapsed time (hours with `*` or `/`) fires whenever the wall clock shows a time that
//   matches: times that do not exist are passed over, times that are shown twice fire twice.
//   One with fixed times fires once for every matching time. One that is shown twice fires the first time. One that does not
//   exist moves to the first minute after the gap, and keeps its seconds; however many move, that minute fires once.
//
// Cost: next() and previous() a hundred nanoseconds as a rule, a microsecond where the next matching day is centuries away,
// some fifty microseconds where every match of two centuries lies in a gap; count() some ten nanoseconds for each month
// between, however many slots there are.
// Immutable: any number of threads may ask one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "calendar/cron.h"
#include "calendar/zone.h"

namespace pawl::calendar {

class Slots {
 public:
  // `anchor` is what @every counts from: it fires then, and every so long after. It is cut to whole seconds. `zone` is not
  // null. Many may share one `cron`, which is not null either.
  Slots(std::shared_ptr<const Cron> cron, std::shared_ptr<const Zone> zone, Instant anchor = {});
  Slots(Cron cron, std::shared_ptr<const Zone> zone, Instant anchor = {})
      : Slots(std::make_shared<const Cron>(std::move(cron)), std::move(zone), anchor) {}

  // The same, where @every counts from another instant.
  Slots counted_from(Instant anchor) const;

  const Cron& cron() const { return *cron_; }
  const Zone& zone() const { return *zone_; }

  // The first slot later than `after`; nullopt: there is none any more up to the end of 2199. Slots are whole seconds.
  std::optional<Instant> next(Instant after) const;
  // The last slot earlier than `before`; nullopt: there was none since the beginning of 1970.
  std::optional<Instant> previous(Instant before) const;
  // How many slots are later than `after` and not later than `until`.
  std::int64_t count(Instant after, Instant until) const;

  // What the clock's changes did to a slot.
  enum class Shift : std::uint8_t {
    none,
    moved,  // the time asked for does not exist; this is in the first minute after it
    first_of_two,  // the wall clock shows this time twice, and this is the first
    second_of_two,  // the second
  };
  Shift shift(Instant slot) const;

 private:
  std::optional<sys_seconds> next_fixed(sys_seconds from) const;
  std::optional<sys_seconds> previous_fixed(sys_seconds to) const;
  std::optional<sys_seconds> next_elapsed(sys_seconds from) const;
  std::optional<sys_seconds> previous_elapsed(sys_seconds to) const;

  std::shared_ptr<const Cron> cron_;
  std::shared_ptr<const Zone> zone_;
  sys_seconds anchor_;
};

// --- wall-clock times that match, whatever the zone ---

std::optional<local_seconds> next_match(const Cron& cron, local_seconds from);  // `from` or later
std::optional<local_seconds> previous_match(const Cron& cron, local_seconds to);  // `to` or earlier
std::int64_t count_matches(const Cron& cron, local_seconds from, local_seconds to);  // from `from` to before `to`
bool matches(const Cron& cron, local_seconds time);

}  // namespace pawl::calendar
