#include "calendar/slots.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "calendar/civil.h"

namespace pawl::calendar {
namespace {

using std::chrono::days;
using std::chrono::local_days;

// No two offsets of a zone are farther apart.
constexpr seconds apart = std::chrono::hours(52);

// The calendar's part and the clock's part of a wall-clock time.
struct Wall {
  int year = 0, month = 0, day = 0;
  int hour = 0, minute = 0, second = 0;
};

Wall split(local_seconds time) {
  const auto date = std::chrono::floor<days>(time);
  const std::chrono::year_month_day ymd{date};
  const auto rest = static_cast<int>((time - date).count());
  return {static_cast<int>(ymd.year()),
          static_cast<int>(static_cast<unsigned>(ymd.month())),
          static_cast<int>(static_cast<unsigned>(ymd.day())),
          rest / 3600,
          rest / 60 % 60,
          rest % 60};
}

constexpr local_days date_of(int year, int month, int day) {
  return local_days{std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)) /
                    std::chrono::day(static_cast<unsigned>(day))};
}

// The lowest bit at `from` or above, the highest at `to` or below; -1 if there is none.
template <class Bits>
int bit_from(Bits bits, int from) {
  if (from >= static_cast<int>(sizeof(Bits) * 8)) return -1;
  bits &= ~Bits{0} << from;
  return bits == 0 ? -1 : std::countr_zero(bits);
}
template <class Bits>
int bit_to(Bits bits, int to) {
  if (to < 0) return -1;
  bits &= ~Bits{0} >> (static_cast<int>(sizeof(Bits) * 8) - 1 - to);
  return bits == 0 ? -1 : std::bit_width(bits) - 1;
}

std::optional<seconds> next_time(const Cron& cron, int hour, int minute, int second) {
  const auto at = [](int h, int m, int s) { return seconds((h * 60 + m) * 60 + s); };
  const int first_second = bit_from(cron.seconds(), 0), first_minute = bit_from(cron.minutes(), 0);
  if ((cron.hours() >> hour & 1) != 0) {
    if ((cron.minutes() >> minute & 1) != 0)
      if (const int s = bit_from(cron.seconds(), second); s >= 0) return at(hour, minute, s);
    if (const int m = bit_from(cron.minutes(), minute + 1); m >= 0) return at(hour, m, first_second);
  }
  if (const int h = bit_from(cron.hours(), hour + 1); h >= 0) return at(h, first_minute, first_second);
  return std::nullopt;
}

std::optional<seconds> previous_time(const Cron& cron, int hour, int minute, int second) {
  const auto at = [](int h, int m, int s) { return seconds((h * 60 + m) * 60 + s); };
  const int last_second = bit_to(cron.seconds(), 59), last_minute = bit_to(cron.minutes(), 59);
  if ((cron.hours() >> hour & 1) != 0) {
    if ((cron.minutes() >> minute & 1) != 0)
      if (const int s = bit_to(cron.seconds(), second); s >= 0) return at(hour, minute, s);
    if (const int m = bit_to(cron.minutes(), minute - 1); m >= 0) return at(hour, m, last_second);
  }
  if (const int h = bit_to(cron.hours(), hour - 1); h >= 0) return at(h, last_minute, last_second);
  return std::nullopt;
}

template <class Bits>
Bits below(int bit) {
  return bit >= static_cast<int>(sizeof(Bits) * 8) ? ~Bits{0} : (Bits{1} << bit) - 1;
}

// How many times of a day match and are earlier than that one.
std::int64_t times_before(const Cron& cron, int hour, int minute, int second) {
  const std::int64_t per_minute = std::popcount(cron.seconds());
  const std::int64_t per_hour = per_minute * std::popcount(cron.minutes());
  std::int64_t times = per_hour * std::popcount(cron.hours() & below<std::uint32_t>(hour));
  if ((cron.hours() >> hour & 1) == 0) return times;
  times += per_minute * std::popcount(cron.minutes() & below<std::uint64_t>(minute));
  if ((cron.minutes() >> minute & 1) == 0) return times;
  return times + std::popcount(cron.seconds() & below<std::uint64_t>(second));
}

