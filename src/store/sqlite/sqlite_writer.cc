#include "store/sqlite/sqlite_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "store/sqlite/rows.h"

namespace pawl::store {
namespace {

// Pages from which on new readers are held up for a moment, so that the WAL can start again from its beginning:
// readers that overlap without a pause would otherwise let it grow for ever.
constexpr int patience_ends_at = 32'000;
// Of a run that is gone: so many records are deleted at once, or fewer when they are large, so that a commit that others
// wait for stays short.
constexpr int most_records = 1000, records_at_once = 20;
constexpr std::int64_t most_pages_freed = 1024;
// Pages that are given back to the file system in one commit. Some free ones are kept: what comes next needs them.
constexpr std::int64_t most_pages_given_back = 512, least_free_pages = 256;
constexpr std::int64_t share_of_free_pages = 8;  // one in so many
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
       "INSERT INTO workflows (name, enabled, version, last_number, created_at_us, updated_at_us, switched_at_us, "
       "disabled_from_us, deleted_at_us, file, file_gone, file_error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
       "?11, ?12) ON CONFLICT (name) DO UPDATE SET enabled = ?2, version = ?3, last_number = ?4, created_at_us = ?5, "
       "updated_at_us = ?6, switched_at_us = ?7, disabled_from_us = ?8, deleted_at_us = ?9, file = ?10, "
       "file_gone = ?11, file_error = ?12"},
      {&sql_.version,
       "INSERT INTO versions (workflow, version, text, created_at_us, user) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&sql_.run,
       "INSERT INTO runs (id, workflow, number, version, trace_id, status, waits_for, due_us, attempt, who_trigger, "
       "who_user, "
       "who_client, who_user_agent, who_at_us, created_at_us, started_at_us, finished_at_us, error, group_name, "
       "group_limit, group_cancels, group_since_us, group_held, expires_us, schedule, schedule_name, slot_us, "
       "slot_in_line, backfill) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, "
       "?23, ?24, ?25, ?26, ?27, ?28, ?29)"},
      {&sql_.values, "INSERT INTO run_values (row, inputs, vars, env) VALUES (?1, ?2, ?3, ?4)"},
      {&sql_.start_key, "INSERT INTO start_keys (workflow, key, body_hash, run, at_us) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&sql_.update,
       "UPDATE runs SET status = ?2, waits_for = ?3, due_us = ?4, attempt = ?5, version = ?6, started_at_us = ?7, "
       "finished_at_us = ?8, error = ?9, group_since_us = ?10, group_held = ?11, "
       "expires_us = ?12, slot_in_line = ?13 WHERE id = ?1"},
      {&sql_.record, "INSERT INTO events (run, seq, at_us, body) VALUES (?1, ?2, ?3, ?4)"},
      {&sql_.heartbeat, "UPDATE node SET heartbeat_us = ?1"},
      {&sql_.find_run, "SELECT row, workflow, number FROM runs WHERE id = ?1"},
      {&sql_.drop_run, "DELETE FROM runs WHERE row = ?1"},
      {&sql_.drop_values, "DELETE FROM run_values WHERE row = ?1"},
      {&sql_.drop_start_keys, "DELETE FROM start_keys WHERE run = ?1"},
      {&sql_.raise_number, "UPDATE workflows SET last_number = ?2 WHERE name = ?1 AND last_number < ?2"},
      {&sql_.mark, "INSERT OR IGNORE INTO gone (run) VALUES (?1)"},
      {&sql_.unmark, "DELETE FROM gone WHERE run = ?1"},
      {&sql_.any_mark, "SELECT EXISTS (SELECT 1 FROM gone)"},
      {&sql_.is_marked, "SELECT EXISTS (SELECT 1 FROM gone WHERE run = ?1)"},
      {&sql_.drop_records,
       "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE run = ?1 ORDER BY seq LIMIT ?2)"},
      {&sql_.free_pages, "PRAGMA freelist_count"},
      {&sql_.pages, "PRAGMA page_count"},
      {&sql_.schedule,
       "INSERT INTO schedules (id, workflow, name, cron, timezone, misfire, misfire_threshold_us, misfire_window_us, "
       "max_catch_up, overlap, start_us, end_us, jitter_us, late_after_us, inputs, same, defined, enabled, "
       "created_at_us, updated_at_us, deleted_at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, "
       "?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) ON CONFLICT (id) DO UPDATE SET workflow = ?2, name = ?3, cron = ?4, "
       "timezone = ?5, misfire = ?6, misfire_threshold_us = ?7, misfire_window_us = ?8, max_catch_up = ?9, "
       "overlap = ?10, start_us = ?11, end_us = ?12, jitter_us = ?13, late_after_us = ?14, inputs = ?15, same = ?16, "
       "defined = ?17, enabled = ?18, created_at_us = ?19, updated_at_us = ?20, deleted_at_us = ?21"},
      {&sql_.progress,
       "INSERT INTO schedule_progress (id, cursor_us, next_at_us, late_slot_us, late_due_us, late_run, parked_in) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET cursor_us = ?2, next_at_us = ?3, "
       "late_slot_us = ?4, late_due_us = ?5, late_run = ?6, parked_in = ?7"},
      // Whose workflow it is matters for one that gets parked alone, so that no other step pays for a look at `schedules`.
      {&sql_.moved,
       "UPDATE schedule_progress SET cursor_us = ?2, next_at_us = ?3, late_slot_us = ?4, late_due_us = ?5, "
       "late_run = ?6, parked_in = CASE WHEN ?7 THEN (SELECT workflow FROM schedules WHERE id = ?1) END "
       "WHERE id = ?1 AND cursor_us = ?8"},
      {&sql_.stop_all,
       "UPDATE schedule_progress SET next_at_us = NULL, late_slot_us = NULL, late_due_us = NULL, late_run = NULL, "
       "parked_in = NULL WHERE id IN (SELECT id FROM schedules WHERE workflow = ?1 AND deleted_at_us IS NULL)"},
      {&sql_.drop_all, "UPDATE schedules SET deleted_at_us = ?2 WHERE workflow = ?1 AND deleted_at_us IS NULL"},
      {&sql_.strike, "DELETE FROM ledger WHERE schedule = ?1 AND from_us = ?2"},
      {&sql_.ledger,
       "INSERT INTO ledger (schedule, from_us, to_us, count, outcome, reason, message, run, run_number, lateness_us, "
       "at_us, backfill) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"},
      {&sql_.backfill,
       "INSERT INTO backfills (id, schedule, workflow, from_us, to_us, cursor_us, run_limit, status, started, "
       "passed_over, user, client, created_at_us, finished_at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
       "?11, "
       "?12, ?13, ?14) ON CONFLICT (id) DO UPDATE SET schedule = ?2, workflow = ?3, from_us = ?4, to_us = ?5, "
       "cursor_us = ?6, run_limit = ?7, status = ?8, started = ?9, passed_over = ?10, user = ?11, client = ?12, "
       "created_at_us = ?13, finished_at_us = ?14"},
      {&sql_.prune, "DELETE FROM ledger WHERE row IN (SELECT row FROM ledger ORDER BY row LIMIT ?2) AND at_us < ?1"},
  };
  for (const auto& [statement, sql] : all) {
    auto prepared = connection_->prepared(sql);
    if (!prepared && sqlite3_errcode(connection_->handle()) == SQLITE_ERROR)
      return fail(Code::corrupt, "the schema is not what its version says: " + prepared.error().message);
    if (!prepared) return std::unexpected(prepared.error());
    *statement = *prepared;
  }
  constexpr std::int64_t incremental = 2;
  const auto mode = connection_->integer("PRAGMA auto_vacuum");
  if (!mode) return std::unexpected(mode.error());
  gives_pages_back_ = *mode == incremental;
  return {};
}

