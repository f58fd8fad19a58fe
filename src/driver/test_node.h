// For tests of the core.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "driver/core.h"
#include "runner/fake/fake_runner.h"
#include "store/memory/memory_store.h"

namespace pawl::driver {

class Dice final : public Rng {
 public:
  std::uint64_t next() override { return random_.next(); }

 private:
  SplitMix random_{1};
};

// A node on a disk that outlives it; its turns are played by hand.
class Node {
 public:
  explicit Node(std::shared_ptr<store::MemoryDisk> disk, CoreOptions options = {})
      : store_(store::open_memory(std::move(disk))),
        reader_(std::move(*store_->reader())),
        core(std::move(options), *reader_, plans_, runner, dice_, nullptr) {
    EXPECT_TRUE(core.start());
  }
  Result<void> commit(const std::vector<Changeset>& changes) { return store_->commit(changes); }
  // One turn; how many events were decided.
  std::size_t turn(Instant now) {
    Batch batch;
    core.decide(batch, now, 100);
    const std::size_t decided = batch.items.size();
    if (const auto committed = commit(batch.changes); !committed) {
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

// A Monday.
inline const Instant noon{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23) + std::chrono::hours(12)};

}  // namespace pawl::driver
