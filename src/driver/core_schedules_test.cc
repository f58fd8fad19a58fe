// Schedules through the core: what it takes from the store, and what failed commits and restarts leave of it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "definition/definition.h"
#include "driver/test_node.h"

namespace pawl::driver {
namespace {

using namespace std::chrono_literals;

std::string minutely(std::string_view more = "") {
  return fmt::format(
      "name: w\non: {{schedule: {{cron: '0 * * * * ?'{}}}}}\njobs: {{j: {{tasks: [{{id: t, run: x}}]}}}}\n", more);
}

class CoreSchedules : public testing::Test {
 protected:
  void restart() { node = std::make_unique<Node>(disk); }
  void submit(const std::string& text) {
    auto parsed = definition::parse(text);
    ASSERT_TRUE(parsed);
    node->core.push(WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)),
                                      text,
                                      WorkflowSubmitted::Mode::create_or_replace,
                                      {}});
  }
  // Another disk, with a workflow that fires every minute and has done so up to then.
  void begin_anew(Instant at) {
    disk = store::make_memory_disk();
    restart();
    submit(minutely());
    settle(at);
  }
  // Turns until nothing is left to do, with tries that succeed at once.
  void settle(Instant at) {
    for (int i = 0; i < 2'000 && (node->core.has_work(at) || !node->runner.running().empty()); ++i) {
      while (!node->runner.running().empty()) {
        const auto [run, ref, number] = node->runner.running().begin()->first;
        node->runner.take({run, ref, number});
        node->core.push(TaskFinished{run, ref, number, {.process = ProcessExit{}}});
      }
      node->turn(at);
    }
  }
  void live(Instant from, Instant to) {
    for (Instant at = from; at <= to; at += 1s) settle(at);
  }
  // `12:01 fired; 12:02-12:05 misfired 4`, and no run that is not told of.
  std::string told() const {
    std::string text;
    std::size_t fired = 0;
    for (const auto& [key, entry] : disk->ledger()) {
      const auto minute = [](Instant at) { return to_rfc3339(at).substr(11, 5); };
      if (!text.empty()) text += "; ";
      text += minute(entry.from);
      if (entry.from != entry.to) text += "-" + minute(entry.to);
      text += fmt::format(" {}", to_string(entry.outcome));
      if (entry.count != 1) text += fmt::format(" {}", entry.count);
      if (entry.outcome != SlotOutcome::fired) continue;
      ++fired;
      EXPECT_TRUE(disk->runs().contains(*entry.run));
    }
    EXPECT_EQ(disk->runs().size(), fired);
    return text;
  }
  const ScheduleRow& only() const { return disk->schedules().begin()->second; }

  std::shared_ptr<store::MemoryDisk> disk = store::make_memory_disk();
  std::unique_ptr<Node> node = std::make_unique<Node>(disk);
};

TEST_F(CoreSchedules, FireAndGoOnAfterARestart) {
  submit(minutely());
  live(noon, noon + 130s);
  restart();
  live(noon + 150s, noon + 190s);
  EXPECT_EQ(told(), "12:01 fired; 12:02 fired; 12:03 fired");
}

TEST_F(CoreSchedules, WhatIsMissedWhileTheServerIsDownIsDecidedAtItsStart) {
  submit(minutely());
  live(noon, noon + 70s);
  restart();
  settle(noon + 10min + 90s);
  EXPECT_EQ(told(), "12:01 fired; 12:02-12:09 misfired 8; 12:10 fired; 12:11 fired");
}

class CoreSchedulesFailing : public CoreSchedules, public testing::WithParamInterface<store::CommitFault> {};

TEST_P(CoreSchedulesFailing, ACommitNeitherLosesNorDoublesASlot) {
  submit(minutely());
  settle(noon);
  for (int minute = 1; minute <= 5; ++minute) {
    disk->faults().next_commit = GetParam();
    node->turn(noon + minute * 1min);
    // Its outcome is unknown: the server ends, and starts again.
    if (GetParam() >= store::CommitFault::unavailable_not_applied) restart();
    live(noon + minute * 1min + 1s, noon + minute * 1min + 3s);
  }
  EXPECT_EQ(told(), "12:01 fired; 12:02 fired; 12:03 fired; 12:04 fired; 12:05 fired");
}

INSTANTIATE_TEST_SUITE_P(EachFault, CoreSchedulesFailing,
                         testing::Values(store::CommitFault::overloaded, store::CommitFault::conflict,
                                         store::CommitFault::unavailable_not_applied,
                                         store::CommitFault::unavailable_applied));

TEST_F(CoreSchedules, OfADisabledWorkflowAreParkedAndWokenWhenItIsEnabled) {
  submit(minutely());
  settle(noon);
  node->core.push(WorkflowSwitched{"w", false, {}});
  live(noon + 10s, noon + 190s);
  EXPECT_TRUE(only().progress.parked);
  EXPECT_EQ(node->core.next_due(), std::nullopt);
  node->core.push(WorkflowSwitched{"w", true, {}});
  live(noon + 200s, noon + 250s);
  EXPECT_FALSE(only().progress.parked);
  EXPECT_EQ(told(), "12:01-12:03 skipped 3; 12:04 fired");
}

