#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view lone = R"(
name: lone
jobs:
  main:
    tasks: [{id: one, run: "true"}]
)";

TEST(Seats, ATaskThatHasNoneWaitsForItAndStartsWhenOneIsFree) {
  TestWorld world(lone);
  world.limits.most = {1, 1};
  const RunId first = world.start();
  world.now += 1s;
  const RunId second = world.start();
  EXPECT_EQ(world.starts_of("one"), 0);
  EXPECT_EQ(world.run().status, RunStatus::waiting);
  EXPECT_EQ(world.run().waits_for, WaitsFor::limit);
  EXPECT_EQ(world.limits.next_waiting(), std::nullopt);
  world.choose(first);
  world.finish("one");
  EXPECT_EQ(world.limits.next_waiting(), second);
  world.choose(second);
  EXPECT_TRUE(world.ask(SeatFree{second}));
  EXPECT_EQ(world.starts_of("one"), 1);
  EXPECT_EQ(world.run().status, RunStatus::running);
}

TEST(Seats, TheOldestRunComesFirst) {
  TestWorld world(lone);
  world.limits.most = {1, 1};
  const RunId first = world.start();
  world.now += 1s;
  const RunId second = world.start();
  world.now += 1s;
  const RunId third = world.start();
  world.choose(first);
  world.finish("one");
  EXPECT_TRUE(world.ask(SeatFree{third}));
  world.choose(third);
  EXPECT_EQ(world.starts_of("one"), 0);
  EXPECT_TRUE(world.ask(SeatFree{second}));
  world.choose(second);
  EXPECT_EQ(world.starts_of("one"), 1);
}

TEST(Seats, HttpTasksDoNotWaitForProcesses) {
  TestWorld world(R"(
name: mixed
jobs:
  a:
    tasks: [{id: a, run: "true"}]
  b:
    tasks: [{id: b, run: "true"}]
  c:
    tasks: [{id: c, http: {url: "http://h/"}}]
)");
  world.limits.most = {1, 1};
  world.start();
  EXPECT_EQ(world.task_is("a"), "running");
  EXPECT_EQ(world.task_is("b"), "waiting");
  EXPECT_EQ(world.task_is("c"), "running");
  EXPECT_EQ(world.run().status, RunStatus::running);
}

TEST(Seats, ACancelledRunNoLongerWaitsForOne) {
  TestWorld world(lone);
  world.limits.most = {0, 0};
  world.start();
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  world.limits.most = {1, 1};
  EXPECT_EQ(world.limits.next_waiting(), std::nullopt);
}

TEST(Seats, ACrashGivesBackTheSeatsOfTheDead) {
  TestWorld world(lone);
  world.limits.most = {1, 1};
  world.start();
  world.crash();
  EXPECT_EQ(world.limits.used[0], 1);
  world.finish("one");
  EXPECT_EQ(world.limits.used[0], 0);
}

}  // namespace
}  // namespace pawl::engine
