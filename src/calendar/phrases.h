// What the languages share in explaining an expression: its fields as values, ranges and steps. Inside of the room.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "calendar/cron.h"

namespace pawl::calendar {

// A value, a range of three values and more, or such a range in steps.
struct Term {
  int from = 0, to = 0, step = 1;  // `to` is a value itself; from > to runs past the end of the field
  bool single() const { return from == to; }
};

// A field as it is to be told.
struct Told {
  std::uint64_t bits = 0;
  int count = 0;     // values
  bool all = false;  // every value: nothing needs to be told
  int even = 0;      // 0, n, 2n … with n a divisor of the field's size; 0: it is not like this
  std::vector<Term> terms;

  bool only(int value) const { return bits == std::uint64_t{1} << value; }
  int first() const { return std::countr_zero(bits); }
  // One range without steps.
  bool range() const { return terms.size() == 1 && !terms[0].single() && terms[0].step == 1; }
};

// Values of clock fields and days of the month, told as they were written as far as that is short.
Told tell(const Cron& cron, Field field);
// Years, which no bits hold.
std::vector<Term> tell_years(const Cron& cron);
// Months and weekdays, told by their values: runs of three and more, or single. Weekdays begin on Monday and may run over
// the end of the week.
std::vector<Term> runs_of(std::uint32_t bits, int low, int size, int begin);

// What the days amount to.
struct ToldDays {
  bool days = false, weekdays = false;  // which of the two is to be told
  bool either = false;  // both, and one is enough
};
ToldDays tell_days(const Cron& cron);

// Times of a day, hh:mm or hh:mm:ss, if they are few enough to be listed; else empty.
std::vector<std::string> clock_times(const Cron& cron);
std::string clock(int hour, int minute, int second);

// a, b and c: the last two are joined by `last`, others by commas.
std::string join(const std::vector<std::string>& words, std::string_view last);
std::vector<std::string> each(const std::vector<Term>& terms, const std::function<std::string(const Term&)>& words);

std::string describe_in_english(const Cron& cron);
std::string describe_in_korean(const Cron& cron);

}  // namespace pawl::calendar
