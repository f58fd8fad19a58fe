// A person goes on with a run, and takes the workflow's newest version from there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

using testing::HasSubstr;

constexpr std::string_view before = R"(
name: w
inputs: {n: {type: int, default: 1}}
vars: {twice: "${{ inputs.n * 2 }}"}
jobs:
  first:
    tasks:
      - {id: made, run: 'echo ${{ vars.twice }}', outputs: {x: stdout}}
  second:
    needs: first
    tasks:
      - {id: one, run: "true"}
      - {id: two, run: "false"}
)";

// A run of `yaml` that failed in `two`.
void fail_in_two(TestWorld& world) {
  world.start(json::object{{"n", 1}});
  world.finish("made", exits(0, "old\n"));
  world.finish("one");
  world.finish("two", exits(1));
  ASSERT_EQ(world.run().status, RunStatus::failed);
}

std::string changed(std::string_view yaml, std::string_view from, std::string_view to) {
  std::string text(yaml);
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(CurrentVersion, WhatIsDoneStaysDoneAndTheRestRunsAsTheNewVersionSays) {
  TestWorld world(before);
  fail_in_two(world);
  const std::string key = world.newest("two").idempotency_key;
  world.change(
      changed(before, "run: \"false\"", "run: 'echo ${{ jobs.first.tasks.made.outputs.x }} ${{ vars.twice }}'"));
  ASSERT_TRUE(world.resume_with_current(false, json::object{{"n", 4}}));
  EXPECT_EQ(world.attempt().version, 2);
  EXPECT_EQ(world.run().version, 2);
  EXPECT_EQ(world.job_is("first"), "skipped/done");
  EXPECT_EQ(world.task_is("one"), "skipped/done");
  const StartTask two = world.newest("two");
  EXPECT_EQ(two.idempotency_key, key) << "the same work";
  EXPECT_EQ(two.try_number, 2);
  const auto& env = std::get<ProcessInput>(two.input).env;
  EXPECT_EQ(env[0].second, "old") << "outputs of what is done stay";
  EXPECT_EQ(env[1].second, "8") << "vars are computed anew";
  EXPECT_EQ(to_text(world.run().inputs), R"({"n":4})");
  world.finish("two");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.attempts()[0].version, 1) << "what was, was";
  EXPECT_EQ(world.starts_of("one"), 1);
}

TEST(CurrentVersion, WithoutItARunKeepsItsOwn) {
  TestWorld world(before);
  fail_in_two(world);
  world.change(changed(before, "run: \"false\"", "run: \"true\""));
  ASSERT_TRUE(world.resume());
  EXPECT_EQ(world.attempt().version, 1);
  EXPECT_EQ(std::get<ProcessInput>(world.newest("two").input).script, "false");
}

TEST(CurrentVersion, ACrashAfterItGoesOnInTheVersionThatWasTaken) {
  TestWorld world(before);
  fail_in_two(world);
  world.change(changed(before, "run: \"false\"", "run: \"true\""));
  ASSERT_TRUE(world.resume_with_current());
  world.change(changed(before, "run: \"false\"", "run: \"another\""));
  world.crash();
  EXPECT_EQ(world.attempt().number, 3);
  EXPECT_EQ(world.attempt().version, 2);
  EXPECT_EQ(std::get<ProcessInput>(world.newest("two").input).script, "true");
}

TEST(CurrentVersion, ADoneTaskWithoutAnIdIsListedAndRefusedUnlessItMayRunAgain) {
  const std::string unnamed = changed(before, "{id: one, run: \"true\"}", "{run: \"true\"}");
  TestWorld world(unnamed);
  world.start(json::object{{"n", 1}});
  world.finish("made");
  world.finish("task-1");
  world.finish("two", exits(1));
  const std::string key = world.newest("task-1").idempotency_key;
  world.change(changed(unnamed, "run: \"false\"", "run: \"true\""));
  const auto refused = world.resume_with_current();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "tasks_unmatched");
  EXPECT_THAT(refused.error().message, HasSubstr("second/task-1"));
  EXPECT_EQ(world.run().attempt, 1) << "a refusal changes nothing";
  ASSERT_TRUE(world.resume_with_current(true));
  EXPECT_EQ(world.task_is("task-1"), "running");
  EXPECT_NE(world.newest("task-1").idempotency_key, key) << "another generation";
  EXPECT_EQ(world.job_is("first"), "skipped/done");
  world.finish("task-1");
  world.finish("two");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(CurrentVersion, ATaskWithoutAnIdThatIsNotDoneIsNoReasonToRefuse) {
  const std::string unnamed = changed(before, "{id: two, run: \"false\"}", "{run: \"false\"}");
  TestWorld world(unnamed);
  world.start(json::object{{"n", 1}});
  world.finish("made");
  world.finish("one");
  world.finish("task-2", exits(1));
  world.change(changed(unnamed, "run: \"false\"", "run: \"true\""));
  EXPECT_TRUE(world.resume_with_current());
}

