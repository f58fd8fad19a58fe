// Those who do the work. A runner starts what it is told and answers every start with exactly one TaskFinished, also
// when it could not start it, unless the process dies. It takes no decision: retries, limits and order are the engine's.
#pragma once

#include <functional>
#include <string_view>

#include "base/time.h"
#include "model/command.h"
#include "model/event.h"
#include "model/limits.h"

namespace pawl::runner {

// Where results go. Threads: may be called from any thread; never blocks for long.
class Results {
 public:
  virtual ~Results() = default;
  virtual void finished(TaskFinished result) = 0;
};

// Where output of processes goes. Threads: any; the calls of one try come one after the other.
class LogSink {
 public:
  virtual ~LogSink() = default;
  enum class Stream : std::uint8_t { out, err, note };
  // Bytes as they came, at most 64 KiB a call.
  virtual void write(const StartTask& task, Stream stream, Instant at, std::string_view bytes) = 0;
  // Durable, before the result of the try is handed on. False: they could not be made durable, and the log says so.
  virtual bool sync(const StartTask& task) = 0;
};

// Threads: start() and stop() come from one thread and return at once.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual void start(StartTask command) = 0;
  virtual void stop(StopTask command) = 0;
  // The server is stopping. From now on, a try that a service manager's stop may have ended is reported as interrupted,
  // and so is one that ended that way in the last half second (held_results.h). Threads: any.
  virtual void server_stops() {}
  // The run is a success, durably, and no try of it runs: what its tasks have kept for each other may go. Not told after a
  // crash. From the same thread, before what a rerun of it starts.
  virtual void discard(RunId) {}
};

// Longest log of a try (docs/semantics.md, limits); those of values are in model/limits.h.
constexpr std::size_t max_log = 10 << 20;

}  // namespace pawl::runner