TEST_F(CoreSchedules, OfAWorkflowThatWasHardlyEnabledInBetweenDoNotFireForEitherTime) {
  submit(minutely());
  settle(noon);
  node->core.push(WorkflowSwitched{"w", false, {}});
  live(noon + 10s, noon + 70s);
  node->core.push(WorkflowSwitched{"w", true, {}});
  node->core.push(WorkflowSwitched{"w", false, {}});
  live(noon + 80s, noon + 140s);
  node->core.push(WorkflowSwitched{"w", true, {}});
  live(noon + 150s, noon + 190s);
  EXPECT_EQ(told(), "12:01-12:02 skipped 2; 12:03 fired");
}

TEST_F(CoreSchedules, AreWokenAlsoIfTheServerDiesBeforeItCould) {
  submit(minutely());
  settle(noon);
  node->core.push(WorkflowSwitched{"w", false, {}});
  live(noon + 10s, noon + 70s);
  node->core.push(WorkflowSwitched{"w", true, {}});
  node->turn(noon + 80s);
  restart();
  live(noon + 90s, noon + 130s);
  EXPECT_EQ(told(), "12:01 skipped; 12:02 fired");
}

TEST_F(CoreSchedules, ADefinitionThatChangesWhileASlotIsDecidedLeavesNoSlotOut) {
  submit(minutely());
  settle(noon);
  // Both are decided before anything is durable.
  Batch batch;
  node->core.decide(batch, noon + 60s, 1);
  ASSERT_EQ(batch.items.size(), 1U);
  submit("name: w\non: {schedule: {cron: '30 */2 * * * ?'}}\njobs: {j: {tasks: [{id: t, run: x}]}}\n");
  node->core.decide(batch, noon + 61s, 10);
  ASSERT_TRUE(node->commit(batch.changes));
  node->core.committed(std::move(batch));
  live(noon + 62s, noon + 280s);
  EXPECT_EQ(told(), "12:01 fired; 12:02 fired; 12:04 fired");
  EXPECT_EQ(only().rule.cron, "30 */2 * * * ?");
}

TEST_F(CoreSchedules, OfADefinitionThatChangesAreCarriedOverByTheirNames) {
  submit(minutely(", id: a"));
  live(noon, noon + 70s);
  const ScheduleId before = only().id;
  submit(minutely(", id: b"));
  live(noon + 80s, noon + 130s);
  ASSERT_EQ(disk->schedules().size(), 2U);
  EXPECT_TRUE(disk->schedules().at(before).deleted_at);
  EXPECT_EQ(told(), "12:01 fired; 12:02 fired");
}

TEST_F(CoreSchedules, ABackfillGoesOnAfterARestart) {
  submit(minutely());
  settle(noon + 5min);
  node->core.push(BackfillRequested{only().id, noon, noon + 4min, 1, {}});
  node->turn(noon + 310s);
  node->turn(noon + 310s);
  ASSERT_EQ(disk->backfills().size(), 1U);
  EXPECT_LT(disk->runs().size(), 2U);
  restart();
  live(noon + 320s, noon + 340s);
  EXPECT_EQ(disk->backfills().begin()->second.status, BackfillStatus::success);
  EXPECT_EQ(told(), "12:00 fired; 12:01 fired; 12:02 fired; 12:03 fired; 12:04 fired");
}

TEST_F(CoreSchedules, ABackfillThatHasToWaitDoesNotKeepItsScheduleFromFiring) {
  submit(minutely());
  settle(noon + 5min);
  node->core.push(BackfillRequested{only().id, noon, noon + 4min, 1, {}});
  for (int i = 0; i < 3; ++i) node->turn(noon + 310s);
  ASSERT_EQ(disk->open_runs().size(), 1U);
  restart();
  for (int i = 0; i < 5; ++i) node->turn(noon + 350s);
  for (int i = 0; i < 5; ++i) node->turn(noon + 361s);
  EXPECT_EQ(told(), "12:00 fired; 12:06 fired");
}

TEST_F(CoreSchedules, ABackfillOfWhatIsDeletedEnds) {
  submit(minutely());
  settle(noon + 5min);
  node->core.push(BackfillRequested{only().id, noon, noon + 4min, 1, {}});
  for (int i = 0; i < 3; ++i) node->turn(noon + 310s);
  node->core.push(WorkflowDeleted{"w", {}});
  for (int i = 0; i < 3; ++i) node->turn(noon + 311s);
  EXPECT_EQ(disk->backfills().begin()->second.status, BackfillStatus::cancelled);
}

