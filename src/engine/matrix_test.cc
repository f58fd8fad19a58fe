#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

using testing::ElementsAre;

constexpr std::string_view grid = R"(
name: grid
jobs:
  test:
    matrix: {os: [a, b], db: [x, y], exclude: [{os: b, db: x}]}
    max-parallel: 2
    tasks:
      - {id: unit, run: 'echo ${{ matrix.os }}', outputs: {x: stdout}}
      - {id: more, run: "true"}
  after:
    needs: test
    tasks: [{id: sum, run: 'echo ${{ toJSON(jobs.test.instances.*.tasks.unit.outputs.x) }}'}]
)";

// As `grid`, but a failure leaves the others alone.
std::string slow_to_fail() {
  std::string yaml(grid);
  yaml.insert(yaml.find("    max-parallel"), "    fail-fast: false\n");
  return yaml;
}

std::string variable(const StartTask& task, std::string_view name) {
  for (const auto& [key, value] : std::get<ProcessInput>(task.input).env)
    if (key == name) return value;
  return {};
}

TEST(Matrix, InstancesAreTheCombinationsWithoutTheExcludedAndNoMoreRunThanAllowed) {
  TestWorld world(grid);
  world.start();
  EXPECT_THAT(world.jobs_in_flight(), ElementsAre("test[db=x,os=a]", "test[db=y,os=a]"));
  EXPECT_EQ(variable(world.newest("unit"), "PAWL_E1"), "a");
  world.finish_in("test[db=x,os=a]", "unit");
  EXPECT_EQ(world.started.size(), 3U) << "the next task of the same instance, and no other instance yet";
  world.finish_in("test[db=x,os=a]", "more");
  EXPECT_THAT(world.jobs_in_flight(), ElementsAre("test[db=y,os=a]", "test[db=y,os=b]"));
}

TEST(Matrix, AnotherJobReadsTheOutputsOfAllInstancesInTheOrderOfTheList) {
  TestWorld world(grid);
  world.start();
  for (const char* name : {"test[db=y,os=a]", "test[db=x,os=a]", "test[db=y,os=b]"}) {
    world.finish_in(name, "unit", exits(0, name));
    world.finish_in(name, "more");
  }
  EXPECT_EQ(world.job_is("test"), "success");
  EXPECT_EQ(variable(world.newest("sum"), "PAWL_E1"), R"(["test[db=x,os=a]","test[db=y,os=a]","test[db=y,os=b]"])");
  world.finish("sum");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Matrix, AFailureStopsTheOthersAndWhatHasNotBegunIsCancelled) {
  TestWorld world(grid);
  world.start();
  world.finish_in("test[db=x,os=a]", "unit", exits(1));
  ASSERT_EQ(world.stopped.size(), 1U);
  world.finish_in("test[db=y,os=a]", "unit", is_stopped());
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.job_is("test"), "failed");
  EXPECT_EQ(world.job_is("after"), "skipped/upstream");
  const auto& jobs = world.attempt().jobs;
  ASSERT_EQ(jobs.size(), 5U);
  EXPECT_EQ(jobs[2].status, WorkStatus::failed);
  EXPECT_EQ(jobs[3].status, WorkStatus::cancelled);
  EXPECT_EQ(jobs[4].status, WorkStatus::cancelled);
}

TEST(Matrix, WithoutFailFastTheOthersGoOnAndTheJobFailsInTheEnd) {
  TestWorld world(slow_to_fail());
  world.start();
  world.finish_in("test[db=x,os=a]", "unit", exits(1));
  EXPECT_TRUE(world.stopped.empty());
  for (const char* name : {"test[db=y,os=a]", "test[db=y,os=b]"}) {
    world.finish_in(name, "unit");
    world.finish_in(name, "more");
  }
  EXPECT_EQ(world.job_is("test"), "failed");
}

