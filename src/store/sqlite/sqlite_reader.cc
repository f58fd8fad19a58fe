#include "store/sqlite/sqlite_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/cursor.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/rows.h"

namespace pawl::store {
namespace {

// What a list is found by comes first, and the rest is looked up.
std::string query_for_schedules(std::string_view condition) {
  return fmt::format("SELECT s.id, {} FROM schedules s LEFT JOIN schedule_progress p ON p.id = s.id WHERE {}",
                     schedule_columns, condition);
}
std::string query_for_progress(std::string_view index, std::string_view condition) {
  return fmt::format(
      "SELECT p.id, {} FROM schedule_progress p INDEXED BY {} LEFT JOIN schedules s ON s.id = p.id WHERE {}",
      schedule_columns, index, condition);
}

bool is_open(RunStatus status) { return !is_final(status); }

// A query for a page: the narrowest index that the filter allows, then everything else row by row. The index is named,
// because the planner, without statistics, takes any one of them.
std::string page_query(const RunFilter& filter) {
  const bool ended_badly = filter.status == RunStatus::failed || filter.status == RunStatus::cancelled;
  std::string_view index = "runs_by_id";
  std::string_view implied;  // the condition of a partial index has to be repeated word by word
  if (!filter.trace_id.empty()) {
    index = "runs_by_trace";
  } else if (ended_badly) {
    index = filter.workflow.empty() ? "runs_failed" : "runs_failed_by_workflow";
    implied = " AND status IN ('failed', 'cancelled')";
  } else if (filter.status && is_open(*filter.status)) {
    index = "runs_open";
    implied = " AND status IN ('queued', 'running', 'waiting')";
  } else if (!filter.workflow.empty()) {
    index = "runs_by_workflow";
  } else if (filter.trigger) {
    index = "runs_by_trigger";
  }
  std::string sql =
      fmt::format("SELECT {} FROM runs INDEXED BY {} WHERE id >= ?1 AND id < ?2{}", run_columns, index, implied);
  if (!filter.workflow.empty()) sql += " AND workflow = ?3";
  if (filter.status) sql += " AND status = ?4";
  if (filter.trigger) sql += " AND who_trigger = ?5";
  if (filter.since) sql += " AND created_at_us >= ?6";
  if (filter.until) sql += " AND created_at_us < ?7";
  if (!filter.trace_id.empty()) sql += " AND trace_id = ?8";
  sql += " ORDER BY id DESC LIMIT ?9";
  return sql;
}

class SqliteReader final : public Reader {
 public:
  explicit SqliteReader(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}

  Result<std::vector<WorkflowRow>> workflows() override {
    return all<WorkflowRow>(
        fmt::format("SELECT {} FROM workflows WHERE deleted_at_us IS NULL ORDER BY name", workflow_columns),
        [](Statement&) {}, read_workflow);
  }

  Result<std::optional<WorkflowRow>> workflow(const std::string& name) override {
    return one<WorkflowRow>(
        fmt::format("SELECT {} FROM workflows WHERE name = ?1", workflow_columns),
        [&](Statement& query) { query.bind(1, name); }, read_workflow);
  }

  Result<std::optional<VersionRow>> version(const std::string& workflow, int version) override {
    return one<VersionRow>(
        "SELECT text, created_at_us, user FROM versions WHERE workflow = ?1 AND version = ?2",
        [&](Statement& query) {
          query.bind(1, workflow);
          query.bind(2, version);
        },
        [&](const Statement& row) {
          return Result<VersionRow>({.workflow = workflow,
                                     .version = version,
                                     .text = std::string(row.text(0)),
                                     .created_at = from_us(row.integer(1)),
                                     .user = std::string(row.text(2))});
        });
  }

  Result<std::int64_t> last_run_number(const std::string& workflow) override {
    const auto number = one<std::int64_t>(
        "SELECT max(number) FROM runs WHERE workflow = ?1", [&](Statement& query) { query.bind(1, workflow); },
        [](const Statement& row) { return Result<std::int64_t>(row.integer(0)); });
    if (!number) return std::unexpected(number.error());
    return number->value_or(0);
  }

  Result<std::optional<Run>> run(RunId id) override {
    return whole_run("id = ?1", [&](Statement& query) { query.bind(1, id); });
  }

