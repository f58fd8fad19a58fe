// What one decision writes. A store applies it whole or not at all and knows no rules.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/id.h"
#include "base/time.h"
#include "model/run.h"
#include "model/schedule.h"

namespace pawl {

// A row of `workflows`.
struct WorkflowRow {
  std::string name;
  bool enabled = true;
  int version = 0;  // the newest
  std::int64_t last_number = 0;  // highest run number known when this row was written; runs may have gone past it
  Instant created_at{}, updated_at{};
  // When `enabled`, or what else stops it, changed last, and when the time before that, in which it was stopped, began:
  // slots between the two were slots of a disabled workflow.
  Instant switched_at{}, disabled_from{};
  std::optional<Instant> deleted_at;  // not to be seen any more; the same name later goes on with its numbers
  // A file of the folder that the server watches has it; empty: none does.
  std::string file;
  bool file_gone = false;  // the file has vanished: it counts as disabled
  std::string file_error;  // what is wrong with the file: this version is older than it; empty: nothing

  bool active() const { return enabled && !file_gone && !deleted_at; }
};

// Whether the schedule fires at all, as things are.
inline bool is_active(const ScheduleRow& row, const WorkflowRow& workflow) {
  return row.enabled && !row.deleted_at && workflow.active();
}

// A row of `versions`; never changed once written.
struct VersionRow {
  std::string workflow;
  int version = 0;
  std::string text;  // as its author wrote it
  Instant created_at{};
  std::string user;
};

// A row of `events`: one step of one run. (run, seq) is unique, which is also the fence: of two decisions made on the
// same state only one is stored.
struct RecordRow {
  RunId run;
  std::int64_t seq = 0;  // from 1, without gaps
  Instant at{};
  std::string body;  // engine/record.h
};

// A row of `start_keys`.
struct StartKey {
  std::string workflow;
  std::string key;
  std::string body_hash;
  RunId run;
  Instant at{};
};

struct Changeset {
  std::optional<WorkflowRow> workflow;  // inserted or replaced
  std::optional<VersionRow> version;  // inserted
  std::shared_ptr<const ScheduleChanges> schedules;  // null: none
  std::optional<Run> new_run;  // inserted
  std::optional<StartKey> start_key;  // inserted
  std::optional<Run> run;  // its changing columns are updated (run.h)
  std::optional<RecordRow> record;  // inserted
  std::optional<Instant> heartbeat;  // of this node
  // Retention takes a final run: its row and its start keys are deleted, and a mark is left that it is not cleared away
  // yet. Its number stays taken: last_number of its workflow is raised to it.
  std::optional<RunId> gone;
  // What lay outside the store of a run that is gone has been removed. A part of its records, small enough to hold nobody
  // up, is deleted, and with the last of them the mark. As long as the mark is there this has to be said again.
  std::optional<RunId> cleared;

  bool empty() const {
    return !workflow && !version && !new_run && !start_key && !run && !record && !heartbeat && !gone && !cleared &&
           !schedules;
  }
};

}  // namespace pawl