TEST(Matrix, ACrashKeepsTheListAndEveryVerdictAndGoesOnWithWhatWasCutOff) {
  TestWorld world(grid);
  world.start();
  world.finish_in("test[db=x,os=a]", "unit");
  const std::string key = world.newest("unit").idempotency_key;
  world.crash();
  EXPECT_EQ(world.run().attempt, 2);
  EXPECT_THAT(world.jobs_in_flight(), ElementsAre("test[db=x,os=a]", "test[db=y,os=a]"));
  EXPECT_EQ(world.newest("unit").job, "test[db=y,os=a]");
  EXPECT_EQ(world.newest("unit").idempotency_key, key) << "the same work has the same name";
  world.finish_in("test[db=x,os=a]", "more");
  for (const char* name : {"test[db=y,os=a]", "test[db=y,os=b]"}) {
    world.finish_in(name, "unit");
    world.finish_in(name, "more");
  }
  world.finish("sum");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Matrix, AResumeRunsOnlyTheInstancesThatAreNotDone) {
  TestWorld world(slow_to_fail());
  world.start();
  for (const char* name : {"test[db=x,os=a]", "test[db=y,os=a]", "test[db=y,os=b]"}) {
    world.finish_in(name, "unit", exits(std::string_view(name) == "test[db=y,os=a]" ? 1 : 0));
    if (std::string_view(name) != "test[db=y,os=a]") world.finish_in(name, "more");
  }
  ASSERT_EQ(world.run().status, RunStatus::failed);
  ASSERT_TRUE(world.resume());
  EXPECT_THAT(world.jobs_in_flight(), ElementsAre("test[db=y,os=a]"));
}

TEST(Matrix, ARerunOfOneInstanceLeavesTheOthersAndRunsWhatNeedsTheJob) {
  TestWorld world(grid);
  world.start();
  for (const char* name : {"test[db=x,os=a]", "test[db=y,os=a]", "test[db=y,os=b]"}) {
    world.finish_in(name, "unit");
    world.finish_in(name, "more");
  }
  world.finish("sum");
  const std::string key = world.newest("sum").idempotency_key;
  ASSERT_TRUE(world.rerun("test[db=y,os=a]/more"));
  EXPECT_THAT(world.jobs_in_flight(), ElementsAre("test[db=y,os=a]"));
  world.finish_in("test[db=y,os=a]", "more");
  EXPECT_NE(world.newest("sum").idempotency_key, key) << "a new generation";
  world.finish("sum");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Matrix, AListCanBeComputedAndAnEmptyOneSkipsTheJob) {
  constexpr std::string_view yaml = R"(
name: computed
inputs: {list: {type: list, default: []}}
jobs:
  each:
    matrix: ${{ inputs.list }}
    tasks: [{id: one, run: 'echo ${{ matrix.n }}'}]
)";
  TestWorld world(yaml);
  world.start(json::object{{"list", json::array{}}});
  EXPECT_EQ(world.job_is("each"), "skipped/condition");
  EXPECT_EQ(world.run().status, RunStatus::success);
  world.start(json::object{{"list", json::array{json::object{{"n", 1}}, json::object{{"n", 2}}}}});
  EXPECT_THAT(world.jobs_in_flight(), ElementsAre("each[n=1]", "each[n=2]"));
  world.start(json::object{{"list", json::array{1}}});
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.job("each").error->code, "matrix_error");
  world.start(json::object{{"list", json::array{json::object{{"n", 1}}, json::object{{"n", 1}}}}});
  EXPECT_EQ(world.job("each").error->code, "matrix_error");
}

constexpr std::string_view given = R"(
name: given
inputs: {list: {type: list}}
jobs:
  each:
    matrix: ${{ inputs.list }}
    tasks: [{id: one, run: "true"}]
)";

TEST(Matrix, ElementsThatWouldShareANameFailTheJobAndNothingElse) {
  for (const char* list : {R"([{"n":1},{"n":"1"}])", R"([{"a":"1,b=2"},{"a":"1","b":"2"}])", R"([{"n":1},{"n":1}])"}) {
    TestWorld world(given);
    world.start(json::object{{"list", *parse_json(list)}});
    EXPECT_EQ(world.run().status, RunStatus::failed);
    ASSERT_TRUE(world.job("each").error);
    EXPECT_EQ(world.job("each").error->code, "matrix_error");
  }
}

TEST(Matrix, AnElementThatGivesTooLongANameFailsTheJob) {
  TestWorld world(given);
  world.start(json::object{{"list", json::array{json::object{{"n", json::string(70'000, 'x')}}}}});
  ASSERT_TRUE(world.job("each").error);
  EXPECT_EQ(world.job("each").error->code, "matrix_error");
}

TEST(Matrix, ACancelStopsEveryInstance) {
  TestWorld world(grid);
  world.start();
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.stopped.size(), 2U);
  world.finish_in("test[db=x,os=a]", "unit", is_stopped());
  world.finish_in("test[db=y,os=a]", "unit", is_stopped());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  EXPECT_EQ(world.job_is("test"), "cancelled");
}

}  // namespace
}  // namespace pawl::engine
