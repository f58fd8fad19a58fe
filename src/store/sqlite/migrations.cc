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

constexpr auto all = std::to_array<Migration>({{1, version_1}, {2, version_2}});

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
