#include "store/sqlite/rows.h"

#include <fmt/format.h>

#include <limits>

namespace pawl::store {
namespace {

std::unexpected<Error> broken(std::string_view table, std::string_view row, std::string_view column,
                              std::string_view why) {
  return fail(Code::corrupt, fmt::format("table {}, {}: {} {}", table, row, column, why));
}

// Reads the columns of one row in turn and keeps the first thing that is wrong.
class RowReader {
 public:
  RowReader(const Statement& row, std::string_view table) : row_(row), table_(table) {}

  // Of the table that the following columns belong to, for messages.
  void table(std::string_view table) { table_ = table; }
  void name(std::string name) { name_ = std::move(name); }

  // An id that names the row.
  template <class AnyId>
  AnyId key(std::string_view column) {
    const AnyId value = id<AnyId>(column);
    if (!error_) name_ = to_string(value);
    return value;
  }
  template <class AnyId>
  AnyId id(std::string_view column) {
    const auto value = row_.id<AnyId>(at_++);
    if (!value) wrong(column, "is no id");
    return value.value_or(AnyId{});
  }
  template <class AnyId>
  std::optional<AnyId> optional_id(std::string_view column) {
    if (null()) return std::nullopt;
    return id<AnyId>(column);
  }
  std::string text() { return std::string(row_.text(at_++)); }
  std::int64_t integer() { return row_.integer(at_++); }
  bool flag() { return integer() != 0; }
  int small(std::string_view column) {
    const std::int64_t value = row_.integer(at_++);
    if (value < 0 || value > std::numeric_limits<int>::max()) wrong(column, "is out of range");
    return static_cast<int>(value);
  }
  Instant instant() { return from_us(integer()); }
  Duration duration() { return Duration{integer()}; }
  std::optional<Instant> optional_instant() {
    if (null()) return std::nullopt;
    return instant();
  }
  std::optional<Duration> optional_duration() {
    if (null()) return std::nullopt;
    return duration();
  }
  template <class Enum>
  Enum word(std::string_view column) {
    return word<Enum>(column, [](std::string_view text) { return from_string<Enum>(text); });
  }
  template <class Enum>
  Enum schedule_word(std::string_view column) {
    return word<Enum>(column, [](std::string_view text) { return pawl::schedule_word<Enum>(text); });
  }
  Json json(std::string_view column) {
    if (null()) return Json();
    auto value = parse_json(row_.text(at_++));
    if (value) return std::move(*value);
    wrong(column, "cannot be read: " + value.error().message);
    return Json();
  }
  FailurePtr failure() {
    if (null()) return nullptr;
    auto value = parse_json(row_.text(at_++));
    if (!value || !value->is_object() || find_string(*value, "code").empty())
      return wrong("error", "cannot be read"), nullptr;
    auto failure = std::make_shared<Failure>();
    failure->code = find_string(*value, "code");
    failure->message = find_string(*value, "message");
    if (const Json* cause = find(*value, "cause")) failure->cause = *cause;
    return failure;
  }

  // A column that may not be NULL is: the row that it comes from is not there.
  void must_be_there() {
    if (row_.is_null(at_)) wrong("the row", "is missing");
  }

  template <class Row>
  Result<Row> result(Row& row) {
    if (error_) return std::unexpected(std::move(*error_));
    return std::move(row);
  }

 private:
  // Passes over the next column if it is NULL.
  bool null() {
    if (!row_.is_null(at_)) return false;
    ++at_;
    return true;
  }
  template <class Enum, class Read>
  Enum word(std::string_view column, const Read& read) {
    const std::string_view text = row_.text(at_++);
    const std::optional<Enum> value = read(text);
    if (!value) wrong(column, fmt::format("'{}' is no word of ours", text));
    return value.value_or(Enum{});
  }
  void wrong(std::string_view column, std::string_view why) {
    if (!error_) error_ = broken(table_, name_, column, why).error();
  }