constexpr local_seconds first_time = date_of(first_year, 1, 1);
constexpr local_seconds after_last_time = date_of(last_year + 1, 1, 1);

// Slots of the whole range, and what does not matter beyond it.
sys_seconds clamp(sys_seconds instant) {
  const sys_seconds first{first_time.time_since_epoch() - apart}, last{after_last_time.time_since_epoch() + apart};
  return std::clamp(instant, first, last);
}

Instant to_instant(sys_seconds slot) { return std::chrono::time_point_cast<Duration>(slot); }

}  // namespace

bool matches(const Cron& cron, local_seconds time) {
  const Wall at = split(time);
  return (cron.hours() >> at.hour & 1) != 0 && (cron.minutes() >> at.minute & 1) != 0 &&
         (cron.seconds() >> at.second & 1) != 0 && (cron.matching_days(at.year, at.month) >> at.day & 1) != 0;
}

std::optional<local_seconds> next_match(const Cron& cron, local_seconds from) {
  if (cron.never() || from >= after_last_time) return std::nullopt;
  Wall at = split(std::max(from, first_time));
  std::uint32_t in_month = cron.matching_days(at.year, at.month);
  if ((in_month >> at.day & 1) != 0)
    if (const auto time = next_time(cron, at.hour, at.minute, at.second))
      return date_of(at.year, at.month, at.day) + *time;
  int day = bit_from(in_month, at.day + 1);
  while (day < 0) {
    at.month = bit_from(cron.months(), at.month + 1);
    if (at.month < 0) {
      const auto year = cron.year_from(at.year + 1);
      if (!year) return std::nullopt;
      at.year = *year;
      at.month = bit_from(cron.months(), 1);
    }
    in_month = cron.matching_days(at.year, at.month);
    day = bit_from(in_month, 1);
  }
  return date_of(at.year, at.month, day) + *next_time(cron, 0, 0, 0);
}

std::optional<local_seconds> previous_match(const Cron& cron, local_seconds to) {
  if (cron.never() || to < first_time) return std::nullopt;
  Wall at = split(std::min(to, after_last_time - seconds(1)));
  std::uint32_t in_month = cron.matching_days(at.year, at.month);
  if ((in_month >> at.day & 1) != 0)
    if (const auto time = previous_time(cron, at.hour, at.minute, at.second))
      return date_of(at.year, at.month, at.day) + *time;
  int day = bit_to(in_month, at.day - 1);
  while (day < 0) {
    at.month = bit_to(cron.months(), at.month - 1);
    if (at.month < 0) {
      const auto year = cron.year_to(at.year - 1);
      if (!year) return std::nullopt;
      at.year = *year;
      at.month = bit_to(cron.months(), 12);
    }
    in_month = cron.matching_days(at.year, at.month);
    day = bit_to(in_month, 31);
  }
  return date_of(at.year, at.month, day) + *previous_time(cron, 23, 59, 59);
}

std::int64_t count_matches(const Cron& cron, local_seconds from, local_seconds to) {
  from = std::max(from, first_time);
  to = std::min(to, after_last_time);
  if (cron.never() || from >= to) return 0;
  const Wall first = split(from), last = split(to);
  const auto matching = [&](const Wall& at) { return (cron.matching_days(at.year, at.month) >> at.day & 1) != 0; };
  const auto before = [&](const Wall& at) {
    return matching(at) ? times_before(cron, at.hour, at.minute, at.second) : 0;
  };
  // Days from that of `from` to before that of `to`, as if they were whole, and then what the two ends are not.
  std::int64_t whole_days = 0;
  for (int year = first.year, month = first.month; year < last.year || (year == last.year && month <= last.month);) {
    std::uint32_t in_month = cron.matching_days(year, month);
    if (year == first.year && month == first.month) in_month &= ~below<std::uint32_t>(first.day);
    if (year == last.year && month == last.month) in_month &= below<std::uint32_t>(last.day);
    whole_days += std::popcount(in_month);
    if (++month > 12) {
      month = 1;
      ++year;
    }
  }
  const std::int64_t per_day =
      std::int64_t{std::popcount(cron.hours())} * std::popcount(cron.minutes()) * std::popcount(cron.seconds());
  return whole_days * per_day - before(first) + before(last);
}

