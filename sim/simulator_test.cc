#include "sim/simulator.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace pawl::sim {
namespace {

TEST(Simulator, TheSameSeedMakesTheSameHistory) {
  log::configure(log::Level::off, log::Format::text);
  for (const std::uint64_t seed : {7, 8, 9}) {
    const Outcome first = simulate({.seed = seed});
    const Outcome second = simulate({.seed = seed});
    EXPECT_EQ(first.hash, second.hash);
    EXPECT_EQ(first.steps, second.steps);
  }
}

TEST(Simulator, PromisesHoldOverManySeeds) {
  log::configure(log::Level::off, log::Format::text);
  std::uint64_t runs = 0;
  std::uint64_t crashes = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = simulate({.seed = seed});
    EXPECT_TRUE(outcome.violations.empty()) << "seed " << seed << ": " << outcome.violations.front();
    runs += outcome.runs;
    crashes += outcome.crashes;
  }
  // A simulator in which nothing happens proves nothing.
  EXPECT_GT(runs, 100U);
  EXPECT_GT(crashes, 20U);
}

}  // namespace
}  // namespace pawl::sim
