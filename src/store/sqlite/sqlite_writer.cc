#include "store/sqlite/sqlite_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "store/sqlite/rows.h"

namespace pawl::store {
namespace {

// Pages from which on new readers are held up for a moment, so that the WAL can start again from its beginning:
// readers that overlap without a pause would otherwise let it grow for ever.
constexpr int patience_ends_at = 32'000;
constexpr int busy_ms = 5000, checkpoint_busy_ms = 100;

Error described(Error error, const std::string& what) {
  error.message = fmt::format("{}: {}", what, error.message);
  return error;
}

}  // namespace

Result<std::unique_ptr<SqliteWriter>> SqliteWriter::make(std::unique_ptr<Connection> connection, int checkpoint_pages) {
  std::unique_ptr<SqliteWriter> writer(new SqliteWriter(std::move(connection), checkpoint_pages));
  if (auto ready = writer->prepare(); !ready) return std::unexpected(ready.error());
  return writer;
}

Result<void> SqliteWriter::prepare() {
  // Checkpoints are made by commit() itself, which has to know when one of them fails.
  if (auto set = connection_->execute("PRAGMA wal_autocheckpoint = 0"); !set) return set;
  sqlite3_wal_hook(
      connection_->handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteWriter*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  const std::pair<Statement**, const char*> all[] = {
      {&sql_.begin, "BEGIN IMMEDIATE"},
      {&sql_.commit, "COMMIT"},
      {&sql_.rollback, "ROLLBACK"},
      {&sql_.workflow,
       "INSERT INTO workflows (name, enabled, version, last_number, created_at_us, updated_at_us) VALUES (?1, ?2, ?3, "
       "?4, ?5, ?6) "
       "ON CONFLICT (name) DO UPDATE SET enabled = ?2, version = ?3, last_number = ?4, created_at_us = ?5, "
       "updated_at_us = ?6"},
      {&sql_.version,
       "INSERT INTO versions (workflow, version, text, created_at_us, user) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&sql_.run,
       "INSERT INTO runs (id, workflow, number, version, trace_id, status, waits_for, due_us, attempt, who_trigger, "
       "who_user, "
       "who_client, who_user_agent, who_at_us, created_at_us, started_at_us, finished_at_us, error, group_name, "
       "group_limit, group_cancels, group_since_us, group_held) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, "
       "?23)"},
      {&sql_.values, "INSERT INTO run_values (row, inputs, vars, env) VALUES (?1, ?2, ?3, ?4)"},
      {&sql_.start_key, "INSERT INTO start_keys (workflow, key, body_hash, run, at_us) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&sql_.update,
       "UPDATE runs SET status = ?2, waits_for = ?3, due_us = ?4, attempt = ?5, version = ?6, started_at_us = ?7, "
       "finished_at_us = ?8, error = ?9, group_since_us = ?10, group_held = ?11 WHERE id = ?1"},
      {&sql_.record, "INSERT INTO events (run, seq, at_us, body) VALUES (?1, ?2, ?3, ?4)"},
      {&sql_.heartbeat, "UPDATE node SET heartbeat_us = ?1"},
  };
  for (const auto& [statement, sql] : all) {
    auto prepared = connection_->prepared(sql);
    if (!prepared) return fail(Code::corrupt, "the schema is not what its version says: " + prepared.error().message);
    *statement = *prepared;
  }
  return {};
}

SqliteWriter::~SqliteWriter() {
  if (broken_) return;
  connection_->tidy_on_close();
}

Result<void> SqliteWriter::commit(std::span<const Changeset> changes) {
  if (std::ranges::all_of(changes, &Changeset::empty)) return {};
  return transact([&]() -> Result<void> {
    for (const Changeset& change : changes)
      if (auto done = apply(change); !done) return done;
    return {};
  });
}

Result<void> SqliteWriter::begin_epoch() {
  return transact(
      [&] { return connection_->execute("UPDATE node SET epoch = epoch + 1, earlier_heartbeat_us = heartbeat_us"); });
}

template <class Work>
Result<void> SqliteWriter::transact(const Work& work) {
  if (broken_) return fail(Code::unavailable, *broken_);
  Result<void> done = sql_.begin->run();
  if (done) done = work();
  if (done) done = sql_.commit->run();
  if (done) {
    checkpoint_if_due();
    return {};
  }
  Error error = std::move(done.error());
  // A failed statement may have ended the transaction or not; the next commit must find none.
  if (connection_->in_transaction())
    if (auto undone = sql_.rollback->run(); !undone) error = described(undone.error(), "cannot roll back");
  switch (error.code) {
    case Code::conflict:
    case Code::overloaded: break;
    default: break_down(error); return fail(Code::unavailable, error.message, error.name);
  }
  return std::unexpected(std::move(error));
}

Result<void> SqliteWriter::apply(const Changeset& change) {
  if (change.workflow) {
    const WorkflowRow& row = *change.workflow;
    Statement& sql = *sql_.workflow;
    sql.bind(1, row.name);
    sql.bind(2, row.enabled ? 1 : 0);
    sql.bind(3, row.version);
    sql.bind(4, row.last_number);
    sql.bind(5, row.created_at);
    sql.bind(6, row.updated_at);
    if (auto done = sql.run(); !done) return std::unexpected(described(done.error(), "workflow " + row.name));
  }
  if (change.version) {
    const VersionRow& row = *change.version;
    Statement& sql = *sql_.version;
    sql.bind(1, row.workflow);
    sql.bind(2, row.version);
    sql.bind(3, row.text);
    sql.bind(4, row.created_at);
    sql.bind(5, row.user);
    if (auto done = sql.run(); !done)
      return std::unexpected(
          described(done.error(), fmt::format("version {} of workflow {}", row.version, row.workflow)));
  }
  if (change.new_run)
    if (auto done = insert_run(*change.new_run); !done)
      return std::unexpected(described(done.error(), "run " + to_string(change.new_run->id)));
  if (change.start_key) {
    const StartKey& row = *change.start_key;
    Statement& sql = *sql_.start_key;
    sql.bind(1, row.workflow);
    sql.bind(2, row.key);
    sql.bind(3, row.body_hash);
    sql.bind(4, row.run);
    sql.bind(5, row.at);
    if (auto done = sql.run(); !done)
      return std::unexpected(described(done.error(), "start key of workflow " + row.workflow));
  }
  if (change.run)
    if (auto done = update_run(*change.run); !done)
      return std::unexpected(described(done.error(), "run " + to_string(change.run->id)));
  if (change.record) {
    const RecordRow& row = *change.record;
    Statement& sql = *sql_.record;
    sql.bind(1, row.run);
    sql.bind(2, row.seq);
    sql.bind(3, row.at);
    sql.bind(4, row.body);
    if (auto done = sql.run(); !done)
      return std::unexpected(described(done.error(), fmt::format("record {} of run {}", row.seq, to_string(row.run))));
  }
  if (change.heartbeat) {
    sql_.heartbeat->bind(1, *change.heartbeat);
    return sql_.heartbeat->run();
  }
  return {};
}

Result<void> SqliteWriter::insert_run(const Run& run) {
  error_.clear();
  append_failure(error_, run.error);
  Statement& sql = *sql_.run;
  sql.bind(1, run.id);
  sql.bind(2, run.workflow);
  sql.bind(3, run.number);
  sql.bind(4, run.version);
  sql.bind(5, run.trace_id);
  sql.bind(6, to_string(run.status));
  sql.bind_optional(7, to_string(run.waits_for));
  sql.bind(8, run.due);
  sql.bind(9, run.attempt);
  sql.bind(10, to_string(run.who.trigger));
  sql.bind(11, run.who.user);
  sql.bind(12, run.who.client);
  sql.bind(13, run.who.user_agent);
  sql.bind(14, run.who.at);
  sql.bind(15, run.created_at);
  sql.bind(16, run.started_at);
  sql.bind(17, run.finished_at);
  sql.bind_optional(18, error_);
  sql.bind_optional(19, run.group);
  const bool grouped = !run.group.empty();
  grouped ? sql.bind(20, run.group_limit) : sql.bind_null(20);
  grouped ? sql.bind(21, run.group_cancels ? 1 : 0) : sql.bind_null(21);
  sql.bind(22, run.group_since);
  grouped ? sql.bind(23, run.group_held ? 1 : 0) : sql.bind_null(23);
  if (auto done = sql.run(); !done) return done;
  if (run.inputs.is_null() && run.vars.is_null() && run.env.is_null()) return {};

  sql_.values->bind(1, connection_->last_row());
  const std::tuple<int, const Json&, std::string&> values[] = {
      {2, run.inputs, inputs_}, {3, run.vars, vars_}, {4, run.env, env_}};
  for (const auto& [at, value, text] : values) {
    text.clear();
    if (!value.is_null()) append_json(text, value);
    sql_.values->bind_optional(at, text);
  }
  return sql_.values->run();
}

Result<void> SqliteWriter::update_run(const Run& run) {
  error_.clear();
  append_failure(error_, run.error);
  Statement& sql = *sql_.update;
  sql.bind(1, run.id);
  sql.bind(2, to_string(run.status));
  sql.bind_optional(3, to_string(run.waits_for));
  sql.bind(4, run.due);
  sql.bind(5, run.attempt);
  sql.bind(6, run.version);
  sql.bind(7, run.started_at);
  sql.bind(8, run.finished_at);
  sql.bind_optional(9, error_);
  sql.bind(10, run.group_since);
  run.group.empty() ? sql.bind_null(11) : sql.bind(11, run.group_held ? 1 : 0);
  if (auto done = sql.run(); !done) return done;
  if (connection_->changed_rows() == 0) return fail(Code::conflict, "is not stored");
  return {};
}

// What was committed is durable whether this works or not. A full disk leaves the WAL as it is, for a later try; after
// an I/O error nobody knows what the file holds, so that the next commit must not build on it.
void SqliteWriter::checkpoint_if_due() {
  // Fewer pages than before: the WAL has started again. Until it does, pages that were copied are still counted.
  if (wal_pages_ < wal_pages_before_) checkpoint_at_ = checkpoint_every_;
  wal_pages_before_ = wal_pages_;
  if (wal_pages_ < checkpoint_at_) return;
  sqlite3* const db = connection_->handle();
  int mode = SQLITE_CHECKPOINT_PASSIVE;
  if (wal_pages_ >= patience_ends_at) {
    mode = SQLITE_CHECKPOINT_RESTART;
    sqlite3_busy_timeout(db, checkpoint_busy_ms);
  }
  const int code = sqlite3_wal_checkpoint_v2(db, nullptr, mode, nullptr, nullptr);
  if (mode != SQLITE_CHECKPOINT_PASSIVE) sqlite3_busy_timeout(db, busy_ms);
  checkpoint_at_ = wal_pages_ + checkpoint_every_;
  if (code == SQLITE_OK) return;
  const Error error = sqlite_error(db, code).error();
  if (error.code != Code::overloaded) break_down(described(error, "checkpoint"));
}

void SqliteWriter::break_down(const Error& error) {
  broken_ = fmt::format("the store has stopped after an error; read again what is stored: {}", error.message);
}

}  // namespace pawl::store
