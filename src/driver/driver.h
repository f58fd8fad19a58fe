// The driver's threads: one engine thread that plays the core's turns, one writer thread that commits its batches. While
// a batch is synced the next one is decided (docs/adr/0001-one-engine-thread-one-writer.md). A third one removes what lies
// outside the store of runs that are gone.
#pragma once

#include <memory>

#include "driver/core.h"
#include "driver/inbox.h"
#include "driver/ports.h"
#include "runner/runner.h"
#include "store/store.h"

namespace pawl::driver {

struct DriverOptions {
  CoreOptions core;
  std::size_t inbox = 10'000;  // requests of people and programs that may wait
  std::size_t batch = 512;  // decisions in one commit at most
  Duration stop_timeout = std::chrono::seconds(30);  // for running tasks to finish after a stop
  Duration stop_grace = std::chrono::seconds(10);  // then, from TERM to the end
};

// Why a server stops, for the log.
struct StopRequest {
  std::string signal;
  std::string from;  // its sender; empty: unknown
};

// Results of tasks go in by runner::Results; they are never refused, since a runner has only so many tries at once.
class Driver : public Inbox, public runner::Results {
 public:
  // Reads what is owed and starts the threads. Error: what the store says.
  virtual Result<void> start() = 0;
  // Announces a stop and returns at once: from then on requests are refused and the runner knows of the stop. Call
  // stop() next. Call this as early as possible, because the signal of the stop may also have reached tasks. Threads:
  // any.
  virtual void begin_stop(StopRequest request) = 0;
  // Refuses requests, lets tasks finish for stop_timeout, cuts off the rest, commits all that was decided and joins.
  // The runner must still live. Safe twice and before start().
  virtual void stop() = 0;
  // As stop(), without waiting for running tasks: they are cut off at once.
  virtual void stop_now() = 0;
  // While stop() waits: no more patience. Threads: any.
  virtual void hurry() = 0;
  // Asks for a sign of life: the engine thread calls `answer` in its next turn, soon unless it is stuck. After the
  // engine's end `answer` is not called. Threads: any.
  virtual void knock(std::function<void()> answer) = 0;
  // Whether every run that was cut off by the death of the last process has been taken up, durably.
  virtual bool recovered() const = 0;
  // Set once the store cannot be relied on any more (an I/O error): nothing is acknowledged from then on, and the
  // process has to end and start anew. `on_fatal` is called once, from a thread of the driver's.
  virtual bool failed() const = 0;
  // The seats of the node, by kind; kept current as model/seat.h says. Threads: any.
  virtual SeatCounts seats() const = 0;
};

struct Ports {
  store::Store& store;
  runner::Runner& runner;
  Clock& clock;
  Rng& rng;
  PlanCache& plans;
  Observer* observer = nullptr;  // may be null
  std::function<void(const Error&)> on_fatal;
  Remains* remains = nullptr;  // of runs that retention takes; null: there are none
};

std::unique_ptr<Driver> make_driver(DriverOptions options, Ports ports);

}  // namespace pawl::driver
