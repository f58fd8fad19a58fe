// How many tasks run at once with so many file descriptors.
#include "app/descriptors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace pawl::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The descriptors that processes, calls and clients would take.
std::size_t cost(const DescriptorShares& shares) {
  return 40 + 6 * shares.processes + 2 * shares.calls + shares.connections;
}

TEST(Descriptors, TheUsualNumbersAreBorneWithUsualLimits) {
  for (const std::size_t limit : {1024UL, 4096UL, 65'536UL, 524'288UL, 1'048'576UL, 1'073'741'816UL}) {
    const auto shares = share_out(limit, {});
    ASSERT_TRUE(shares) << limit;
    EXPECT_EQ(shares->processes, 64U) << limit;
    EXPECT_GE(shares->calls, 200U) << limit;
    EXPECT_GE(shares->connections, 150U) << limit;
  }
  const auto many = share_out(65'536, {});
  EXPECT_EQ(many->calls, 4096U);
  EXPECT_EQ(many->connections, 10'000U);
}

using Asked = std::vector<std::optional<std::int64_t>>;

TEST(Descriptors, NoMoreIsGivenThanThereIsHoweverItIsAsked) {
  for (const std::size_t limit : {64UL, 65UL, 100UL, 256UL, 1000UL, 1024UL, 5000UL, 100'000UL, 2'000'000UL})
    for (const auto processes : Asked{{}, 0, 1, 2, 64, 5000})
      for (const auto calls : Asked{{}, 0, 1, 7, 4096}) {
        const auto shares = share_out(limit, {processes, calls});
        if (!shares) continue;
        EXPECT_LE(cost(*shares), limit);
        EXPECT_GE(shares->processes, 1U);
        EXPECT_GE(shares->calls, 1U);
        EXPECT_GE(shares->connections, 4U);
        EXPECT_TRUE(processes.value_or(0) == 0 || shares->processes == static_cast<std::size_t>(*processes));
        EXPECT_TRUE(calls.value_or(0) == 0 || shares->calls == static_cast<std::size_t>(*calls));
      }
}

TEST(Descriptors, NothingAskedForIsAlwaysBorne) {
  for (std::size_t limit = 0; limit < 5000; ++limit)
    for (const auto all : Asked{{}, 0}) EXPECT_TRUE(share_out(limit, {all, all})) << limit;
}

TEST(Descriptors, TooManyAreRefusedWithTheNumberThatIsNeededAndThatNumberIsEnough) {
  const auto refused = share_out(1024, {.processes = 500, .calls = {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(refused.error().name, "too_few_descriptors");
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("--max-processes 500 needs 3046 file descriptors"),
                                             HasSubstr("1024 are allowed"), HasSubstr("ulimit -n")));
  EXPECT_TRUE(share_out(3046, {.processes = 500, .calls = {}}));
  EXPECT_FALSE(share_out(3045, {.processes = 500, .calls = {}}));
  EXPECT_THAT(share_out(1024, {.processes = {}, .calls = 4096}).error().message,
              HasSubstr("--max-http-calls 4096 needs 8242"));
  EXPECT_THAT(share_out(1024, {.processes = 500, .calls = 4096}).error().message,
              HasSubstr("--max-processes 500 and --max-http-calls 4096 need 11236"));
  EXPECT_THAT(share_out(1024, {.processes = 500, .calls = 0}).error().message,
              HasSubstr("--max-processes 500 needs 3046"));
  EXPECT_FALSE(share_out(1'048'576, {.processes = cli::AtOnce::most, .calls = cli::AtOnce::most}));
}

TEST(Descriptors, ZeroIsAsManyAsTheyBear) {
  const auto processes = share_out(10'000, {.processes = 0, .calls = {}});
  EXPECT_GT(processes->processes, 600U);
  EXPECT_GT(processes->calls, 1900U);
  const auto calls = share_out(100'000, {.processes = {}, .calls = 0});
  EXPECT_EQ(calls->processes, 64U);
  EXPECT_GT(calls->calls, 40'000U);
  const auto both = share_out(10'000, {.processes = 0, .calls = 0});
  EXPECT_NEAR(static_cast<double>(6 * both->processes), static_cast<double>(2 * both->calls), 6);
  EXPECT_EQ(share_out(1'000'000'000, {.processes = 0, .calls = 0})->processes, 1'000'000U);
}

}  // namespace
}  // namespace pawl::app
