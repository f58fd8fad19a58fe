// pawl cron.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "cli/test_world.h"

namespace pawl::cli {
namespace {

using testing::HasSubstr;

class Cron : public testing::Test {
 protected:
  Cron() {
    for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) ::unsetenv(name);
    ::setenv("TZ", "Asia/Seoul", 1);
  }
  ~Cron() override { ::unsetenv("TZ"); }

  static Json json(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"cron", "--json"});
    const Said said = call(arguments);
    EXPECT_EQ(said.err, "");
    return *parse_json(said.out);
  }
};

TEST_F(Cron, TellsWhatAnExpressionMeansAndWhenItFires) {
  const Said said = call({"cron", "--tz", "Asia/Seoul", "--after", "2026-11-23T00:00:00Z", "-n", "2", "0 0 8 * * ?"});
  EXPECT_EQ(said.exit, 0);
  EXPECT_EQ(said.err, "");
  EXPECT_EQ(said.out,
            "At 08:00 every day\n"
            "\n"
            "Asia/Seoul               offset  UTC\n"
            "Tue 2026-11-24 08:00:00  +09:00  2026-11-23 23:00:00\n"
            "Wed 2026-11-25 08:00:00  +09:00  2026-11-24 23:00:00\n");
}

TEST_F(Cron, MarksWhatTheChangesOfTheClockDo) {
  const Said said = call({"cron", "--tz", "Europe/Berlin", "--after", "2026-03-28T00:00:00Z", "-n", "3", "30 2 * * *"});
  EXPECT_THAT(said.out,
              HasSubstr("Sun 2026-03-29 03:00:00  +02:00  2026-03-29 01:00:00  forward by 1h; moved: the time "
                        "asked for does not exist\n"
                        "Mon 2026-03-30 02:30:00  +02:00  2026-03-30 00:30:00\n"));
  EXPECT_THAT(call({"cron", "--tz", "Europe/Berlin", "--after", "2026-10-25T00:00:00Z", "-n", "4", "30 * * * *"}).out,
              HasSubstr("Sun 2026-10-25 02:30:00  +02:00  2026-10-25 00:30:00  first of two\n"
                        "Sun 2026-10-25 02:30:00  +01:00  2026-10-25 01:30:00  back by 1h; second of two\n"
                        "Sun 2026-10-25 03:30:00  +01:00  2026-10-25 02:30:00\n"));
}

TEST_F(Cron, AnswersWithJson) {
  const Json answer = json({"--after", "1795392000", "-n", "3", "0 8 * * 1-5"});
  EXPECT_EQ(pawl::to_text(answer),
            R"({"cron":"0 8 * * 1-5","tz":"Asia/Seoul","description":"At 08:00, Monday to Friday",)"
            R"("next":[1795474800,1795561200,1795647600]})");
  EXPECT_EQ(json({"0 8 * * *"}).at("next").as_array().size(), 10);
  EXPECT_EQ(
      json({"--after", "2026-11-23T09:00:00.7+09:00", "-n", "1", "@every 90s"}).at("next").as_array()[0].as_int64(),
      1795392090);
}

TEST_F(Cron, RefusesAnExpressionWithFieldAndPosition) {
  Said said = call({"cron", "0 0 12 * * *"});
  EXPECT_EQ(said.exit, 1);
  EXPECT_EQ(said.out, "");
  EXPECT_THAT(said.err,
              HasSubstr("pawl: day of week (position 12): with 6 or 7 fields one of the day fields must be `?`: "
                        "write `0 0 12 * * ?`"));
  said = call({"cron", "--json", "0 0 24 * * ?"});
  EXPECT_EQ(said.exit, 1);
  const Json error = parse_json(said.out)->at("error");
  EXPECT_EQ(find_string(error, "code"), "cron_invalid");
  EXPECT_EQ(find_string(error, "field"), "hours");
  EXPECT_EQ(find_int(error, "position"), 5);
  EXPECT_THAT(std::string(find_string(error, "message")), HasSubstr("24 is no hour"));
}

