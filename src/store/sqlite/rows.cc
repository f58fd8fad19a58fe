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
class RunRow {
 public:
  explicit RunRow(const Statement& row) : row_(row) {}

  RunId id() {
    const auto id = row_.run_id(at_++);
    if (!id) wrong("id", "is no id");
    name_ = id ? to_string(*id) : "?";
    return id.value_or(RunId{});
  }
  std::string text() { return std::string(row_.text(at_++)); }
  std::int64_t integer() { return row_.integer(at_++); }
  int small(std::string_view column) {
    const std::int64_t value = row_.integer(at_++);
    if (value < 0 || value > std::numeric_limits<int>::max()) wrong(column, "is out of range");
    return static_cast<int>(value);
  }
  Instant instant() { return from_us(row_.integer(at_++)); }
  std::optional<Instant> optional_instant() {
    const bool null = row_.is_null(at_);
    const Instant value = instant();
    return null ? std::nullopt : std::optional(value);
  }
  template <class Enum>
  Enum word(std::string_view column) {
    const std::string_view text = row_.text(at_++);
    const auto value = from_string<Enum>(text);
    if (!value) wrong(column, fmt::format("'{}' is no word of ours", text));
    return value.value_or(Enum{});
  }
  FailurePtr failure() {
    if (row_.is_null(at_)) return ++at_, nullptr;
    auto value = parse_json(row_.text(at_++));
    if (!value || !value->is_object() || find_string(*value, "code").empty())
      return wrong("error", "cannot be read"), nullptr;
    auto failure = std::make_shared<Failure>();
    failure->code = find_string(*value, "code");
    failure->message = find_string(*value, "message");
    if (const Json* cause = find(*value, "cause")) failure->cause = *cause;
    return failure;
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  void wrong(std::string_view column, std::string_view why) {
    if (!error_) error_ = broken("runs", name_, column, why).error();
  }

  const Statement& row_;
  int at_ = 0;
  std::string name_ = "?";
  std::optional<Error> error_;
};

}  // namespace

Result<Run> read_run(const Statement& statement) {
  RunRow row(statement);
  Run run;
  run.id = row.id();
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
  run.group_cancels = row.integer() != 0;
  run.group_since = row.optional_instant();
  run.group_held = row.integer() != 0;
  run.expires_at = row.optional_instant();
  if (row.error()) return std::unexpected(*row.error());
  return run;
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