  Result<std::optional<Run>> run_by_number(const std::string& workflow, std::int64_t number) override {
    return whole_run("workflow = ?1 AND number = ?2", [&](Statement& query) {
      query.bind(1, workflow);
      query.bind(2, number);
    });
  }

  Result<RunPage> runs(const RunFilter& filter, std::size_t limit, const std::string& cursor) override {
    const auto range = page_range(filter, limit, cursor);
    if (!range) return std::unexpected(range.error());
    RunId last;
    last.value.bytes.fill(0xff);
    const RunId before = range->before.value_or(last);
    RunPage page;
    const auto done = each(
        page_query(filter),
        [&](Statement& query) {
          query.bind(1, range->from);
          query.bind(2, before);
          if (!filter.workflow.empty()) query.bind(3, filter.workflow);
          if (filter.status) query.bind(4, to_string(*filter.status));
          if (filter.trigger) query.bind(5, to_string(*filter.trigger));
          if (filter.since) query.bind(6, *filter.since);
          if (filter.until) query.bind(7, *filter.until);
          if (!filter.trace_id.empty()) query.bind(8, filter.trace_id);
          query.bind(9, static_cast<std::int64_t>(limit) + 1);
        },
        [&](const Statement& row) -> Result<bool> {
          if (page.items.size() == limit) {
            page.next_cursor = cursor_after(page.items.back().id);
            return false;
          }
          auto run = read_run(row);
          if (!run) return std::unexpected(run.error());
          page.items.push_back(std::move(*run));
          return true;
        });
    if (!done) return std::unexpected(done.error());
    return page;
  }

  Result<std::vector<RecordRow>> records(RunId id) override {
    std::vector<RecordRow> rows;
    const auto done = each(
        "SELECT seq, at_us, body FROM events WHERE run = ?1 AND NOT EXISTS (SELECT 1 FROM gone WHERE run = ?1) "
        "ORDER BY seq",
        [&](Statement& query) { query.bind(1, id); },
        [&](const Statement& row) {
          rows.push_back(
              {.run = id, .seq = row.integer(0), .at = from_us(row.integer(1)), .body = std::string(row.text(2))});
          return Result<bool>(true);
        });
    if (!done) return std::unexpected(done.error());
    return rows;
  }

  Result<std::vector<Expiry>> expiring(const std::optional<Expiry>& after, std::size_t limit) override {
    std::vector<Expiry> found;
    const auto done = each(
        fmt::format("SELECT expires_us, id FROM runs INDEXED BY runs_expiring WHERE expires_us IS NOT NULL{} "
                    "ORDER BY expires_us, id LIMIT ?3",
                    after ? " AND (expires_us, id) > (?1, ?2)" : ""),
        [&](Statement& query) {
          if (after) query.bind(1, after->at);
          if (after) query.bind(2, after->run);
          query.bind(3, static_cast<std::int64_t>(limit));
        },
        [&](const Statement& row) -> Result<bool> {
          const auto run = row.id<RunId>(1);
          if (!run) return fail(Code::corrupt, "table runs: an id of a run that expires is none");
          found.push_back({from_us(row.integer(0)), *run});
          return true;
        });
    if (!done) return std::unexpected(done.error());
    return found;
  }

  Result<std::vector<RunId>> gone(const std::optional<RunId>& after, std::size_t limit) override {
    std::vector<RunId> found;
    const auto done = each(
        fmt::format("SELECT run FROM gone{} ORDER BY run LIMIT ?2", after ? " WHERE run > ?1" : ""),
        [&](Statement& query) {
          if (after) query.bind(1, *after);
          query.bind(2, static_cast<std::int64_t>(limit));
        },
        [&](const Statement& row) -> Result<bool> {
          const auto run = row.id<RunId>(0);
          if (!run) return fail(Code::corrupt, "table gone: run is no id");
          found.push_back(*run);
          return true;
        });
    if (!done) return std::unexpected(done.error());
    return found;
  }

