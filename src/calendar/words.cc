#include "calendar/words.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "calendar/phrases.h"
#include "calendar/zone.h"

namespace pawl::calendar {
namespace {

constexpr int few = 6;  // values and times that are listed one by one

struct Span {
  int low, size;
};
Span span_of(Field field) {
  if (field == Field::hours) return {0, 24};
  if (field == Field::day_of_month) return {1, 31};
  return {0, 60};
}

std::uint64_t bits_of(const Cron& cron, Field field) {
  if (field == Field::seconds) return cron.seconds();
  if (field == Field::minutes) return cron.minutes();
  if (field == Field::hours) return cron.hours();
  return cron.days();
}

std::vector<Term> singles_of(std::uint64_t bits) {
  std::vector<Term> terms;
  for (; bits != 0; bits &= bits - 1) terms.push_back({std::countr_zero(bits), std::countr_zero(bits), 1});
  return terms;
}

}  // namespace

std::optional<Language> language_of(std::string_view name) {
  const std::string_view code = name.substr(0, name.find_first_of("_.@-"));
  if (code == "en") return Language::english;
  if (code == "ko") return Language::korean;
  return std::nullopt;
}

std::string describe(const Cron& cron, Language language) {
  switch (language) {
    case Language::english: return describe_in_english(cron);
    case Language::korean: return describe_in_korean(cron);
  }
  unreachable();
}

Told tell(const Cron& cron, Field field) {
  const Span span = span_of(field);
  const int low = span.low, size = span.size;
  Told told;
  told.bits = bits_of(cron, field);
  told.count = std::popcount(told.bits);
  told.all = told.count == size;
  for (int step = 2; low == 0 && step <= size / 2; ++step) {
    if (size % step != 0 || told.count != size / step) continue;
    bool even = true;
    for (int value = 0; value < size; value += step) even = even && (told.bits >> value & 1) != 0;
    if (even) told.even = step;
  }
  if (told.even != 0 && told.count > few) {
    told.terms = {{0, size - told.even, told.even}};
    return told;
  }
  std::uint64_t alone = 0, covered = 0;
  for (const Part& part : cron.parts(field)) {
    const int end = part.to < part.from ? part.to + size : part.to;
    const int values = (end - part.from) / part.step + 1;
    const auto value = [&](int i) { return low + (part.from + i * part.step - low) % size; };
    std::uint64_t of_part = 0;
    for (int i = 0; i < values; ++i) of_part |= std::uint64_t{1} << value(i);
    if (values < 3 || (part.step > 1 && values <= 4)) {
      alone |= of_part;
    } else {
      covered |= of_part;
      told.terms.push_back({part.from, value(values - 1), part.step});
    }
  }
  // One range is short; a mixture of few values is shorter one by one.
  if (told.count <= few && !(alone == 0 && told.terms.size() == 1 && told.terms[0].step == 1)) {
    told.terms = singles_of(told.bits);
    return told;
  }
  std::vector<Term> singles = singles_of(alone & ~covered);
  singles.insert(singles.end(), told.terms.begin(), told.terms.end());
  told.terms = std::move(singles);
  return told;
}

std::vector<Term> tell_years(const Cron& cron) {
  std::vector<Term> terms;
  int years = 0;
  for (int year = first_year; year <= last_year; ++year) years += cron.has_year(year) ? 1 : 0;
  if (years > last_year - first_year) return {};
  if (years <= few && (cron.parts(Field::year).size() > 1 || years < 3)) {
    for (int year = first_year; year <= last_year; ++year)
      if (cron.has_year(year)) terms.push_back({year, year, 1});
    return terms;
  }
  for (const Part& part : cron.parts(Field::year))
    terms.push_back({part.from, part.from + (part.to - part.from) / part.step * part.step, part.step});
  return terms;
}

std::vector<Term> runs_of(std::uint32_t bits, int low, int size, int begin) {
  const auto has = [&](int value) { return (bits >> (low + (value - low + size) % size) & 1) != 0; };
  const auto in_field = [&](int value) { return low + (value - low) % size; };
  // A run that passes the beginning is told where it starts.
  int first = begin;
  while (first > begin - size && has(first - 1 + size) && has(first + size)) --first;
  std::vector<Term> terms;
  for (int value = first + size; value < first + 2 * size;) {
    if (!has(value)) {
      ++value;
      continue;
    }
    int end = value;
    while (end + 1 < first + 2 * size && has(end + 1)) ++end;
    if (end - value >= 2)
      terms.push_back({in_field(value), in_field(end), 1});
    else
      for (int one = value; one <= end; ++one) terms.push_back({in_field(one), in_field(one), 1});
    value = end + 1;
  }
  return terms;
}

ToldDays tell_days(const Cron& cron) {
  const bool days = cron.day_form().kind != DayForm::Kind::list || std::popcount(cron.days()) < 31;
  const bool weekdays = cron.weekday_form().kind != WeekdayForm::Kind::list || std::popcount(cron.weekdays()) < 7;
  if (cron.either_day()) return {days && weekdays, days && weekdays, true};
  return {days, weekdays, false};
}

std::string clock(int hour, int minute, int second) {
  return second == 0 ? fmt::format("{:02}:{:02}", hour, minute)
                     : fmt::format("{:02}:{:02}:{:02}", hour, minute, second);
}

std::vector<std::string> clock_times(const Cron& cron) {
  std::vector<std::string> times;
  if (std::popcount(cron.hours()) * std::popcount(cron.minutes()) * std::popcount(cron.seconds()) > few) return times;
  for (int hour = 0; hour < 24; ++hour)
    for (int minute = 0; minute < 60; ++minute)
      for (int second = 0; second < 60; ++second)
        if ((cron.hours() >> hour & 1) != 0 && (cron.minutes() >> minute & 1) != 0 &&
            (cron.seconds() >> second & 1) != 0)
          times.push_back(clock(hour, minute, second));
  return times;
}

std::string join(const std::vector<std::string>& words, std::string_view last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? last : ", ";
    text += words[i];
  }
  return text;
}

std::vector<std::string> each(const std::vector<Term>& terms, const std::function<std::string(const Term&)>& words) {
  std::vector<std::string> texts;
  texts.reserve(terms.size());
  for (const Term& term : terms) texts.push_back(words(term));
  return texts;
}

}  // namespace pawl::calendar
