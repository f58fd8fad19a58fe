// Waits, approvals, holds, groups, and what follows the verdict.
#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

TEST(Wait, HoldsNoSeatKeepsItsDueTimeOverACrashAndEndsWhenItIsDue) {
  TestWorld world("name: w\njobs: {j: {tasks: [{id: pause, wait: 10m}, {id: then, run: 'true'}]}}");
  world.start();
  EXPECT_EQ(world.task_is("pause"), "waiting");
  EXPECT_EQ(world.run().waits_for, WaitsFor::timer);
  EXPECT_EQ(world.limits.used[0], 0);
  world.pass(4min);
  world.crash(3min);
  EXPECT_EQ(world.run().attempt, 1) << "adopted: nothing was in flight";
  world.pass(2min + 59s);
  EXPECT_EQ(world.task_is("pause"), "waiting");
  world.pass(1s);
  EXPECT_EQ(world.task_is("pause"), "success");
  world.finish("then");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Wait, UntilWhatHasPassedIsNone) {
  TestWorld world("name: w\njobs: {j: {tasks: [{wait: {until: '2020-01-01T00:00:00Z'}}]}}");
  world.start();
  EXPECT_EQ(world.run().status, RunStatus::success);
}

constexpr std::string_view asking = R"(
name: asking
jobs:
  j:
    tasks:
      - {id: human, approval: {message: "Publish ${{ run.number }}?", expires: 3d}}
      - {id: then, run: 'echo ${{ tasks.human.outputs.approved_by }}'}
)";

TEST(Approval, WaitsForAPersonAndSaysWhatIsAsked) {
  TestWorld world(asking);
  world.start();
  EXPECT_EQ(world.run().waits_for, WaitsFor::approval);
  EXPECT_EQ(world.task("human").message, "Publish 1?");
  world.crash();
  EXPECT_EQ(world.run().attempt, 1);
  EXPECT_FALSE(world.answer("j", "then", Answered::approved));
  EXPECT_FALSE(world.answer("j", "human", Answered::done)) << "it is no release";
  ASSERT_TRUE(world.answer("j", "human", Answered::approved));
  EXPECT_EQ(world.task("human").response->who.user, "kim");
  const auto again = world.answer("j", "human", Answered::rejected);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().name, "not_waiting");
  world.finish("then");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Approval, RejectedOrExpiredItFails) {
  TestWorld world(asking);
  world.start();
  ASSERT_TRUE(world.answer("j", "human", Answered::rejected));
  EXPECT_EQ(world.task("human").error->code, "approval_rejected");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  world.start();
  world.pass(std::chrono::days(3));
  EXPECT_EQ(world.task("human").error->code, "approval_expired");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

constexpr std::string_view holding = R"(
name: holding
jobs: {j: {tasks: [{id: pay, run: 'true', on-crash: hold, outputs: {receipt: stdout}}, {id: then, run: 'true'}]}}
)";

TEST(Hold, ACutOffTaskWaitsForARelease) {
  TestWorld world(holding);
  world.start();
  world.crash();
  EXPECT_EQ(world.run().attempt, 2);
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  EXPECT_EQ(world.starts_of("pay"), 1);
  world.crash();
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  EXPECT_FALSE(world.answer("j", "pay", Answered::done, json::object{{"other", 1}})) << "no declared output";
  ASSERT_TRUE(world.answer("j", "pay", Answered::done, json::object{{"receipt", "r1"}}));
  EXPECT_EQ(to_text(*world.task("pay").outputs), R"({"receipt":"r1"})");
  world.finish("then");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Hold, ReleasedAsRerunItKeepsItsNameAndAsFailedItFails) {
  TestWorld world(holding);
  world.start();
  const std::string key = world.newest("pay").idempotency_key;
  world.crash();
  ASSERT_TRUE(world.answer("j", "pay", Answered::rerun));
  EXPECT_EQ(world.newest("pay").idempotency_key, key);
  world.crash();
  ASSERT_TRUE(world.answer("j", "pay", Answered::fail));
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

TEST(Hold, PastTheLimitOfRecoveriesARunMayWaitForAPerson) {
  TestWorld world("name: w\nrecover: {max: 1, then: hold}\njobs: {j: {tasks: [{id: a, run: 'true'}]}}");
  world.start();
  world.crash();
  world.crash();
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  ASSERT_TRUE(world.answer("j", "a", Answered::rerun));
  world.finish("a");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

constexpr std::string_view cleaning = R"(
name: cleaning
recover: {max: 0}
on-failure: [{id: tell, run: 'echo ${{ run.error.message }}'}]
always: [{id: sweep, run: 'echo ${{ run.outcome }}'}]
jobs: {j: {tasks: [{id: work, run: 'true'}]}}
)";

TEST(Reserved, OnFailureFollowsAFailureAndAlwaysFollowsAll) {
  TestWorld world(cleaning);
  world.start();
  world.finish("work", exits(1));
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.finish("tell", exits(1));
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.run().error->message, "job j: task work: exit code 1") << "not what follows the verdict";
  world.start();
  world.finish("work");
  world.finish("sweep", exits(1));
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.job_is("on-failure"), "skipped/condition");
  EXPECT_EQ(world.job_is("always"), "failed");
}

