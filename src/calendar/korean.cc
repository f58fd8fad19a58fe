#include <fmt/format.h>

#include <array>

#include "calendar/phrases.h"

namespace pawl::calendar {
namespace {

constexpr auto weekday_names = std::to_array<std::string_view>({"일", "월", "화", "수", "목", "금", "토"});
constexpr auto counts = std::to_array<std::string_view>({"", "첫째", "둘째", "셋째", "넷째", "다섯째"});

std::string weekday_name(int weekday) {
  return fmt::format("{}요일", weekday_names[static_cast<std::size_t>(weekday)]);
}

// 5분 · 5분, 10분, 20분부터 30분까지 · 0분부터 56분까지 7분 간격; `steps` is the unit of a step: 분, 시간, 일.
std::string values(const std::vector<Term>& terms, std::string_view unit, std::string_view steps, bool two_digits) {
  const auto number = [&](int value) {
    return two_digits ? fmt::format("{:02}{}", value, unit) : fmt::format("{}{}", value, unit);
  };
  return join(each(terms,
                   [&](const Term& term) {
                     if (term.single()) return number(term.from);
                     std::string range = fmt::format("{}부터 {}까지", number(term.from), number(term.to));
                     if (term.step > 1) range += fmt::format(" {}{} 간격", term.step, steps);
                     return range;
                   }),
              ", ");
}

// The particle of time behind it: 30분에, 7분 간격으로, 10분까지 1분 간격으로.
std::string at(std::string words, std::string_view steps) {
  if (words.ends_with("까지")) words += fmt::format(" 1{} 간격", steps);
  return words + (words.ends_with("간격") ? "으로" : "에");
}
std::string by(std::string words) { return words.ends_with("간격") ? words + "으로" : words; }

// When in a day, with what follows before `실행`: 08:00에, 15분마다.
std::string time_of_day(const Cron& cron) {
  const Told seconds = tell(cron, Field::seconds), minutes = tell(cron, Field::minutes),
             hours = tell(cron, Field::hours);
  if (!hours.all)
    if (const auto times = clock_times(cron); !times.empty()) return join(times, ", ") + "에";
  const std::string hour_words = values(hours.terms, "시", "시간", true);
  const std::string during = hours.all ? "" : hour_words + " 시간대에 ";
  const std::string each_hour = hours.all ? "매시 " : hour_words + " 시간대의 매시 ";
  const std::string minute_words = values(minutes.terms, "분", "분", false);

  if (seconds.only(0)) {
    if (minutes.all || minutes.even != 0) return fmt::format("{}{}분마다", during, minutes.all ? 1 : minutes.even);
    if (minutes.count == 1 && !hours.all) {
      const auto time = [&](int hour) { return clock(hour, minutes.first(), 0); };
      if (hours.even != 0) return fmt::format("{}부터 {}까지 {}시간마다", time(0), time(24 - hours.even), hours.even);
      if (hours.range())
        return fmt::format("{}부터 {}까지 1시간마다", time(hours.terms[0].from), time(hours.terms[0].to));
    }
    if (minutes.only(0) && hours.all) return "매시 정각에";
    return each_hour + at(minute_words, "분");
  }
  if (seconds.all || seconds.even != 0) {
    const std::string often = fmt::format("{}초마다", seconds.all ? 1 : seconds.even);
    return minutes.all ? during + often
                       : each_hour + minute_words + (minute_words.ends_with("까지") ? "는 " : "에는 ") + often;
  }
  const std::string second_words = at(values(seconds.terms, "초", "초", false), "초");
  if (minutes.all) return during + "매분 " + second_words;
  return each_hour + minute_words + "의 " + second_words;
}

std::string month_words(const Cron& cron) { return values(runs_of(cron.months(), 1, 12, 1), "월", "개월", false); }

std::string weekday_list(const Cron& cron) {
  return join(each(runs_of(cron.weekdays(), 0, 7, 1),
                   [](const Term& term) {
                     return term.single()
                                ? weekday_name(term.from)
                                : fmt::format("{}부터 {}까지", weekday_name(term.from), weekday_name(term.to));
                   }),
              ", ");
}

std::string day_words(const Cron& cron) {
  const DayForm& form = cron.day_form();
  const std::string from_end = form.day == 0 ? "마지막 날" : fmt::format("마지막 날의 {}일 전", form.day);
  switch (form.kind) {
    case DayForm::Kind::list: return values(tell(cron, Field::day_of_month).terms, "일", "일", false);
    case DayForm::Kind::nearest_weekday: return fmt::format("{}일에 가장 가까운 평일(월~금)", form.day);
    case DayForm::Kind::from_end:
      if (!form.weekday) return from_end;
      return form.day == 0 ? "마지막 평일(월~금)" : from_end + "에 가장 가까운 평일(월~금)";
  }
  return "";
}

std::string interval_words(std::chrono::seconds interval) {
  struct Unit {
    std::string_view name;
    std::int64_t seconds;
  };
  constexpr auto units = std::to_array<Unit>({{"일", 86'400}, {"시간", 3'600}, {"분", 60}, {"초", 1}});
  std::int64_t left = interval.count();
  std::string text;
  for (const Unit& unit : units) {
    if (left >= unit.seconds) text += fmt::format("{}{}{}", text.empty() ? "" : " ", left / unit.seconds, unit.name);
    left %= unit.seconds;
  }
  return text + "마다 실행(일정이 시작된 때부터 셈)";
}

// Which days, with a blank at the end; empty: all of them, and nothing needs to be said.
std::string date_words(const Cron& cron, bool clock_time) {
  const ToldDays told = tell_days(cron);
  const bool all_months = std::popcount(cron.months()) == 12;
  std::string text = by(values(tell_years(cron), "년", "년", false));
  if (!text.empty()) text += ' ';
  const bool years_told = !text.empty();
  if (!all_months) text += (years_told ? "" : "매년 ") + month_words(cron) + " ";

  const std::string of_month = all_months ? "매월 " : "";
  const WeekdayForm& form = cron.weekday_form();
  if (told.either) {
    if (told.days)
      text += fmt::format("{}{} 또는 매주 {}(둘 중 하나면 됨) ", of_month, day_words(cron), weekday_list(cron));
  } else if (told.days && told.weekdays) {
    const std::string days = day_words(cron);
    text += fmt::format("{}{}{} 날 중 {} ", of_month, days, days.ends_with("까지") ? "의" : "인", weekday_list(cron));
  } else if (told.days) {
    text += of_month + by(day_words(cron)) + " ";
  } else if (told.weekdays && form.kind == WeekdayForm::Kind::list) {
    text += "매주 " + weekday_list(cron) + " ";
  } else if (told.weekdays) {
    const std::string_view which =
        form.kind == WeekdayForm::Kind::last ? "마지막" : counts[static_cast<std::size_t>(form.nth)];
    text += fmt::format("{}{} {} ", of_month, which, weekday_name(form.weekday));
  }
  const bool days_told = told.days || told.weekdays;
  if (!days_told && clock_time) text += "매일 ";
  // 3월에 15분마다, but 3월 15일 08:00에.
  if (!days_told && !clock_time && !text.empty()) text.replace(text.size() - 1, 1, "에 ");
  return text;
}

}  // namespace

std::string describe_in_korean(const Cron& cron) {
  if (cron.every()) return interval_words(*cron.every());
  const bool clock_time = std::popcount(cron.hours()) < 24 && !clock_times(cron).empty();
  std::string text = date_words(cron, clock_time) + time_of_day(cron) + " 실행";
  if (cron.never()) text += ". 그런 날이 없어 실행되지 않음";
  return text;
}

}  // namespace pawl::calendar
