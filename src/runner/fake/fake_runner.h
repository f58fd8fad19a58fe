// A runner without work: it notes what it is told to start and stop, and whoever drives it says how each try ends. For
// the simulator and for tests of the driver.
// Threads: of one thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include "runner/runner.h"

namespace pawl::runner {

class FakeRunner final : public Runner {
 public:
  using Key = std::tuple<RunId, TaskRef, int>;  // run, task, try

  void start(StartTask command) override;
  void stop(StopTask command) override;
  void discard(RunId run) override {
    if (on_discard) on_discard(run);
  }
  void server_stops() override {
    if (on_server_stops) on_server_stops();
  }

  // Called inside start(), before the try counts as running.
  std::function<void(const StartTask&)> on_start;
  std::function<void(const StopTask&)> on_stop;
  std::function<void(RunId)> on_discard;
  std::function<void()> on_server_stops;

  const std::map<Key, StartTask>& running() const { return running_; }
  // Ends a try; the result is the caller's to deliver. nullopt: no such try runs.
  std::optional<StartTask> take(const Key& key);
  // The process died: nothing runs any more.
  void forget_all() { running_.clear(); }

 private:
  std::map<Key, StartTask> running_;
};

}  // namespace pawl::runner
