#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view kept_for_a_day = R"(
name: kept
retention: 1d
jobs: {j: {tasks: [{id: t, run: "true"}]}}
)";

TEST(Retention, AFinalRunExpiresSoLongAfterItsEnd) {
  TestWorld world(kept_for_a_day);
  world.start();
  EXPECT_FALSE(world.run().expires_at);
  world.now += 5s;
  world.finish("t");
  EXPECT_EQ(world.run().expires_at, world.now + 24h);
  ASSERT_TRUE(world.last_changes.run);
  EXPECT_EQ(world.last_changes.run->expires_at, world.now + 24h);
}

TEST(Retention, WithoutAWordOfItARunNeverExpires) {
  TestWorld world("name: w\njobs: {j: {tasks: [{id: t, run: 'true'}]}}");
  const RunId run = world.start();
  world.finish("t");
  EXPECT_FALSE(world.run().expires_at);
  world.now += std::chrono::days(10'000);
  ASSERT_TRUE(world.ask(RetentionReached{run}));
  EXPECT_TRUE(world.last_changes.empty());
}

TEST(Retention, AResumeTakesTheExpiryBackUntilTheNextEnd) {
  TestWorld world(kept_for_a_day);
  const RunId run = world.start();
  world.finish("t", exits(1));
  ASSERT_TRUE(world.run().expires_at);
  world.now += 24h;
  ASSERT_TRUE(world.resume());
  EXPECT_FALSE(world.run().expires_at);
  ASSERT_TRUE(world.last_changes.run);
  EXPECT_FALSE(world.last_changes.run->expires_at);
  ASSERT_TRUE(world.ask(RetentionReached{run}));
  EXPECT_TRUE(world.last_changes.empty()) << "it was opened in time";
  world.finish("t");
  EXPECT_EQ(world.run().expires_at, world.now + 24h);
  world.now += 24h;
  ASSERT_TRUE(world.rerun("j"));
  EXPECT_FALSE(world.run().expires_at);
}

TEST(Retention, WhatIsDueIsTakenWithAllThatIsOutside) {
  TestWorld world(kept_for_a_day);
  const RunId run = world.start();
  world.finish("t");
  world.now += 24h - 1us;
  ASSERT_TRUE(world.ask(RetentionReached{run}));
  EXPECT_TRUE(world.last_changes.empty());
  world.now += 1us;
  ASSERT_TRUE(world.ask(RetentionReached{run}));
  EXPECT_EQ(world.last_changes.gone, run);
  EXPECT_EQ(world.forgotten, std::vector{run});
  ASSERT_TRUE(world.ask(RemainsRemoved{run}));
  EXPECT_EQ(world.last_changes.cleared, run);
}

TEST(Retention, ARowIsEnoughToDecide) {
  View view;
  auto& run = view.row.emplace();
  run.status = RunStatus::failed;
  run.expires_at = Instant{} + 1s;
  EXPECT_FALSE(decide(view, RetentionReached{run.id}, Instant{}, 0).changes.gone);
  EXPECT_TRUE(decide(view, RetentionReached{run.id}, Instant{} + 1s, 0).changes.gone);
  run.status = RunStatus::running;
  EXPECT_FALSE(decide(view, RetentionReached{run.id}, Instant{} + 1s, 0).changes.gone);
  view.row.reset();
  EXPECT_TRUE(decide(view, RetentionReached{run.id}, Instant{} + 1s, 0).changes.empty()) << "it is taken already";
}

}  // namespace
}  // namespace pawl::engine