namespace {

// Some time that matches does not exist, because the clock was put forward when this stretch began.
bool gap_matches(const Cron& cron, const Stretch& stretch) {
  if (stretch.shown >= stretch.opens()) return false;
  const auto wall = next_match(cron, stretch.shown);
  return wall && *wall < stretch.opens();
}

}  // namespace

Slots::Slots(std::shared_ptr<const Cron> cron, std::shared_ptr<const Zone> zone, Instant anchor)
    : cron_(std::move(cron)), zone_(std::move(zone)), anchor_(std::chrono::floor<seconds>(anchor)) {
  check(zone_ != nullptr);
}

Slots Slots::counted_from(Instant anchor) const { return {cron_, zone_, anchor}; }

std::optional<Instant> Slots::next(Instant after) const {
  const sys_seconds from = clamp(std::chrono::floor<seconds>(after)) + seconds(1);
  if (const auto every = cron_->every()) {
    sys_seconds slot = anchor_;
    if (from > anchor_) slot += (from - anchor_ + *every - seconds(1)) / *every * *every;
    if (slot.time_since_epoch() >= after_last_time.time_since_epoch()) return std::nullopt;
    return to_instant(slot);
  }
  const auto slot = cron_->follows_elapsed_time() ? next_elapsed(from) : next_fixed(from);
  return slot ? std::optional(to_instant(*slot)) : std::nullopt;
}

std::optional<Instant> Slots::previous(Instant before) const {
  const sys_seconds to = clamp(std::chrono::ceil<seconds>(before)) - seconds(1);
  if (const auto every = cron_->every()) {
    const sys_seconds last = std::min(to, sys_seconds{after_last_time.time_since_epoch()} - seconds(1));
    if (last < anchor_) return std::nullopt;
    return to_instant(anchor_ + (last - anchor_) / *every * *every);
  }
  const auto slot = cron_->follows_elapsed_time() ? previous_elapsed(to) : previous_fixed(to);
  return slot ? std::optional(to_instant(*slot)) : std::nullopt;
}

std::optional<sys_seconds> Slots::next_fixed(sys_seconds from) const {
  const Stretch& here = zone_->at(from);
  std::optional<sys_seconds> moved;
  if (const auto since = (from - here.begin).count(); since < 60 && gap_matches(*cron_, here))
    if (const int second = bit_from(cron_->seconds(), static_cast<int>(since)); second >= 0)
      moved = here.begin + seconds(second);
  // Times that were shown before this stretch had their slot in another.
  auto wall = next_match(*cron_, std::max(here.local(from), here.shown));
  if (!wall) return moved;
  const Stretch& there = zone_->first_to_show(*wall);
  if (*wall < there.opens()) {
    if (moved) return moved;  // that gap is a later one
    moved = there.begin + seconds(bit_from(cron_->seconds(), 0));
    wall = next_match(*cron_, there.opens());
    if (!wall || *wall >= there.closes()) return moved;
  }
  return moved ? std::min(*moved, there.instant(*wall)) : there.instant(*wall);
}

std::optional<sys_seconds> Slots::previous_fixed(sys_seconds to) const {
  const Stretch& here = zone_->at(to);
  auto wall = previous_match(*cron_, std::max(here.local(to), here.shown - seconds(1)));
  while (wall) {
    const Stretch& there = zone_->first_to_show(*wall);
    std::optional<sys_seconds> slot;
    if (*wall >= there.opens()) slot = there.instant(*wall);
    const auto since = std::min<std::int64_t>((to - there.begin).count(), 59);
    if ((!slot || *slot < there.begin + seconds(since)) && gap_matches(*cron_, there))
      if (const int second = bit_to(cron_->seconds(), static_cast<int>(since)); second >= 0)
        slot = std::max(slot.value_or(there.begin), there.begin + seconds(second));
    if (slot) return slot;
    // All that moves over this gap moves to a second that is still to come.
    wall = previous_match(*cron_, there.shown - seconds(1));
  }
  return std::nullopt;
}