  const Statement& row_;
  std::string_view table_;
  int at_ = 0;
  std::string name_ = "?";
  std::optional<Error> error_;
};

std::optional<SlotOrigin> read_origin(RowReader& row) {
  SlotOrigin origin;
  const auto schedule = row.optional_id<ScheduleId>("schedule");
  origin.schedule = schedule.value_or(ScheduleId{});
  origin.name = row.text();
  origin.slot = row.instant();
  const std::int64_t line = row.integer();
  origin.in_line = line != 0;
  origin.cancels = line == 2;
  origin.backfill = row.optional_id<BackfillId>("backfill");
  return schedule ? std::optional(std::move(origin)) : std::nullopt;
}

}  // namespace

Result<Run> read_run(const Statement& statement) {
  RowReader row(statement, "runs");
  Run run;
  run.id = row.key<RunId>("id");
  run.workflow = row.text();
  run.number = row.integer();
  run.version = row.small("version");
  run.trace_id = row.text();
  run.status = row.word<RunStatus>("status");
  run.waits_for = row.word<WaitsFor>("waits_for");
  run.due = row.optional_instant();
  run.attempt = row.small("attempt");
  run.who.trigger = row.word<Trigger>("who_trigger");
  run.who.user = row.text();
  run.who.client = row.text();
  run.who.user_agent = row.text();
  run.who.at = row.instant();
  run.created_at = row.instant();
  run.started_at = row.optional_instant();
  run.finished_at = row.optional_instant();
  run.error = row.failure();
  run.group = row.text();
  run.group_limit = row.small("group_limit");
  run.group_cancels = row.flag();
  run.group_since = row.optional_instant();
  run.group_held = row.flag();
  run.expires_at = row.optional_instant();
  run.slot = read_origin(row);
  return row.result(run);
}

Result<WorkflowRow> read_workflow(const Statement& statement) {
  RowReader row(statement, "workflows");
  WorkflowRow workflow;
  workflow.name = row.text();
  row.name("workflow " + workflow.name);
  workflow.enabled = row.flag();
  workflow.version = row.small("version");
  workflow.last_number = row.integer();
  workflow.created_at = row.instant();
  workflow.updated_at = row.instant();
  workflow.switched_at = row.instant();
  workflow.disabled_from = row.instant();
  workflow.deleted_at = row.optional_instant();
  workflow.file = row.text();
  workflow.file_gone = row.flag();
  workflow.file_error = row.text();
  return row.result(workflow);
}

Result<ScheduleRow> read_schedule(const Statement& statement) {
  RowReader row(statement, "schedules");
  ScheduleRow schedule;
  schedule.id = row.key<ScheduleId>("id");
  row.must_be_there();
  schedule.workflow = row.text();
  schedule.name = row.text();
  ScheduleRule& rule = schedule.rule;
  rule.cron = row.text();
  rule.timezone = row.text();
  rule.misfire = row.schedule_word<Misfire>("misfire");
  rule.misfire_threshold = row.duration();
  rule.misfire_window = row.duration();
  rule.max_catch_up = row.small("max_catch_up");
  rule.overlap = row.schedule_word<Overlap>("overlap");
  rule.start = row.optional_instant();
  rule.end = row.optional_instant();
  rule.jitter = row.duration();
  rule.late_after = row.optional_duration();
  rule.inputs = row.json("inputs");
  schedule.same = row.text();
  schedule.defined = row.flag();
  schedule.enabled = row.flag();
  schedule.created_at = row.instant();
  schedule.updated_at = row.instant();
  schedule.deleted_at = row.optional_instant();

  row.table("schedule_progress");
  row.must_be_there();
  ScheduleProgress& progress = schedule.progress;
  progress.cursor = row.instant();
  progress.next_at = row.optional_instant();
  progress.parked = row.flag();
  const auto late_slot = row.optional_instant();
  LateWatch late{.slot = late_slot.value_or(Instant{}), .due = row.instant(), .run = {}};
  late.run = row.optional_id<RunId>("late_run");
  if (late_slot) progress.late = late;
  return row.result(schedule);
}

Result<LedgerRow> read_ledger(const Statement& statement, ScheduleId schedule) {
  RowReader row(statement, "ledger");
  LedgerRow entry;
  entry.schedule = schedule;
  entry.from = row.instant();
  row.name(fmt::format("schedule {}, from_us {}", to_string(schedule), to_us(entry.from)));
  entry.to = row.instant();
  entry.count = row.integer();
  entry.outcome = row.schedule_word<SlotOutcome>("outcome");
  entry.reason = row.schedule_word<SlotReason>("reason");
  entry.message = row.text();
  entry.run = row.optional_id<RunId>("run");
  entry.run_number = row.integer();
  entry.lateness = row.duration();
  entry.at = row.instant();
  entry.backfill = row.optional_id<BackfillId>("backfill");
  return row.result(entry);
}

Result<BackfillRow> read_backfill(const Statement& statement) {
  RowReader row(statement, "backfills");
  BackfillRow backfill;
  backfill.id = row.key<BackfillId>("id");
  backfill.schedule = row.id<ScheduleId>("schedule");
  backfill.workflow = row.text();
  backfill.from = row.instant();
  backfill.to = row.instant();
  backfill.cursor = row.instant();
  backfill.limit = row.small("run_limit");
  backfill.status = row.schedule_word<BackfillStatus>("status");
  backfill.started = row.integer();
  backfill.passed_over = row.integer();
  backfill.user = row.text();
  backfill.client = row.text();
  backfill.created_at = row.instant();
  backfill.finished_at = row.optional_instant();
  return row.result(backfill);
}

Result<Json> read_json(const Statement& row, int column, std::string_view table, std::string_view name, RunId run) {
  if (row.is_null(column)) return Json();
  auto value = parse_json(row.text(column));
  if (!value) return broken(table, "run " + to_string(run), name, "cannot be read: " + value.error().message);
  return value;
}

void append_failure(std::string& out, const FailurePtr& failure) {
  if (!failure) return;
  out += R"({"code":)";
  append_json_string(out, failure->code);
  out += R"(,"message":)";
  append_json_string(out, failure->message);
  if (!failure->cause.is_null()) {
    out += R"(,"cause":)";
    append_json(out, failure->cause);
  }
  out += '}';
}

}  // namespace pawl::store
