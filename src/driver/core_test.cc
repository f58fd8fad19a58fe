#include "driver/core.h"

#include <gtest/gtest.h>

#include "definition/definition.h"
#include "driver/test_node.h"

namespace pawl::driver {
namespace {

using namespace std::chrono_literals;

// A run whose only task has failed and is tried again in an hour, on a node that has ended.
std::shared_ptr<store::MemoryDisk> disk_with_a_waiting_run() {
  auto disk = store::make_memory_disk();
  Node node(disk);
  constexpr std::string_view yaml = "name: w\njobs: {j: {tasks: [{run: 'false', retry: {max: 1, delay: 1h}}]}}";
  auto parsed = definition::parse(yaml);
  node.core.push(
      WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)), std::string(yaml), {}, {}});
  node.core.push(RunRequested{"w", json::object{}, {}, {}});
  node.turn(noon);
  const auto key = node.runner.running().begin()->first;
  Outcome outcome;
  outcome.process = ProcessExit{.exit_code = 1};
  node.core.push(TaskFinished{std::get<0>(key), std::get<1>(key), std::get<2>(key), outcome});
  node.turn(noon);
  return disk;
}

TEST(Core, ATimerWhoseRunCannotBeReadIsLookedAtAgain) {
  const auto disk = disk_with_a_waiting_run();
  Node node(disk);
  disk->faults().failing_reads = 1;
  const Instant due = noon + 1h;
  EXPECT_EQ(node.turn(due), 0U);
  EXPECT_TRUE(node.runner.running().empty());
  EXPECT_FALSE(node.core.has_work(due)) << "it would be asked without a pause";
  ASSERT_TRUE(node.core.next_due());
  EXPECT_GT(*node.core.next_due(), due);
  EXPECT_EQ(node.turn(*node.core.next_due()), 1U);
  EXPECT_EQ(node.runner.running().size(), 1U);
}

TEST(Core, TheFolderOfARunIsDiscardedOnceItsSuccessIsDurableAndNoSooner) {
  const auto disk = store::make_memory_disk();
  Node node(disk);
  std::vector<RunId> discarded;
  node.runner.on_discard = [&](RunId run) { discarded.push_back(run); };
  for (const std::string name : {"ends", "fails", "calls"}) {
    const std::string task = name == "calls" ? "http: {url: 'http://127.0.0.1:1/'}" : "run: x";
    const std::string yaml = "name: " + name + "\njobs: {j: {tasks: [{" + task + "}]}}";
    auto parsed = definition::parse(yaml);
    ASSERT_TRUE(parsed);
    node.core.push(WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)), yaml, {}, {}});
    node.core.push(RunRequested{name, json::object{}, {}, {}});
  }
  node.turn(noon);
  std::optional<RunId> good;
  const auto running = node.runner.running();
  ASSERT_EQ(running.size(), 3U);
  for (const auto& [key, command] : running) {
    Outcome outcome;
    outcome.process = ProcessExit{.exit_code = command.workflow == "fails" ? 1 : 0};
    if (command.workflow == "calls") outcome.reply = HttpReply{.status = 200};
    if (command.workflow == "ends") good = std::get<0>(key);
    node.core.push(TaskFinished{std::get<0>(key), std::get<1>(key), std::get<2>(key), outcome});
  }
  disk->faults().next_commit = store::CommitFault::overloaded;
  node.turn(noon);
  EXPECT_TRUE(discarded.empty());
  disk->faults() = {};
  node.turn(*node.core.next_due());
  EXPECT_EQ(discarded, std::vector<RunId>{*good});
}