TEST_F(Cron, AnEmptyExpressionIsInvalidAndNoWrongUsage) {
  for (const char* text : {"", " "}) {
    EXPECT_EQ(call({"cron", text}).exit, 1);
    EXPECT_EQ(call({"cron", "--json", "--", text}).exit, 1);
  }
  EXPECT_EQ(call({"cron", "--", "-1 * * * *"}).exit, 1);
}

TEST_F(Cron, WithoutAFurtherFireTimeIsFine) {
  const Said said = call({"cron", "0 0 30 2 *"});
  EXPECT_EQ(said.exit, 0);
  EXPECT_EQ(said.out, "At 00:00, on 30 February. There is no such day: it never fires\n");
  EXPECT_EQ(json({"0 0 30 2 *"}).at("next").as_array().size(), 0);
  EXPECT_THAT(call({"cron", "0 0 0 1 1 ? 2020"}).out, HasSubstr("no further fire time up to the end of 2199"));
  EXPECT_EQ(
      json({"--after", "2199-12-31T00:00:00Z", "--tz", "UTC", "-n", "5", "0 0/8 * * *"}).at("next").as_array().size(),
      2);
}

TEST_F(Cron, WarnsOfDigitsForWeekdays) {
  const Said said = call({"cron", "0 0 8 ? * 2-6"});
  EXPECT_EQ(said.exit, 0);
  EXPECT_THAT(said.err,
              HasSubstr("pawl: warning: day of week (position 11): with 6 or 7 fields the weekday 1 is Sunday"));
  const Json answer = json({"0 0 8 ? * 2-6"});
  EXPECT_EQ(find_string(answer.at("warnings").as_array()[0], "field"), "day_of_week");
  EXPECT_FALSE(json({"0 0 8 ? * MON-FRI"}).as_object().contains("warnings"));
}

TEST_F(Cron, SpeaksTheLanguageOfTheOptionOrTheEnvironment) {
  EXPECT_EQ(find_string(json({"--lang", "ko", "0 8 * * *"}), "description"), "매일 08:00에 실행");
  ::setenv("LANG", "ko_KR.UTF-8", 1);
  EXPECT_EQ(find_string(json({"0 8 * * *"}), "description"), "매일 08:00에 실행");
  EXPECT_THAT(call({"cron", "--after", "0", "0 8 * * *"}).out, HasSubstr("금 1970-01-02"));
  EXPECT_EQ(find_string(json({"--lang", "en", "0 8 * * *"}), "description"), "At 08:00 every day");
  ::setenv("LC_ALL", "C.UTF-8", 1);
  EXPECT_EQ(find_string(json({"0 8 * * *"}), "description"), "At 08:00 every day");
  ::unsetenv("LC_ALL");
  ::unsetenv("LANG");
}

TEST_F(Cron, WrongUsageIsTwo) {
  const std::vector<std::vector<std::string>> wrong{{"cron"},
                                                    {"cron", "--after", "tomorrow", "* * * * *"},
                                                    {"cron", "-n", "0", "* * * * *"},
                                                    {"cron", "--lang", "fr", "* * * * *"},
                                                    {"cron", "--tz", "Mars/Phobos", "* * * * *"},
                                                    {"cron", "0", "8", "*", "*", "*"}};
  for (const auto& arguments : wrong) EXPECT_EQ(call(arguments).exit, 2) << testing::PrintToString(arguments);
  EXPECT_THAT(call({"cron", "0", "8", "*", "*", "*"}).err, HasSubstr("put it in quotes"));
  EXPECT_THAT(call({"cron", "--tz", "asia/seoul", "@daily"}).err, HasSubstr("did you mean Asia/Seoul?"));
  const Said said = call({"cron", "--json", "--tz", "Seoul", "@daily"});
  EXPECT_EQ(find_string(parse_json(said.out)->at("error"), "code"), "timezone_unknown");
}

}  // namespace
}  // namespace pawl::cli
