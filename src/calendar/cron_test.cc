#include "calendar/cron.h"

#include <gtest/gtest.h>

#include <chrono>

namespace pawl::calendar {
namespace {

Cron cron(std::string_view text) {
  auto parsed = Cron::parse(text);
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : to_text(parsed.error()));
  return parsed ? *parsed : *Cron::parse("* * * * *");
}

struct Wrong {
  std::string_view text;
  Field field;
  int position;
  std::string_view part;  // of the message
};

TEST(Cron, NamesTheFieldAndThePlaceOfWhatIsWrongAndWhatToWrite) {
  const auto cases = std::to_array<Wrong>({
      {"", Field::expression, 1, "0 8 * * *"},
      {"  \t ", Field::expression, 1, "the expression is empty"},
      {"* * *", Field::expression, 6, "3 fields where 5 are needed"},
      {"0 0 12 * * ? 2026 1", Field::expression, 19, "more than 7 fields"},
      {"0 0 12 * * *", Field::day_of_week, 12, "write `0 0 12 * * ?`"},
      {"0 0 12 1 * *", Field::day_of_week, 12, "write `0 0 12 1 * ?`"},
      {"0 0 12 * * MON", Field::day_of_week, 12, "write `0 0 12 ? * MON`"},
      {"0 0 12 1 * MON", Field::day_of_week, 12, "write `0 0 12 1 * ?` or `0 0 12 ? * MON`"},
      {"0 0 12 ? * ?", Field::day_of_week, 12, "write `0 0 12 * * ?`"},
      {"60 0 0 * * ?", Field::seconds, 1, "60 is no second: 0 to 59"},
      {"0 0 24 * * ?", Field::hours, 5, "24 is no hour: 0 to 23; midnight is 0"},
      {"0 0 0 32 * ?", Field::day_of_month, 7, "32 is no day of a month: 1 to 31"},
      {"0 0 0 0 * ?", Field::day_of_month, 7, "1 to 31"},
      {"0 0 0 * 13 ?", Field::month, 9, "13 is no month: 1 to 12"},
      {"0 0 0 ? * 8", Field::day_of_week, 11, "8 is no weekday: 1 to 7"},
      {"0 0 0 ? * 0", Field::day_of_week, 11, "Sunday is 1"},
      {"0 0 * * 8", Field::day_of_week, 9, "0 to 7"},
      {"0 0 0 ? * MON#6", Field::day_of_week, 15, "write 1 to 5"},
      {"0 0 0 ? * 5#", Field::day_of_week, 13, "is missing"},
      {"0 0 0 ? * FOO", Field::day_of_week, 11, "`FOO` is no weekday: 1 to 7, or SUN to SAT"},
      {"0 0 0 ? * MONDAY", Field::day_of_week, 11, "write MON"},
      {"0 0 0 ? * MON-", Field::day_of_week, 15, "a weekday is missing"},
      {"0 0 0 ? * 2L,3", Field::day_of_week, 13, "stand alone"},
      {"0 0 0 ? * 3,2L", Field::day_of_week, 14, "without a list"},
      {"0 0 0 1,L * ?", Field::day_of_month, 9, "without a list"},
      {"0 0 0 L,1 * ?", Field::day_of_month, 8, "stand alone"},
      {"0 0 0 L-31 * ?", Field::day_of_month, 9, "L-30 at most"},
      {"0 0 0 L- * ?", Field::day_of_month, 9, "is missing"},
      {"0 0 0 32W * ?", Field::day_of_month, 7, "1 to 31"},
      {"0 0 0 WL * ?", Field::day_of_month, 7, "write L, L-3, LW"},
      {"0 0 0 5C * ?", Field::day_of_month, 8, "`C` means nothing here"},
      {"0/60 0 0 * * ?", Field::seconds, 3, "a step here is 1 to 59"},
      {"0 0 0/25 * * ?", Field::hours, 7, "1 to 23"},
      {"0 0 0/24 * * ?", Field::hours, 7, "1 to 23"},
      {"*/0 * * * *", Field::minutes, 3, "1 to 59"},
      {"5/ * * * * ?", Field::seconds, 3, "a step is missing"},
      {"/5 * * * *", Field::minutes, 1, "write */5"},
      {"1.5 0 0 * * ?", Field::seconds, 2, "`.` is not expected here"},
      {"-1 * * * *", Field::minutes, 1, "`-` is not expected here"},
      {"1,,2 * * * *", Field::minutes, 3, "a value is missing"},
      {",1 * * * *", Field::minutes, 1, "a value is missing"},
      {"1, * * * *", Field::minutes, 3, "a value is missing"},
      {"5* * * * *", Field::minutes, 2, "`*` stands alone"},
      {"a b c d e f", Field::seconds, 1, "`a` means nothing here"},
      {"0 22-2 * * *", Field::hours, 3, "write 22-23,0-2"},
      {"0 0 * * 6-1", Field::day_of_week, 9, "write 6-6,0-1"},
      {"0 0 ? * 1", Field::day_of_month, 5, "`?` belongs to 6 or 7 fields: write *"},
      {"0 0 L * *", Field::day_of_month, 5, "`L` belongs to 6 or 7 fields"},
      {"0 0 * * 5#2", Field::day_of_week, 10, "`#` belongs to 6 or 7 fields"},
      {"0 0 15W * *", Field::day_of_month, 7, "`W` belongs to 6 or 7 fields"},
      {"0 0 * * FRIL", Field::day_of_week, 9, "write FRI"},
      {"0 ? * * * ?", Field::minutes, 3, "write *"},
      {"0 0 0 * * ? 1969", Field::year, 13, "1970 to 2199"},
      {"0 0 0 * * ? 2200", Field::year, 13, "1970 to 2199"},
      {"0 0 0 * * ? 2030-2029", Field::year, 13, "runs backwards"},
      {"0 0 0 * FEBR ?", Field::month, 9, "write FEB"},
      {"0 0 0 * X ?", Field::month, 9, "`X` is no month: 1 to 12, or JAN to DEC"},
      {"99999999999999999999 * * * *", Field::minutes, 1, "is no minute"},
      {"é 0 * * *", Field::minutes, 1, "`é` is not expected"},
      {"0 é * * *", Field::hours, 3, "`é`"},
      {"é", Field::expression, 2, "1 field where"},
      {"\xff * * * *", Field::minutes, 1, "no UTF-8"},
      {"1\n2 * * * *", Field::minutes, 2, "a control character"},
      {"@Daily", Field::expression, 1, "write @daily"},
      {"@annually", Field::expression, 1, "write @yearly"},
      {"@midnight", Field::expression, 1, "write @daily"},
      {"@reboot", Field::expression, 1, "there are @hourly"},
      {"@daily 5", Field::expression, 8, "nothing may follow"},
      {"@every", Field::interval, 7, "write @every 90s"},
      {"@every 90", Field::interval, 8, "is not a duration"},
      {"@every 1h 30m", Field::interval, 11, "without blanks"},
      {"@every 0s", Field::interval, 8, "one second or more"},
      {"@every 1500ms", Field::interval, 8, "whole seconds"},
  });
  for (const Wrong& wrong : cases) {
    SCOPED_TRACE(wrong.text);
    const auto parsed = Cron::parse(wrong.text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(to_string(parsed.error().field), to_string(wrong.field));
    EXPECT_EQ(parsed.error().position, wrong.position);
    EXPECT_NE(parsed.error().message.find(wrong.part), std::string::npos) << parsed.error().message;
  }
  EXPECT_EQ(Cron::parse(std::string(max_text + 1, '*')).error().message, "the expression is longer than 200 bytes");
}

TEST(Cron, WhatItAdvisesIsTaken) {
  for (const char* advice : {"0 0 12 * * ?", "0 0 12 1 * ?", "0 0 12 ? * MON", "0 22-23,0-2 * * *", "0 0 * * 6-6,0-1",
                             "0 8 * * *", "0 0 8 * * ?", "@every 90s", "@every 1h30m", "*/5 * * * *"})
    EXPECT_TRUE(Cron::parse(advice)) << advice;
}

TEST(Cron, NamesComeInAnyCaseAndBlanksInAnyNumber) {
  EXPECT_EQ(cron(" 0 8\t* jan-Mar  mon,FRI ").weekdays(), 1U << 1 | 1U << 5);
  EXPECT_EQ(cron("0 8 * jan-Mar *").months(), 0b1110U);
  EXPECT_EQ(cron("0 0 8 ? * fril").weekday_form(), (WeekdayForm{WeekdayForm::Kind::last, 5, 0}));
  EXPECT_EQ(cron("0 0 8 l-3w * ?").day_form(), (DayForm{DayForm::Kind::from_end, 3, true}));
}

TEST(Cron, SundayIsZeroOrSevenWithFiveFieldsAndOneWithMore) {
  EXPECT_EQ(cron("0 0 * * 0").weekdays(), 1U);
  EXPECT_EQ(cron("0 0 * * 7").weekdays(), 1U);
  EXPECT_EQ(cron("0 0 * * 5-7").weekdays(), 1U | 1U << 5 | 1U << 6);
  EXPECT_EQ(cron("0 0 * * FRI-SUN").weekdays(), 1U | 1U << 5 | 1U << 6);
  EXPECT_EQ(cron("0 0 * * 0-7").weekdays(), 0x7FU);
  EXPECT_EQ(cron("0 0 * * 1-7/2").weekdays(), 1U | 1U << 1 | 1U << 3 | 1U << 5);
  EXPECT_EQ(cron("0 0 0 ? * 1").weekdays(), 1U);
  EXPECT_EQ(cron("0 0 0 ? * 7").weekdays(), 1U << 6);
}

TEST(Cron, ARangeThatRunsPastTheEndGoesOnAtTheBeginningWithSixFields) {
  EXPECT_EQ(cron("0 0 22-2 * * ?").hours(), 1U << 22 | 1U << 23 | 0b111U);
  EXPECT_EQ(cron("0 0 20-4/3 * * ?").hours(), 1U << 20 | 1U << 23 | 1U << 2);
  EXPECT_EQ(cron("0 0 0 ? 11-2 FRI-MON").months(), 1U << 11 | 1U << 12 | 0b110U);
  EXPECT_EQ(cron("0 0 0 ? 11-2 FRI-MON").weekdays(), 1U << 5 | 1U << 6 | 0b11U);
  EXPECT_EQ(cron("0 0 0 30-2 * ?").days(), 1U << 30 | 1U << 31 | 0b110U);
}

TEST(Cron, StepsBeginAtTheirFirstValue) {
  EXPECT_EQ(cron("5/20 * * * *").minutes(), 1ULL << 5 | 1ULL << 25 | 1ULL << 45);
  EXPECT_EQ(cron("10-30/10 * * * *").minutes(), 1ULL << 10 | 1ULL << 20 | 1ULL << 30);
  EXPECT_EQ(cron("0 0 */10 * *").days(), 1U << 1 | 1U << 11 | 1U << 21 | 1U << 31);
  EXPECT_TRUE(cron("0 0 0 1 1 ? 2029/3").has_year(2032));
  EXPECT_FALSE(cron("0 0 0 1 1 ? 2029/3").has_year(2026));
  EXPECT_FALSE(cron("* * * * *").has_year(2200));
  const Cron some = cron("0 0 0 1 1 ? 1970,2033,2034,2199");
  EXPECT_EQ(some.year_from(0), 1970);
  EXPECT_EQ(some.year_from(1971), 2033);
  EXPECT_EQ(some.year_from(2034), 2034);
  EXPECT_EQ(some.year_from(2035), 2199);
  EXPECT_EQ(some.year_from(2200), std::nullopt);
  EXPECT_EQ(some.year_to(3000), 2199);
  EXPECT_EQ(some.year_to(2198), 2034);
  EXPECT_EQ(some.year_to(2033), 2033);
  EXPECT_EQ(some.year_to(2032), 1970);
  EXPECT_EQ(some.year_to(1969), std::nullopt);
}

TEST(Cron, NicknamesAreWhatTheyStandFor) {
  for (const auto& [name, fields] : {std::pair{"@hourly", "0 * * * *"},
                                     {"@daily", "0 0 * * *"},
                                     {"@weekly", "0 0 * * 0"},
                                     {"@monthly", "0 0 1 * *"},
                                     {" @yearly ", "0 0 1 1 *"}}) {
    const Cron one = cron(name), other = cron(fields);
    EXPECT_EQ(one.text(), name);
    EXPECT_EQ(one.minutes(), other.minutes());
    EXPECT_EQ(one.hours(), other.hours());
    EXPECT_EQ(one.follows_elapsed_time(), other.follows_elapsed_time());
    for (int month = 1; month <= 12; ++month)
      EXPECT_EQ(one.matching_days(2027, month), other.matching_days(2027, month));
  }
  EXPECT_EQ(cron("@every 1m30s").every(), std::chrono::seconds(90));
}

TEST(Cron, AStarOrSlashInTheHoursFollowsElapsedTime) {
  for (const char* text : {"0 * * * *", "0 */2 * * *", "0 0-6/2 * * *", "0 0 2/22 * * ?", "@hourly"})
    EXPECT_TRUE(cron(text).follows_elapsed_time()) << text;
  for (const char* text : {"*/5 2 * * *", "* 0-23 * * *", "0 1,2,3 * * *", "@daily"})
    EXPECT_FALSE(cron(text).follows_elapsed_time()) << text;
}

// Days of a month that match, as numbers.
std::vector<int> days_of(std::string_view text, int year, int month) {
  const Cron one = cron(text);
  std::vector<int> days;
  for (int day = 1; day <= 31; ++day)
    if ((one.matching_days(year, month) >> day & 1) != 0) days.push_back(day);
  return days;
}
using Days = std::vector<int>;

TEST(Cron, BothDayFieldsRestrictedMeansEither) {
  EXPECT_EQ(days_of("0 0 13 * 5", 2026, 11), (Days{6, 13, 20, 27}));
  EXPECT_EQ(days_of("0 0 1,2 * 5", 2026, 11), (Days{1, 2, 6, 13, 20, 27}));
  // A field that begins with a star does not count as restricted: both have to match.
  EXPECT_EQ(days_of("0 0 */2 * 5", 2026, 11), (Days{13, 27}));
  EXPECT_EQ(days_of("0 0 1-15 * */2", 2026, 11), (Days{1, 3, 5, 7, 8, 10, 12, 14, 15}));
}

TEST(Cron, CountsFromTheEndOfTheMonth) {
  EXPECT_EQ(days_of("0 0 0 L * ?", 2028, 2), Days{29});
  EXPECT_EQ(days_of("0 0 0 L-30 * ?", 2026, 1), Days{1});
  EXPECT_EQ(days_of("0 0 0 L-30 * ?", 2026, 4), Days{});
  EXPECT_EQ(days_of("0 0 0 LW * ?", 2026, 5), Days{29});      // the 31st is a Sunday
  EXPECT_EQ(days_of("0 0 0 L-30W * ?", 2026, 8), Days{3});    // the 1st is a Saturday
}

TEST(Cron, TheNearestWeekdayStaysInItsMonth) {
  EXPECT_EQ(days_of("0 0 0 15W * ?", 2026, 11), Days{16});  // a Sunday
  EXPECT_EQ(days_of("0 0 0 14W * ?", 2026, 11), Days{13});  // a Saturday
  EXPECT_EQ(days_of("0 0 0 1W * ?", 2026, 8), Days{3});
  EXPECT_EQ(days_of("0 0 0 31W * ?", 2026, 5), Days{29});
  EXPECT_EQ(days_of("0 0 0 31W * ?", 2026, 4), Days{});
}

TEST(Cron, TheFifthOfAWeekdayIsNotInEveryMonth) {
  EXPECT_EQ(days_of("0 0 0 ? * 2#5", 2026, 11), Days{30});
  EXPECT_EQ(days_of("0 0 0 ? * 3#5", 2026, 11), Days{});
  EXPECT_EQ(days_of("0 0 0 ? * FRI#1", 2026, 11), Days{6});
  EXPECT_EQ(days_of("0 0 0 ? * FRIL", 2026, 11), Days{27});
  EXPECT_EQ(days_of("0 0 0 ? * L", 2026, 11), (Days{7, 14, 21, 28}));
}

TEST(Cron, KnowsThatADayNeverComes) {
  for (const char* text : {"0 0 30 2 *", "0 0 31 4,6 *", "0 0 0 29 2 ? 2027", "0 0 0 29 2 ? 2100", "0 0 0 L-30 2 ?",
                           "0 0 0 31W 4,6,9,11 ?", "0 0 0 L-29 2 ?", "0 0 0 ? 2 MON#5 2026"})
    EXPECT_TRUE(cron(text).never()) << text;
  for (const char* text : {"0 0 29 2 *", "0 0 30 2 1", "0 0 0 ? 2 MON#5", "0 0 0 29 2 ? 2096", "@every 90s", "@yearly"})
    EXPECT_FALSE(cron(text).never()) << text;
}

TEST(Cron, WarnsOfADigitForAWeekdayWhereOneIsSunday) {
  const auto warned = [](std::string_view text) {
    const Cron one = cron(text);
    return one.warnings().empty() ? std::string() : one.warnings()[0].message;
  };
  EXPECT_NE(warned("0 0 8 ? * 2-6").find("`2-6` is MON-FRI: write MON-FRI"), std::string::npos);
  EXPECT_NE(warned("0 0 8 ? * 6#3").find("write FRI#3"), std::string::npos);
  EXPECT_NE(warned("0 0 8 ? * 6L").find("write FRIL"), std::string::npos);
  EXPECT_NE(warned("0 0 8 ? * 1,3/2").find("write SUN,TUE/2"), std::string::npos);
  EXPECT_NE(warned("0 0 8 ? * 07-3/02").find("write SAT-TUE/2"), std::string::npos);
  EXPECT_EQ(cron("0 0 8 ? * 2-6").warnings()[0].position, 11);
  for (const char* text : {"0 0 8 ? * MON-FRI", "0 0 8 ? * FRI#3", "0 0 8 ? * */2", "0 8 * * 1-5", "0 0 8 * * ?"})
    EXPECT_EQ(warned(text), "") << text;
}

TEST(Cron, WarnsOfStepsOfWhichOneFits) {
  EXPECT_EQ(cron("*/40 * * * *").warnings()[0].message,
            "steps of 40 fire unevenly: they begin anew with every hour; `@every 40m` is even");
  EXPECT_TRUE(cron("*/15 * * * *").warnings().empty());
}

TEST(Cron, ReadsHostileTextInNoTime) {
  for (const char c : std::string_view("*,-/#LW?@ 0\xff")) (void)Cron::parse(std::string(max_text, c));
  (void)Cron::parse("0-59,0-59,0-59,0-59,0-59,0-59,0-59 * * * *");
  EXPECT_FALSE(Cron::parse(std::string(1 << 20, ' ')));
}

}  // namespace
}  // namespace pawl::calendar