TEST(Core, AFailedCommitGivesNoPlaceOfAGroupAway) {
  const auto disk = store::make_memory_disk();
  Node node(disk);
  constexpr std::string_view yaml = "name: w\nconcurrency: {group: g}\njobs: {j: {tasks: [{id: t, run: x}]}}";
  auto parsed = definition::parse(yaml);
  node.core.push(
      WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)), std::string(yaml), {}, {}});
  node.core.push(RunRequested{"w", json::object{}, {}, {}});
  node.turn(noon);
  node.core.push(RunRequested{"w", json::object{}, {}, {}});
  node.turn(noon + 1s);
  ASSERT_EQ(node.runner.running().size(), 1U);
  const RunId holder = std::get<0>(node.runner.running().begin()->first);
  for (const auto& [id, run] : disk->runs())
    if (id != holder) node.core.push(TimerDue{id});  // looks at the waiting one before the one that holds the place
  node.core.push(CancelRequested{holder, {}});
  disk->faults().next_commit = store::CommitFault::overloaded;
  node.turn(noon + 2s);
  node.turn(noon + 4s);
  EXPECT_EQ(node.runner.running().size(), 1U);
}

// So many runs are in flight when the server dies.
void cut_off_runs(const std::shared_ptr<store::MemoryDisk>& disk, int count) {
  constexpr std::string_view yaml = "name: w\njobs: {j: {tasks: [{id: t, run: x}]}}";
  auto parsed = definition::parse(yaml);
  Node node(disk);
  node.core.push(
      WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)), std::string(yaml), {}, {}});
  for (int i = 0; i < count; ++i) node.core.push(RunRequested{"w", json::object{}, {}, {}});
  node.turn(noon);
}

// Two runs that were in flight when the server died, twice: one may work, the other waits for its turn.
std::unique_ptr<Node> node_with_a_run_on_probation(const std::shared_ptr<store::MemoryDisk>& disk) {
  cut_off_runs(disk, 2);
  Node(disk).turn(noon + 1s);
  auto node = std::make_unique<Node>(disk);
  node->turn(noon + 2s);
  EXPECT_TRUE(node->runner.running().empty());
  node->turn(noon + 4s);
  EXPECT_EQ(node->runner.running().size(), 1U);
  return node;
}

// A late result of the run that changes nothing, decided in a commit that fails: of the heartbeat alone.
void drop_a_late_result(Node& node, store::MemoryDisk& disk, RunId run) {
  node.core.push(TaskFinished{run, {0, 0}, 1, {}});
  disk.faults().next_commit = store::CommitFault::overloaded;
  EXPECT_EQ(node.turn(noon + 60s), 0U);
  node.turn(noon + 62s);
}

TEST(Core, AFailedCommitLetsNoSecondRunOutOfProbation) {
  const auto disk = store::make_memory_disk();
  const auto node = node_with_a_run_on_probation(disk);
  drop_a_late_result(*node, *disk, std::get<0>(node->runner.running().begin()->first));
  node->turn(noon + 64s);
  EXPECT_EQ(node->runner.running().size(), 1U);
}

TEST(Core, ARunThatWaitsForItsTurnGetsItAlsoAfterAFailedCommit) {
  const auto disk = store::make_memory_disk();
  const auto node = node_with_a_run_on_probation(disk);
  const auto [first, ref, number] = node->runner.running().begin()->first;
  for (const auto& [id, run] : disk->runs())
    if (id != first) drop_a_late_result(*node, *disk, id);
  node->core.push(TaskFinished{first, ref, number, {.process = ProcessExit{}}});
  for (int i = 64; i < 67; ++i) node->turn(noon + i * 1s);
  EXPECT_EQ(disk->runs().at(first).status, RunStatus::success);
  ASSERT_EQ(disk->open_runs().size(), 1U);
  EXPECT_EQ(disk->runs().at(*disk->open_runs().begin()).status, RunStatus::running);
}

TEST(Core, ABeatBeforeAllIsTakenUpIsNoLifeOfWhatWasCutOff) {
  const auto disk = store::make_memory_disk();
  cut_off_runs(disk, 3);
  {
    // The next server, hours later, takes up one of them after the other, and dies before it has come to the last.
    Node node(disk);
    for (int i = 0; i < 2; ++i) {
      Batch batch;
      node.core.decide(batch, noon + 3h + i * 1s, 1);
      ASSERT_TRUE(node.commit(batch.changes));
      node.core.committed(std::move(batch));
    }
    ASSERT_FALSE(node.core.recovered());
  }
  Node node(disk);
  node.turn(noon + 3h + 5s);
  for (const RunId id : disk->open_runs()) EXPECT_GE(node.core.live(id)->counted_recoveries, 1);
}

