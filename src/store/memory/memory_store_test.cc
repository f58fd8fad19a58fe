#include "store/memory/memory_store.h"

#include "store/contract_tests/contract.h"
#include "store/contract_tests/schedule_contract.h"

namespace pawl::store {
namespace {

struct MemoryHome {
  std::shared_ptr<MemoryDisk> disk = make_memory_disk();
  Result<std::unique_ptr<Store>> open() { return open_memory(disk); }
};

}  // namespace

namespace contract {
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreContract, MemoryHome);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ScheduleContract, MemoryHome);
}  // namespace contract

namespace {

using namespace std::chrono_literals;
using contract::a_record;
using contract::a_run;
using contract::adds;
using contract::run_id;

Result<void> commit(Store& store, Changeset change) { return store.commit(std::span(&change, 1)); }

TEST(MemoryStore, ADiskOutlivesItsStoresAndShowsItsRowsToCheckers) {
  const auto disk = make_memory_disk();
  {
    const auto store = open_memory(disk);
    Changeset change = adds(a_run(1));
    change.record = a_record(run_id(1), 1, "first");
    ASSERT_TRUE(commit(*store, change));
  }
  EXPECT_EQ(disk->runs().size(), 1U);
  EXPECT_EQ(disk->open_runs().count(run_id(1)), 1U);
  EXPECT_EQ(disk->records(run_id(1)).at(0).body, "first");
  EXPECT_TRUE(disk->records(run_id(2)).empty());
  EXPECT_EQ(disk->commits(), 1U);
  EXPECT_EQ(disk->epoch(), 1);
}

TEST(MemoryStore, AFullDiskWritesNothingAndTheNextCommitWorks) {
  const auto disk = make_memory_disk();
  const auto store = open_memory(disk);
  for (const auto& [fault, code] :
       {std::pair(CommitFault::overloaded, Code::overloaded), {CommitFault::conflict, Code::conflict}}) {
    disk->faults().next_commit = fault;
    EXPECT_EQ(commit(*store, adds(a_run(1))).error().code, code);
    EXPECT_TRUE(disk->runs().empty());
  }
  EXPECT_TRUE(commit(*store, adds(a_run(1))));
}

TEST(MemoryStore, AfterAnUnknownOutcomeNothingIsCommittedUntilItIsOpenedAgain) {
  for (const CommitFault fault : {CommitFault::unavailable_applied, CommitFault::unavailable_not_applied}) {
    const auto disk = make_memory_disk();
    auto store = open_memory(disk);
    disk->faults().next_commit = fault;
    EXPECT_EQ(commit(*store, adds(a_run(1))).error().code, Code::unavailable);
    EXPECT_EQ(disk->runs().size(), fault == CommitFault::unavailable_applied ? 1U : 0U);
    EXPECT_EQ(commit(*store, adds(a_run(2))).error().code, Code::unavailable);
    EXPECT_FALSE(disk->runs().contains(run_id(2)));
    store = open_memory(disk);
    EXPECT_TRUE(commit(*store, adds(a_run(2))));
  }
}

TEST(MemoryStore, ALeaseIsGrantedWhenTheOneBeforeIsOverByTheDisksOwnClock) {
  const auto disk = make_memory_disk();
  disk->set_clock(contract::day_one);
  ASSERT_TRUE(disk->take_lease("a", 10s, contract::day_one));
  EXPECT_FALSE(disk->take_lease("b", 10s, contract::day_one + 1h)) << "the clock of who asks does not count";
  disk->set_clock(contract::day_one + 6s);
  EXPECT_TRUE(disk->renew_lease(1, 10s));
  disk->set_clock(contract::day_one + 15s);
  EXPECT_FALSE(disk->take_lease("b", 10s, contract::day_one));
  disk->set_clock(contract::day_one + 16s);
  EXPECT_EQ(disk->take_lease("b", 10s, contract::day_one)->epoch, 2);
  EXPECT_FALSE(disk->renew_lease(1, 10s));
}

TEST(MemoryStore, ACommitOfAnEpochThatIsOverWritesNothing) {
  const auto disk = make_memory_disk();
  const auto first = disk->take_lease("a", 0s, Instant{});
  const auto old = open_memory(disk, first->epoch);
  EXPECT_TRUE(commit(*old, adds(a_run(1))));
  const auto second = disk->take_lease("b", 10s, Instant{});
  const auto refused = commit(*old, adds(a_run(2)));
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(refused.error().name, "fenced");
  EXPECT_FALSE(disk->runs().contains(run_id(2)));
  EXPECT_TRUE(commit(*open_memory(disk, second->epoch), adds(a_run(2))));
}

TEST(MemoryStore, ReadsFailAsOftenAsTheyAreTold) {
  const auto disk = make_memory_disk();
  const auto store = open_memory(disk);
  const auto reader = store->reader();
  disk->faults().failing_reads = 2;
  EXPECT_EQ((*reader)->run(run_id(1)).error().code, Code::unavailable);
  EXPECT_EQ((*reader)->open_runs([](contract::RunRow&&) { return true; }).error().code, Code::unavailable);
  EXPECT_TRUE((*reader)->run(run_id(1)));
  disk->faults() = {.good_reads = 1, .failing_reads = 1};
  EXPECT_TRUE((*reader)->run(run_id(1)));
  EXPECT_FALSE((*reader)->run(run_id(1)));
  EXPECT_TRUE((*reader)->run(run_id(1)));
}

}  // namespace
}  // namespace pawl::store
