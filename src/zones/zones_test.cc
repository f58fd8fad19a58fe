#include "zones/zones.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <optional>

namespace pawl::zones {
namespace {

using namespace std::chrono;
using testing::HasSubstr;

std::int64_t offset_at(std::string_view name, sys_seconds instant) { return (*load(name))->at(instant).offset.count(); }

TEST(Zones, HaveTheRulesOfTheSystemUpTo2199) {
  EXPECT_EQ(offset_at("Asia/Seoul", sys_days(2026y / 7 / 1)), 9 * 3600);
  EXPECT_EQ(offset_at("Asia/Seoul", sys_days(1988y / 7 / 1)), 10 * 3600);
  EXPECT_EQ(offset_at("Europe/Berlin", sys_days(2026y / 7 / 1)), 7200);
  EXPECT_EQ(offset_at("Europe/Berlin", sys_days(2199y / 7 / 1)), 7200);
  EXPECT_EQ(offset_at("Europe/Berlin", sys_days(2199y / 12 / 31)), 3600);
  EXPECT_EQ(offset_at("Asia/Kathmandu", sys_days(1980y / 1 / 1)), 5 * 3600 + 1800);
  EXPECT_EQ(offset_at("UTC", sys_days(2026y / 1 / 1)), 0);
}

TEST(Zones, ChangeAtTheInstantOfTheChange) {
  const auto berlin = *load("Europe/Berlin");
  const sys_seconds change = sys_days(2026y / 3 / 29) + 1h;
  EXPECT_EQ(berlin->at(change - 1s).offset, 1h);
  EXPECT_EQ(berlin->at(change).offset, 2h);
  EXPECT_EQ(berlin->at(change).begin, change);
  EXPECT_EQ(berlin->name(), "Europe/Berlin");
}

TEST(Zones, AllOfThemCanBeLoaded) {
  const auto all = names();
  EXPECT_GT(all.size(), 300U);
  for (const std::string& name : all) {
    const auto zone = load(name);
    ASSERT_TRUE(zone) << name << zone.error().message;
    EXPECT_LT((*zone)->stretches().size(), 1000U) << name;
  }
  EXPECT_THAT(all, testing::Contains("America/Argentina/ComodRivadavia"));
  EXPECT_THAT(all, testing::Not(testing::Contains(HasSubstr("posix"))));
}

TEST(Zones, AreKeptOnceLoaded) { EXPECT_EQ(*load("Asia/Seoul"), *load("Asia/Seoul")); }

TEST(Zones, SayInOneSentenceWhatIsWrongWithAName) {
  EXPECT_EQ(problem_of("Asia/Seoul"), "");
  EXPECT_EQ(problem_of("UTC"), "");
  EXPECT_EQ(problem_of("Seoul"), "`Seoul` is no time zone; did you mean Asia/Seoul?");
}

TEST(Zones, AnUnknownNameIsAnsweredWithANearOne) {
  const auto message = [](std::string_view name) {
    const auto zone = load(name);
    EXPECT_FALSE(zone) << name;
    if (zone) return std::string();
    EXPECT_EQ(zone.error().name, "timezone_unknown");
    return zone.error().message;
  };
  EXPECT_THAT(message("asia/seoul"), HasSubstr("did you mean Asia/Seoul?"));
  EXPECT_THAT(message("Seoul"), HasSubstr("did you mean Asia/Seoul?"));
  EXPECT_THAT(message("Europe/Berln"), HasSubstr("did you mean Europe/Berlin?"));
  EXPECT_THAT(message("Mars/Phobos"), HasSubstr("`Mars/Phobos` is no time zone"));
  EXPECT_THAT(message(""), HasSubstr("such as Asia/Seoul or UTC"));
}

TEST(Zones, NothingButTheFolderOfTheZonesIsRead) {
  for (const char* name :
       {"/etc/passwd", "/usr/share/zoneinfo/Asia/Seoul", "file:/etc/localtime", "../zoneinfo/Asia/Seoul",
        "Asia/../Asia/Seoul", "posix/Asia/Seoul", "right/UTC", "localtime", "Factory", "zone.tab", "Asia", "Asia/",
        "Asia//Seoul", "Asia/Seoul\n", "UTC+3", "Fixed/UTC+03:00:00", "."})
    EXPECT_FALSE(load(name)) << name;
  EXPECT_FALSE(load(std::string_view("Asia/Seoul\0", 11)));
  EXPECT_FALSE(load(std::string(10'000, 'A')));
}

class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = ::getenv(name)) before_ = before;
    ::setenv(name, value, 1);
  }
  ~Variable() {
    if (before_)
      ::setenv(name_, before_->c_str(), 1);
    else
      ::unsetenv(name_);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST(LocalZone, IsWhatTheVariableSays) {
  for (const auto& [value, name] : {std::pair{"Asia/Seoul", "Asia/Seoul"},
                                    {":Europe/Berlin", "Europe/Berlin"},
                                    {"/usr/share/zoneinfo/America/New_York", "America/New_York"},
                                    {"", "UTC"}}) {
    const Variable set("TZ", value);
    EXPECT_EQ(local_name(), name) << value;
  }
  const Variable set("TZ", "KST-9");
  ASSERT_FALSE(local_name());
  EXPECT_THAT(local_name().error().message, HasSubstr("the variable TZ: `KST-9` is no time zone"));
}

TEST(LocalZone, WithoutTheVariableIsAZoneThereIs) {
  const Variable set("TZ", "");
  ::unsetenv("TZ");
  const auto name = local_name();
  ASSERT_TRUE(name) << name.error().message;
  EXPECT_TRUE(load(*name)) << *name;
}

TEST(Zones, WithoutAnyFilesAreMissingAndUtcIsThere) {
  const Variable elsewhere("TZDIR", "/nonexistent");
  EXPECT_TRUE(load("UTC"));
  const auto zone = load("Asia/Nowhere");
  ASSERT_FALSE(zone);
  EXPECT_EQ(zone.error().code, Code::unavailable);
  EXPECT_THAT(zone.error().message, HasSubstr("install tzdata"));
  EXPECT_EQ(data_version(), "");
}

}  // namespace
}  // namespace pawl::zones
