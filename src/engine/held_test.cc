// Tasks that are held, and persons who answer while the run itself is held back.
#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

// Two runs were cut off twice: the first, which is returned, has its turn, and the second, which is chosen, waits for its own.
RunId turn_after_several_crashes(TestWorld& world) {
  const RunId first = world.start();
  world.now += 1s;
  const RunId second = world.start();
  world.crash();
  world.crash();
  world.choose(first);
  world.pass(1s);
  world.choose(second);
  EXPECT_TRUE(world.ask(TimerDue{second}));
  return first;
}

TEST(Hold, ComesBeforeResumeJob) {
  TestWorld world(R"(
name: w
jobs:
  j:
    resume: job
    tasks: [{id: a, run: 'true'}, {id: pay, on-crash: hold, run: 'true'}]
)");
  world.start();
  world.finish("a");
  const std::string key = world.newest("pay").idempotency_key;
  world.crash();
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  EXPECT_EQ(world.task_is("a"), "skipped/done");
  ASSERT_TRUE(world.answer("j", "pay", Answered::rerun));
  EXPECT_EQ(world.newest("pay").idempotency_key, key);
  world.finish("pay");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("a"), 1);
}

TEST(Hold, OnCrashFailComesBeforeResumeJobToo) {
  TestWorld world(R"(
name: w
jobs:
  j:
    resume: job
    tasks: [{id: a, run: 'true'}, {id: once, on-crash: fail, run: 'true'}]
)");
  world.start();
  world.finish("a");
  world.crash();
  EXPECT_EQ(world.task_is("once"), "failed");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.starts_of("a"), 1);
}

TEST(Hold, ARunThatKeepsKillingTheServerIsHeldThoughItsJobsBeginAgain) {
  TestWorld world("name: w\nrecover: {max: 1, then: hold}\njobs: {j: {resume: job, tasks: [{id: a, run: 'true'}]}}");
  world.start();
  world.crash();
  world.crash();
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  EXPECT_EQ(world.starts_of("a"), 2);
}

TEST(Hold, AJobThatOnlyWaitsIsNotBegunAgainBecauseAnotherWasCutOff) {
  TestWorld world(R"(
name: w
jobs:
  waits:
    resume: job
    tasks: [{id: a, run: 'true'}, {id: ask, approval: true}]
  works:
    tasks: [{id: b, run: 'true'}]
)");
  world.start();
  world.finish("a");
  world.crash();
  EXPECT_EQ(world.run().attempt, 2);
  EXPECT_EQ(world.task_is("a"), "skipped/done");
  EXPECT_EQ(world.task_is("ask"), "waiting");
  EXPECT_TRUE(world.answer("waits", "ask", Answered::approved));
}

constexpr std::string_view asks_and_kills = R"(
name: w
jobs:
  asks:
    tasks: [{id: ask, approval: true}, {id: then, run: 'true'}]
  kills:
    tasks: [{id: kill, run: 'true'}, {id: more, run: 'true'}]
)";

TEST(Answer, GivenToARunThatWaitsAfterSeveralCrashesLetsItGoOn) {
  TestWorld world(asks_and_kills);
  world.start();
  world.crash();
  world.crash();
  ASSERT_EQ(world.run().status, RunStatus::queued) << "the second counted recovery waits";
  ASSERT_TRUE(world.answer("asks", "ask", Answered::approved));
  EXPECT_EQ(world.live().counted_recoveries, 0);
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.finish("then");
  world.finish("kill");
  world.finish("more");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Answer, OfARunThatWaitsForItsTurnLeavesNothingToOffer) {
  TestWorld world(asks_and_kills);
  const RunId first = turn_after_several_crashes(world);
  ASSERT_EQ(world.run().waits_for, WaitsFor::limit);
  ASSERT_TRUE(world.answer("asks", "ask", Answered::rejected));
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.choose(first);
  world.finish("kill");
  EXPECT_EQ(world.limits.next_waiting(), std::nullopt);
}

TEST(Answer, OutputsGivenByAPersonAreBoundedLikeAllOthers) {
  TestWorld world("name: w\njobs: {j: {tasks: [{id: a, on-crash: hold, run: 'true', outputs: {x: stdout}}]}}");
  world.start();
  world.crash();
  const auto refused = world.answer("j", "a", Answered::done, json::object{{"x", json::string(2 << 20, 'x')}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "outputs_invalid");
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  EXPECT_TRUE(world.answer("j", "a", Answered::done, json::object{{"x", "short"}}));
}

TEST(Answer, WhatIsAskedIsCutWhereNobodyWouldReadOn) {
  TestWorld world(R"(
name: w
inputs: {text: {type: string}}
jobs: {j: {tasks: [{id: ask, approval: {message: '${{ inputs.text }}'}}]}}
)");
  world.start(json::object{{"text", json::string(100'000, 'x')}});
  EXPECT_EQ(world.task("ask").message, std::string(16 * 1024, 'x') + "…");
}

TEST(Reserved, AlwaysCanAskWhetherTheRunWasCancelled) {
  TestWorld world(R"(
name: w
always: [{id: told, if: cancelled(), run: 'true'}, {id: sweep, run: 'true'}]
jobs: {j: {tasks: [{id: a, approval: true}]}}
)");
  world.start();
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.task_is("told"), "running");
  world.finish("told");
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  world.start();
  ASSERT_TRUE(world.answer("j", "a", Answered::approved));
  EXPECT_EQ(world.task_is("told"), "skipped/condition");
}

TEST(Cancel, OfARunThatWaitsForItsTurnLeavesNothingToOffer) {
  TestWorld world("name: w\nalways: [{id: sweep, run: 'true'}]\njobs: {j: {tasks: [{id: a, run: 'true'}]}}");
  const RunId first = turn_after_several_crashes(world);
  ASSERT_EQ(world.run().waits_for, WaitsFor::limit);
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.task_is("sweep"), "running");
  world.choose(first);
  world.finish("a");
  EXPECT_EQ(world.limits.next_waiting(), std::nullopt) << "it would be offered for ever";
}

}  // namespace
}  // namespace pawl::engine
