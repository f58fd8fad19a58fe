#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view chain = R"(
name: chain
jobs:
  main:
    tasks:
      - {id: one, run: "true"}
      - {id: two, run: "true"}
      - {id: three, run: "true"}
  after:
    needs: main
    tasks: [{id: after, run: "true"}]
)";

TEST(Recovery, TheAttemptThatWasCutOffEndsAndNothingInItStaysOpen) {
  TestWorld world(chain);
  world.start();
  world.finish("one");
  world.crash();
  const Attempt cut = world.attempts().at(0);
  EXPECT_EQ(cut.status, RunStatus::failed);
  ASSERT_TRUE(cut.error);
  EXPECT_EQ(cut.error->code, "interrupted");
  EXPECT_EQ(cut.error->message, "interrupted by system restart");
  EXPECT_EQ(cut.finished_at, world.now);
  EXPECT_EQ(TestWorld::word(cut.jobs[0]), "failed");
  EXPECT_EQ(cut.jobs[0].error->code, "interrupted");
  EXPECT_EQ(TestWorld::word(cut.jobs[1]), "skipped/interrupted");
  EXPECT_EQ(TestWorld::word(cut.jobs[0].tasks[0]), "success");
  EXPECT_EQ(TestWorld::word(cut.jobs[0].tasks[1]), "failed");
  EXPECT_EQ(cut.jobs[0].tasks[1].tries.at(0).status, TryStatus::interrupted);
  EXPECT_EQ(TestWorld::word(cut.jobs[0].tasks[2]), "skipped/interrupted");
  EXPECT_EQ(TestWorld::word(cut.jobs[1].tasks[0]), "skipped/interrupted");
}

TEST(Recovery, ANewAttemptOfTheSameRunBegins) {
  TestWorld world(chain);
  const RunId id = world.start();
  const std::string trace = world.run().trace_id;
  world.crash();
  EXPECT_EQ(world.run().id, id);
  EXPECT_EQ(world.run().trace_id, trace);
  EXPECT_EQ(world.run().attempt, 2);
  EXPECT_EQ(world.attempt().number, 2);
  EXPECT_EQ(world.attempt().who.trigger, Trigger::recovery);
  EXPECT_EQ(world.attempt().who.client, "system-recovery");
  EXPECT_EQ(world.attempt().who.user_agent, "workflow-system-recovery");
  EXPECT_EQ(world.newest("one").attempt, 2);
}

TEST(Recovery, ADoneTaskIsNotStartedAgainAndShowsTheAttemptThatDidIt) {
  TestWorld world(chain);
  world.start();
  world.finish("one");
  world.crash();
  EXPECT_EQ(world.starts_of("one"), 1);
  EXPECT_EQ(world.task_is("one"), "skipped/done");
  EXPECT_EQ(world.task("one").done_in_attempt, 1);
  world.finish("two");
  world.crash();
  EXPECT_EQ(world.task("one").done_in_attempt, 1);
  EXPECT_EQ(world.task_is("two"), "skipped/done");
  EXPECT_EQ(world.task("two").done_in_attempt, 2);
}

TEST(Recovery, OutputsOfADoneTaskCanStillBeRead) {
  TestWorld world(R"(
name: outputs
jobs:
  main:
    tasks:
      - {id: one, run: "true", outputs: {word: stdout}}
      - {id: two, run: "echo ${{ tasks.one.outputs.word }}"}
)");
  world.start();
  world.finish("one", exits(0, "hello"));
  world.crash();
  EXPECT_EQ(std::get<ProcessInput>(world.newest("two").input).env, (Pairs{{"PAWL_E1", "hello"}}));
}

TEST(Recovery, ATaskThatWasInFlightIsStartedAgainWithTheSameKey) {
  TestWorld world(chain);
  world.start();
  const std::string key = world.newest("one").idempotency_key;
  world.crash();
  EXPECT_EQ(world.starts_of("one"), 2);
  EXPECT_EQ(world.newest("one").try_number, 2);
  EXPECT_EQ(world.newest("one").idempotency_key, key);
}

TEST(Recovery, AResultFromBeforeTheCrashChangesNothing) {
  TestWorld world(chain);
  world.start();
  const TaskFinished late = world.result("one");
  world.crash();
  EXPECT_TRUE(world.ask(late));
  EXPECT_FALSE(world.last);
  EXPECT_EQ(world.task_is("one"), "running");
}

