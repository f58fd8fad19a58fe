// A store in memory with the same contract as the others, for tests and the simulator. What was committed outlives
// "crashes" as long as the MemoryDisk does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
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

// A node's right to act, for a time that the disk's own clock measures. Each grant has the next epoch.
struct Lease {
  std::int64_t epoch = 0;
  std::string holder;  // empty: nobody yet
  Instant until{};
};

// An entry of the ledger, and its place in the order in which all were written.
struct WrittenLedgerRow : LedgerRow {
  std::uint64_t written = 0;
};

// The committed rows. Any number of stores may be open on one disk, as with a node that does not know it is dead.
// Threads: stores and readers lock it. faults() and the accessors below do not: they are for whoever drives all
// stores of the disk from one thread, or after these have stopped.
class MemoryDisk {
 public:
  using SlotKey = std::pair<ScheduleId, Instant>;  // of the ledger: its first slot

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
  const std::map<ScheduleId, ScheduleRow>& schedules() const { return schedules_; }
  const std::set<ScheduleTime>& due_schedules() const { return due_schedules_; }
  const std::map<SlotKey, WrittenLedgerRow>& ledger() const { return ledger_; }
  const std::map<BackfillId, BackfillRow>& backfills() const { return backfills_; }
  std::int64_t epoch() const { return node_.epoch; }
  // Leases. The clock is what the simulator says; nothing else looks at it.
  void set_clock(Instant now) { clock_ = now; }
  const Lease& lease() const { return lease_; }
  // Grants `node` a lease of a new epoch, if the one before is over or was its own: a process that asks anew has forgotten
  // its own. nullopt: another node's is not over. `asker_clock` is the node's own, which must not count.
  std::optional<Lease> take_lease(const std::string& node, Duration length, Instant asker_clock);
  // Prolongs the lease of that epoch. False: there is a newer one.
  bool renew_lease(std::int64_t epoch, Duration length);
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
  std::map<ScheduleId, ScheduleRow> schedules_;
  std::map<std::pair<std::string, std::string>, ScheduleId> schedule_names_;  // not deleted
  std::set<std::tuple<std::string, std::string, ScheduleId>> same_schedules_;  // not deleted
  std::set<ScheduleTime> due_schedules_;
  std::set<ScheduleId> parked_schedules_;
  std::map<SlotKey, WrittenLedgerRow> ledger_;
  std::map<std::uint64_t, SlotKey> written_;  // the same in the order in which they were written
  std::map<BackfillId, BackfillRow> backfills_;
  NodeRow node_;  // the heartbeat is an earlier process's
  std::optional<Instant> heartbeat_;  // the newest
  std::uint64_t commits_ = 0;
  Instant clock_{};
  Lease lease_;
};

std::shared_ptr<MemoryDisk> make_memory_disk();

// Opening counts the epoch up, as a process start does.
std::unique_ptr<Store> open_memory(std::shared_ptr<MemoryDisk> disk);
// For a node that was granted this epoch. As soon as there is a newer one every commit is `unavailable`, named `fenced`, and
// writes nothing: of two nodes that both think they may write, one can. The epoch is compared in the commit itself, so that
// it does not matter how long the commit was on its way.
std::unique_ptr<Store> open_memory(std::shared_ptr<MemoryDisk> disk, std::int64_t epoch);

}  // namespace pawl::store
