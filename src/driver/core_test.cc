#include "driver/core.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "definition/definition.h"
#include "runner/fake/fake_runner.h"
#include "store/memory/memory_store.h"

namespace pawl::driver {
namespace {

using namespace std::chrono_literals;

class Dice final : public Rng {
 public:
  std::uint64_t next() override { return random_.next(); }

 private:
  SplitMix random_{1};
};

// A node on a disk that outlives it; its turns are played by hand.
class Node {
 public:
  explicit Node(std::shared_ptr<store::MemoryDisk> disk)
      : store_(store::open_memory(std::move(disk))),
        reader_(std::move(*store_->reader())),
        core(CoreOptions{}, *reader_, plans_, runner, dice_, nullptr) {
    EXPECT_TRUE(core.start());
  }
  // One turn; how many events were decided.
  std::size_t turn(Instant now) {
    Batch batch;
    core.decide(batch, now, 100);
    const std::size_t decided = batch.items.size();
    if (const auto committed = store_->commit(batch.changes); !committed) {
      std::vector<Batch> dropped;
      dropped.push_back(std::move(batch));
      core.dropped(std::move(dropped), committed.error(), now);
      return 0;
    }
    core.committed(std::move(batch));
    return decided;
  }

 private:
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  PlanCache plans_;
  Dice dice_;

 public:
  runner::FakeRunner runner;
  Core core;
};

const Instant noon{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23) + 12h};

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

TEST(Core, APersonWhoAsksForWhatCannotBeReadIsTold) {
  const auto disk = disk_with_a_waiting_run();
  Node node(disk);
  disk->faults().failing_reads = 1;
  std::optional<Error> told;
  node.core.push(CancelRequested{disk->runs().begin()->first, {}},
                 [&](Result<Answer> answer) { told = answer.error(); });
  EXPECT_EQ(node.turn(noon), 1U);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->code, Code::unavailable);
}

}  // namespace
}  // namespace pawl::driver
