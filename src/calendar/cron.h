// Cron expressions: what may be written, what it means field by field, and what is wrong with one that is refused.
//
//   5 fields      minutes hours day-of-month month day-of-week, as in crontab(5): Sunday is 0 or 7. Where both day fields
//                 are restricted, a day that matches either fires; a day field that begins with `*` is not restricted.
//   6, 7 fields   as Quartz has them: seconds first, Sunday is 1, a year (1970 to 2199) may follow. One of the day fields
//                 is `?`. L, L-3, LW, L-3W, 15W in the day of month; L, 6L, FRIL, 6#3, FRI#3 in the day of week.
//   @hourly @daily @weekly @monthly @yearly, and @every 90s.
//
// docs/schedules.md tells it to users. Nothing here knows a time zone; see slots.h.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace pawl::calendar {

inline constexpr std::size_t max_text = 200;  // bytes of an expression

enum class Field : std::uint8_t {
  expression,  // none of them: the whole
  seconds,
  minutes,
  hours,
  day_of_month,
  month,
  day_of_week,
  year,
  interval,  // what follows @every
};
std::string_view to_string(Field field);  // as in JSON: day_of_month
std::string_view words(Field field);  // for people: day of month

// What is wrong, or odd, and where.
struct Problem {
  Field field = Field::expression;
  int position = 1;  // of the character it begins with, from 1, in the whole expression
  std::string message;  // a clause that says what is wrong and what would be right
};
// `hours (position 3): …`, or the message alone where it is about the whole.
std::string to_text(const Problem& problem);

// A part of a list, as written: 5, 5-10, 5-10/2, 5/2, * or */2. Days of the week count from Sunday = 0.
struct Part {
  int from = 0, to = 0;  // a range that runs past the end of the field goes on at its beginning: from > to
  int step = 1;
  bool star = false;
  bool operator==(const Part&) const = default;
};
using Parts = std::vector<Part>;

// The day of month beyond lists.
struct DayForm {
  enum class Kind : std::uint8_t { list, from_end, nearest_weekday };
  Kind kind = Kind::list;
  int day = 0;  // nearest_weekday: of the month; from_end: days before the last
  bool weekday = false;  // from_end: the nearest Monday to Friday
  bool operator==(const DayForm&) const = default;
};
// The day of week beyond lists.
struct WeekdayForm {
  enum class Kind : std::uint8_t { list, last, nth };
  Kind kind = Kind::list;
  int weekday = 0;  // Sunday = 0
  int nth = 0;  // 1 to 5
  bool operator==(const WeekdayForm&) const = default;
};

class Cron {
 public:
  // Takes time in proportion to the text, which is short. The first problem from the left.
  static std::expected<Cron, Problem> parse(std::string_view text);

  const std::string& text() const { return text_; }
  // Odd, but allowed: a digit for a weekday where 1 is Sunday; a step of which one or two values fit.
  const std::vector<Problem>& warnings() const { return warnings_; }
  // Of @every; the other members are empty then.
  std::optional<std::chrono::seconds> every() const { return every_; }
  // No day of the years 1970 to 2199 fits, such as 30 February. Never true of @every.
  bool never() const { return never_; }
  // The hours are written with `*` or `/`: it follows elapsed time, where others are fixed times of a day.
  bool follows_elapsed_time() const { return elapsed_; }
  bool has_seconds() const { return has_seconds_; }

  // As written, for explanations.
  const Parts& parts(Field field) const { return parts_[static_cast<std::size_t>(field)]; }
  const DayForm& day_form() const { return day_form_; }
  const WeekdayForm& weekday_form() const { return weekday_form_; }
  bool either_day() const { return either_day_; }  // one of the two day fields is enough
  bool restricts_days() const { return restricts_days_; }  // not `*` or `?`
  bool restricts_weekdays() const { return restricts_weekdays_; }  // not `*` or `?`

  // --- which times of the wall clock match ---

  // One bit for each value: seconds and minutes from 0, hours from 0, months and days from 1, weekdays from Sunday = 0.
  std::uint64_t seconds() const { return seconds_; }
  std::uint64_t minutes() const { return minutes_; }
  std::uint32_t hours() const { return hours_; }
  std::uint32_t months() const { return months_; }
  std::uint32_t days() const { return days_; }
  std::uint32_t weekdays() const { return weekdays_; }
  bool has_year(int year) const;
  // The first matching year that is not before `year`, the last one not after it; nullopt: there is none.
  std::optional<int> year_from(int year) const;
  std::optional<int> year_to(int year) const;
  // One bit for each day of that month that matches, the first of the month at 1; 0 if year or month do not match.
  std::uint32_t matching_days(int year, int month) const;

 private:
  friend class Parser;
  Cron() = default;

  std::string text_;
  std::vector<Problem> warnings_;
  std::optional<std::chrono::seconds> every_;
  std::array<Parts, 8> parts_;
  DayForm day_form_;
  WeekdayForm weekday_form_;
  std::uint64_t seconds_ = 0, minutes_ = 0;
  std::uint32_t hours_ = 0, months_ = 0, days_ = 0, weekdays_ = 0;
  std::array<std::uint64_t, 4> years_{};
  bool either_day_ = false, restricts_days_ = false, restricts_weekdays_ = false;
  bool elapsed_ = false, has_seconds_ = false, never_ = false;
};

}  // namespace pawl::calendar
