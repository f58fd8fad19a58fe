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
#include "runner/held_results.h"
#include "sim/checks.h"
#include "store/memory/memory_store.h"

namespace pawl::sim {

class Machine {
 public:
  using Key = runner::FakeRunner::Key;
  struct Options {
    std::uint64_t seed = 1;
    int process_seats = 4;
    int http_seats = 4096;
    // One of many nodes: the disk and the checks that they share, and the epoch that this one was granted.
    std::shared_ptr<store::MemoryDisk> disk = {};
    std::shared_ptr<Checks> checks = {};
    std::optional<std::int64_t> epoch = {};
  };
  // Where in a turn the server may die.
  enum class Point : std::uint8_t { before_commit, after_commit, acted };

  explicit Machine(const Options& options);

  std::function<bool(Point)> dies = [](Point) { return false; };
  std::function<store::CommitFault()> fault = [] { return store::CommitFault::none; };
  // So many reads of a turn, or of a start, succeed before one fails; nullopt: none does.
  std::function<std::optional<int>()> failing_read = [] { return std::nullopt; };
  std::function<std::optional<int>()> failing_start = [] { return std::nullopt; };
  // Whether it goes to sleep between a commit and what follows from it, which is then the first thing of the next turn.
  std::function<bool()> halts = [] { return false; };
  // Whether the guard of the tries lets one start; if not, the try is lost.
  std::function<bool()> may_start = [] { return true; };
  std::function<void(const Key&, const StartTask&)> began = [](const Key&, const StartTask&) {};
  std::function<void(std::string)> tell = [](const std::string&) {};

  // Decides up to `most` events, hands them over, takes the result of the commit. With `overlap` the next batch may be
  // decided while this one is synced.
  void turn(std::size_t most, bool overlap);
  void crash(std::string_view where, Duration down);
  // From the next start on.
  void set_seats(int process, int http);
  // The end of a try, as the world has it. False: no such try runs.
  std::optional<StartTask> take(const Key& key) { return runner_.inner.take(key); }
  // Whether a person, or another instance's failure, has asked it to end; forgotten by asking.
  bool was_stopped(const Key& key) { return stopped_.erase(key) > 0; }
  bool is_stopped(const Key& key) const { return stopped_.contains(key); }
  // A try has ended, as its runner sees it: the result reaches the server now, or half a second later (held_results.h).
  void hand_in(TaskFinished result);
  void submit(const std::string& text, std::function<void(const Result<Answer>&)> told = {});
  void drain(bool cut_off);
  // What lay outside the store of a run that is gone has been removed, of one of them. False: there is none.
  bool clear_one();

  // Whether something will happen without time and without a person: with the results of what runs, or without.
  bool has_work() const { return under_way_ || !next_.items.empty() || core_->has_work(now); }
  bool is_busy() const { return has_work() || !runner_.inner.running().empty() || !remains_.empty(); }
  bool holds_results() const { return held_.next().has_value(); }
  driver::Core& core() { return *core_; }
  const driver::Core& core() const { return *core_; }
  // What is being committed; empty: nothing.
  std::vector<Changeset> changes_under_way() const {
    return under_way_ ? under_way_->changes : std::vector<Changeset>{};
  }
  bool has_in_hand() const { return is_durable_; }
  // The guard ends all tries; nobody hears of it.
  void kill_tries() { runner_.inner.forget_all(); }
  Checks& checks() { return *checks_; }
  const Ledger& ledger() const { return checks_->ledger(); }
  const store::MemoryDisk& disk() const { return *disk_; }
  const runner::FakeRunner& runner() const { return runner_.inner; }
  bool poisoned() const { return poisoned_; }  // a task has started that kills it
  bool draining() const { return draining_; }
  // The outcome of a commit is unknown: nothing more can be committed, it has to be ended and started again.
  bool has_lost_its_store() const { return lost_store_; }
  std::uint64_t crashes() const { return crashes_; }
  Duration downtime() const { return downtime_; }
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
  // A guard stands before the runner.
  struct Guarded final : runner::Runner {
    explicit Guarded(const Machine& its_machine) : machine(its_machine) {}
    void start(StartTask command) override {
      if (machine.may_start()) inner.start(std::move(command));
    }
    void stop(StopTask command) override { inner.stop(std::move(command)); }
    void discard(RunId run) override { inner.discard(run); }
    const Machine& machine;
    runner::FakeRunner inner;
  };
  void boot();
  void look_around();
  void act();
  void deliver(TaskFinished result);
  void note_commit(const std::vector<Changeset>& changes);
  void drop_batches(const Error& error);

  Options options_;
  SeededRng rng_;
  std::shared_ptr<store::MemoryDisk> disk_;
  std::shared_ptr<Checks> checks_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  std::unique_ptr<driver::PlanCache> plans_;
  Guarded runner_{*this};
  std::unique_ptr<driver::Core> core_;
  driver::Batch next_;
  std::optional<driver::Batch> under_way_;
  bool is_durable_ = false;  // it is committed, and nothing has followed from it yet
  Checks::Owed owed_;  // by what is durable
  std::set<Key> stopped_;
  runner::HeldResults held_;
  std::set<RunId> touched_;  // since live and stored were compared
  std::set<RunId> remains_;  // to be cleared away
  bool poisoned_ = false;
  bool draining_ = false;
  bool lost_store_ = false;
  std::uint64_t crashes_ = 0;
  Duration downtime_{};
  std::uint64_t hash_ = 0;
};

}  // namespace pawl::sim