TEST_F(CoreSchedules, OfADeletedWorkflowDoNotFireForItsSuccessor) {
  submit(minutely());
  settle(noon);
  restart();
  settle(noon + 1s);
  // The schedule is read after its deletion was decided, and before that is durable.
  Batch deletes;
  Batch looks;
  node->core.push(WorkflowDeleted{"w", {}});
  node->core.decide(deletes, noon + 5s, 10);
  node->core.decide(looks, noon + 55s, 10);
  ASSERT_TRUE(node->commit(deletes.changes));
  node->core.committed(std::move(deletes));
  ASSERT_TRUE(node->commit(looks.changes));
  node->core.committed(std::move(looks));
  submit(minutely());
  live(noon + 56s, noon + 62s);
  EXPECT_EQ(told(), "12:01 fired");
}

TEST_F(CoreSchedules, WhatWaitedForItsWorkflowGoesOnWhateverReadFails) {
  for (int good = 0; good < 12; ++good) {
    begin_anew(noon + 5min);
    node->core.push(BackfillRequested{only().id, noon, noon + 4min, 1, {}});
    node->core.push(WorkflowSwitched{"w", false, {}});
    live(noon + 310s, noon + 400s);
    ASSERT_TRUE(only().progress.parked);
    ASSERT_EQ(disk->backfills().begin()->second.status, BackfillStatus::running);
    node->core.push(WorkflowSwitched{"w", true, {}});
    disk->faults() = {.good_reads = good, .failing_reads = 1};
    settle(noon + 401s);
    disk->faults() = {};
    live(noon + 402s, noon + 430s);
    EXPECT_FALSE(only().progress.parked) << good;
    EXPECT_EQ(disk->backfills().begin()->second.status, BackfillStatus::success) << good;
  }
}

TEST_F(CoreSchedules, OfOneWorkflowAreDecidedOneAfterTheOtherWhateverReadFails) {
  for (int good = 0; good < 12; ++good) {
    begin_anew(noon + 5min);
    for (int i = 0; i < 2; ++i) node->core.push(BackfillRequested{only().id, noon, noon + 4min, 5, {}});
    for (int i = 0; i < 2; ++i) node->turn(noon + 310s);
    Batch batch;
    disk->faults() = {.good_reads = good, .failing_reads = 1};
    node->core.decide(batch, noon + 311s, 100);
    disk->faults() = {};
    EXPECT_TRUE(node->commit(batch.changes)) << good;
  }
}

// The jitter of a schedule hangs on its id, which it has been given only now.
TEST_F(CoreSchedules, ANewOneIsDueWhenItsOwnJitterSays) {
  submit("name: w\njobs: {j: {tasks: [{id: t, run: x}]}}\n");
  for (int i = 0; i < 20; ++i)
    node->core.push(ScheduleAdded{"w",
                                  fmt::format("s{}", i),
                                  json::object{{"cron", "0 0 * * * ?"},
                                               {"jitter", "30m"},
                                               {"misfire", "skip"},
                                               {"timezone", fmt::format("Etc/GMT+{}", i % 12)},
                                               {"misfire_threshold", fmt::format("{}s", i + 1)}},
                                  true,
                                  {},
                                  {}});
  live(noon, noon + 5s);
  ASSERT_GE(disk->schedules().size(), 12U);
  for (Instant at = noon + 3590s; at < noon + 91min; at += 1s) settle(at);
  for (const auto& [key, entry] : disk->ledger()) EXPECT_EQ(entry.outcome, SlotOutcome::fired);
  EXPECT_EQ(disk->ledger().size(), disk->schedules().size());
}

TEST_F(CoreSchedules, ManyThatAreDueTogetherAreFetchedInPagesAndAllDecided) {
  constexpr std::size_t many = 20'000;
  submit("name: w\ninputs: {n: {type: int, default: 0}}\njobs: {j: {tasks: [{id: t, run: x}]}}\n");
  settle(noon);
  ScheduleChanges changes;
  SplitMix random(1);
  for (std::size_t i = 0; i < many; ++i) {
    ScheduleRow row;
    row.id = ScheduleId{uuid_v7(noon, random.next(), random.next())};
    row.workflow = "w";
    row.name = fmt::format("s{}", i);
    row.rule = {.cron = "0 * * * * ?", .timezone = "UTC", .misfire = Misfire::skip};
    row.same = row.name;
    row.created_at = row.updated_at = row.progress.cursor = noon;
    row.progress.next_at = noon + 1min;
    changes.put.push_back(std::move(row));
  }
  ASSERT_TRUE(node->commit({Changeset{.schedules = std::make_shared<const ScheduleChanges>(std::move(changes))}}));
  restart();
  // All are more than the threshold late: each gets an entry for the slots that it has missed, and no run.
  const Instant late = noon + 10min + 30s;
  for (int i = 0; i < 1'000 && node->core.has_work(late); ++i) node->turn(late);
  EXPECT_FALSE(node->core.has_work(late));
  std::set<ScheduleId> decided;
  for (const auto& [key, entry] : disk->ledger())
    if (entry.outcome == SlotOutcome::misfired && entry.count == 9) decided.insert(key.first);
  EXPECT_EQ(decided.size(), many);
}

}  // namespace
}  // namespace pawl::driver