  using Reader::open_runs;
  Result<void> open_runs(const std::function<bool(Run&&)>& visit, const Broken& broken) override {
    return each(
        fmt::format("SELECT {} FROM runs INDEXED BY runs_open WHERE status IN ('queued', 'running', 'waiting') "
                    "ORDER BY id",
                    run_columns),
        [](Statement&) {},
        [&](const Statement& row) -> Result<bool> {
          auto run = read_run(row);
          if (run) return visit(std::move(*run));
          const auto id = row.id<RunId>(0);
          if (!id || !broken) return std::unexpected(run.error());
          broken(*id, run.error());
          return true;
        });
  }

  Result<std::optional<StartKey>> start_key(const std::string& workflow, const std::string& key) override {
    return one<StartKey>(
        "SELECT body_hash, run, at_us FROM start_keys WHERE workflow = ?1 AND key = ?2",
        [&](Statement& query) {
          query.bind(1, workflow);
          query.bind(2, key);
        },
        [&](const Statement& row) -> Result<StartKey> {
          const auto run = row.id<RunId>(1);
          if (!run)
            return fail(Code::corrupt,
                        fmt::format("table start_keys, '{}' of workflow '{}': run is no id", key, workflow));
          return StartKey{.workflow = workflow,
                          .key = key,
                          .body_hash = std::string(row.text(0)),
                          .run = *run,
                          .at = from_us(row.integer(2))};
        });
  }

  Result<NodeRow> node() override {
    const auto row = one<NodeRow>(
        "SELECT epoch, earlier_heartbeat_us FROM node", [](Statement&) {},
        [](const Statement& found) {
          NodeRow node{.epoch = found.integer(0), .heartbeat = {}};
          if (!found.is_null(1)) node.heartbeat = from_us(found.integer(1));
          return Result<NodeRow>(node);
        });
    if (!row) return std::unexpected(row.error());
    if (!*row) return fail(Code::corrupt, "table node has no row");
    return **row;
  }

  Result<std::optional<ScheduleRow>> schedule(ScheduleId id) override {
    return one<ScheduleRow>(
        query_for_schedules("s.id = ?1"), [&](Statement& query) { query.bind(1, id); }, read_schedule);
  }

  Result<std::optional<ScheduleRow>> schedule(const std::string& workflow, const std::string& name) override {
    return one<ScheduleRow>(
        query_for_schedules("workflow = ?1 AND name = ?2 AND deleted_at_us IS NULL"),
        [&](Statement& query) {
          query.bind(1, workflow);
          query.bind(2, name);
        },
        read_schedule);
  }

  Result<std::optional<ScheduleRow>> same_schedule(const std::string& workflow, const std::string& same) override {
    return one<ScheduleRow>(
        query_for_schedules("workflow = ?1 AND same = ?2 AND deleted_at_us IS NULL LIMIT 1"),
        [&](Statement& query) {
          query.bind(1, workflow);
          query.bind(2, same);
        },
        read_schedule);
  }

  Result<std::vector<ScheduleRow>> schedules(const ScheduleFilter& filter,
                                             const std::optional<std::pair<std::string, std::string>>& after,
                                             std::size_t limit) override {
    std::string condition = "deleted_at_us IS NULL";
    if (filter.enabled) condition += " AND enabled = ?1";
    if (!filter.workflow.empty()) condition += " AND workflow = ?2";
    if (after) {
      if (filter.workflow.empty())
        condition += " AND (workflow, name) > (?3, ?4)";
      else if (after->first == filter.workflow)
        condition += " AND name > ?4";
      else if (after->first > filter.workflow)
        return std::vector<ScheduleRow>{};
    }
    return all<ScheduleRow>(
        query_for_schedules(condition + " ORDER BY workflow, name LIMIT ?5"),
        [&](Statement& query) {
          if (filter.enabled) query.bind(1, *filter.enabled ? 1 : 0);
          if (!filter.workflow.empty()) query.bind(2, filter.workflow);
          if (after) query.bind(3, after->first);
          if (after) query.bind(4, after->second);
          query.bind(5, static_cast<std::int64_t>(limit));
        },
        read_schedule);
  }

  Result<std::vector<ScheduleRow>> defined_schedules(const std::string& workflow) override {
    return all<ScheduleRow>(
        query_for_schedules("workflow = ?1 AND deleted_at_us IS NULL AND defined = 1 ORDER BY name"),
        [&](Statement& query) { query.bind(1, workflow); }, read_schedule);
  }