TEST(Core, APersonWhoAsksForWhatCannotBeReadIsTold) {
  const auto disk = disk_with_a_waiting_run();
  Node node(disk);
  node.turn(noon);  // looks which schedules are due
  disk->faults().failing_reads = 1;
  std::optional<Error> told;
  node.core.push(CancelRequested{disk->runs().begin()->first, {}},
                 [&](Result<Answer> answer) { told = answer.error(); });
  EXPECT_EQ(node.turn(noon), 1U);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->code, Code::unavailable);
}

constexpr std::string_view kept = "name: w\nretention: 1h\njobs: {j: {tasks: [{run: 'false'}]}}";

// Retention on a virtual clock.
class Retention : public testing::Test {
 protected:
  // Final runs that have ended at `at`, with the keys k0, k1, …
  std::vector<RunId> end_runs(Node& node, int count, Instant at) {
    if (disk_->workflows().empty()) {
      auto parsed = definition::parse(kept);
      node.core.push(
          WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)), std::string(kept), {}, {}});
    }
    std::vector<RunId> ids;
    for (int n = 0; n < count; ++n) {
      node.core.push(RunRequested{"w", json::object{}, "k" + std::to_string(disk_->start_keys().size()), {}});
      node.turn(at);
      const auto key = node.runner.running().begin()->first;
      ids.push_back(std::get<0>(key));
      Outcome outcome;
      outcome.process = ProcessExit{.exit_code = 1};
      node.core.push(TaskFinished{std::get<0>(key), std::get<1>(key), std::get<2>(key), outcome});
      node.turn(at);
      node.runner.forget_all();
    }
    return ids;
  }
  static void settle(Node& node, Instant now) {
    while (node.core.has_work(now)) node.turn(now);
  }
  static Result<Answer> resume(Node& node, RunId run, Instant now) {
    Result<Answer> told = fail(Code::internal, "not answered");
    node.core.push(ResumeRequested{run, false, false, {}, {}},
                   [&](Result<Answer> answer) { told = std::move(answer); });
    settle(node, now);
    return told;
  }

  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
};

TEST_F(Retention, RunsGoAtTheirInstantAndNotBefore) {
  Node node(disk_);
  settle(node, noon);
  const auto first = end_runs(node, 3, noon);
  const auto second = end_runs(node, 1, noon + 10min);
  EXPECT_EQ(node.core.next_due(), noon + 1h);
  settle(node, noon + 59min);
  EXPECT_EQ(disk_->runs().size(), 4U);
  settle(node, noon + 1h);
  EXPECT_EQ(disk_->runs().size(), 1U);
  EXPECT_TRUE(disk_->runs().contains(second[0]));
  EXPECT_TRUE(disk_->gone().empty()) << "nothing lies outside: the marks go by themselves";
  EXPECT_EQ(disk_->records().size(), 1U);
  EXPECT_EQ(disk_->start_keys().size(), 1U);
  EXPECT_EQ(node.core.next_due(), noon + 70min);
  settle(node, noon + 70min);
  EXPECT_TRUE(disk_->runs().empty());
  EXPECT_EQ(node.core.next_due(), std::nullopt);
}

TEST_F(Retention, ManyGoInSmallBatches) {
  std::vector<RunId> ids;
  {
    Node node(disk_);
    ids = end_runs(node, 100, noon);
  }
  Node node(disk_);
  std::size_t before = disk_->runs().size();
  while (node.core.has_work(noon + 2h)) {
    node.turn(noon + 2h);
    EXPECT_LE(before - disk_->runs().size(), 32U);
    before = disk_->runs().size();
  }
  EXPECT_EQ(before, 0U);
}

TEST_F(Retention, ASweepThatTookSomethingIsFollowedByTheNextAMinuteLater) {
  Node node(disk_);
  end_runs(node, 1, noon);
  end_runs(node, 1, noon + 1s);
  settle(node, noon + 1h);
  EXPECT_EQ(disk_->runs().size(), 1U);
  settle(node, noon + 1h + 1s);
  EXPECT_EQ(disk_->runs().size(), 1U);
  EXPECT_EQ(node.core.next_due(), noon + 1h + 1min);
  settle(node, noon + 1h + 1min);
  EXPECT_TRUE(disk_->runs().empty());
}