SqliteWriter::~SqliteWriter() {
  if (broken_) return;
  connection_->tidy_on_close();
}

Result<void> SqliteWriter::commit(std::span<const Changeset> changes) {
  if (std::ranges::all_of(changes, &Changeset::empty)) return {};
  // Each start of a run writes its workflow's row, which carries the last number; of one commit only the last one stays.
  std::unordered_map<std::string_view, const Changeset*> last;
  for (const Changeset& change : changes)
    if (change.workflow) last[change.workflow->name] = &change;
  return transact([&]() -> Result<void> {
    for (const Changeset& change : changes) {
      const bool writes_workflow = change.workflow && last.at(change.workflow->name) == &change;
      if (auto done = apply(change, writes_workflow); !done) return done;
    }
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

Result<void> SqliteWriter::apply(const Changeset& change, bool writes_workflow) {
  if (writes_workflow) {
    const WorkflowRow& row = *change.workflow;
    Statement& sql = *sql_.workflow;
    sql.bind(1, row.name);
    sql.bind(2, row.enabled ? 1 : 0);
    sql.bind(3, row.version);
    sql.bind(4, row.last_number);
    sql.bind(5, row.created_at);
    sql.bind(6, row.updated_at);
    sql.bind(7, row.switched_at);
    sql.bind(8, row.disabled_from);
    sql.bind(9, row.deleted_at);
    sql.bind_optional(10, row.file);
    sql.bind(11, row.file_gone ? 1 : 0);
    sql.bind_optional(12, row.file_error);
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
  if (change.schedules)
    if (auto done = apply(*change.schedules); !done) return done;
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
    if (auto done = sql_.heartbeat->run(); !done) return done;
  }
  if (change.gone)
    if (auto done = take_run(*change.gone); !done)
      return std::unexpected(described(done.error(), "run " + to_string(*change.gone)));
  if (change.cleared)
    if (auto done = clear_run(*change.cleared); !done)
      return std::unexpected(described(done.error(), "clearing run " + to_string(*change.cleared)));
  return {};
}

Result<void> SqliteWriter::apply(const ScheduleChanges& changes) {
  if (changes.dropped)
    if (auto done = drop_schedules(*changes.dropped); !done)
      return std::unexpected(described(done.error(), "schedules of workflow " + changes.dropped->workflow));
  for (const ScheduleRow& row : changes.put)
    if (auto done = put_schedule(row); !done)
      return std::unexpected(
          described(done.error(), fmt::format("schedule {}, {}/{}", to_string(row.id), row.workflow, row.name)));
  if (changes.moved)
    if (auto done = move_schedule(*changes.moved); !done)
      return std::unexpected(described(done.error(), "schedule " + to_string(changes.moved->id)));
  const auto slot = [](const LedgerRow& row) {
    return fmt::format("ledger of schedule {}, slot {}", to_string(row.schedule), to_rfc3339(row.from));
  };
  for (const LedgerRow& row : changes.ledger_removed)
    if (auto done = strike_ledger(row); !done) return std::unexpected(described(done.error(), slot(row)));
  for (const LedgerRow& row : changes.ledger)
    if (auto done = insert_ledger(row); !done) return std::unexpected(described(done.error(), slot(row)));
  if (changes.backfill)
    if (auto done = put_backfill(*changes.backfill); !done)
      return std::unexpected(described(done.error(), "backfill " + to_string(changes.backfill->id)));
  if (changes.pruned) {
    sql_.prune->bind(1, changes.pruned->before);
    sql_.prune->bind(2, changes.pruned->most);
    if (auto done = sql_.prune->run(); !done) return done;
  }
  return {};
}

namespace {

// Cursor, next_at and `late`, from ?2 on.
void bind_progress(Statement& sql, const ScheduleProgress& progress) {
  sql.bind(2, progress.cursor);
  sql.bind(3, progress.next_at);
  if (progress.late) {
    sql.bind(4, progress.late->slot);
    sql.bind(5, progress.late->due);
    sql.bind(6, progress.late->run);
  } else {
    for (const int at : {4, 5, 6}) sql.bind_null(at);
  }
}

}  // namespace

Result<void> SqliteWriter::put_schedule(const ScheduleRow& schedule) {
  const ScheduleRule& rule = schedule.rule;
  inputs_.clear();
  if (!rule.inputs.is_null()) append_json(inputs_, rule.inputs);
  Statement& sql = *sql_.schedule;
  sql.bind(1, schedule.id);
  sql.bind(2, schedule.workflow);
  sql.bind(3, schedule.name);
  sql.bind(4, rule.cron);
  sql.bind(5, rule.timezone);
  sql.bind(6, to_string(rule.misfire));
  sql.bind(7, rule.misfire_threshold);
  sql.bind(8, rule.misfire_window);
  sql.bind(9, rule.max_catch_up);
  sql.bind(10, to_string(rule.overlap));
  sql.bind(11, rule.start);
  sql.bind(12, rule.end);
  sql.bind(13, rule.jitter);
  sql.bind(14, rule.late_after);
  sql.bind_optional(15, inputs_);
  sql.bind(16, schedule.same);
  sql.bind(17, schedule.defined ? 1 : 0);
  sql.bind(18, schedule.enabled ? 1 : 0);
  sql.bind(19, schedule.created_at);
  sql.bind(20, schedule.updated_at);
  sql.bind(21, schedule.deleted_at);
  if (auto done = sql.run(); !done) return done;
  sql_.progress->bind(1, schedule.id);
  bind_progress(*sql_.progress, schedule.progress);
  schedule.progress.parked ? sql_.progress->bind(7, schedule.workflow) : sql_.progress->bind_null(7);
  return sql_.progress->run();
}

Result<void> SqliteWriter::move_schedule(const ScheduleChanges::Moved& moved) {
  Statement& sql = *sql_.moved;
  sql.bind(1, moved.id);
  bind_progress(sql, moved.progress);
  sql.bind(7, moved.progress.parked ? 1 : 0);
  sql.bind(8, moved.from);
  if (auto done = sql.run(); !done) return done;
  if (connection_->changed_rows() == 0) return fail(Code::conflict, "does not stand there any more");
  return {};
}

Result<void> SqliteWriter::drop_schedules(const ScheduleChanges::Dropped& dropped) {
  sql_.stop_all->bind(1, dropped.workflow);
  if (auto done = sql_.stop_all->run(); !done) return done;
  sql_.drop_all->bind(1, dropped.workflow);
  sql_.drop_all->bind(2, dropped.at);
  return sql_.drop_all->run();
}

Result<void> SqliteWriter::strike_ledger(const LedgerRow& entry) {
  sql_.strike->bind(1, entry.schedule);
  sql_.strike->bind(2, entry.from);
  if (auto done = sql_.strike->run(); !done) return done;
  if (connection_->changed_rows() == 0) return fail(Code::conflict, "is not stored");
  return {};
}

Result<void> SqliteWriter::insert_ledger(const LedgerRow& entry) {
  Statement& sql = *sql_.ledger;
  sql.bind(1, entry.schedule);
  sql.bind(2, entry.from);
  sql.bind(3, entry.to);
  sql.bind(4, entry.count);
  sql.bind(5, to_string(entry.outcome));
  sql.bind_optional(6, to_string(entry.reason));
  sql.bind_optional(7, entry.message);
  sql.bind(8, entry.run);
  sql.bind(9, entry.run_number);
  sql.bind(10, entry.lateness);
  sql.bind(11, entry.at);
  sql.bind(12, entry.backfill);
  return sql.run();
}

Result<void> SqliteWriter::put_backfill(const BackfillRow& backfill) {
  Statement& sql = *sql_.backfill;
  sql.bind(1, backfill.id);
  sql.bind(2, backfill.schedule);
  sql.bind(3, backfill.workflow);
  sql.bind(4, backfill.from);
  sql.bind(5, backfill.to);
  sql.bind(6, backfill.cursor);
  sql.bind(7, backfill.limit);
  sql.bind(8, to_string(backfill.status));
  sql.bind(9, backfill.started);
  sql.bind(10, backfill.passed_over);
  sql.bind(11, backfill.user);
  sql.bind(12, backfill.client);
  sql.bind(13, backfill.created_at);
  sql.bind(14, backfill.finished_at);
  return sql.run();
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
  sql.bind(24, run.expires_at);
  if (run.slot) {
    sql.bind(25, run.slot->schedule);
    sql.bind(26, run.slot->name);
    sql.bind(27, run.slot->slot);
    sql.bind(28, line_of(*run.slot));
    sql.bind(29, run.slot->backfill);
  } else {
    for (int at = 25; at <= 29; ++at) sql.bind_null(at);
  }
  if (auto done = sql.run(); !done) return done;
  // Most runs are given nothing: that is what no row says.
  const auto nothing = [](const Json& value) { return value.is_object() && value.get_object().empty(); };
  if (nothing(run.inputs) && nothing(run.vars) && run.env.is_null()) return {};

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
  sql.bind(12, run.expires_at);
  run.slot ? sql.bind(13, line_of(*run.slot)) : sql.bind_null(13);
  if (auto done = sql.run(); !done) return done;
  if (connection_->changed_rows() == 0) return fail(Code::conflict, "is not stored");
  return {};
}

Result<void> SqliteWriter::take_run(RunId id) {
  std::int64_t row = 0, number = 0;
  std::string workflow;
  {
    Running query(*sql_.find_run);
    query->bind(1, id);
    const auto found = query->step();
    if (!found) return std::unexpected(found.error());
    if (!*found) return fail(Code::conflict, "is not stored");
    row = query->integer(0);
    workflow = query->text(1);
    number = query->integer(2);
  }
  sql_.raise_number->bind(1, workflow);
  sql_.raise_number->bind(2, number);
  if (auto done = sql_.raise_number->run(); !done) return done;
  for (Statement* const drop : {sql_.drop_values, sql_.drop_run}) {
    drop->bind(1, row);
    if (auto done = drop->run(); !done) return done;
  }
  for (Statement* const step : {sql_.drop_start_keys, sql_.mark}) {
    step->bind(1, id);
    if (auto done = step->run(); !done) return done;
  }
  return {};
}

Result<void> SqliteWriter::clear_run(RunId id) {
  sql_.is_marked->bind(1, id);
  const auto marked = number(*sql_.is_marked);
  if (!marked) return std::unexpected(marked.error());
  if (*marked == 0) return {};
  const auto free_before = number(*sql_.free_pages);
  if (!free_before) return std::unexpected(free_before.error());
  bool all = false;
  for (int records = 0; records < most_records && !all; records += records_at_once) {
    sql_.drop_records->bind(1, id);
    sql_.drop_records->bind(2, records_at_once);
    if (auto done = sql_.drop_records->run(); !done) return done;
    all = connection_->changed_rows() < records_at_once;
    const auto free = number(*sql_.free_pages);
    if (!free) return std::unexpected(free.error());
    if (*free - *free_before >= most_pages_freed) break;
  }
  const auto more = give_pages_back();
  if (!more) return std::unexpected(more.error());
  if (!all || *more) return {};
  sql_.unmark->bind(1, id);
  if (auto done = sql_.unmark->run(); !done) return done;
  const auto others = number(*sql_.any_mark);
  if (!others) return std::unexpected(others.error());
  // The pages that are no more are cut off the file when the WAL is copied into it: at the end of all, not at some later
  // time.
  if (*others == 0 && std::exchange(shrunk_, false)) checkpoint_at_ = 0;
  return {};
}

// True: there are more than are kept.
Result<bool> SqliteWriter::give_pages_back() {
  if (!gives_pages_back_) return false;
  const auto free = number(*sql_.free_pages);
  if (!free) return std::unexpected(free.error());
  const auto pages = number(*sql_.pages);
  if (!pages) return std::unexpected(pages.error());
  const std::int64_t kept = std::max(least_free_pages, *pages / share_of_free_pages);
  if (*free <= kept) return false;
  // Down to half of what is kept, or the next run would find one page too many again.
  const std::int64_t too_many = *free - kept / 2;
  const auto vacuum = fmt::format("PRAGMA incremental_vacuum({})", std::min(too_many, most_pages_given_back));
  if (auto done = connection_->execute(vacuum.c_str()); !done) return std::unexpected(done.error());
  shrunk_ = true;
  return too_many > most_pages_given_back;
}

Result<std::int64_t> SqliteWriter::number(Statement& query) {
  Running running(query);
  const auto row = running->step();
  if (!row) return std::unexpected(row.error());
  return *row ? running->integer(0) : 0;
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
  errno = 0;
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