TEST(Recovery, ARecoveredRunComesToItsEnd) {
  TestWorld world(chain);
  world.start();
  world.finish("one");
  world.crash();
  for (const auto* task : {"two", "three", "after"}) world.finish(task);
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.job_is("main"), "success");
}

TEST(Recovery, TheSameInstantStandsForNowInEveryTryOfAGeneration) {
  TestWorld world(R"(
name: clock
jobs:
  main:
    tasks: [{id: one, run: "echo ${{ now() }}"}]
)");
  world.start();
  const auto first = std::get<ProcessInput>(world.newest("one").input).env;
  world.crash(1h);
  EXPECT_EQ(std::get<ProcessInput>(world.newest("one").input).env, first);
}

constexpr std::string_view side_by_side = R"(
name: sides
jobs:
  a:
    tasks: [{id: a, run: "true", retry: {max: 1, delay: 1h}}]
  b:
    tasks: [{id: b, run: "true"}]
)";

TEST(Recovery, AFailureIsRepeatedAsItWas) {
  TestWorld world(side_by_side);
  world.start();
  world.finish("b", exits(7));
  world.crash();
  EXPECT_EQ(world.starts_of("b"), 1);
  EXPECT_EQ(world.task_is("b"), "failed");
  EXPECT_EQ(world.task("b").error->message, "exit code 7");
  EXPECT_EQ(world.job_is("b"), "failed");
  world.finish("a");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.run().error->code, "task_failed");
}

TEST(Recovery, AWaitingRetryKeepsItsDueTime) {
  TestWorld world(side_by_side);
  world.start();
  world.finish("a", exits(1));
  const auto due = world.task("a").due;
  world.crash(1min);
  EXPECT_EQ(world.attempt().number, 2);
  EXPECT_EQ(world.task_is("a"), "waiting");
  EXPECT_EQ(world.task("a").due, due);
  world.pass(*due - world.now);
  EXPECT_EQ(world.newest("a").try_number, 2);
}

TEST(Recovery, FailedTriesCarryOverAndTheInterruptedOneDoesNotCount) {
  TestWorld world(side_by_side);
  world.start();
  world.finish("a", exits(1));
  world.pass(1h);
  world.crash();
  EXPECT_EQ(world.newest("a").try_number, 3);
  world.finish("a", exits(1));
  EXPECT_EQ(world.task_is("a"), "failed");
}

TEST(Recovery, OnCrashFailRecordsTheTaskAsInterrupted) {
  TestWorld world(R"(
name: once
jobs:
  main:
    tasks:
      - {id: one, run: "true", on-crash: fail}
      - {id: two, run: "true"}
      - {id: rescue, if: failure(), run: "true"}
)");
  world.start();
  world.crash();
  EXPECT_EQ(world.starts_of("one"), 1);
  EXPECT_EQ(world.task_is("one"), "failed");
  EXPECT_EQ(world.task("one").error->code, "interrupted");
  EXPECT_EQ(world.task_is("two"), "skipped/upstream");
  world.finish("rescue");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

constexpr std::string_view whole_job = R"(
name: whole
recover: {max: 5}
jobs:
  main:
    resume: job
    tasks:
      - {id: one, run: "true"}
      - {id: two, run: "true"}
)";

TEST(Recovery, AJobThatAsksForItBeginsAgainWithANewGenerationAndKey) {
  TestWorld world(whole_job);
  world.start();
  const std::string key = world.newest("one").idempotency_key;
  world.finish("one");
  world.crash();
  EXPECT_EQ(world.starts_of("one"), 2);
  EXPECT_EQ(world.task_is("two"), "pending");
  EXPECT_EQ(world.task("one").generation, 2);
  EXPECT_NE(world.newest("one").idempotency_key, key);
}

