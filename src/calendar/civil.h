// Arithmetic of the proleptic Gregorian calendar, in whole months and days. Inside of the room.
#pragma once

#include <chrono>
#include <cstdint>

#include "calendar/zone.h"

namespace pawl::calendar {

struct Month {
  int length = 0;         // days
  int first_weekday = 0;  // of its first day; Sunday = 0

  // One bit for each day, the first at 1.
  std::uint32_t all_days() const { return static_cast<std::uint32_t>((std::uint64_t{2} << length) - 2); }
  // Those on the weekdays whose bits are set, Sunday at 0.
  std::uint32_t days_on(std::uint32_t weekdays) const {
    // Seven bits, the first for the weekday of the first of the month, five times in a row.
    const std::uint32_t week = (weekdays >> first_weekday | weekdays << (7 - first_weekday)) & 0x7F;
    const std::uint64_t weeks = week * (1 + (std::uint64_t{1} << 7) + (std::uint64_t{1} << 14) +
                                        (std::uint64_t{1} << 21) + (std::uint64_t{1} << 28));
    return static_cast<std::uint32_t>(weeks << 1) & all_days();
  }
  // The Monday to Friday nearest to `day`, in the same month.
  int nearest_weekday(int day) const {
    const int weekday = (first_weekday + day - 1) % 7;
    if (weekday == 6) return day > 1 ? day - 1 : day + 2;
    if (weekday == 0) return day < length ? day + 1 : day - 2;
    return day;
  }
};

inline Month month_of(int year, int month) {
  using namespace std::chrono;
  const auto first = std::chrono::year(year) / std::chrono::month(static_cast<unsigned>(month)) / 1;
  const auto last = year_month_day_last{first.year(), month_day_last{first.month()}};
  return {static_cast<int>(static_cast<unsigned>(last.day())), static_cast<int>(weekday(sys_days(first)).c_encoding())};
}

}  // namespace pawl::calendar
