// The door to the engine for everyone outside: post what is wanted, read what is committed.
// Threads: all of it may be called from any thread.
#pragma once

#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/changeset.h"
#include "model/event.h"
#include "model/record.h"
#include "model/run.h"

namespace pawl::driver {

// Called once, from a thread of the driver's, after the commit of what was asked is durable, or with why it is not.
// Error names: run_open, run_final, workflow_disabled, key_reused, … (docs/api.md).
using Reply = std::function<void(Result<Answer>)>;

class Inbox {
 public:
  virtual ~Inbox() = default;
  // Queues a request of a person or program. Error: overloaded, at once, when the queue is full or the server stops;
  // the reply is then not called and nothing was accepted.
  virtual Result<void> post(Event event, Reply reply) = 0;
};

// Committed runs with all that is folded from their records.
class Histories {
 public:
  virtual ~Histories() = default;
  // Error: not_found · corrupt.
  virtual Result<RunHistory> history(RunId id) = 0;
  // The run's own log. Error: not_found · corrupt.
  virtual Result<std::vector<Record>> records(RunId id) = 0;
  // What a task of the newest attempt is started with, resolved from what is committed now. Error: why it cannot be.
  virtual Result<std::variant<ProcessInput, HttpInput>> input(RunId id, TaskRef ref) = 0;
};

// Told of every commit, in order, from one thread. Must not block.
class Observer {
 public:
  virtual ~Observer() = default;
  // `record` stands encoded in `changes`, beside the run's row if that is new or has changed.
  virtual void committed(const Changeset& changes, const Record& record) = 0;
};

}  // namespace pawl::driver