TEST(Reserved, TheVerdictOutlivesACrash) {
  TestWorld world("name: w\nalways: [{id: sweep, run: 'true'}]\njobs: {j: {tasks: [{id: work, run: 'true'}]}}");
  world.start();
  world.finish("work", exits(1));
  world.crash();
  EXPECT_EQ(world.starts_of("work"), 1);
  EXPECT_EQ(world.starts_of("sweep"), 2) << "at least once";
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

TEST(Reserved, TheyFollowACancelToo) {
  TestWorld world(cleaning);
  world.start();
  ASSERT_TRUE(world.cancel());
  world.finish("work", is_stopped());
  EXPECT_EQ(world.starts_of("tell"), 0);
  EXPECT_EQ(world.starts_of("sweep"), 1);
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
}

TEST(Reserved, TheyFollowTheLimitOfRecoveries) {
  TestWorld world(cleaning);
  world.start();
  world.crash();
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.finish("tell");
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.run().error->code, "recovery_limit");
}

TEST(Failures, ThatDoNotCountLeaveTheRunASuccess) {
  TestWorld world("name: w\njobs: {j: {tasks: [{id: a, run: 'true', continue-on-error: true}, {id: b, run: 'true'}]}}");
  world.start();
  world.finish("a", exits(1));
  world.finish("b");
  EXPECT_EQ(world.task_is("a"), "failed");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Failures, AreKeptForTheEndWithKeepGoing) {
  TestWorld world(
      "name: w\nkeep-going: true\njobs: {j: {tasks: [{id: a, run: 'true'}, {id: b, run: 'true'}]}, "
      "k: {needs: j, tasks: [{id: c, run: 'true'}]}}");
  world.start();
  world.finish("a", exits(1));
  world.finish("b");
  EXPECT_EQ(world.job_is("j"), "failed");
  world.finish("c");
  EXPECT_EQ(world.job_is("k"), "success");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

constexpr std::string_view grouped = R"(
name: grouped
inputs: {tag: {type: string, default: a}}
concurrency: {group: "blog-${{ inputs.tag }}"}
jobs: {j: {tasks: [{id: a, run: 'true'}]}}
)";

Json tag(const char* text) { return json::object{{"tag", text}}; }

TEST(Group, OneRunHasThePlaceAndTheOthersQueueInTheirOrder) {
  TestWorld world(grouped);
  const RunId first = world.start(tag("a")), second = world.start(tag("a")), third = world.start(tag("a"));
  EXPECT_EQ(world.run().status, RunStatus::queued);
  EXPECT_EQ(world.run().waits_for, WaitsFor::group);
  const RunId other = world.start(tag("b"));
  EXPECT_EQ(world.run().status, RunStatus::running);
  EXPECT_NE(other, first);
  world.choose(first);
  world.crash();
  world.offer();
  EXPECT_EQ(world.run().status, RunStatus::running) << "a crash gives no place away";
  world.finish("a");
  world.offer();
  world.choose(third);
  EXPECT_EQ(world.run().status, RunStatus::queued);
  world.choose(second);
  EXPECT_EQ(world.run().status, RunStatus::running);
}

TEST(Group, AQueuedRunThatIsCancelledLeavesTheQueue) {
  TestWorld world(grouped);
  const RunId first = world.start(tag("a")), second = world.start(tag("a")), third = world.start(tag("a"));
  world.choose(second);
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  world.choose(first);
  world.finish("a");
  world.offer();
  world.choose(third);
  EXPECT_EQ(world.run().status, RunStatus::running);
}

TEST(Group, CancelRunningEndsTheHolderAndStartsOnlyThen) {
  std::string yaml(grouped);
  yaml.insert(yaml.find('}', yaml.find("concurrency")) + 3, "");
  const auto at = yaml.find("\"}\njobs");
  yaml.replace(at, 2, "\", on-conflict: cancel-running}");
  TestWorld world(yaml);
  const RunId first = world.start(tag("a"));
  const RunId second = world.start(tag("a"));
  ASSERT_EQ(world.stopped.size(), 1U);
  EXPECT_EQ(world.run().status, RunStatus::queued);
  world.choose(first);
  world.finish("a", is_stopped());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  world.offer();
  world.choose(second);
  EXPECT_EQ(world.run().status, RunStatus::running);
}

TEST(Rerun, FromATaskThrowsItAndWhatFollowsAway) {
  TestWorld world(
      "name: w\njobs: {j: {tasks: [{id: a, run: 'true'}, {id: b, run: 'true'}, {id: c, run: 'true'}]}, "
      "k: {needs: j, tasks: [{id: d, run: 'true'}]}, l: {tasks: [{id: e, run: 'true'}]}}");
  world.start();
  for (const char* task : {"e", "a", "b", "c", "d"}) world.finish(task);
  const std::string key = world.newest("b").idempotency_key;
  EXPECT_FALSE(world.rerun("j/nothing"));
  ASSERT_TRUE(world.rerun("j/b"));
  EXPECT_EQ(world.task_is("a"), "skipped/done");
  EXPECT_EQ(world.task_is("e"), "skipped/done");
  EXPECT_NE(world.newest("b").idempotency_key, key);
  const auto open = world.rerun("j");
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().name, "run_open");
  for (const char* task : {"b", "c", "d"}) world.finish(task);
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("a"), 1);
  EXPECT_EQ(world.starts_of("d"), 2);
}

}  // namespace
}  // namespace pawl::engine
