#include <gtest/gtest.h>

#include "engine/step.h"
#include "engine/test_world.h"

namespace pawl::engine {
namespace {

std::string retried(std::string_view retry) {
  return fmt::format("name: retried\njobs:\n  main:\n    tasks: [{{id: one, run: \"true\", retry: {}}}]\n", retry);
}

TEST(Retry, AFailedTryWaitsForItsDelay) {
  TestWorld world(retried("{max: 1, delay: 10s}"));
  world.start();
  world.finish("one", exits(1));
  EXPECT_EQ(world.task_is("one"), "waiting");
  EXPECT_EQ(world.run().status, RunStatus::waiting);
  EXPECT_EQ(world.run().waits_for, WaitsFor::retry);
  EXPECT_EQ(world.run().due, world.now + 10s);
  world.pass(9s);
  EXPECT_EQ(world.starts_of("one"), 1);
  world.pass(1s);
  EXPECT_EQ(world.starts_of("one"), 2);
  EXPECT_EQ(world.run().status, RunStatus::running);
}

TEST(Retry, AllTriesOfAGenerationCarryTheSameKey) {
  TestWorld world(retried("{max: 1, delay: 10s}"));
  world.start();
  const std::string key = world.newest("one").idempotency_key;
  world.finish("one", exits(1));
  world.pass(10s);
  EXPECT_EQ(world.newest("one").try_number, 2);
  EXPECT_EQ(world.newest("one").idempotency_key, key);
}

TEST(Retry, ATryThatSucceedsEndsItsTaskInSuccess) {
  TestWorld world(retried("{max: 3, delay: 1s}"));
  world.start();
  world.finish("one", times_out());
  world.pass(1s);
  world.finish("one");
  EXPECT_EQ(world.task_is("one"), "success");
  EXPECT_FALSE(world.task("one").error);
  EXPECT_EQ(world.task("one").tries.at(0).status, TryStatus::timed_out);
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Retry, TheDelayGrowsByBackoffUpToMaxDelay) {
  TestWorld world(retried("{max: 4, delay: 1s, backoff: 2, max-delay: 3s}"));
  world.start();
  for (const Duration delay : {Duration(1s), Duration(2s), Duration(3s), Duration(3s)}) {
    world.finish("one", exits(1));
    EXPECT_EQ(world.run().due, world.now + delay);
    world.pass(delay);
  }
  EXPECT_EQ(world.starts_of("one"), 5);
}

TEST(Retry, WhenTheBudgetIsUsedUpTheTaskFailsWithTheCauseOfItsLastTry) {
  TestWorld world(retried("{max: 1, delay: 1s}"));
  world.start();
  world.finish("one", exits(1));
  world.pass(1s);
  world.finish("one", exits(2, "", "second"));
  EXPECT_EQ(world.task_is("one"), "failed");
  ASSERT_TRUE(world.run().error);
  EXPECT_EQ(world.run().error->code, "task_failed");
  EXPECT_EQ(to_text(world.run().error->cause), R"({"exit_code":2,"stderr":"second"})");
}

TEST(Retry, JitterStaysWithinItsShare) {
  const Retry retry{.max = 1, .delay = 10s, .jitter = 0.5};
  Duration least = 1h, most{};
  for (std::uint64_t seed = 0; seed < 1'000; ++seed) {
    const Duration delay = retry_delay(retry, 1, seed);
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  EXPECT_GE(least, Duration(5s));
  EXPECT_LE(most, Duration(15s));
  EXPECT_LT(least, Duration(6s));
  EXPECT_GT(most, Duration(14s));
}

TEST(Retry, AHugeBackoffIsCappedAtAYearAndDoesNotOverflow) {
  EXPECT_EQ(retry_delay({.max = 1'000, .delay = 1s, .backoff = 1000}, 1'000, 0), Duration(24h * 365));
}

}  // namespace
}  // namespace pawl::engine