TEST(Recovery, AJobThatWasAskedToStopDoesNotBeginAgain) {
  TestWorld world(R"(
name: stopped
jobs:
  main:
    resume: job
    tasks:
      - {id: one, run: "true"}
      - {id: held, on-crash: hold, if: always(), run: "true"}
      - {id: tidy, if: always(), run: "true"}
)");
  world.start();
  world.finish("one");
  world.crash();
  ASSERT_EQ(world.task_is("held"), "waiting");
  ASSERT_TRUE(world.cancel());
  ASSERT_EQ(world.task_is("held"), "cancelled");
  world.crash();
  world.pass(1min);
  EXPECT_EQ(world.task_is("one"), "skipped/done");
  EXPECT_EQ(world.task_is("held"), "cancelled");
  EXPECT_EQ(world.starts_of("held"), 1);
  EXPECT_EQ(world.starts_of("tidy"), 2);
  world.finish("tidy");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Recovery, ConditionsAreNotEvaluatedAgain) {
  TestWorld world(R"(
name: conditions
jobs:
  first:
    if: run.attempt == 1
    tasks: [{id: one, if: run.attempt == 1, run: "true"}]
  never:
    if: run.attempt == 2
    tasks: [{id: never, run: "true"}]
)");
  world.start();
  world.crash();
  EXPECT_EQ(world.job_is("first"), "running");
  EXPECT_EQ(world.task_is("one"), "running");
  EXPECT_EQ(world.job_is("never"), "skipped/condition");
}

TEST(Recovery, ARunWithoutATryInFlightIsAdoptedAndNothingIsWritten) {
  TestWorld world(side_by_side);
  world.start();
  world.finish("b");
  world.finish("a", exits(1));
  const std::size_t records = world.records();
  const auto due = world.run().due;
  world.crash();
  EXPECT_FALSE(world.last);
  EXPECT_EQ(world.records(), records);
  EXPECT_EQ(world.attempt().number, 1);
  EXPECT_EQ(world.run().due, due);
  world.pass(1h);
  EXPECT_EQ(world.starts_of("a"), 2);
}

TEST(Poison, FromTheSecondCountedRecoveryOnTheRunWaitsBeforeItGoesOn) {
  TestWorld world(chain);
  world.start();
  world.crash();
  EXPECT_EQ(world.starts_of("one"), 2);
  for (const Duration wait : {Duration(1s), Duration(10s)}) {
    const int starts = world.starts_of("one");
    world.crash();
    EXPECT_EQ(world.run().status, RunStatus::queued);
    EXPECT_EQ(world.run().waits_for, WaitsFor::timer);
    EXPECT_EQ(world.run().due, world.now + wait);
    EXPECT_EQ(world.starts_of("one"), starts);
    world.pass(wait);
    EXPECT_EQ(world.starts_of("one"), starts + 1);
    EXPECT_EQ(world.run().status, RunStatus::running);
  }
}

TEST(Poison, WhenRecoverMaxIsPassedTheRunFailsWithRecoveryLimit) {
  TestWorld world(chain);
  world.start();
  for (int i = 0; i < 3; ++i) {
    world.crash();
    world.pass(1min);
  }
  EXPECT_EQ(world.starts_of("one"), 4);
  world.crash();
  EXPECT_EQ(world.starts_of("one"), 4);
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.run().attempt, 4);
  ASSERT_TRUE(world.run().error);
  EXPECT_EQ(world.run().error->code, "recovery_limit");
  EXPECT_FALSE(next_due(world.live()));
}

TEST(Poison, ANewlyFinishedTaskSetsTheCountBack) {
  TestWorld world(chain);
  world.start();
  world.crash();
  world.finish("one");
  world.crash();
  EXPECT_EQ(world.live().counted_recoveries, 1);
  EXPECT_EQ(world.starts_of("two"), 2);
}

TEST(Poison, ATaskThatIsDoneOverAndOverIsNoProgress) {
  TestWorld world(whole_job);
  world.start();
  world.finish("one");
  world.crash();
  EXPECT_EQ(world.live().counted_recoveries, 1);
  world.finish("one");
  world.crash();
  EXPECT_EQ(world.live().counted_recoveries, 2);
  EXPECT_EQ(world.run().status, RunStatus::queued);
}

TEST(Poison, ALifeLongerThanTheWindowSetsTheCountBack) {
  TestWorld world(chain);
  world.start();
  world.crash();
  world.pass(11min);
  world.crash();
  EXPECT_EQ(world.live().counted_recoveries, 0);
  EXPECT_EQ(world.starts_of("one"), 3);
}

TEST(Poison, OfTheRunsOnProbationOnlyOneWorksAtATime) {
  TestWorld world(chain);
  const RunId first = world.start();
  world.now += 1s;
  const RunId second = world.start();
  world.crash();
  world.crash();
  world.choose(first);
  world.pass(1s);
  EXPECT_EQ(world.starts_of("one"), 3);
  world.choose(second);
  EXPECT_TRUE(world.ask(TimerDue{second}));
  EXPECT_EQ(world.starts_of("one"), 2);
  EXPECT_EQ(world.run().waits_for, WaitsFor::limit);
  EXPECT_EQ(world.limits.next_waiting(), std::nullopt);
  world.choose(first);
  world.finish("one");
  EXPECT_EQ(world.limits.next_waiting(), second);
  world.choose(second);
  EXPECT_TRUE(world.ask(SeatFree{second}));
  EXPECT_EQ(world.starts_of("one"), 3);
}

