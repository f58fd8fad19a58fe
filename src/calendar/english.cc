#include <fmt/format.h>

#include <array>

#include "calendar/phrases.h"

namespace pawl::calendar {
namespace {

constexpr auto month_names =
    std::to_array<std::string_view>({"", "January", "February", "March", "April", "May", "June", "July", "August",
                                     "September", "October", "November", "December"});
constexpr auto weekday_names =
    std::to_array<std::string_view>({"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"});
constexpr auto counts = std::to_array<std::string_view>({"", "first", "second", "third", "fourth", "fifth"});

std::string_view month_name(int month) { return month_names[static_cast<std::size_t>(month)]; }
std::string_view weekday_name(int weekday) { return weekday_names[static_cast<std::size_t>(weekday)]; }

// 1st, 2nd, 3rd, 4th, 11th, 21st
std::string ordinal(int number) {
  const int last = number % 10;
  const bool teen = number / 10 % 10 == 1;
  return fmt::format("{}{}", number, teen || last == 0 || last > 3 ? "th" : last == 1 ? "st" : last == 2 ? "nd" : "rd");
}

// minute 5 · the minutes 5, 10 and 20 to 30 · every 7th minute from 0 to 56
std::string values(const Told& told, std::string_view unit, bool two_digits, std::string_view of = "") {
  const auto number = [&](int value) { return two_digits ? fmt::format("{:02}", value) : std::to_string(value); };
  const auto range = [&](const Term& term) { return number(term.from) + " to " + number(term.to); };
  if (told.terms.size() == 1 && told.terms[0].single())
    return fmt::format("{} {}{}", unit, number(told.terms[0].from), of);
  if (told.terms.size() == 1 && told.terms[0].step > 1)
    return fmt::format("every {} {}{} from {}", ordinal(told.terms[0].step), unit, of, range(told.terms[0]));
  const auto words = each(told.terms, [&](const Term& term) {
    if (term.single()) return number(term.from);
    return term.step == 1 ? range(term) : fmt::format("every {} from {}", ordinal(term.step), range(term));
  });
  return fmt::format("the {}s {}{}", unit, join(words, " and "), of);
}

std::string every(int number, std::string_view unit) {
  return number == 1 ? fmt::format("Every {}", unit) : fmt::format("Every {} {}s", number, unit);
}

// When in a day: `At 08:00`, `Every 15 minutes in the hours 08 to 17`.
std::string time_of_day(const Cron& cron) {
  const Told seconds = tell(cron, Field::seconds), minutes = tell(cron, Field::minutes),
             hours = tell(cron, Field::hours);
  if (!hours.all)
    if (const auto times = clock_times(cron); !times.empty()) return "At " + join(times, " and ");
  const std::string in_hours = hours.all ? "" : " in " + values(hours, "hour", true);

  if (seconds.only(0)) {
    if (minutes.all || minutes.even != 0) return every(minutes.all ? 1 : minutes.even, "minute") + in_hours;
    if (minutes.count == 1) {
      const auto at = [&](int hour) { return clock(hour, minutes.first(), 0); };
      const std::string on = minutes.only(0) ? ", on the hour" : fmt::format(" at minute {}", minutes.first());
      if (hours.all) return "Every hour" + on;
      if (hours.even != 0)
        return fmt::format("{}, from {} to {}", every(hours.even, "hour"), at(0), at(24 - hours.even));
      if (hours.range()) return fmt::format("Every hour from {} to {}", at(hours.terms[0].from), at(hours.terms[0].to));
    }
    return "At " + values(minutes, "minute", false) + (hours.all ? " of every hour" : " of " + in_hours.substr(4));
  }
  const std::string of_hours = hours.all ? " of every hour" : " of " + in_hours.substr(4);
  if (seconds.all || seconds.even != 0) {
    const std::string often = every(seconds.all ? 1 : seconds.even, "second");
    return minutes.all ? often + in_hours : often + " in " + values(minutes, "minute", false) + of_hours;
  }
  const std::string at = "At " + values(seconds, "second", false);
  if (minutes.all) return at + " of every minute" + in_hours;
  return at + " of " + values(minutes, "minute", false) + of_hours;
}

// in March and May · from March to May
std::string month_words(const Cron& cron) {
  const auto runs = runs_of(cron.months(), 1, 12, 1);
  const auto words = each(runs, [](const Term& term) {
    return term.single() ? std::string(month_name(term.from))
                         : fmt::format("{} to {}", month_name(term.from), month_name(term.to));
  });
  return (runs.size() == 1 && !runs[0].single() ? "from " : "in ") + join(words, " and ");
}

std::string weekday_list(const Cron& cron, std::string_view last) {
  return join(each(runs_of(cron.weekdays(), 0, 7, 1),
                   [](const Term& term) {
                     return term.single() ? std::string(weekday_name(term.from))
                                          : fmt::format("{} to {}", weekday_name(term.from), weekday_name(term.to));
                   }),
              last);
}

// on day 15 of the month · 3 days before the last day of the month
std::string day_words(const Cron& cron) {
  const DayForm& form = cron.day_form();
  const std::string from_end =
      form.day == 0 ? "" : fmt::format("{} day{} before the last day of the month", form.day, form.day == 1 ? "" : "s");
  switch (form.kind) {
    case DayForm::Kind::list: return "on " + values(tell(cron, Field::day_of_month), "day", false, " of the month");
    case DayForm::Kind::nearest_weekday:
      return fmt::format("on the weekday (Monday to Friday) nearest to day {} of the month", form.day);
    case DayForm::Kind::from_end:
      if (!form.weekday) return form.day == 0 ? "on the last day of the month" : from_end;
      return form.day == 0 ? "on the last weekday (Monday to Friday) of the month"
                           : "on the weekday (Monday to Friday) nearest to " + from_end;
  }
  return "";
}

std::string weekday_words(const Cron& cron) {
  const WeekdayForm& form = cron.weekday_form();
  switch (form.kind) {
    case WeekdayForm::Kind::list: return weekday_list(cron, " and ");
    case WeekdayForm::Kind::last: return fmt::format("the last {} of the month", weekday_name(form.weekday));
    case WeekdayForm::Kind::nth:
      return fmt::format("the {} {} of the month", counts[static_cast<std::size_t>(form.nth)],
                         weekday_name(form.weekday));
  }
  return "";
}

// in 2030 · from 2030 to 2035 · every 2nd year from 2029 to 2199; empty: in all
std::string year_words(const Cron& cron) {
  const auto terms = tell_years(cron);
  if (terms.empty()) return "";
  const auto words = each(terms, [](const Term& term) {
    if (term.single()) return std::to_string(term.from);
    const std::string range = fmt::format("{} to {}", term.from, term.to);
    return term.step == 1 ? range : fmt::format("every {} year from {}", ordinal(term.step), range);
  });
  const bool one = terms.size() == 1 && !terms[0].single();
  return (one && terms[0].step > 1 ? "" : one ? "from " : "in ") + join(words, " and ");
}

std::string interval_words(std::chrono::seconds interval) {
  struct Unit {
    std::string_view name;
    std::int64_t seconds;
  };
  constexpr auto units = std::to_array<Unit>({{"day", 86'400}, {"hour", 3'600}, {"minute", 60}, {"second", 1}});
  std::int64_t left = interval.count();
  std::vector<std::string> parts;
  for (const Unit& unit : units) {
    const std::int64_t number = left / unit.seconds;
    left %= unit.seconds;
    if (number == 0) continue;
    // Every minute, but every 1 minute and 30 seconds.
    const bool alone = number == 1 && parts.empty() && left == 0;
    parts.push_back(alone ? std::string(unit.name) : fmt::format("{} {}{}", number, unit.name, number == 1 ? "" : "s"));
  }
  return "Every " + join(parts, " and ") + ", counted from the beginning of the schedule";
}

}  // namespace

std::string describe_in_english(const Cron& cron) {
  if (cron.every()) return interval_words(*cron.every());
  std::string text = time_of_day(cron);
  const ToldDays told = tell_days(cron);
  const bool all_months = std::popcount(cron.months()) == 12;
  const Told days = tell(cron, Field::day_of_month);
  bool months_told = all_months;
  if (told.days && told.weekdays) {
    text += fmt::format(", {} {} {}{}", day_words(cron), told.either ? "or on" : "if it is", weekday_list(cron, " or "),
                        told.either ? " (either is enough)" : "");
  } else if (told.days && cron.day_form().kind == DayForm::Kind::list && days.count == 1 &&
             std::popcount(cron.months()) == 1) {
    text += fmt::format(", on {} {}", days.first(), month_name(std::countr_zero(cron.months())));
    months_told = true;
  } else if (told.days) {
    text += ", " + day_words(cron);
  } else if (told.weekdays) {
    const auto runs = runs_of(cron.weekdays(), 0, 7, 1);
    const bool range = cron.weekday_form().kind == WeekdayForm::Kind::list && runs.size() == 1 && !runs[0].single();
    text += (range ? ", " : ", on ") + weekday_words(cron);
  } else if (std::popcount(cron.hours()) < 24 && !clock_times(cron).empty()) {
    text += " every day";
  }
  if (!months_told) text += ", " + month_words(cron);
  if (const std::string years = year_words(cron); !years.empty()) text += ", " + years;
  if (cron.never()) text += ". There is no such day: it never fires";
  return text;
}

}  // namespace pawl::calendar
