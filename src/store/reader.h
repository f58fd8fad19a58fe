// Reading what is durable. A reader sees only committed changes and never writes.
// Errors of all functions: corrupt      a stored row cannot be read; the message names its table and key
//                          overloaded   another program has locked the store: later
//                          unavailable  an I/O error
// Threads: one reader belongs to one thread at a time; any number of readers may work beside the writer.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/changeset.h"
#include "model/run.h"

namespace pawl::store {

struct RunFilter {
  std::string workflow = {};  // empty: any
  std::optional<RunStatus> status = {};
  std::optional<Trigger> trigger = {};  // of the first attempt
  // Of created_at, [since, until). Found by the instant inside the ids (UUIDv7), which must be at most a minute off.
  std::optional<Instant> since = {}, until = {};
  std::string trace_id = {};  // empty: any
};

// By id, newest first. `cursor` is what the page before gave, empty for the first.
struct RunPage {
  std::vector<Run> items;             // without inputs, vars and env
  std::string next_cursor;            // empty: no more
};

struct NodeRow {
  std::int64_t epoch = 0;
  std::optional<Instant> heartbeat;   // the last one written by an earlier process
};

// A final run, and the instant at which retention takes it.
struct Expiry {
  Instant at;
  RunId run;
  auto operator<=>(const Expiry&) const = default;
};

struct ScheduleFilter {
  std::string workflow = {};  // empty: any
  std::optional<bool> enabled = {};
};

// When a schedule has to be looked at.
struct ScheduleTime {
  Instant at{};
  ScheduleId schedule;
  auto operator<=>(const ScheduleTime&) const = default;
};

class Reader {
 public:
  virtual ~Reader() = default;

  virtual Result<std::vector<WorkflowRow>> workflows() = 0;  // by name, without those that are deleted
  // Also one that is deleted: the same name goes on with its numbers.
  virtual Result<std::optional<WorkflowRow>> workflow(const std::string& name) = 0;
  virtual Result<std::optional<VersionRow>> version(const std::string& workflow, int version) = 0;
  // Highest number of any run of it that is stored, 0 if none.
  virtual Result<std::int64_t> last_run_number(const std::string& workflow) = 0;

  virtual Result<std::optional<Run>> run(RunId id) = 0;
  virtual Result<std::optional<Run>> run_by_number(const std::string& workflow, std::int64_t number) = 0;
  // A cursor that is none of ours is `invalid`. 1 <= limit <= 200. A filter is answered from an index; where filters
  // are combined, rows that only one of them lets through are read and passed over.
  virtual Result<RunPage> runs(const RunFilter& filter, std::size_t limit, const std::string& cursor) = 0;
  // In order of seq. None of a run that is gone, also while it is not cleared away yet.
  virtual Result<std::vector<RecordRow>> records(RunId id) = 0;

  // Runs that retention takes some day, the earliest first, from the first one behind `after` on; found by an index.
  virtual Result<std::vector<Expiry>> expiring(const std::optional<Expiry>& after, std::size_t limit) = 0;
  // Runs that are gone and not cleared away, by id, from the first one behind `after` on.
  virtual Result<std::vector<RunId>> gone(const std::optional<RunId>& after, std::size_t limit) = 0;

  // Every run that is not final, by id (so oldest first), without inputs, vars and env; one ordered scan. The visitor
  // returns false to stop. A row that cannot be read is handed to `broken` and passed over; only if its id cannot be
  // read either, or `broken` is empty, is it the error of the whole scan.
  using Broken = std::function<void(RunId, const Error&)>;
  virtual Result<void> open_runs(const std::function<bool(Run&&)>& visit, const Broken& broken) = 0;
  Result<void> open_runs(const std::function<bool(Run&&)>& visit) { return open_runs(visit, {}); }

  virtual Result<std::optional<StartKey>> start_key(const std::string& workflow, const std::string& key) = 0;
  virtual Result<NodeRow> node() = 0;

  // --- schedules ---
  // `after` is the last one seen of a list; none: from its beginning.

  // Also one that is deleted.
  virtual Result<std::optional<ScheduleRow>> schedule(ScheduleId id) = 0;
  // Of those that are not deleted.
  virtual Result<std::optional<ScheduleRow>> schedule(const std::string& workflow, const std::string& name) = 0;
  // One with that ScheduleRow::same.
  virtual Result<std::optional<ScheduleRow>> same_schedule(const std::string& workflow, const std::string& same) = 0;
  // Not deleted, by workflow and name, behind (workflow, name) of `after`; any filter is answered from an index. A deleted
  // workflow has none: they are dropped with it.
  virtual Result<std::vector<ScheduleRow>> schedules(const ScheduleFilter& filter,
                                                     const std::optional<std::pair<std::string, std::string>>& after,
                                                     std::size_t limit) = 0;
  // All that the workflow's definition carries and that are not deleted, by name.
  virtual Result<std::vector<ScheduleRow>> defined_schedules(const std::string& workflow) = 0;
  // Those whose next_at is behind `after` and not later than `until`, in order of (next_at, id); found by an index, so that
  // it costs what is due and not what exists. Those that are deleted are not among them as long as who deletes one takes
  // its next_at, which is not looked at here. A row that cannot be read is handed to `broken` and passed over, so that it
  // holds up no other schedule; only if its id cannot be read either, or `broken` is empty, is it the error of the call.
  using BrokenSchedule = std::function<void(const ScheduleTime&, const Error&)>;
  virtual Result<std::vector<ScheduleRow>> due_schedules(const std::optional<ScheduleTime>& after, Instant until,
                                                         std::size_t limit, const BrokenSchedule& broken) = 0;
  Result<std::vector<ScheduleRow>> due_schedules(const std::optional<ScheduleTime>& after, Instant until,
                                                 std::size_t limit) {
    return due_schedules(after, until, limit, {});
  }
  // The next one of all behind `after`, nullopt: none. Reads no row of a schedule.
  virtual Result<std::optional<ScheduleTime>> next_schedule(const std::optional<ScheduleTime>& after) = 0;
  // Parked ones of a workflow (empty: of all), by id, behind `after`.
  virtual Result<std::vector<ScheduleRow>> parked_schedules(const std::string& workflow,
                                                            const std::optional<ScheduleId>& after,
                                                            std::size_t limit) = 0;
  // Entries with a slot in [since, until], the newest first, whose first slot is earlier than `before`: that of the last
  // entry of a page leads to the next one. Those of one schedule do not overlap.
  struct LedgerRange {
    std::optional<Instant> since = {}, until = {}, before = {};
  };
  virtual Result<std::vector<LedgerRow>> ledger(ScheduleId schedule, const LedgerRange& range, std::size_t limit) = 0;
  // The earliest instant at which one of the entries that were written first was decided; nullopt: there is none. Pruned is
  // sure to find one that is older than its bound as long as this is, if it looks at as many as this does.
  static constexpr int written_first = 100;
  virtual Result<std::optional<Instant>> oldest_ledger() = 0;
  virtual Result<std::optional<BackfillRow>> backfill(BackfillId id) = 0;
  // The newest first.
  virtual Result<std::vector<BackfillRow>> backfills(ScheduleId schedule, std::size_t limit) = 0;
  // Those that are running, by id.
  virtual Result<std::vector<BackfillRow>> running_backfills() = 0;
};

}  // namespace pawl::store
