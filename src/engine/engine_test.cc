#include "engine/engine.h"

#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view lone = R"(
name: lone
inputs: {n: {type: int, default: 1}}
vars: {twice: "${{ inputs.n * 2 }}"}
jobs:
  main:
    tasks: [{id: one, run: "true"}]
)";

TEST(Start, TheSameKeyWithTheSameInputsIsTheSameRun) {
  TestWorld world(lone);
  const auto first = world.request(json::object{{"n", 1}}, "k");
  const auto second = world.request(json::object{{"n", 1}}, "k");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(std::get<RunAccepted>(*first).run, std::get<RunAccepted>(*second).run);
  EXPECT_FALSE(std::get<RunAccepted>(*first).existing);
  EXPECT_TRUE(std::get<RunAccepted>(*second).existing);
  EXPECT_EQ(world.started.size(), 1U);
}

TEST(Start, TheSameKeyWithOtherInputsIsRefused) {
  TestWorld world(lone);
  ASSERT_TRUE(world.request(json::object{{"n", 1}}, "k"));
  const auto answer = world.request(json::object{{"n", 2}}, "k");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::conflict);
  EXPECT_EQ(answer.error().name, "key_reused");
  EXPECT_EQ(world.started.size(), 1U);
}

TEST(Start, WithoutAKeyEveryRequestIsARunOfItsOwnWithARisingNumber) {
  TestWorld world(lone);
  const auto first = world.request(json::object{{"n", 1}});
  const auto second = world.request(json::object{{"n", 1}});
  ASSERT_TRUE(first && second);
  EXPECT_LT(std::get<RunAccepted>(*first).run, std::get<RunAccepted>(*second).run) << "in the same millisecond";
  EXPECT_EQ(std::get<RunAccepted>(*first).number, 1);
  EXPECT_EQ(std::get<RunAccepted>(*second).number, 2);
}

TEST(Start, VarsAreResolvedOnceAndStoredWithTheRun) {
  TestWorld world(lone);
  world.start(json::object{{"n", 21}});
  EXPECT_EQ(to_text(world.created().vars), R"({"twice":42})");
}

TEST(Start, AnUnknownWorkflowIsNotFound) {
  View view;
  Limits limits;
  view.limits = &limits;
  const Decision decision = decide(view, RunRequested{"nobody", json::object{}, {}, {}}, Instant{}, 1);
  ASSERT_FALSE(decision.answer);
  EXPECT_EQ(decision.answer.error().name, "workflow_unknown");
  EXPECT_TRUE(decision.changes.empty());
}

TEST(Start, ADisabledWorkflowIsRefused) {
  const TestWorld world(lone);
  View view;
  Limits limits;
  view.limits = &limits;
  view.workflow = WorkflowRow{.name = "lone", .enabled = false, .version = 1};
  view.plan = world.plan();
  const Decision decision = decide(view, RunRequested{"lone", json::object{}, {}, {}}, Instant{}, 1);
  ASSERT_FALSE(decision.answer);
  EXPECT_EQ(decision.answer.error().name, "workflow_disabled");
}

TEST(Decide, TheSameInputsGiveTheSameDecision) {
  const auto play = [] {
    TestWorld world(lone);
    world.start(json::object{{"n", 1}});
    world.crash();
    world.finish("one");
    std::string bodies;
    for (const RecordRow& row : world.stored()) bodies += row.body;
    return to_string(world.run().id) + world.newest("one").idempotency_key + bodies;
  };
  EXPECT_EQ(play(), play());
}

TEST(Decide, AnUnknownRunIsNotFound) {
  View view;
  Limits limits;
  view.limits = &limits;
  EXPECT_EQ(decide(view, CancelRequested{}, Instant{}, 1).answer.error().name, "run_unknown");
}

class Submit : public testing::Test {
 protected:
  WorkflowSubmitted event(std::string text, WorkflowSubmitted::Mode mode) const {
    return {world_.plan()->workflow, std::move(text), mode, {}};
  }
  Decision decide_on(const WorkflowSubmitted& submitted) const {
    View view;
    view.workflow = row_;
    view.text = text_;
    return decide(view, submitted, Instant{} + 1s, 1);
  }
  const TestWorld world_{lone};
  std::optional<WorkflowRow> row_;
  std::optional<std::string> text_;
};

TEST_F(Submit, ANewNameGivesVersionOne) {
  const Decision decision = decide_on(event("text", WorkflowSubmitted::Mode::create));
  ASSERT_TRUE(decision.answer);
  const auto& accepted = std::get<WorkflowAccepted>(*decision.answer);
  EXPECT_TRUE(accepted.created);
  EXPECT_EQ(accepted.version, 1);
  ASSERT_TRUE(decision.changes.version);
  EXPECT_EQ(decision.changes.version->text, "text");
}

TEST_F(Submit, AChangeMakesANewVersion) {
  row_ = WorkflowRow{.name = "lone", .version = 4};
  text_ = "before";
  const Decision decision = decide_on(event("after", WorkflowSubmitted::Mode::replace));
  ASSERT_TRUE(decision.answer);
  EXPECT_EQ(std::get<WorkflowAccepted>(*decision.answer).version, 5);
  EXPECT_FALSE(std::get<WorkflowAccepted>(*decision.answer).created);
}

TEST_F(Submit, TheSameTextChangesNothing) {
  row_ = WorkflowRow{.name = "lone", .version = 4};
  text_ = "same";
  const Decision decision = decide_on(event("same", WorkflowSubmitted::Mode::create_or_replace));
  ASSERT_TRUE(decision.answer);
  EXPECT_TRUE(std::get<WorkflowAccepted>(*decision.answer).unchanged);
  EXPECT_EQ(std::get<WorkflowAccepted>(*decision.answer).version, 4);
  EXPECT_TRUE(decision.changes.empty());
}

TEST_F(Submit, CreatingWhatExistsIsRefused) {
  row_ = WorkflowRow{.name = "lone", .version = 4};
  text_ = "same";
  EXPECT_EQ(decide_on(event("same", WorkflowSubmitted::Mode::create)).answer.error().name, "workflow_exists");
}

}  // namespace
}  // namespace pawl::engine