TEST_F(Retention, ARunThatIsResumedInTimeStays) {
  Node node(disk_);
  const RunId run = end_runs(node, 1, noon)[0];
  EXPECT_TRUE(resume(node, run, noon + 59min));
  settle(node, noon + 2h);
  EXPECT_TRUE(disk_->runs().contains(run));
}

TEST_F(Retention, WhoAsksForARunBetweenItsDecisionAndItsCommitIsToldThatThereIsNone) {
  Node node(disk_);
  const RunId run = end_runs(node, 1, noon)[0];
  const Instant due = noon + 1h;
  Batch taking;
  node.core.decide(taking, due, 100);
  ASSERT_EQ(taking.changes.size(), 1U);
  ASSERT_EQ(taking.changes[0].gone, run);
  // Decided on top of it, before it is durable.
  Result<Answer> resumed, started;
  node.core.push(ResumeRequested{run, false, false, {}, {}},
                 [&](Result<Answer> answer) { resumed = std::move(answer); });
  node.core.push(RunRequested{"w", json::object{}, "k0", {}},
                 [&](Result<Answer> answer) { started = std::move(answer); });
  Batch next;
  node.core.decide(next, due, 100);
  ASSERT_TRUE(node.commit(taking.changes));
  node.core.committed(std::move(taking));
  ASSERT_TRUE(node.commit(next.changes));
  node.core.committed(std::move(next));
  ASSERT_FALSE(resumed);
  EXPECT_EQ(resumed.error().code, Code::not_found);
  ASSERT_TRUE(started);
  EXPECT_FALSE(std::get<RunAccepted>(*started).existing) << "its key went with it";
  EXPECT_EQ(std::get<RunAccepted>(*started).number, 2) << "its number did not";
}

TEST_F(Retention, ACommitThatFindsNoRoomIsMadeLater) {
  Node node(disk_);
  end_runs(node, 1, noon);
  Batch batch;
  node.core.decide(batch, noon + 1h, 100);
  ASSERT_EQ(batch.changes.size(), 1U);
  std::vector<Batch> batches;
  batches.push_back(std::move(batch));
  node.core.dropped(std::move(batches), Error{Code::overloaded, "full"}, noon + 1h);
  EXPECT_EQ(disk_->runs().size(), 1U);
  settle(node, noon + 1h + 1s);
  EXPECT_TRUE(disk_->runs().empty());
}

TEST_F(Retention, NumbersGoOnAfterAllRunsAreGone) {
  {
    Node node(disk_);
    end_runs(node, 3, noon);
    settle(node, noon + 1h);
    ASSERT_TRUE(disk_->runs().empty());
  }
  Node node(disk_);
  const RunId run = end_runs(node, 1, noon + 2h)[0];
  EXPECT_EQ(disk_->runs().at(run).number, 4);
}

TEST_F(Retention, WhoSweepsOnceTakesOnlyWhatIsDueAtTheStart) {
  {
    Node node(disk_);
    end_runs(node, 1, noon);
    end_runs(node, 1, noon + 1h);
  }
  Node node(disk_, CoreOptions{.sweeps_once = true});
  settle(node, noon + 1h);
  EXPECT_EQ(disk_->runs().size(), 1U);
  settle(node, noon + 9h);
  EXPECT_EQ(disk_->runs().size(), 1U);
}

TEST_F(Retention, WhenTheStoreCannotSayWhatIsDueItIsAskedAgainAMinuteLater) {
  Node node(disk_);
  end_runs(node, 1, noon);
  disk_->faults().failing_reads = 1;
  settle(node, noon + 1h);
  EXPECT_EQ(disk_->runs().size(), 1U);
  EXPECT_EQ(node.core.next_due(), noon + 1h + 1min);
  settle(node, noon + 1h + 1min);
  EXPECT_TRUE(disk_->runs().empty());
}