  using Reader::due_schedules;
  Result<std::vector<ScheduleRow>> due_schedules(const std::optional<ScheduleTime>& after, Instant until,
                                                 std::size_t limit, const BrokenSchedule& broken) override {
    std::vector<ScheduleRow> found;
    if (limit == 0) return found;
    // Without LIMIT: rows that are passed over do not count.
    const auto done = each(
        query_for_progress("schedules_due", fmt::format("next_at_us <= ?3{} ORDER BY next_at_us, p.id",
                                                        after ? " AND (next_at_us, p.id) > (?1, ?2)" : "")),
        [&](Statement& query) {
          if (after) query.bind(1, after->at);
          if (after) query.bind(2, after->schedule);
          query.bind(3, until);
        },
        [&](const Statement& row) -> Result<bool> {
          auto schedule = read_schedule(row);
          if (schedule) {
            found.push_back(std::move(*schedule));
            return found.size() < limit;
          }
          const auto id = row.id<ScheduleId>(0);
          if (!id || !broken) return std::unexpected(schedule.error());
          broken({from_us(row.integer(next_at_column)), *id}, schedule.error());
          return true;
        });
    if (!done) return std::unexpected(done.error());
    return found;
  }

  Result<std::optional<ScheduleTime>> next_schedule(const std::optional<ScheduleTime>& after) override {
    return one<ScheduleTime>(
        fmt::format("SELECT next_at_us, id FROM schedule_progress INDEXED BY schedules_due "
                    "WHERE next_at_us IS NOT NULL{} ORDER BY next_at_us, id LIMIT 1",
                    after ? " AND (next_at_us, id) > (?1, ?2)" : ""),
        [&](Statement& query) {
          if (after) query.bind(1, after->at);
          if (after) query.bind(2, after->schedule);
        },
        [](const Statement& row) -> Result<ScheduleTime> {
          const auto schedule = row.id<ScheduleId>(1);
          if (!schedule)
            return fail(Code::corrupt, "table schedule_progress: an id of a schedule that comes up is none");
          return ScheduleTime{from_us(row.integer(0)), *schedule};
        });
  }

  Result<std::vector<ScheduleRow>> parked_schedules(const std::string& workflow, const std::optional<ScheduleId>& after,
                                                    std::size_t limit) override {
    return all<ScheduleRow>(
        query_for_progress(
            workflow.empty() ? "schedules_parked" : "schedules_parked_in",
            fmt::format("{}{} ORDER BY p.id LIMIT ?3", workflow.empty() ? "parked_in IS NOT NULL" : "parked_in = ?1",
                        after ? " AND p.id > ?2" : "")),
        [&](Statement& query) {
          if (!workflow.empty()) query.bind(1, workflow);
          if (after) query.bind(2, *after);
          query.bind(3, static_cast<std::int64_t>(limit));
        },
        read_schedule);
  }

  Result<std::vector<LedgerRow>> ledger(ScheduleId schedule, const LedgerRange& range, std::size_t limit) override {
    std::vector<LedgerRow> found;
    // One bound out of two: of two the planner takes either to search by, and reads and passes over what only the other one
    // leaves out.
    const Instant last =
        std::min(range.until.value_or(Instant::max()), range.before ? *range.before - Duration(1) : Instant::max());
    const auto done = each(
        fmt::format("SELECT {} FROM ledger WHERE schedule = ?1 AND from_us <= ?2 ORDER BY from_us DESC LIMIT ?3",
                    ledger_columns),
        [&](Statement& query) {
          query.bind(1, schedule);
          query.bind(2, last);
          query.bind(3, static_cast<std::int64_t>(limit));
        },
        [&](const Statement& row) -> Result<bool> {
          auto entry = read_ledger(row, schedule);
          if (!entry) return std::unexpected(entry.error());
          // They do not overlap: all that follow end earlier still.
          if (range.since && entry->to < *range.since) return false;
          found.push_back(std::move(*entry));
          return true;
        });
    if (!done) return std::unexpected(done.error());
    return found;
  }

  Result<std::optional<Instant>> oldest_ledger() override {
    return one<Instant>(
        "SELECT at FROM (SELECT min(at_us) AS at FROM (SELECT at_us FROM ledger ORDER BY row LIMIT ?1)) "
        "WHERE at IS NOT NULL",
        [](Statement& query) { query.bind(1, written_first); },
        [](const Statement& row) { return Result<Instant>(from_us(row.integer(0))); });
  }

