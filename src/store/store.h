// Durable home of workflows, runs and their records. Knows no rules: it applies what the engine decided.
// Threads: one commit() at a time, from any thread; readers may work beside it.
#pragma once

#include <memory>
#include <span>

#include "base/result.h"
#include "model/changeset.h"
#include "store/reader.h"

namespace pawl::store {

class Store {
 public:
  virtual ~Store() = default;

  // Applies all of `changes` in order, or nothing, in one transaction; durable on return.
  // Errors: conflict    a record's (run, seq), a run's or version's key, a schedule's name or an entry of the ledger is
  //                     there already, or a schedule's cursor is another one: somebody decided before us
  //         overloaded  there is no room (full disk): nothing was written, and a later call may succeed
  //         unavailable the outcome is unknown (an I/O error): nothing further may be committed by this store;
  //                     close it and read again what is true
  virtual Result<void> commit(std::span<const Changeset> changes) = 0;

  // A new reader; see reader.h. It must not outlive the store.
  virtual Result<std::unique_ptr<Reader>> reader() = 0;

  // Checks that the files are still those that were opened. Error: conflict, one was removed or replaced: further
  // commits may be lost, and another process could open the store. Cheap. Threads: any.
  virtual Result<void> still_ours() const { return {}; }
};

}  // namespace pawl::store
