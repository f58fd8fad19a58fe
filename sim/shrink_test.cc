#include "sim/shrink.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace pawl::sim {
namespace {

// The first seed that finds it, and its play made small.
Shrunk find_and_shrink(Planted bug, std::string& promise) {
  log::configure(log::Level::off, log::Format::text);
  active_planted = bug;
  Shrunk shrunk;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Options options{.seed = seed};
    const Outcome outcome = simulate(options);
    if (outcome.violations.empty()) continue;
    promise = promise_of(outcome.violations.front());
    shrunk = shrink(options, outcome);
    break;
  }
  active_planted = Planted::none;
  return shrunk;
}

TEST(Shrink, ABrokenPromiseStaysBrokenWithAFewOfTheThingsThatHadHappened) {
  for (const Planted bug : {Planted::answer_before_commit, Planted::crowded_group, Planted::impatient_wait,
                            Planted::forgotten_hold, Planted::wide_matrix}) {
    std::string promise;
    const Shrunk shrunk = find_and_shrink(bug, promise);
    ASSERT_FALSE(shrunk.outcome.violations.empty()) << "bug " << static_cast<int>(bug);
    EXPECT_EQ(promise_of(shrunk.outcome.violations.front()), promise);
    EXPECT_LT(shrunk.after * 5, shrunk.before) << story_of(shrunk);
    EXPECT_LT(shrunk.outcome.story.size(), 60U) << story_of(shrunk);
    EXPECT_NE(story_of(shrunk).find("--only"), std::string::npos);
    RecordProperty("things_kept_with_bug_" + std::to_string(static_cast<int>(bug)),
                   std::to_string(shrunk.after) + " of " + std::to_string(shrunk.before));
  }
}

TEST(Shrink, TheTextOfAPlayIsReadBackAsTheSamePlay) {
  Kept kept;
  for (const std::uint32_t step : {1U, 3U, 4U, 5U, 9U}) kept.happenings.insert({step, What::turn, 0});
  kept.happenings.insert({7, What::crash_before_commit, 0});
  kept.happenings.insert({7, What::stuck, 2});
  kept.parts = {"w0@0/j1", "w0@0/j1/t2/retry"};
  EXPECT_EQ(to_text(kept), "crash-before-commit:7;stuck:7.2;turn:1,3-5,9;parts:w0@0/j1,w0@0/j1/t2/retry");
  const auto read = parse_kept(to_text(kept));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->happenings, kept.happenings);
  EXPECT_EQ(read->parts, kept.parts);
  for (const char* wrong : {"nothing:1", "turn:x", "turn:9-3", "turn:1.99999"})
    EXPECT_FALSE(parse_kept(wrong)) << wrong;
}

TEST(Shrink, PlayingWithAllThatHappenedIsPlayingTheSame) {
  log::configure(log::Level::off, log::Format::text);
  for (const std::uint64_t seed : {3, 4}) {
    const Outcome whole = simulate({.seed = seed});
    EXPECT_EQ(simulate({.seed = seed, .kept = &whole.happened}).hash, whole.hash);
  }
}

}  // namespace
}  // namespace pawl::sim