  Result<std::optional<BackfillRow>> backfill(BackfillId id) override {
    return one<BackfillRow>(
        fmt::format("SELECT {} FROM backfills WHERE id = ?1", backfill_columns),
        [&](Statement& query) { query.bind(1, id); }, read_backfill);
  }

  Result<std::vector<BackfillRow>> backfills(ScheduleId schedule, std::size_t limit) override {
    return all<BackfillRow>(
        fmt::format("SELECT {} FROM backfills WHERE schedule = ?1 ORDER BY id DESC LIMIT ?2", backfill_columns),
        [&](Statement& query) {
          query.bind(1, schedule);
          query.bind(2, static_cast<std::int64_t>(limit));
        },
        read_backfill);
  }

  Result<std::vector<BackfillRow>> running_backfills() override {
    return all<BackfillRow>(
        fmt::format("SELECT {} FROM backfills INDEXED BY backfills_running WHERE status = 'running' ORDER BY id",
                    backfill_columns),
        [](Statement&) {}, read_backfill);
  }

 private:
  static constexpr int next_at_column = 22;  // behind the id, in schedule_columns

  // Binds, then visits row by row until the visitor answers false or fails.
  template <class Bind, class Visit>
  Result<void> each(std::string_view sql, const Bind& bind, const Visit& visit) {
    const auto prepared = connection_->prepared(sql);
    if (!prepared) return std::unexpected(prepared.error());
    Running query(**prepared);
    bind(*query);
    for (;;) {
      const auto row = query->step();
      if (!row) return std::unexpected(row.error());
      if (!*row) return {};
      const Result<bool> more = visit(*query);
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
    }
  }

  template <class Row, class Bind, class Read>
  Result<std::optional<Row>> one(std::string_view sql, const Bind& bind, const Read& read) {
    std::optional<Row> found;
    const auto done = each(sql, bind, [&](const Statement& row) -> Result<bool> {
      Result<Row> value = read(row);
      if (!value) return std::unexpected(value.error());
      found = std::move(*value);
      return false;
    });
    if (!done) return std::unexpected(done.error());
    return found;
  }

  template <class Row, class Bind, class Read>
  Result<std::vector<Row>> all(std::string_view sql, const Bind& bind, const Read& read) {
    std::vector<Row> found;
    const auto done = each(sql, bind, [&](const Statement& row) -> Result<bool> {
      Result<Row> value = read(row);
      if (!value) return std::unexpected(value.error());
      found.push_back(std::move(*value));
      return true;
    });
    if (!done) return std::unexpected(done.error());
    return found;
  }

  template <class Bind>
  Result<std::optional<Run>> whole_run(std::string_view condition, const Bind& bind) {
    return one<Run>(
        fmt::format("SELECT {}, inputs, vars, env, run_values.row FROM runs LEFT JOIN run_values USING (row) WHERE {}",
                    run_columns, condition),
        bind, [](const Statement& row) -> Result<Run> {
          auto run = read_run(row);
          if (!run) return run;
          int column = run_column_count;
          if (row.is_null(column + 3)) {
            run->inputs = run->vars = json::object{};
            return run;
          }
          for (auto [field, name] : {std::pair(&Run::inputs, "inputs"), {&Run::vars, "vars"}, {&Run::env, "env"}}) {
            auto value = read_json(row, column++, "run_values", name, run->id);
            if (!value) return std::unexpected(value.error());
            (*run).*field = std::move(*value);
          }
          return run;
        });
  }

  std::unique_ptr<Connection> connection_;
};

}  // namespace

Result<std::unique_ptr<Reader>> open_sqlite_reader(const std::string& path) {
  auto connection = Connection::open(path, SQLITE_OPEN_READONLY);
  if (!connection) return std::unexpected(connection.error());
  // A reader that checkpointed would be a second one beside the writer (sqlite_store.h).
  const auto set = (*connection)
                       ->execute(
                           "PRAGMA query_only = 1; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0;"
                           "PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY");
  if (!set) return std::unexpected(set.error());
  return std::make_unique<SqliteReader>(std::move(*connection));
}

}  // namespace pawl::store