// A stretch shows every time between its ends once, so the next match of the wall clock is the next slot, if it lies in
// the stretch. If it does not, all that is earlier than the match has none either, and most stretches can be passed over:
// but not those that begin so soon that the clock may show earlier times again.
std::optional<sys_seconds> Slots::next_elapsed(sys_seconds from) const {
  const std::vector<Stretch>& stretches = zone_->stretches();
  for (std::size_t i = zone_->index_at(from);;) {
    const Stretch& here = stretches[i];
    const auto wall = next_match(*cron_, here.local(from));
    if (wall && *wall < here.closes()) return here.instant(*wall);
    if (i + 1 == stretches.size()) return std::nullopt;
    const bool soon = here.end - from < apart;
    if (!wall && !soon) return std::nullopt;
    const sys_seconds jump = wall && !soon ? sys_seconds{wall->time_since_epoch()} - apart : here.end;
    from = std::max(here.end, jump);
    i = zone_->index_at(from);
  }
}

std::optional<sys_seconds> Slots::previous_elapsed(sys_seconds to) const {
  const std::vector<Stretch>& stretches = zone_->stretches();
  for (std::size_t i = zone_->index_at(to);;) {
    const Stretch& here = stretches[i];
    const auto wall = previous_match(*cron_, here.local(to));
    if (wall && *wall >= here.opens()) return here.instant(*wall);
    if (i == 0) return std::nullopt;
    const bool soon = to - here.begin < apart;
    if (!wall && !soon) return std::nullopt;
    const sys_seconds jump = wall && !soon ? sys_seconds{wall->time_since_epoch()} + apart : here.begin;
    to = std::min(here.begin - seconds(1), jump);
    i = zone_->index_at(to);
  }
}

std::int64_t Slots::count(Instant after, Instant until) const {
  const sys_seconds from = clamp(std::chrono::floor<seconds>(after)) + seconds(1);
  const sys_seconds to = clamp(std::chrono::floor<seconds>(until)) + seconds(1);
  if (from >= to) return 0;
  if (const auto every = cron_->every()) {
    // How many of its slots are earlier than an instant.
    const auto before = [&](sys_seconds instant) -> std::int64_t {
      instant = std::min(instant, sys_seconds{after_last_time.time_since_epoch()});
      return instant <= anchor_ ? 0 : (instant - anchor_ + *every - seconds(1)) / *every;
    };
    return before(to) - before(from);
  }
  const std::vector<Stretch>& stretches = zone_->stretches();
  std::int64_t slots = 0;
  for (std::size_t i = zone_->index_at(from); i < stretches.size() && stretches[i].begin < to; ++i) {
    const Stretch& here = stretches[i];
    const local_seconds begin = here.local(std::max(here.begin, from)), end = here.local(std::min(here.end, to));
    if (cron_->follows_elapsed_time()) {
      slots += count_matches(*cron_, begin, end);
      continue;
    }
    slots += count_matches(*cron_, std::max(begin, here.shown), end);
    if (from >= here.begin + seconds(60) || !gap_matches(*cron_, here)) continue;
    for (int second = bit_from(cron_->seconds(), 0); second >= 0; second = bit_from(cron_->seconds(), second + 1)) {
      const sys_seconds moved = here.begin + seconds(second);
      if (moved >= from && moved < to && !matches(*cron_, here.local(moved))) ++slots;
    }
  }
  return slots;
}

Slots::Shift Slots::shift(Instant slot) const {
  if (cron_->every()) return Shift::none;
  const sys_seconds at = std::chrono::floor<seconds>(slot);
  const std::size_t i = zone_->index_at(at);
  const Stretch& here = zone_->stretches()[i];
  const local_seconds wall = here.local(at);
  if (wall < here.shown) return Shift::second_of_two;
  if (!matches(*cron_, wall)) return Shift::moved;
  const bool again = i + 1 < zone_->stretches().size() && wall >= zone_->stretches()[i + 1].opens();
  return again ? Shift::first_of_two : Shift::none;
}

}  // namespace pawl::calendar