// Two jobs of a run, both in flight on a node that stops.
struct StoppingNode {
  StoppingNode() {
    constexpr std::string_view yaml = "name: w\njobs: {a: {tasks: [{id: t, run: x}]}, b: {tasks: [{id: t, run: x}]}}";
    auto parsed = definition::parse(yaml);
    node.core.push(
        WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)), std::string(yaml), {}, {}});
    node.core.push(RunRequested{"w", json::object{}, {}, {}});
    node.turn(noon);
    node.runner.on_stop = [this](const StopTask& stop) { told.push_back(stop.ref); };
    node.core.drain();
  }
  void end(int job, Outcome::End end) {
    for (const auto& [key, command] : node.runner.running())
      if (std::get<1>(key).job == job) {
        Outcome outcome;
        outcome.end = end;
        if (end == Outcome::End::completed) outcome.process = ProcessExit{};
        return node.core.push(TaskFinished{std::get<0>(key), std::get<1>(key), std::get<2>(key), outcome});
      }
  }
  std::shared_ptr<store::MemoryDisk> disk = store::make_memory_disk();
  Node node{disk};
  std::vector<TaskRef> told;  // to stop
};

TEST(Core, AStopWaitsForTriesThatRunAndNotForThoseThatItHasEnded) {
  StoppingNode stopping;
  Node& node = stopping.node;
  ASSERT_EQ(node.core.tries_in_flight(), 2U);
  stopping.end(0, Outcome::End::interrupted);
  EXPECT_EQ(node.core.tries_in_flight(), 1U) << "before the store knows";
  const auto oldest = node.core.oldest_tries(5);
  ASSERT_EQ(oldest.size(), 1U);
  EXPECT_EQ(oldest[0].work, "w/b/t");
  EXPECT_EQ(oldest[0].since, noon);
  node.turn(noon + 1s);
  EXPECT_EQ(node.core.tries_in_flight(), 1U);
  stopping.end(1, Outcome::End::completed);
  node.turn(noon + 2s);
  EXPECT_EQ(node.core.tries_in_flight(), 0U);

  Node again(stopping.disk);
  again.turn(noon + 60s);
  ASSERT_EQ(again.runner.running().size(), 1U);
  EXPECT_EQ(std::get<1>(again.runner.running().begin()->first).job, 0);
}

TEST(Core, AfterAFailedCommitATryThatTheStopHasEndedIsStillNotWaitedFor) {
  StoppingNode stopping;
  Node& node = stopping.node;
  stopping.end(0, Outcome::End::interrupted);
  stopping.disk->faults().next_commit = store::CommitFault::overloaded;
  node.turn(noon + 1s);
  stopping.disk->faults() = {};
  node.turn(noon + 2s);
  EXPECT_EQ(node.core.tries_in_flight(), 1U);
}

TEST(Core, OnlyWhatStillRunsIsToldToStopAndEachIsWaitedForByItself) {
  StoppingNode stopping;
  Node& node = stopping.node;
  stopping.end(0, Outcome::End::interrupted);
  node.turn(noon + 1s);
  node.core.cut_off();
  node.turn(noon + 2s);
  EXPECT_EQ(stopping.told, (std::vector<TaskRef>{{1, 0}}));
  EXPECT_EQ(node.core.tries_in_flight(), 1U);
  stopping.end(1, Outcome::End::stopped);
  node.turn(noon + 3s);
  EXPECT_EQ(node.core.tries_in_flight(), 0U);
}

// The grace of the one that is still ending would be cut short.
TEST(Core, OfTwoTriesOfARunThatAreCutOffTheFirstEndIsNotTheEndOfBoth) {
  StoppingNode stopping;
  Node& node = stopping.node;
  node.core.cut_off();
  node.turn(noon + 1s);
  EXPECT_EQ(stopping.told.size(), 2U);
  stopping.end(0, Outcome::End::stopped);
  node.turn(noon + 2s);
  EXPECT_EQ(node.core.tries_in_flight(), 1U);
  stopping.end(1, Outcome::End::stopped);
  node.turn(noon + 3s);
  EXPECT_EQ(node.core.tries_in_flight(), 0U);
}

}  // namespace
}  // namespace pawl::driver
