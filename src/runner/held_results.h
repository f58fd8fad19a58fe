// Results that may be the work of a service manager: one that stops a unit sends TERM to all of its processes, and a task
// may die of it a moment before the server hears of the stop. What ends so, while the server stops or at most `longest`
// before that, is interrupted and no failure. Which of the two it is shows only then, so such results are held back that
// long, and no others.
//
// Time is a duration since any instant, by a clock that does not go back. Threads: of one thread at a time.
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

  // A result of a try that ended_as_by_stop(). While the server stops it comes back at once, as interrupted; nullopt: it is
  // held back.
  std::optional<TaskFinished> take(TaskFinished result, Duration now);
  // The server is stopping: what was held back, as interrupted.
  std::vector<TaskFinished> server_stops(Duration now);
  // What was held back for long enough: the failures that they are.
  std::vector<TaskFinished> due(Duration now);
  // This try is to end for another reason, so that nothing is left to find out. nullopt: it is not held back.
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