TEST(CurrentVersion, AJobThatIsNoMoreIsLeftOutAndANewOneRuns) {
  TestWorld world(before);
  fail_in_two(world);
  world.change(R"(
name: w
inputs: {n: {type: int, default: 1}}
jobs:
  zero:
    tasks: [{id: zero, run: "true"}]
  first:
    needs: zero
    tasks:
      - {id: made, run: "true", outputs: {x: stdout}}
)");
  ASSERT_TRUE(world.resume_with_current());
  EXPECT_EQ(world.task_is("zero"), "running");
  EXPECT_EQ(world.job_is("first"), "skipped/done") << "done, though it needs more now";
  world.finish("zero");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("made"), 1);
}

TEST(CurrentVersion, ANewTaskOfADoneJobRunsAndTheDoneOnesDoNot) {
  TestWorld world(before);
  fail_in_two(world);
  world.change(changed(before, "jobs:\n  first:\n    tasks:\n",
                       "jobs:\n  first:\n    tasks:\n      - {id: new, run: \"true\"}\n"));
  ASSERT_TRUE(world.resume_with_current());
  EXPECT_EQ(world.job_is("first"), "running");
  EXPECT_EQ(world.task_is("new"), "running");
  EXPECT_EQ(world.job_is("second"), "pending");
  world.finish("new");
  EXPECT_EQ(world.task_is("made"), "skipped/done");
  EXPECT_EQ(world.task_is("two"), "running");
}

