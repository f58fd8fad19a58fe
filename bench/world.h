// An engine to measure: the server's own driver and store, with a runner that needs no process. Steps go the whole way,
// through inbox, engine, commit and runner port; only the work itself is left out.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "app/system_ports.h"
#include "driver/driver.h"
#include "driver/histories.h"
#include "model/workflow.h"
#include "runner/runner.h"
#include "store/store.h"

namespace pawl::bench {

// Hands each commit on and counts it.
class CountingStore final : public store::Store {
 public:
  explicit CountingStore(std::unique_ptr<store::Store> inner) : inner_(std::move(inner)) {}
  Result<void> commit(std::span<const Changeset> changes) override;
  Result<std::unique_ptr<store::Reader>> reader() override { return inner_->reader(); }
  std::uint64_t commits() const { return commits_; }
  std::uint64_t changesets() const { return changesets_; }
  // Told of what has become durable, before anybody else, on the thread that committed it. Set before the driver starts.
  std::function<void(std::span<const Changeset>)> on_durable;

 private:
  std::unique_ptr<store::Store> inner_;
  std::atomic<std::uint64_t> commits_ = 0, changesets_ = 0;
};

// Ends each try at once, on the thread that starts it, with what `outcome` says.
class InstantRunner final : public runner::Runner {
 public:
  // nullopt: the try never ends.
  using MakeOutcome = std::function<std::optional<Outcome>(const StartTask&)>;
  explicit InstantRunner(MakeOutcome outcome) : outcome_(std::move(outcome)) {}
  void deliver_to(runner::Results& results) { results_ = &results; }
  void start(StartTask command) override {
    if (auto outcome = outcome_(command))
      results_->finished({command.run, command.ref, command.try_number, std::move(*outcome)});
  }
  // Of a try that would never end.
  void stop(StopTask command) override;

 private:
  MakeOutcome outcome_;
  runner::Results* results_ = nullptr;
};

// A process that exited with 0 and wrote one output of so many bytes.
Outcome success(std::size_t output_bytes);

struct WorldOptions {
  std::string folder;  // of the store
  InstantRunner::MakeOutcome outcome = [](const StartTask&) { return success(80); };
  bool http = false;  // `http` tasks by the real HTTP runner
  std::size_t batch = driver::DriverOptions{}.batch;
  bool waits = true;  // stop() lets tries in flight end; else they are cut off
};

class World final : driver::Observer {
 public:
  explicit World(WorldOptions options);
  ~World() override;
  // Reads what is owed and starts the threads.
  void start();
  void stop();

  // A definition, as its author would have sent it, or as data; durable on return.
  void submit(const std::string& yaml);
  void submit(Workflow workflow);
  // Queues the start of a run.
  void request(const std::string& workflow);
  // … and waits until it, and with it all that was queued before, is durable.
  void request_and_wait(const std::string& workflow);
  // Every run that the last process left cut off has been taken up, durably.
  bool recovered() const { return driver_->recovered(); }

  // Told of each run that has ended, after its commit, on the engine's thread. Set before start().
  std::function<void(const Run&)> on_end;

  CountingStore& store() { return store_; }
  // The clock that schedules go by.
  Instant now() { return clock_.now(); }
  driver::Histories& histories() { return *histories_; }

 private:
  void committed(const Changeset& changes, const Record& record) override;
  void submit(Workflow workflow, std::string text);
  void post_and_wait(Event event, std::string_view what);

  class Runners;
  const bool waits_;
  CountingStore store_;
  app::SystemClock clock_;
  app::SystemRng rng_;
  driver::PlanCache plans_;
  std::unique_ptr<Runners> runners_;
  std::unique_ptr<driver::Histories> histories_;
  std::unique_ptr<driver::Driver> driver_;
};

// Starts `runs` runs of a workflow, `at_once` of them open at any time, and waits for the last to end. All must succeed.
void drive(World& world, const std::string& workflow, std::size_t runs, std::size_t at_once);

// One job of `tasks` trivial `run` tasks.
std::string chain(std::size_t tasks, std::string_view name = "chain");

// What the store holds of finished work, counted row by row after the fact.
struct Counted {
  std::size_t runs = 0;  // that are `success`
  std::size_t records = 0;
  std::size_t steps = 0;  // tries recorded as success
};
Counted count_rows(store::Store& store);

}  // namespace pawl::bench
