// Where two things of the language meet and a crash comes between: each of these was once wrong. Most were found by the
// simulator.
#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

TEST(Stop, WhatFollowsTheVerdictHasItsRetriesAndWaits) {
  TestWorld world(
      "name: w\nalways: [{wait: 10s}, {id: sweep, run: x, retry: {max: 1, delay: 5s}}]\n"
      "jobs: {j: {tasks: [{id: work, run: x}]}}");
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("work", is_stopped());
  world.pass(10s);
  world.finish("sweep", exits(1));
  world.pass(5s);
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  EXPECT_EQ(world.job_is("always"), "success");
}

TEST(Stop, AWaitOfTheCleanUpGoesOnAfterACrash) {
  TestWorld world(
      "name: w\njobs: {j: {tasks: [{id: work, run: x}, {id: calm, wait: 10s, if: always()}, {id: tidy, run: x, if: "
      "always()}]}, k: {tasks: [{id: other, run: x}]}}");
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("work", is_stopped());
  EXPECT_EQ(world.task_is("calm"), "waiting");
  world.crash(1s);
  EXPECT_EQ(world.task_is("calm"), "waiting");
  world.pass(10s);
  world.finish("tidy");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  EXPECT_EQ(world.run().attempt, 2) << "the other job was cut off";
  EXPECT_EQ(world.task_is("calm"), "success");
}

TEST(Stop, ASecondCancelOfAMatrixOutlivesACrash) {
  TestWorld world("name: w\njobs: {j: {matrix: {a: [1, 2, 3]}, max-parallel: 2, tasks: [{id: t, run: x}]}}");
  world.start();
  ASSERT_TRUE(world.cancel());
  ASSERT_TRUE(world.cancel());
  world.crash();
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Stop, ARunThatIsCancelledInTheQueueOfItsGroupStartsNothing) {
  TestWorld world(
      "name: w\nconcurrency: {group: g}\nalways: [{id: sweep, run: x}]\n"
      "jobs: {j: {if: always(), tasks: [{id: t, run: x, if: always()}]}}");
  world.start();
  world.start();
  ASSERT_EQ(world.run().waits_for, WaitsFor::group);
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  EXPECT_EQ(world.starts_of("sweep") + world.starts_of("t"), 0);
}

TEST(FailFast, AnInstanceThatWasCutOffStillCleansUp) {
  TestWorld world(
      "name: w\njobs: {j: {matrix: {a: [1, 2]}, tasks: [{id: t, run: x}, {id: calm, wait: 10s, if: always()}]}, k: "
      "{tasks: [{id: other, run: x}]}}");
  world.start();
  world.finish_in("j[a=1]", "t", exits(1));
  world.finish_in("j[a=2]", "t", is_stopped());
  world.crash(1s);
  EXPECT_EQ(world.live().timers.size(), 2U);
  world.pass(10s);
  EXPECT_EQ(world.job_is("j"), "failed");
  world.finish("other");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

TEST(Probation, ARunThatWaitsForAPersonHoldsNobodyUp) {
  TestWorld world("name: w\njobs: {j: {tasks: [{id: t, run: x}, {id: go, approval: true, if: always()}]}}");
  const RunId first = world.start();
  const RunId second = world.start();
  world.crash();
  world.crash();
  world.choose(first);
  world.pass(1s);
  ASSERT_EQ(world.task_is("t"), "running");
  world.finish("t", exits(1));
  ASSERT_EQ(world.run().waits_for, WaitsFor::approval);
  world.choose(second);
  world.pass(1s);
  world.offer();
  EXPECT_EQ(world.task_is("t"), "running");
}

TEST(ResumeJob, AJobThatOnlyWaitsIsNotBegunAnew) {
  TestWorld world(
      "name: w\njobs: {j: {resume: job, tasks: [{id: t, run: x}, {id: go, approval: true}]}, k: {tasks: [{id: other, "
      "run: x}]}}");
  world.start();
  world.finish("t");
  world.crash();
  EXPECT_EQ(world.starts_of("t"), 1);
  EXPECT_EQ(world.task_is("go"), "waiting");
}

TEST(ResumeJob, PastTheLimitOfRecoveriesItIsHeldLikeAnyOther) {
  TestWorld world(
      "name: w\nrecover: {max: 0, then: hold}\njobs: {j: {resume: job, tasks: [{id: a, run: x}, {id: t, run: x}]}}");
  world.start();
  world.finish("a");
  world.crash();
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  EXPECT_EQ(world.starts_of("a"), 1);
}

TEST(Poison, AWaitBeforeItIsNoLongLife) {
  TestWorld world(
      "name: w\nrecover: {max: 1}\njobs: {j: {resume: job, tasks: [{id: calm, wait: 1h}, {id: poison, run: x}]}}");
  world.start();
  for (int i = 0; i < 3 && !is_final(world.run().status); ++i) {
    world.pass(1h);  // probation as well, once it has come to that
    if (world.live().in_flight.empty()) world.pass(1min);
    world.crash();
  }
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.run().error->code, "recovery_limit");
}

TEST(Row, ARunWithATaskThatWaitsForASeatSaysSoWhateverElseItWaitsFor) {
  TestWorld world("name: w\njobs: {j: {tasks: [{id: go, approval: true}]}, k: {tasks: [{id: t, run: x}]}}");
  world.limits.most = {0, 0};
  world.start();
  EXPECT_EQ(world.run().waits_for, WaitsFor::limit) << "a restarted node offers seats to these";
}

TEST(AnotherVersion, ALateResultOfTheOldWorkIsNotTakenForTheNew) {
  TestWorld world("name: w\njobs: {j: {tasks: [{id: a, run: x}]}}");
  world.start();
  TaskFinished late = world.result("a", exits(0));
  late.attempt = 1;
  world.finish("a", exits(1));
  world.change("name: w\njobs: {j: {tasks: [{id: b, run: x}]}}");
  ASSERT_TRUE(world.resume_with_current());
  ASSERT_TRUE(world.ask(late));
  EXPECT_EQ(world.task_is("b"), "running");
}

TEST(AnotherVersion, AnInstanceThatWasDoneRunsTheTasksThatAreNew) {
  TestWorld world("name: w\njobs: {j: {matrix: {a: [1, 2]}, fail-fast: false, tasks: [{id: t, run: x}]}}");
  world.start();
  world.finish_in("j[a=1]", "t");
  world.finish_in("j[a=2]", "t", exits(1));
  world.change("name: w\njobs: {j: {matrix: {a: [1]}, tasks: [{id: t, run: x}, {id: more, run: x}]}}");
  ASSERT_TRUE(world.resume_with_current());
  world.finish_in("j[a=1]", "more");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("t"), 2);
  EXPECT_FALSE(world.rerun("j[a=2]")) << "it is in no list any more";
}

TEST(AnotherVersion, ATaskThatComesBackHasANewKey) {
  constexpr std::string_view with_a = "name: w\njobs: {j: {tasks: [{id: a, run: x}, {id: bad, run: x}]}}";
  TestWorld world(with_a);
  world.start();
  world.finish("a");
  const std::string key = world.newest("a").idempotency_key;
  world.finish("bad", exits(1));
  world.change("name: w\njobs: {j: {tasks: [{id: bad, run: x}]}}");
  ASSERT_TRUE(world.resume_with_current());
  world.finish("bad", exits(1));
  world.change(with_a);
  ASSERT_TRUE(world.resume_with_current());
  EXPECT_NE(world.newest("a").idempotency_key, key);
}

}  // namespace
}  // namespace pawl::engine