TEST(CurrentVersion, InputsThatDoNotFitLeaveTheRunAsItWas) {
  TestWorld world(before);
  fail_in_two(world);
  world.change(changed(before, "inputs.n * 2", "inputs.n * 'x'"));
  const auto refused = world.resume_with_current(false, json::object{{"n", 1}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "vars_invalid");
  EXPECT_EQ(world.run().attempt, 1);
  EXPECT_EQ(to_text(world.run().inputs), R"({"n":1})");
}

TEST(CurrentVersion, ASuccessAndAnOpenRunAreRefused) {
  TestWorld world(before);
  world.start(json::object{{"n", 1}});
  world.change(changed(before, "run: \"false\"", "run: \"true\""));
  EXPECT_EQ(world.resume_with_current().error().name, "run_open");
  world.finish("made");
  world.finish("one");
  world.finish("two");
  EXPECT_EQ(world.resume_with_current().error().name, "run_final");
}

TEST(CurrentVersion, OnFailureAndAlwaysAreThoseOfTheNewVersion) {
  TestWorld world(before);
  fail_in_two(world);
  world.change(std::string(before) + "on-failure: [{id: tell, run: \"true\"}]\nalways: [{id: sweep, run: \"true\"}]\n");
  ASSERT_TRUE(world.resume_with_current());
  world.finish("two", exits(1));
  world.finish("tell");
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  const std::string key = world.newest("tell").idempotency_key;
  world.change(std::string(before) + "on-failure: [{run: \"true\"}, {id: tell, run: \"true\"}]\n");
  ASSERT_TRUE(world.resume_with_current()) << "what follows the verdict is not work to be matched";
  world.finish("two", exits(1));
  world.finish("task-1");
  EXPECT_NE(world.newest("tell").idempotency_key, key);
  world.finish("tell");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

constexpr std::string_view grid = R"(
name: grid
jobs:
  test:
    matrix: {os: [a, b]}
    fail-fast: false
    tasks:
      - {id: unit, run: "true"}
  after:
    needs: test
    tasks: [{id: sum, run: "true"}]
)";

void fail_in_b(TestWorld& world) {
  world.start();
  world.finish_in("test[os=a]", "unit");
  world.finish_in("test[os=b]", "unit", exits(1));
  ASSERT_EQ(world.run().status, RunStatus::failed);
}

std::string in_instance(const TestWorld& world, std::string_view name, std::size_t task = 0) {
  const JobRun* const job = world.job_named(name);
  return job ? TestWorld::word(job->tasks[task]) : "none";
}

TEST(CurrentVersion, OfAChangedMatrixTheInstancesThatWereThereGoOn) {
  TestWorld world(grid);
  fail_in_b(world);
  const std::string key = world.newest("unit").idempotency_key;
  world.change(changed(grid, "[a, b]", "[c, b, a]"));
  ASSERT_TRUE(world.resume_with_current());
  EXPECT_EQ(in_instance(world, "test[os=a]"), "skipped/done");
  EXPECT_EQ(in_instance(world, "test[os=b]"), "running");
  EXPECT_EQ(in_instance(world, "test[os=c]"), "running");
  EXPECT_EQ(world.newest("unit").idempotency_key, key) << "b, in its generation";
  EXPECT_EQ(world.newest("unit").try_number, 2);
  world.finish_in("test[os=c]", "unit");
  world.finish_in("test[os=b]", "unit");
  world.finish("sum");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(CurrentVersion, AnInstanceThatIsNoMoreIsLeftOut) {
  TestWorld world(grid);
  fail_in_b(world);
  world.change(changed(grid, "[a, b]", "[a]"));
  ASSERT_TRUE(world.resume_with_current());
  EXPECT_EQ(world.job_is("test"), "success") << "b failed, and is not asked for any more";
  world.finish("sum");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(CurrentVersion, FromAnInstanceThatIsNoMoreNothingCanBeRerun) {
  TestWorld world(grid);
  fail_in_b(world);
  world.change(changed(grid, "[a, b]", "[a]"));
  ASSERT_TRUE(world.resume_with_current());
  world.finish("sum");
  const auto refused = world.rerun("test[os=b]");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "task_unknown");
  EXPECT_TRUE(world.rerun("test[os=a]"));
}

TEST(CurrentVersion, ANewTaskRunsInDoneInstancesToo) {
  TestWorld world(grid);
  fail_in_b(world);
  world.change(changed(grid, "      - {id: unit, run: \"true\"}\n",
                       "      - {id: unit, run: \"true\"}\n      - {id: more, run: \"true\"}\n"));
  ASSERT_TRUE(world.resume_with_current());
  EXPECT_EQ(in_instance(world, "test[os=a]", 0), "skipped/done");
  EXPECT_EQ(in_instance(world, "test[os=a]", 1), "running");
  EXPECT_EQ(in_instance(world, "test[os=b]", 0), "running");
  world.finish_in("test[os=a]", "more");
  world.finish_in("test[os=b]", "unit");
  world.finish_in("test[os=b]", "more");
  world.finish("sum");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(CurrentVersion, DoneTasksOfAJobThatGetsAMatrixAreListedAndRefused) {
  TestWorld world(before);
  fail_in_two(world);
  world.change(changed(before, "  second:\n", "  second:\n    matrix: {os: [a, b]}\n"));
  const auto refused = world.resume_with_current();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "tasks_unmatched");
  EXPECT_THAT(refused.error().message, HasSubstr("second/one"));
  ASSERT_TRUE(world.resume_with_current(true));
  EXPECT_EQ(in_instance(world, "second[os=a]"), "running");
}

TEST(CurrentVersion, DoneInstancesOfAJobThatLosesItsMatrixAreListedAndRefused) {
  TestWorld world(grid);
  fail_in_b(world);
  world.change(changed(grid, "    matrix: {os: [a, b]}\n    fail-fast: false\n", ""));
  const auto refused = world.resume_with_current();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("test[os=a]/unit"));
  ASSERT_TRUE(world.resume_with_current(true));
  EXPECT_EQ(world.task_is("unit"), "running");
}

}  // namespace
}  // namespace pawl::engine
