#include "store/sqlite/migrations.h"

#include <fmt/format.h>

#include <array>

namespace pawl::store {
namespace {

// Lists read `runs` in order of id, newest first, and each of their filters has an index that ends with id. What runs
// were given stands apart in `run_values`: an update of a row writes all of it again, and inputs may be large.
// `events` keeps its rowid: appending then touches one page, where a table ordered by (run, seq) would touch one a run.
constexpr const char* version_1 = R"sql(
CREATE TABLE workflows (
  name TEXT NOT NULL PRIMARY KEY,
  enabled INTEGER NOT NULL,
  version INTEGER NOT NULL,
  last_number INTEGER NOT NULL,
  created_at_us INTEGER NOT NULL,
  updated_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
  workflow TEXT NOT NULL,
  version INTEGER NOT NULL,
  text TEXT NOT NULL,
  created_at_us INTEGER NOT NULL,
  user TEXT NOT NULL,
  PRIMARY KEY (workflow, version)
) STRICT;

CREATE TABLE runs (
  row INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  workflow TEXT NOT NULL,
  number INTEGER NOT NULL,
  version INTEGER NOT NULL,
  trace_id TEXT NOT NULL,
  status TEXT NOT NULL,
  waits_for TEXT,
  due_us INTEGER,
  attempt INTEGER NOT NULL,
  who_trigger TEXT NOT NULL,
  who_user TEXT NOT NULL,
  who_client TEXT NOT NULL,
  who_user_agent TEXT NOT NULL,
  who_at_us INTEGER NOT NULL,
  created_at_us INTEGER NOT NULL,
  started_at_us INTEGER,
  finished_at_us INTEGER,
  error TEXT
) STRICT;
CREATE UNIQUE INDEX runs_by_id ON runs (id);
CREATE UNIQUE INDEX runs_by_number ON runs (workflow, number);
CREATE INDEX runs_by_workflow ON runs (workflow, id);
CREATE INDEX runs_by_trigger ON runs (who_trigger, id);
CREATE INDEX runs_by_trace ON runs (trace_id, id);
CREATE INDEX runs_open ON runs (id) WHERE status IN ('queued', 'running', 'waiting');
CREATE INDEX runs_failed ON runs (id) WHERE status IN ('failed', 'cancelled');
CREATE INDEX runs_failed_by_workflow ON runs (workflow, id) WHERE status IN ('failed', 'cancelled');

CREATE TABLE run_values (
  row INTEGER PRIMARY KEY,
  inputs TEXT,
  vars TEXT,
  env TEXT
) STRICT;

CREATE TABLE events (
  run BLOB NOT NULL,
  seq INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_run ON events (run, seq);

CREATE TABLE start_keys (
  workflow TEXT NOT NULL,
  key TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  run BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (workflow, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE node (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,
  heartbeat_us INTEGER,
  earlier_heartbeat_us INTEGER
) STRICT;
INSERT INTO node (one, epoch) VALUES (1, 0);
)sql";

// The place of a run in its concurrency group, in the row: at a start all places are known without a look at records.
// And what retention needs: when a run is due, whose the start keys are, and what of those it took is still to be removed.
constexpr const char* version_2 = R"sql(
ALTER TABLE runs ADD COLUMN group_name TEXT;
ALTER TABLE runs ADD COLUMN group_limit INTEGER;
ALTER TABLE runs ADD COLUMN group_cancels INTEGER;
ALTER TABLE runs ADD COLUMN group_since_us INTEGER;
ALTER TABLE runs ADD COLUMN group_held INTEGER;
ALTER TABLE runs ADD COLUMN expires_us INTEGER;
CREATE INDEX runs_expiring ON runs (expires_us, id) WHERE expires_us IS NOT NULL;
CREATE INDEX start_keys_by_run ON start_keys (run);
CREATE TABLE gone (
  run BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
)sql";

// Schedules. Each slot moves its schedule, so that what moves stands apart from what a schedule says: an update writes a
// row and the index entries of its columns again, and one of `schedule_progress` is some 50 bytes with one index entry,
// where one of a row that is whole would be some 300. A hundred schedules that stand side by side and are due together
// then dirty one page, and the commit writes pages. It is ordered by id, without a rowid, so that a step finds it at once.
// A schedule that is parked repeats the name of its workflow there, which is how those of one workflow are found without
// an index entry for all that are not.
// `ledger` is appended to in its own order, which is almost that of time: what is oldest goes from its front, without an
// index on an instant. `row` is a column, so that it outlives a VACUUM.
constexpr const char* version_3 = R"sql(
ALTER TABLE workflows ADD COLUMN switched_at_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workflows ADD COLUMN disabled_from_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workflows ADD COLUMN deleted_at_us INTEGER;
ALTER TABLE workflows ADD COLUMN file TEXT;
ALTER TABLE workflows ADD COLUMN file_gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workflows ADD COLUMN file_error TEXT;

ALTER TABLE runs ADD COLUMN schedule BLOB;
ALTER TABLE runs ADD COLUMN schedule_name TEXT;
ALTER TABLE runs ADD COLUMN slot_us INTEGER;
ALTER TABLE runs ADD COLUMN slot_in_line INTEGER;
ALTER TABLE runs ADD COLUMN backfill BLOB;

CREATE TABLE schedules (
  id BLOB NOT NULL,
  workflow TEXT NOT NULL,
  name TEXT NOT NULL,
  cron TEXT NOT NULL,
  timezone TEXT NOT NULL,
  misfire TEXT NOT NULL,
  misfire_threshold_us INTEGER NOT NULL,
  misfire_window_us INTEGER NOT NULL,
  max_catch_up INTEGER NOT NULL,
  overlap TEXT NOT NULL,
  start_us INTEGER,
  end_us INTEGER,
  jitter_us INTEGER NOT NULL,
  late_after_us INTEGER,
  inputs TEXT,
  same TEXT NOT NULL,
  defined INTEGER NOT NULL,
  enabled INTEGER NOT NULL,
  created_at_us INTEGER NOT NULL,
  updated_at_us INTEGER NOT NULL,
  deleted_at_us INTEGER
) STRICT;
CREATE UNIQUE INDEX schedules_by_id ON schedules (id);
CREATE UNIQUE INDEX schedules_by_name ON schedules (workflow, name) WHERE deleted_at_us IS NULL;
CREATE INDEX schedules_by_same ON schedules (workflow, same) WHERE deleted_at_us IS NULL;
CREATE INDEX schedules_by_state ON schedules (enabled, workflow, name) WHERE deleted_at_us IS NULL;
CREATE INDEX schedules_defined ON schedules (workflow, name) WHERE deleted_at_us IS NULL AND defined = 1;

CREATE TABLE schedule_progress (
  id BLOB NOT NULL PRIMARY KEY,
  cursor_us INTEGER NOT NULL,
  next_at_us INTEGER,
  parked_in TEXT,
  late_slot_us INTEGER,
  late_due_us INTEGER,
  late_run BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_due ON schedule_progress (next_at_us, id) WHERE next_at_us IS NOT NULL;
CREATE INDEX schedules_parked ON schedule_progress (id) WHERE parked_in IS NOT NULL;
CREATE INDEX schedules_parked_in ON schedule_progress (parked_in, id) WHERE parked_in IS NOT NULL;

CREATE TABLE ledger (
  row INTEGER PRIMARY KEY,
  schedule BLOB NOT NULL,
  from_us INTEGER NOT NULL,
  to_us INTEGER NOT NULL,
  count INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT,
  message TEXT,
  run BLOB,
  run_number INTEGER NOT NULL,
  lateness_us INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  backfill BLOB
) STRICT;
CREATE UNIQUE INDEX ledger_by_slot ON ledger (schedule, from_us);

CREATE TABLE backfills (
  id BLOB NOT NULL PRIMARY KEY,
  schedule BLOB NOT NULL,
  workflow TEXT NOT NULL,
  from_us INTEGER NOT NULL,
  to_us INTEGER NOT NULL,
  cursor_us INTEGER NOT NULL,
  run_limit INTEGER NOT NULL,
  status TEXT NOT NULL,
  started INTEGER NOT NULL,
  passed_over INTEGER NOT NULL,
  user TEXT NOT NULL,
  client TEXT NOT NULL,
  created_at_us INTEGER NOT NULL,
  finished_at_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX backfills_by_schedule ON backfills (schedule, id);
CREATE INDEX backfills_running ON backfills (id) WHERE status = 'running';
)sql";

constexpr auto all = std::to_array<Migration>({{1, version_1}, {2, version_2}, {3, version_3}});

}  // namespace

std::span<const Migration> migrations() { return all; }

int newest_version() { return all.back().version; }

Result<void> migrate(Connection& connection, std::span<const Migration> steps) {
  const auto version = connection.integer("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  if (*version > steps.back().version)
    return fail(Code::refused,
                fmt::format("the database has schema version {}, and this program knows {} at most: use a newer one",
                            *version, steps.back().version));
  for (const Migration& step : steps) {
    if (step.version <= *version) continue;
    // Not inside the script: the version has to change in the same transaction, or the step would be run again.
    const std::string script =
        fmt::format("BEGIN IMMEDIATE;{};PRAGMA user_version = {};COMMIT", step.sql, step.version);
    auto done = connection.execute(script.c_str());
    if (done) continue;
    if (connection.in_transaction())
      if (auto undone = connection.execute("ROLLBACK"); !undone) return undone;
    done.error().message = fmt::format("schema version {}: {}", step.version, done.error().message);
    return done;
  }
  return {};
}

}  // namespace pawl::store
