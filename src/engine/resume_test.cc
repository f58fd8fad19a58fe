#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view graph = R"(
name: graph
inputs: {n: {type: int, default: 1}}
jobs:
  good:
    tasks: [{id: good, run: "true"}]
  bad:
    tasks:
      - {id: one, run: "true"}
      - {id: two, run: "true", retry: {max: 1, delay: 1s}}
  below:
    needs: bad
    tasks: [{id: below, run: "true"}]
  off:
    if: inputs.n > 3
    tasks: [{id: off, run: "true"}]
)";

void fail_it(TestWorld& world) {
  world.start(json::object{{"n", 1}});
  world.finish("good");
  world.finish("one");
  world.finish("two", exits(1));
  world.pass(1s);
  world.finish("two", exits(1));
  ASSERT_EQ(world.run().status, RunStatus::failed);
}

TEST(Resume, OnlyWhatIsNotSuccessRunsAgain) {
  TestWorld world(graph);
  fail_it(world);
  ASSERT_TRUE(world.resume());
  EXPECT_EQ(world.run().attempt, 2);
  EXPECT_EQ(world.attempt().who.trigger, Trigger::resume);
  EXPECT_EQ(world.run().status, RunStatus::running);
  EXPECT_FALSE(world.run().error);
  EXPECT_EQ(world.job_is("good"), "skipped/done");
  EXPECT_EQ(world.task_is("one"), "skipped/done");
  EXPECT_EQ(world.task_is("two"), "running");
  EXPECT_EQ(world.job_is("off"), "skipped/condition");
  world.finish("two");
  EXPECT_EQ(world.job_is("below"), "running");
  world.finish("below");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("good"), 1);
  EXPECT_EQ(world.starts_of("one"), 1);
}

TEST(Resume, ItStaysInTheGenerationAndGivesAFreshRetryBudget) {
  TestWorld world(graph);
  fail_it(world);
  const std::string key = world.newest("two").idempotency_key;
  ASSERT_TRUE(world.resume());
  EXPECT_EQ(world.newest("two").idempotency_key, key);
  EXPECT_EQ(world.newest("two").try_number, 3);
  world.finish("two", exits(1));
  EXPECT_EQ(world.task_is("two"), "waiting");
}

TEST(Resume, TheEarlierAttemptStaysAsItEnded) {
  TestWorld world(graph);
  fail_it(world);
  ASSERT_TRUE(world.resume());
  const auto attempts = world.attempts();
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_EQ(attempts[0].status, RunStatus::failed);
  EXPECT_EQ(attempts[0].jobs[1].tasks[1].tries.size(), 2U);
  EXPECT_EQ(TestWorld::word(attempts[0].jobs[2]), "skipped/upstream");
}

TEST(Resume, ACancelledRunGoesOnWithoutItsCancel) {
  TestWorld world(graph);
  world.start(json::object{{"n", 1}});
  world.finish("good");
  ASSERT_TRUE(world.cancel());
  world.finish("one", is_stopped());
  ASSERT_EQ(world.run().status, RunStatus::cancelled);
  ASSERT_TRUE(world.resume());
  EXPECT_FALSE(world.attempt().cancel_requested);
  EXPECT_EQ(world.task_is("one"), "running");
  world.finish("one");
  world.finish("two");
  world.finish("below");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Resume, ARunThatEndedByRecoveryLimitCanBeResumedWithAFreshCount) {
  TestWorld world(graph);
  world.start(json::object{{"n", 1}});
  for (int i = 0; i < 4; ++i) {
    world.crash();
    world.pass(1min);
  }
  ASSERT_EQ(world.run().status, RunStatus::failed);
  ASSERT_TRUE(world.resume());
  EXPECT_EQ(world.live().counted_recoveries, 0);
  EXPECT_EQ(world.task_is("one"), "running");
}

TEST(Resume, AnOpenRunIsRefused) {
  TestWorld world(graph);
  world.start(json::object{{"n", 1}});
  const auto answer = world.resume();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::conflict);
  EXPECT_EQ(answer.error().name, "run_open");
  EXPECT_FALSE(world.last);
}

TEST(Resume, OfTwoAtOnceOneWins) {
  TestWorld world(graph);
  fail_it(world);
  EXPECT_TRUE(world.resume());
  EXPECT_EQ(world.resume().error().name, "run_open");
  EXPECT_EQ(world.run().attempt, 2);
}

TEST(Resume, ASuccessIsRefused) {
  TestWorld world(graph);
  fail_it(world);
  ASSERT_TRUE(world.resume());
  world.finish("two");
  world.finish("below");
  EXPECT_EQ(world.resume().error().name, "run_final");
}

}  // namespace
}  // namespace pawl::engine
