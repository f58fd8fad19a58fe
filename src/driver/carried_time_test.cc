#include "driver/carried_time.h"

#include <gtest/gtest.h>

namespace pawl::driver {
namespace {

using namespace std::chrono_literals;

const Duration noon = (std::chrono::sys_days(std::chrono::year(2026) / 11 / 23) + 12h).time_since_epoch();
constexpr Duration boot = 5h;

TEST(CarriedTime, AJumpOfTheMachinesClockMovesNothing) {
  for (const Duration jump : {Duration(24h), Duration(-24h), Duration(3s), Duration(-3s)}) {
    CarriedTime time(noon, boot);
    EXPECT_EQ(time.at(noon + 1s, boot + 1s), Instant(noon + 1s));
    EXPECT_EQ(time.at(noon + 2s + jump, boot + 2s), Instant(noon + 2s));
    EXPECT_EQ(time.at(noon + 1h + jump, boot + 1h), Instant(noon + 1h));
    EXPECT_EQ(time.at(noon + 2h, boot + 2h), Instant(noon + 2h)) << "and back";
  }
}

TEST(CarriedTime, SmallCorrectionsAreFollowedWithoutAStepBack) {
  CarriedTime time(noon, boot);
  EXPECT_EQ(time.at(noon + 11s, boot + 10s), Instant(noon + 11s));
  EXPECT_EQ(time.at(noon + 11s - 1s, boot + 10s), Instant(noon + 11s)) << "it stands still instead";
  EXPECT_EQ(time.at(noon + 12s, boot + 12s), Instant(noon + 12s));
  // A clock that is slewed by some thousandths is right in the end.
  for (int n = 0; n < 1000; ++n) time.at(noon + 12s + n * 1001ms, boot + 12s + n * 1000ms);
  EXPECT_EQ(time.at(noon + 12s + 1000 * 1001ms, boot + 12s + 1000 * 1000ms), Instant(noon + 12s + 1001s));
}

TEST(CarriedTime, ASleepOfTheMachinePasses) {
  CarriedTime time(noon, boot);
  EXPECT_EQ(time.at(noon + 8h, boot + 8h), Instant(noon + 8h));
}

TEST(CarriedTime, WhatIsStoredIsNotOvertakenByAClockThatWentBackMeanwhile) {
  CarriedTime time(noon - 24h, boot);
  EXPECT_EQ(time.go_on_from(Instant(noon)), 24h);
  EXPECT_EQ(time.at(noon - 24h, boot), Instant(noon));
  EXPECT_EQ(time.at(noon - 24h + 10s, boot + 10s), Instant(noon + 10s));
}

TEST(CarriedTime, AClockThatIsRightIsLeftAlone) {
  CarriedTime time(noon, boot);
  EXPECT_EQ(time.go_on_from(Instant(noon - 1h)), 0s);
  EXPECT_EQ(time.at(noon + 1s, boot + 1s), Instant(noon + 1s));
}

TEST(CarriedTime, WhatLiesFarAheadWasWrittenByAClockThatWasWrong) {
  CarriedTime time(noon, boot);
  EXPECT_EQ(time.go_on_from(Instant(noon + 24h * 365)), 24h * 365);
  EXPECT_EQ(time.at(noon + 1s, boot + 1s), Instant(noon + 1s));
}

}  // namespace
}  // namespace pawl::driver
