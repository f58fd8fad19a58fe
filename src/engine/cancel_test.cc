#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view with_clean_up = R"(
name: cancel
jobs:
  main:
    tasks:
      - {id: one, run: "true", grace: 3s}
      - {id: two, run: "true"}
      - {id: tidy, if: always(), run: "true"}
  after:
    needs: main
    tasks: [{id: after, run: "true"}]
)";

constexpr std::string_view plain = R"(
name: cancel
jobs:
  main:
    tasks:
      - {id: one, run: "true", retry: {max: 1, delay: 1h}}
      - {id: two, run: "true"}
)";

TEST(Cancel, ARunningTaskIsToldToStopAndWhatIsPendingNeverStarts) {
  TestWorld world(plain);
  world.start();
  ASSERT_TRUE(world.cancel());
  ASSERT_EQ(world.stopped.size(), 1U);
  EXPECT_EQ(world.stopped[0].try_number, 1);
  EXPECT_EQ(world.run().status, RunStatus::running);
  EXPECT_TRUE(world.attempt().cancel_requested);
  world.finish("one", is_stopped());
  EXPECT_EQ(world.task_is("one"), "cancelled");
  EXPECT_EQ(world.task_is("two"), "cancelled");
  EXPECT_EQ(world.starts_of("two"), 0);
  EXPECT_EQ(world.job_is("main"), "cancelled");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, AProcessGetsItsGrace) {
  TestWorld world(with_clean_up);
  world.start();
  ASSERT_TRUE(world.cancel());
  ASSERT_EQ(world.stopped.size(), 1U);
  EXPECT_EQ(world.stopped[0].grace, Duration(3s));
}

TEST(Cancel, ASuccessThatComesAfterItIsKept) {
  TestWorld world(plain);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("one");
  EXPECT_EQ(world.task_is("one"), "success");
  EXPECT_EQ(world.task_is("two"), "cancelled");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, AFailureThatComesAfterItIsNotRetried) {
  TestWorld world(plain);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("one", exits(1));
  EXPECT_EQ(world.task_is("one"), "failed");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, ATaskThatWaitsForItsRetryIsCancelledAtOnce) {
  TestWorld world(plain);
  world.start();
  world.finish("one", exits(1));
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.task_is("one"), "cancelled");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  EXPECT_FALSE(next_due(world.live()));
}

TEST(Cancel, CleanUpThatAsksForItStillRuns) {
  TestWorld world(with_clean_up);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("one", is_stopped());
  EXPECT_EQ(world.task_is("two"), "cancelled");
  EXPECT_EQ(world.task_is("tidy"), "running");
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.finish("tidy");
  EXPECT_EQ(world.task_is("tidy"), "success");
  EXPECT_EQ(world.job_is("after"), "cancelled");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, ASecondCancelStopsTheCleanUpHard) {
  TestWorld world(with_clean_up);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("one", is_stopped());
  ASSERT_TRUE(world.cancel());
  ASSERT_EQ(world.stopped.size(), 2U);
  EXPECT_EQ(world.stopped[1].grace, Duration{});
  world.finish("tidy", is_stopped());
  EXPECT_EQ(world.task_is("tidy"), "cancelled");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, AfterASecondCancelNoCleanUpBegins) {
  TestWorld world(with_clean_up);
  world.start();
  ASSERT_TRUE(world.cancel());
  ASSERT_TRUE(world.cancel());
  world.finish("one", is_stopped());
  EXPECT_EQ(world.starts_of("tidy"), 0);
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, CleanUpThatTakesMoreThanFiveMinutesIsStopped) {
  TestWorld world(with_clean_up);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("one", is_stopped());
  world.pass(5min - 1s);
  EXPECT_EQ(world.stopped.size(), 1U);
  world.pass(1s);
  EXPECT_EQ(world.stopped.size(), 2U);
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.finish("tidy", is_stopped());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, OfARunThatIsKilledForItsTimeIsInTheHistory) {
  TestWorld world(R"(
name: cancel
timeout: 1m
jobs:
  main:
    tasks:
      - {id: one, run: "true"}
      - {id: tidy, if: always(), run: "true"}
)");
  world.start();
  world.pass(1min);
  world.finish("one", is_stopped());
  world.pass(5min);
  ASSERT_EQ(world.task_is("tidy"), "running");
  ASSERT_FALSE(world.attempt().cancel_requested);
  ASSERT_TRUE(world.cancel());
  EXPECT_TRUE(world.attempt().cancel_requested);
  world.finish("tidy", is_stopped());
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.run().error->code, "timeout");
}

TEST(Cancel, AFinalRunCannotBeCancelled) {
  TestWorld world(plain);
  world.start();
  world.finish("one");
  world.finish("two");
  const auto answer = world.cancel();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::conflict);
  EXPECT_EQ(answer.error().name, "run_final");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Cancel, ItOutlivesACrash) {
  TestWorld world(plain);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.crash();
  EXPECT_EQ(world.starts_of("one"), 1);
  EXPECT_EQ(world.task_is("one"), "cancelled");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Cancel, CleanUpThatWasCutOffByACrashIsDoneAgain) {
  TestWorld world(with_clean_up);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("one", is_stopped());
  world.crash();
  EXPECT_EQ(world.starts_of("tidy"), 2);
  EXPECT_EQ(world.starts_of("one"), 1);
  world.finish("tidy");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

}  // namespace
}  // namespace pawl::engine