TEST(StopOnRequest, TheRecoveryThatFollowsSaysSoAndIsNotCounted) {
  TestWorld world(chain);
  const RunId id = world.start();
  EXPECT_TRUE(world.ask(RunCutOff{id}));
  world.crash();
  EXPECT_EQ(world.attempts().at(0).error->message, "interrupted by system stop");
  EXPECT_EQ(world.live().counted_recoveries, 0);
  EXPECT_EQ(world.starts_of("one"), 2);
}

TEST(StopOnRequest, ItLeavesTheCountAsItIs) {
  TestWorld world(chain);
  const RunId id = world.start();
  world.crash();
  EXPECT_TRUE(world.ask(RunCutOff{id}));
  world.crash();
  EXPECT_EQ(world.live().counted_recoveries, 1);
}

constexpr std::string_view two_jobs = R"(
name: two
jobs:
  a:
    tasks: [{id: ended, run: "true", retry: {max: 3}}, {id: later, run: "true"}]
  b:
    tasks: [{id: saved, run: "true"}]
)";

TEST(StopOnRequest, ATryThatTheStopHasEndedIsNoFailureAndTheRestOfTheRunMayFinish) {
  TestWorld world(two_jobs);
  world.start();
  const std::string key = world.newest("ended").idempotency_key;
  world.finish("ended", is_interrupted());
  EXPECT_TRUE(world.stopped.empty());
  EXPECT_EQ(world.live().in_flight.size(), 2U) << "the recovery cuts it off";
  world.finish("saved");
  world.crash();
  const auto attempts = world.attempts();
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_EQ(attempts[0].error->message, "interrupted by system stop");
  EXPECT_EQ(attempts[0].jobs[0].tasks[0].tries.at(0).status, TryStatus::interrupted);
  EXPECT_EQ(attempts[0].jobs[0].tasks[0].tries.at(0).error->message, "interrupted by system stop");
  EXPECT_EQ(world.live().counted_recoveries, 0);
  EXPECT_EQ(world.starts_of("saved"), 1);
  EXPECT_EQ(world.starts_of("ended"), 2);
  EXPECT_EQ(world.newest("ended").idempotency_key, key);
  world.finish("ended");
  world.finish("later");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(StopOnRequest, ItIsNotedOnceHoweverManyTriesItHasEnded) {
  TestWorld world(two_jobs);
  world.start();
  world.finish("ended", is_interrupted());
  EXPECT_TRUE(world.last);
  world.finish("saved", is_interrupted());
  EXPECT_FALSE(world.last);
  world.crash();
  EXPECT_EQ(world.starts_of("ended"), 2);
  EXPECT_EQ(world.starts_of("saved"), 2);
}

TEST(StopOnRequest, ATryThatTheStopHasEndedGoesOnByItsOnCrash) {
  TestWorld world(R"(
name: two
jobs:
  fails:
    tasks: [{id: fails, run: "true", on-crash: fail}]
  held:
    tasks: [{id: held, run: "true", on-crash: hold}]
)");
  world.start();
  world.finish("fails", is_interrupted());
  world.finish("held", is_interrupted());
  world.crash();
  const Attempt& now = world.live().attempt;
  EXPECT_EQ(TestWorld::word(now.jobs[0].tasks[0]), "failed");
  EXPECT_EQ(now.jobs[0].tasks[0].error->code, "interrupted");
  EXPECT_EQ(now.jobs[1].tasks[0].waits_for, WaitsFor::release);
  EXPECT_EQ(world.starts_of("fails") + world.starts_of("held"), 2);
}

TEST(StopOnRequest, AResultThatComesTwiceOrTooLateNotesNothing) {
  TestWorld world(chain);
  world.start();
  const TaskFinished late = world.result("one", is_interrupted());
  world.finish("one");
  EXPECT_TRUE(world.ask(late));
  EXPECT_FALSE(world.last);
  world.crash();
  EXPECT_EQ(world.attempts().at(0).error->message, "interrupted by system restart");
}

}  // namespace
}  // namespace pawl::engine
