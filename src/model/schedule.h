// Schedules as data: what one says, where it stands, and the ledger of what became of its slots (docs/schedules.md).
// A slot is one fire time of one schedule, in whole seconds. Every slot later than the schedule's beginning and not later
// than its cursor is covered by exactly one entry of the ledger.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace pawl {

// What becomes of slots that are more than the threshold late.
enum class Misfire : std::uint8_t { run_once, run_all, skip };
// What becomes of a slot while an earlier run of the schedule is open.
enum class Overlap : std::uint8_t { queue, skip, allow, cancel_running };

// Spelled as in definitions: run-once, cancel-running.
std::string_view to_string(Misfire misfire);
std::string_view to_string(Overlap overlap);

// What a schedule says, from a definition or by API.
struct ScheduleRule {
  std::string cron;  // an expression that calendar::Cron takes and that may fire
  std::string timezone;  // IANA name; empty in a definition: the server's; never empty in a row
  Misfire misfire = Misfire::run_once;
  Duration misfire_threshold = std::chrono::seconds(60);  // a slot that is later than this is missed
  Duration misfire_window = std::chrono::hours(24);  // run-once: no slot older than this is run
  int max_catch_up = 100;  // run-all: so many of the newest missed slots, oldest first
  Overlap overlap = Overlap::queue;
  std::optional<Instant> start, end;  // first and last instant at which a slot may lie, both included
  Duration jitter{};  // a slot is due so much later at most; the same for a slot whoever asks
  std::optional<Duration> late_after;  // a slot without a run so long after it is due starts the tasks of `on-late`
  Json inputs = json::object{};  // of its runs: object, whose texts may be templates that see `schedule`

  bool operator==(const ScheduleRule&) const = default;
};

// A schedule that a definition carries.
struct DefinedSchedule {
  std::string name;  // `id` in the file, or main
  ScheduleRule rule;
};

// A slot that has started no run yet and starts `on-late` when `due` comes, if it has not by then.
struct LateWatch {
  Instant slot{}, due{};
  std::optional<RunId> run;  // created for it, but held back; absent: there is none, and there will be none
  bool operator==(const LateWatch&) const = default;
};

// Where a schedule stands: what changes with each slot.
struct ScheduleProgress {
  Instant cursor{};  // every slot up to here is decided
  std::optional<Instant> next_at;  // when it has to be looked at; absent: never, as things are
  // It was due while its workflow was disabled: next_at is absent until that is enabled again.
  bool parked = false;
  std::optional<LateWatch> late;
  bool operator==(const ScheduleProgress&) const = default;
};

// A row of `schedules`.
struct ScheduleRow {
  ScheduleId id;
  std::string workflow, name;  // (workflow, name) is unique among those that are not deleted
  ScheduleRule rule;
  std::string same;  // equal for two schedules of a workflow that differ in nothing that makes sense: rule_key()
  bool defined = false;  // carried by the workflow's definition, and changed there
  bool enabled = true;
  Instant created_at{}, updated_at{};
  std::optional<Instant> deleted_at;  // kept for its ledger alone
  ScheduleProgress progress;
};

enum class SlotOutcome : std::uint8_t { fired, misfired, skipped };
// Why a slot has no run. `invalid`: its inputs are none that the workflow takes.
enum class SlotReason : std::uint8_t { none, misfired, overlap, disabled, end, invalid };
std::string_view to_string(SlotOutcome outcome);
std::string_view to_string(SlotReason reason);  // none is empty

// A row of `ledger`: a slot, or all slots between two of them that were passed over together. (schedule, from) is unique.
struct LedgerRow {
  ScheduleId schedule;
  Instant from{}, to{};  // the first and the last slot; equal for one
  std::int64_t count = 1;
  SlotOutcome outcome = SlotOutcome::fired;
  SlotReason reason = SlotReason::none;
  std::string message;  // of `invalid`
  std::optional<RunId> run;  // of `fired`
  std::int64_t run_number = 0;
  Duration lateness{};  // of `fired`: from when it was due (with its jitter) to when it was decided
  Instant at{};  // decided
  std::optional<BackfillId> backfill;  // the run was asked for afterwards
};

enum class BackfillStatus : std::uint8_t { running, success, cancelled };
std::string_view to_string(BackfillStatus status);

// A row of `backfills`: slots of a past range that have no run get one, the oldest first, `limit` at once.
struct BackfillRow {
  BackfillId id;
  ScheduleId schedule;
  std::string workflow;
  Instant from{}, to{};  // both included
  Instant cursor{};  // every slot up to here has been looked at
  int limit = 1;  // of its runs that are open at once
  BackfillStatus status = BackfillStatus::running;
  std::int64_t started = 0, passed_over = 0;  // slots: with a run of it; that had one already, or could get none
  std::string user, client;  // who asked
  Instant created_at{};
  std::optional<Instant> finished_at;
};

// Whether such a backfill can be asked for at `now`, whatever its schedule is. Errors: invalid with the names range_invalid
// and limit_invalid.
Result<void> check_backfill(Instant from, Instant to, int limit, Instant now);

// What one decision writes about schedules; see Changeset. Applied in this order: dropped, put, moved, ledger_removed,
// ledger, backfill, pruned.
struct ScheduleChanges {
  // Inserted or replaced, in this order; a name that is taken is a conflict. A name is free for the next one as soon as
  // its schedule is put with deleted_at.
  std::vector<ScheduleRow> put;
  // A step of one schedule. A cursor that is not `from` any more is a conflict: somebody decided before us.
  struct Moved {
    ScheduleId id;
    Instant from{};
    ScheduleProgress progress;
  };
  std::optional<Moved> moved;
  // By (schedule, from): what stands in their place follows in `ledger`. One that is not there any more is a conflict.
  std::vector<LedgerRow> ledger_removed;
  std::vector<LedgerRow> ledger;  // inserted; one that is there already is a conflict
  std::optional<BackfillRow> backfill;  // inserted or replaced
  // All schedules of a workflow that are not deleted are, at this instant; nothing comes up for them any more: they have no
  // next_at and no `late`, and are not parked.
  struct Dropped {
    std::string workflow;
    Instant at{};
  };
  std::optional<Dropped> dropped;
  // Of the `most` entries of the ledger that were written first, those that were decided before `before` are deleted.
  struct Pruned {
    Instant before{};
    int most = 0;
  };
  std::optional<Pruned> pruned;
};

template <class Enum>
std::optional<Enum> schedule_word(std::string_view text);  // of the enumerations above

}  // namespace pawl
