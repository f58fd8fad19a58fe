// A store in memory with the same contract as the others, for tests and the simulator. What was committed outlives
// "crashes" as long as the MemoryDisk does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_annotations.h"
#include "store/store.h"

namespace pawl::store {

// What the next commit does in place of its work.
enum class CommitFault : std::uint8_t {
  none,
  overloaded,               // nothing is written
  conflict,                 // nothing is written: somebody decided before us
  unavailable_not_applied,  // the outcome is unknown, and nothing was written …
  unavailable_applied,      // … or all of it was
};

struct Faults {
  CommitFault next_commit = CommitFault::none;  // strikes one commit that has something to write, then is none again
  int good_reads = 0;                           // so many of the next calls of readers work …
  int failing_reads = 0;                        // … and then so many answer unavailable
};

// The committed rows. Any number of stores may be open on one disk, as with a node that does not know it is dead.
// Threads: stores and readers lock it. faults() and the accessors below do not: they are for whoever drives all
// stores of the disk from one thread, or after these have stopped.
class MemoryDisk {
 public:
  Faults& faults() { return faults_; }

  // For checkers. References hold until the next commit.
  const std::map<std::string, WorkflowRow>& workflows() const { return workflows_; }
  const std::map<std::pair<std::string, int>, VersionRow>& versions() const { return versions_; }
  const std::map<RunId, Run>& runs() const { return runs_; }
  const std::set<RunId>& open_runs() const { return open_; }
  // Of one run, in order of seq.
  const std::vector<RecordRow>& records(RunId id) const;
  const std::map<RunId, std::vector<RecordRow>>& records() const { return records_; }
  const std::map<std::pair<std::string, std::string>, StartKey>& start_keys() const { return start_keys_; }
  const std::set<Expiry>& expiring() const { return expiring_; }
  // Taken by retention and not cleared away.
  const std::set<RunId>& gone() const { return gone_; }
  std::int64_t epoch() const { return node_.epoch; }
  // How many commits were applied: unchanged means that nothing else has changed either.
  std::uint64_t commits() const { return commits_; }

 private:
  friend class MemoryStore;
  friend class MemoryReader;
  friend class Changes;

  Mutex mutex_;
  Faults faults_;
  std::map<std::string, WorkflowRow> workflows_;
  std::map<std::pair<std::string, int>, VersionRow> versions_;
  std::map<RunId, Run> runs_;
  std::map<std::pair<std::string, std::int64_t>, RunId> numbers_;
  std::set<RunId> open_;
  std::set<Expiry> expiring_;
  std::set<RunId> gone_;
  std::map<RunId, std::vector<RecordRow>> records_;
  std::map<std::pair<std::string, std::string>, StartKey> start_keys_;
  NodeRow node_;                     // the heartbeat is an earlier process's
  std::optional<Instant> heartbeat_;  // the newest
  std::uint64_t commits_ = 0;
};

std::shared_ptr<MemoryDisk> make_memory_disk();

// Opening counts the epoch up, as a process start does.
std::unique_ptr<Store> open_memory(std::shared_ptr<MemoryDisk> disk);

}  // namespace pawl::store
