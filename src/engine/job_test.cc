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
)";

// `left` may fail, `below` needs it, `far` needs `below`; `right` stands alone.
constexpr std::string_view graph = R"(
name: graph
jobs:
  left:
    tasks: [{id: l, run: "true"}]
  right:
    tasks: [{id: r, run: "true"}]
  below:
    needs: left
    tasks: [{id: b, run: "true"}]
  far:
    needs: below
    tasks: [{id: f, run: "true"}]
)";

TEST(Job, TheTasksOfAJobRunOneAfterTheOtherAndTheRunEndsInSuccess) {
  TestWorld world(chain);
  world.start();
  EXPECT_EQ(world.starts_of("one"), 1);
  EXPECT_EQ(world.starts_of("two"), 0);
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.finish("one");
  EXPECT_EQ(world.starts_of("two"), 1);
  world.finish("two");
  EXPECT_EQ(world.job_is("main"), "success");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.run().finished_at, world.now);
}

TEST(Job, AResultAndTheStartThatFollowsItAreOneRecord) {
  TestWorld world(chain);
  world.start();
  world.finish("one");
  ASSERT_TRUE(world.last);
  ASSERT_EQ(world.last->changes.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<TryEnded>(world.last->changes[0]));
  EXPECT_TRUE(std::holds_alternative<TaskStarted>(world.last->changes[1]));
}

TEST(Job, AFailedTaskPassesOverTheLaterTasksOfItsJob) {
  TestWorld world(chain);
  world.start();
  world.finish("one", exits(1));
  EXPECT_EQ(world.task_is("two"), "skipped/upstream");
  EXPECT_EQ(world.job_is("main"), "failed");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

TEST(Job, JobsThatNeedNothingOfEachOtherRunSideBySide) {
  TestWorld world(graph);
  world.start();
  EXPECT_EQ(world.starts_of("l"), 1);
  EXPECT_EQ(world.starts_of("r"), 1);
  EXPECT_EQ(world.starts_of("b"), 0);
}

TEST(Job, AFailedJobSkipsTheJobsThatNeedItAndTheOthersGoOn) {
  TestWorld world(graph);
  world.start();
  world.finish("l", exits(1));
  EXPECT_EQ(world.job_is("below"), "skipped/upstream");
  EXPECT_EQ(world.job_is("far"), "skipped/upstream");
  EXPECT_EQ(world.job_is("right"), "running");
  EXPECT_EQ(world.run().status, RunStatus::running);
  world.finish("r");
  EXPECT_EQ(world.job_is("right"), "success");
  EXPECT_EQ(world.run().status, RunStatus::failed);
  ASSERT_TRUE(world.run().error);
  EXPECT_EQ(world.run().error->code, "task_failed");
}

TEST(Job, AFalseIfSkipsAJobByConditionAndDoesNotSpread) {
  TestWorld world(R"(
name: condition
inputs: {n: {type: int, default: 1}}
jobs:
  first:
    if: inputs.n > 3
    tasks: [{id: one, run: "true"}]
  second:
    needs: first
    tasks: [{id: two, run: "true"}]
)");
  world.start(json::object{{"n", 1}});
  EXPECT_EQ(world.job_is("first"), "skipped/condition");
  EXPECT_EQ(world.task_is("one"), "skipped/condition");
  EXPECT_EQ(world.job_is("second"), "running");
  world.finish("two");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Job, ARunWhoseJobsAreAllSkippedByConditionIsASuccess) {
  TestWorld world(R"(
name: nothing
jobs:
  main: {if: "1 > 2", tasks: [{id: one, run: "true"}]}
)");
  world.start();
  EXPECT_TRUE(world.started.empty());
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Job, AFalseIfSkipsATaskAndTheNextOneRuns) {
  TestWorld world(R"(
name: condition
jobs:
  main:
    tasks:
      - {id: one, if: "false", run: "true"}
      - {id: two, run: "true"}
)");
  world.start();
  EXPECT_EQ(world.task_is("one"), "skipped/condition");
  EXPECT_EQ(world.task_is("two"), "running");
}

constexpr std::string_view afterwards = R"(
name: afterwards
jobs:
  work:
    tasks: [{id: w, run: "true"}]
  between:
    needs: work
    tasks: [{id: between, run: "true"}]
  rescue:
    needs: between
    if: failure()
    tasks: [{id: rescue, run: "true"}]
  tidy:
    needs: between
    if: always()
    tasks: [{id: tidy, run: "true"}]
)";

TEST(Job, FailureHoldsWhenAnyAncestorFailed) {
  TestWorld world(afterwards);
  world.start();
  world.finish("w", exits(1));
  EXPECT_EQ(world.job_is("between"), "skipped/upstream");
  EXPECT_EQ(world.job_is("rescue"), "running");
  EXPECT_EQ(world.job_is("tidy"), "running");
  world.finish("rescue");
  world.finish("tidy");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

TEST(Job, FailureDoesNotHoldAndAlwaysDoesWhenAllWentWell) {
  TestWorld world(afterwards);
  world.start();
  world.finish("w");
  world.finish("between");
  EXPECT_EQ(world.job_is("rescue"), "skipped/condition");
  EXPECT_EQ(world.job_is("tidy"), "running");
  world.finish("tidy");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Job, FailureLetsALaterTaskOfAFailedJobRunAndTheJobStaysFailed) {
  TestWorld world(R"(
name: rescue
jobs:
  main:
    tasks:
      - {id: one, run: "true"}
      - {id: two, run: "true"}
      - {id: rescue, if: failure(), run: "true"}
)");
  world.start();
  world.finish("one", exits(1));
  EXPECT_EQ(world.task_is("two"), "skipped/upstream");
  EXPECT_EQ(world.task_is("rescue"), "running");
  world.finish("rescue");
  EXPECT_EQ(world.job_is("main"), "failed");
}

TEST(Job, AConditionThatIsNoBoolFailsItsJobWithConditionError) {
  TestWorld world(R"(
name: condition
inputs: {flag: {type: object}}
jobs:
  main: {if: inputs.flag.on, tasks: [{id: one, run: "true"}]}
)");
  world.start(json::object{{"flag", json::object{{"on", "maybe"}}}});
  EXPECT_EQ(world.job_is("main"), "failed");
  ASSERT_TRUE(world.job("main").error);
  EXPECT_EQ(world.job("main").error->code, "condition_error");
  EXPECT_TRUE(world.started.empty());
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

TEST(Job, AConditionThatIsNoBoolFailsItsTaskWithConditionError) {
  TestWorld world(R"(
name: condition
inputs: {flag: {type: object}}
jobs:
  main:
    tasks: [{id: one, if: inputs.flag.on, run: "true"}]
)");
  world.start(json::object{{"flag", json::object{{"on", 1}}}});
  EXPECT_EQ(world.task_is("one"), "failed");
  ASSERT_TRUE(world.task("one").error);
  EXPECT_EQ(world.task("one").error->code, "condition_error");
}

TEST(Job, TenThousandSkippedJobsInARowAreWalkedWithoutDeepCalls) {
  std::string text = "name: long\njobs:\n  j0: {if: \"false\", tasks: [{run: \"true\"}]}\n";
  for (int j = 1; j < 10'000; ++j)
    text += fmt::format("  j{}: {{needs: j{}, if: \"false\", tasks: [{{run: \"true\"}}]}}\n", j, j - 1);
  TestWorld world(text);
  world.start();
  EXPECT_EQ(world.run().status, RunStatus::success);
}

}  // namespace
}  // namespace pawl::engine
