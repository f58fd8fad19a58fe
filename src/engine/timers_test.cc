#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view ten_minutes = R"(
name: limited
timeout: 10m
jobs:
  main:
    tasks:
      - {id: one, run: "true", retry: {max: 3, delay: 1h}}
      - {id: two, run: "true"}
      - {id: rescue, if: failure(), run: "true"}
)";

TEST(RunTimeout, ARunThatTakesTooLongIsStoppedAndFailsWithTimeout) {
  TestWorld world(ten_minutes);
  world.start();
  world.pass(10min - 1s);
  EXPECT_TRUE(world.stopped.empty());
  world.pass(1s);
  ASSERT_EQ(world.stopped.size(), 1U);
  world.finish("one", is_stopped());
  EXPECT_EQ(world.starts_of("two"), 0);
  world.finish("rescue");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  ASSERT_TRUE(world.run().error);
  EXPECT_EQ(world.run().error->code, "timeout");
  EXPECT_FALSE(world.attempt().cancel_requested);
}

TEST(RunTimeout, TimeSpentWaitingDoesNotCount) {
  TestWorld world(ten_minutes);
  world.start();
  world.pass(6min);
  world.finish("one", exits(1));
  world.pass(1h);
  EXPECT_EQ(world.starts_of("one"), 2);
  world.pass(4min - 1s);
  EXPECT_TRUE(world.stopped.empty());
  world.pass(1s);
  EXPECT_EQ(world.stopped.size(), 1U);
}

TEST(RunTimeout, TimeSpentDeadDoesNotCount) {
  TestWorld world(ten_minutes);
  world.start();
  world.pass(6min);
  world.crash(1h);
  EXPECT_EQ(world.starts_of("one"), 2);
  world.pass(4min - 1s);
  EXPECT_TRUE(world.stopped.empty());
  world.pass(1s);
  EXPECT_EQ(world.stopped.size(), 1U);
}

TEST(Timer, OneThatComesTooEarlyChangesNothing) {
  TestWorld world(ten_minutes);
  const RunId id = world.start();
  world.finish("one", exits(1));
  world.now += 1min;
  EXPECT_TRUE(world.ask(TimerDue{id}));
  EXPECT_FALSE(world.last);
  EXPECT_EQ(world.starts_of("one"), 1);
}

}  // namespace
}  // namespace pawl::engine
