// Results that a stop of the server may have caused. A service manager that stops a unit may send TERM to all of its
// processes, and a task may die of it just before the server hears of the stop. A try that ends so while the server
// stops, or at most `longest` before, is interrupted and has not failed. Only these results are held back for that
// long, until it is clear which of the two it is.
//
// Times are durations since a fixed instant, by a monotonic clock. Threads: one at a time.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/time.h"
#include "model/command.h"
#include "model/event.h"

namespace pawl::runner {

// The main process ended by HUP, INT or TERM, or with the exit code that a shell makes of one of them (129, 130, 143).
bool ended_as_by_stop(const Outcome& outcome);

class HeldResults {
 public:
  static constexpr Duration longest = std::chrono::milliseconds(500);

  // Takes a result for which ended_as_by_stop() holds. While the server stops, returns it at once as interrupted;
  // nullopt: it is held back.
  std::optional<TaskFinished> take(TaskFinished result, Duration now);
  // The server stops: returns what was held back, as interrupted; results that were due before stay failures.
  std::vector<TaskFinished> server_stops(Duration now);
  // Returns the results that were held back for long enough, as the failures that they are.
  std::vector<TaskFinished> due(Duration now);
  // Returns the result of a try that is being stopped for another reason. nullopt: it is not held back.
  std::optional<TaskFinished> release(const StopTask& stop);
  // When due() will have something; nullopt: nothing is held back.
  std::optional<Duration> next() const;

 private:
  struct Held {
    TaskFinished result;
    Duration until;
  };
  std::deque<Held> held_;  // in order of `until`
  bool stopping_ = false;
};

}  // namespace pawl::runner
