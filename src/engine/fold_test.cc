#include "engine/fold.h"

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

Result<RunState> fold_of(TestWorld& world, const std::vector<RecordRow>& records) {
  return fold(
      world.created(), [&](int) -> Result<std::shared_ptr<const Plan>> { return world.plan(); }, records, false);
}

// That the fold of the records equals the run that lived through them is checked by TestWorld after every decision.

TEST(Fold, AMissingRecordIsCorrupt) {
  TestWorld world(chain);
  world.start();
  world.finish("one");
  world.finish("two");
  auto records = world.stored();
  ASSERT_EQ(records.size(), 3U);
  records.erase(records.begin() + 1);
  const auto state = fold_of(world, records);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().code, Code::corrupt);
  EXPECT_NE(state.error().message.find("record 2 is missing"), std::string::npos) << state.error().message;
}

TEST(Fold, ARunWithoutRecordsIsCorrupt) {
  TestWorld world(chain);
  world.start();
  const auto state = fold_of(world, {});
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().code, Code::corrupt);
}

TEST(Fold, ADoneTaskThatIsStartedAgainIsCorrupt) {
  TestWorld world(chain);
  world.start();
  world.finish("one");
  auto records = world.stored();
  records.push_back({world.run().id, 3, world.now, R"([{"t":"task_started","job":0,"task":0,"try":2}])"});
  const auto state = fold_of(world, records);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().code, Code::corrupt);
}

TEST(Fold, APositionOutsideOfTheDefinitionIsCorrupt) {
  for (const auto* change :
       {R"([{"t":"task_started","job":0,"task":2,"try":1}])", R"([{"t":"task_ended","job":5,"task":0}])",
        R"([{"t":"job_started","job":-1}])", R"([{"t":"try_ended","job":0,"task":-1,"try":1}])"}) {
    TestWorld world(chain);
    world.start();
    auto records = world.stored();
    records.push_back({world.run().id, 2, world.now, change});
    const auto state = fold_of(world, records);
    ASSERT_FALSE(state) << change;
    EXPECT_EQ(state.error().code, Code::corrupt);
  }
}

TEST(Fold, AFinalAttemptTakesNoFurtherVerdict) {
  TestWorld world(chain);
  world.start();
  world.finish("one", exits(1));
  auto records = world.stored();
  records.push_back({world.run().id, 3, world.now, R"([{"t":"attempt_ended","status":"success"}])"});
  EXPECT_FALSE(fold_of(world, records));
}

TEST(Fold, AllAttemptsAreKeptForLookingIfAskedFor) {
  TestWorld world(chain);
  world.start();
  world.crash();
  world.crash();
  const auto attempts = world.attempts();
  ASSERT_EQ(attempts.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(attempts[i].number, static_cast<int>(i) + 1);
}

}  // namespace
}  // namespace pawl::engine
