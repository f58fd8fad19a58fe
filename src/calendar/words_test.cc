#include "calendar/words.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <random>

namespace pawl::calendar {
namespace {

struct Said {
  std::string cron, english, korean;
};

std::vector<Said> table() {
  std::ifstream file("tests/cron/words.txt");
  EXPECT_TRUE(file) << "tests/cron/words.txt is looked for from the project's root";
  std::vector<Said> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    Said row{line, "", ""};
    std::getline(file, row.english);
    std::getline(file, row.korean);
    rows.push_back(row);
  }
  return rows;
}

TEST(Words, SayWhatTheExpressionMeansInBothLanguages) {
  const auto rows = table();
  EXPECT_GE(rows.size(), 60U);
  for (const Said& row : rows) {
    const auto cron = Cron::parse(row.cron);
    ASSERT_TRUE(cron) << row.cron;
    EXPECT_EQ(describe(*cron, Language::english), row.english) << row.cron;
    EXPECT_EQ(describe(*cron, Language::korean), row.korean) << row.cron;
  }
}

TEST(Words, AreOfTheLanguageOfALocale) {
  EXPECT_EQ(language_of("ko_KR.UTF-8"), Language::korean);
  EXPECT_EQ(language_of("en"), Language::english);
  EXPECT_EQ(language_of("en_US"), Language::english);
  EXPECT_EQ(language_of("C.UTF-8"), std::nullopt);
  EXPECT_EQ(language_of("kok_IN"), std::nullopt);
  EXPECT_EQ(language_of(""), std::nullopt);
}

// Two expressions that fire at other times may not be told alike: a word that leaves something out would be false of one.
TEST(Words, TellDifferentExpressionsApart) {
  std::mt19937 random(1);
  const auto number = [&](int low, int high) { return std::uniform_int_distribution(low, high)(random); };
  const auto field = [&](int low, int high) {
    const int from = number(low, high), to = number(from, high), step = number(1, (high - low) / 2);
    switch (number(0, 6)) {
      case 0: return std::string("*");
      case 1: return "*/" + std::to_string(step);
      case 2: return std::to_string(from) + "-" + std::to_string(to);
      case 3: return std::to_string(from) + "-" + std::to_string(to) + "/" + std::to_string(step);
      case 4: return std::to_string(from) + "/" + std::to_string(step) + "," + std::to_string(number(low, high));
      case 5: return std::to_string(from) + "," + std::to_string(number(low, high));
      default: return std::to_string(from);
    }
  };
  struct Seen {
    std::string cron;
    std::uint64_t seconds, minutes;
    std::uint32_t hours;
    std::vector<std::uint32_t> days;
    bool operator==(const Seen& other) const {
      return seconds == other.seconds && minutes == other.minutes && hours == other.hours && days == other.days;
    }
  };
  std::map<std::string, Seen> english, korean;
  for (int i = 0; i < 6'000; ++i) {
    // Narrow fields meet each other again.
    const bool clock = i % 2 == 0;
    const std::string text = clock ? field(0, 59) + " " + field(0, 59) + " " + field(0, 23) + " * * ?"
                                   : "0 8 " + field(1, 31) + " " + field(1, 12) + " " + field(0, 6);
    const auto cron = Cron::parse(text);
    ASSERT_TRUE(cron) << text;
    Seen seen{text, cron->seconds(), cron->minutes(), cron->hours(), {}};
    for (const int year : {2027, 2028})
      for (int month = 1; month <= 12; ++month) seen.days.push_back(cron->matching_days(year, month));
    const auto one = english.emplace(describe(*cron, Language::english), seen).first;
    EXPECT_EQ(one->second, seen) << one->first << ": " << one->second.cron << " and " << text;
    const auto other = korean.emplace(describe(*cron, Language::korean), seen).first;
    EXPECT_EQ(other->second, seen) << other->first << ": " << other->second.cron << " and " << text;
  }
}

}  // namespace
}  // namespace pawl::calendar
