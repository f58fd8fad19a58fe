// One server under the simulator: the driver and engine of the real one over a disk in memory, a runner without work and
// a clock that moves when told. It can die at any point; what was committed outlives it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "driver/core.h"
#include "runner/fake/fake_runner.h"
#include "sim/checks.h"
#include "store/memory/memory_store.h"

namespace pawl::sim {

class Machine {
 public:
  struct Options {
    std::uint64_t seed = 1;
    int process_slots = 4;
    int http_slots = 4096;
  };
  // Where in a turn the server may die.
  enum class Point : std::uint8_t { before_commit, after_commit, acted };

  explicit Machine(const Options& options);

  std::function<bool(Point)> dies = [](Point) { return false; };
  std::function<store::CommitFault()> fault = [] { return store::CommitFault::none; };
  std::function<void(std::string)> tell = [](const std::string&) {};

  // Decides up to `most` events, hands them over, takes the result of the commit. With `overlap` the next batch may be
  // decided while this one is synced.
  void turn(std::size_t most, bool overlap);
  void crash(std::string_view where, Duration down);
  // The end of a try, as the world has it. False: no such try runs.
  std::optional<StartTask> take(const runner::FakeRunner::Key& key) { return runner_.take(key); }
  // Whether a person, or another instance's failure, has asked it to end; forgotten by asking.
  bool was_stopped(const runner::FakeRunner::Key& key) { return stopped_.erase(key) > 0; }
  // The result of a try reaches the server.
  void hand_in(TaskFinished result);
  void submit(const std::string& text, std::function<void(const Result<Answer>&)> told = {});
  void drain(bool cut_off);

  // Whether something will happen without time and without a person: with the results of what runs, or without.
  bool has_work() const { return under_way_ || !next_.items.empty() || core_->has_work(now); }
  bool is_busy() const { return has_work() || !runner_.running().empty(); }
  driver::Core& core() { return *core_; }
  Checks& checks() { return checks_; }
  const Ledger& ledger() const { return checks_.ledger(); }
  const store::MemoryDisk& disk() const { return *disk_; }
  const runner::FakeRunner& runner() const { return runner_; }
  bool poisoned() const { return poisoned_; }  // a task has started that kills it
  bool draining() const { return draining_; }
  std::uint64_t crashes() const { return crashes_; }
  std::uint64_t hash() const { return hash_; }  // of everything that was committed, in order

  Instant now{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};

 private:
  class SeededRng final : public driver::Rng {
   public:
    explicit SeededRng(std::uint64_t seed) : random_(seed) {}
    std::uint64_t next() override { return random_.next(); }

   private:
    SplitMix random_;
  };
  void boot();
  void look_around();

  const Options options_;
  SeededRng rng_;
  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  Checks checks_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  std::unique_ptr<driver::PlanCache> plans_;
  runner::FakeRunner runner_;
  std::unique_ptr<driver::Core> core_;
  driver::Batch next_;
  std::optional<driver::Batch> under_way_;
  std::set<runner::FakeRunner::Key> stopped_;
  std::set<RunId> touched_;  // since live and stored were compared
  bool poisoned_ = false;
  bool draining_ = false;
  std::uint64_t crashes_ = 0;
  std::uint64_t hash_ = 0;
};

}  // namespace pawl::sim
