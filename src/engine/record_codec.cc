#include "engine/record_codec.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace pawl::engine {
namespace {

// --- writing -------------------------------------------------------------------------------------------------------

// Appends members to an object, leaving out what has its default.
class Writer {
 public:
  Writer(std::string& out, std::string_view type) : out_(out) {
    out_ += "{\"t\":\"";
    out_ += type;
    out_ += '"';
  }
  ~Writer() { out_ += '}'; }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void number(std::string_view name, std::int64_t value, std::int64_t fallback = 0) {
    if (value == fallback) return;
    key(name);
    char digits[24];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
  void text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    key(name);
    append_json_string(out_, value);
  }
  void flag(std::string_view name, bool value) {
    if (!value) return;
    key(name);
    out_ += "true";
  }
  void instant(std::string_view name, const std::optional<Instant>& value) {
    if (value) number(name, to_us(*value), std::numeric_limits<std::int64_t>::min());
  }
  void value(std::string_view name, const std::shared_ptr<const Json>& value) {
    if (!value) return;
    key(name);
    append_json(out_, *value);
  }
  void list(std::string_view name, const std::vector<Json>& values) {
    key(name);
    out_ += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      append_json(out_, values[i]);
    }
    out_ += ']';
  }
  void failure(std::string_view name, const FailurePtr& failure) {
    if (!failure) return;
    key(name);
    out_ += "{\"code\":";
    append_json_string(out_, failure->code);
    out_ += ",\"message\":";
    append_json_string(out_, failure->message);
    if (!failure->cause.is_null()) {
      out_ += ",\"cause\":";
      append_json(out_, failure->cause);
    }
    out_ += '}';
  }
  void ref(TaskRef ref) {
    number("job", ref.job, -1);
    number("task", ref.task, -1);
  }
  void who(const Who& who) {
    text("trigger", to_string(who.trigger));
    text("user", who.user);
    text("client", who.client);
    text("agent", who.user_agent);
    number("asked_us", to_us(who.at));
  }

 private:
  void key(std::string_view name) {
    out_ += ",\"";
    out_ += name;
    out_ += "\":";
  }
  std::string& out_;
};

struct Encode {
  std::string& out;

  void operator()(const AttemptStarted& c) const {
    Writer w(out, "attempt_started");
    w.number("attempt", c.attempt);
    w.number("version", c.version);
    w.who(c.who);
    if (c.from) {
      w.number("from_job", c.from->job, -1);
      w.number("from_task", c.from->task, -1);
    }
    w.value("inputs", c.inputs);
    w.value("vars", c.vars);
    w.value("env", c.env);
  }
  void operator()(const AttemptInterrupted& c) const {
    Writer w(out, "attempt_interrupted");
    w.text("message", c.message);
    w.flag("counted", c.counted);
    w.number("last_life_us", to_us(c.last_life));
  }
  void operator()(const AttemptHeld& c) const {
    Writer w(out, "attempt_held");
    w.text("waits_for", to_string(c.waits_for));
    w.instant("due_us", c.due);
  }
  void operator()(const AttemptEnded& c) const {
    Writer w(out, "attempt_ended");
    w.text("status", to_string(c.status));
    w.failure("error", c.error);
  }
  void operator()(const StopAsked& c) const {
    Writer w(out, "stop_asked");
    w.who(c.who);
    w.flag("hard", c.hard);
    w.failure("error", c.error);
  }
  void operator()(const StopNoted&) const { Writer w(out, "stop_noted"); }
  void operator()(const VerdictReached& c) const {
    Writer w(out, "verdict_reached");
    w.text("status", to_string(c.status));
    w.failure("error", c.error);
  }
  void operator()(const GroupTaken&) const { Writer w(out, "group_taken"); }
  void operator()(const LineLeft&) const { Writer w(out, "line_left"); }
  void operator()(const JobExpanded& c) const {
    Writer w(out, "job_expanded");
    w.number("job", c.job, -1);
    w.list("values", c.values);
  }
  void operator()(const InstanceStopped& c) const {
    Writer w(out, "instance_stopped");
    w.number("job", c.job, -1);
  }
  void operator()(const TaskAnswered& c) const {
    Writer w(out, "task_answered");
    w.ref(c.ref);
    w.text("answer", to_string(c.response.answer));
    w.who(c.response.who);
    w.text("comment", c.response.comment);
  }
  void operator()(const JobStarted& c) const {
    Writer w(out, "job_started");
    w.number("job", c.job, -1);
  }
  void operator()(const JobEnded& c) const {
    Writer w(out, "job_ended");
    w.number("job", c.job, -1);
    w.text("status", to_string(c.status));
    w.text("reason", to_string(c.reason));
    w.failure("error", c.error);
  }
  void operator()(const TaskStarted& c) const {
    Writer w(out, "task_started");
    w.ref(c.ref);
    w.number("try", c.try_number);
  }
  void operator()(const TaskWaits& c) const {
    Writer w(out, "task_waits");
    w.ref(c.ref);
    w.text("waits_for", to_string(c.waits_for));
    w.instant("due_us", c.due);
    w.text("message", c.message);
  }
  void operator()(const TryEnded& c) const {
    Writer w(out, "try_ended");
    w.ref(c.ref);
    w.number("try", c.try_number);
    w.text("status", to_string(c.status));
    w.failure("error", c.error);
    w.value("outputs", c.outputs);
    w.value("preview", c.preview);
  }
  void operator()(const TaskEnded& c) const {
    Writer w(out, "task_ended");
    w.ref(c.ref);
    w.text("status", to_string(c.status));
    w.text("reason", to_string(c.reason));
    w.failure("error", c.error);
    w.value("outputs", c.outputs);
  }
};

// --- reading -------------------------------------------------------------------------------------------------------

// Reads members; the first that is wrong is remembered.
class Members {
 public:
  explicit Members(const json::object& object) : object_(object) {}

  std::int64_t number(std::string_view name, std::int64_t fallback = 0) {
    const Json* const found = find(name);
    if (!found) return fallback;
    if (found->is_int64()) return found->get_int64();
    return wrong(name), fallback;
  }
  int small(std::string_view name, int fallback = 0) {
    const std::int64_t value = number(name, fallback);
    if (value < -1 || value > std::numeric_limits<int>::max()) return wrong(name), fallback;
    return static_cast<int>(value);
  }
  std::string text(std::string_view name) {
    const Json* const found = find(name);
    if (!found) return {};
    if (found->is_string()) return std::string(as_view(*found));
    return wrong(name), std::string{};
  }
  bool flag(std::string_view name) {
    const Json* const found = find(name);
    return found && found->is_bool() && found->get_bool();
  }
  std::optional<Instant> instant(std::string_view name) {
    if (!find(name)) return std::nullopt;
    return from_us(number(name));
  }
  std::shared_ptr<const Json> value(std::string_view name) {
    const Json* const found = find(name);
    return found ? std::make_shared<const Json>(*found) : nullptr;
  }
  FailurePtr failure(std::string_view name) {
    const Json* const found = find(name);
    if (!found) return nullptr;
    if (!found->is_object()) return wrong(name), nullptr;
    Members inner(found->get_object());
    auto failure = std::make_shared<Failure>(Failure{inner.text("code"), inner.text("message"), nullptr});
    if (const Json* const cause = inner.find("cause")) failure->cause = *cause;
    return failure;
  }
  template <class Enum>
  Enum word(std::string_view name, Enum fallback) {
    const Json* const found = find(name);
    if (!found) return fallback;
    if (found->is_string())
      if (const auto value = from_string<Enum>(as_view(*found))) return *value;
    return wrong(name), fallback;
  }
  std::vector<Json> list(std::string_view name) {
    const Json* const found = find(name);
    if (found && found->is_array()) return {found->get_array().begin(), found->get_array().end()};
    return wrong(name), std::vector<Json>{};
  }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  TaskRef ref() { return {small("job", -1), small("task", -1)}; }
  Who who() {
    return {word("trigger", Trigger::manual), text("user"), text("client"), text("agent"), from_us(number("asked_us"))};
  }
  const std::string& problem() const { return problem_; }

 private:
  const Json* find(std::string_view name) const { return object_.if_contains({name.data(), name.size()}); }
  void wrong(std::string_view name) {
    if (problem_.empty()) problem_ = fmt::format("'{}' is not what it should be", name);
  }
  const json::object& object_;
  std::string problem_;
};

std::optional<Change> read_change(std::string_view type, Members& m) {
  if (type == "try_ended") {
    TryEnded c;
    c.ref = m.ref();
    c.try_number = m.small("try");
    c.status = m.word("status", TryStatus::success);
    c.error = m.failure("error");
    c.outputs = m.value("outputs");
    c.preview = m.value("preview");
    return c;
  }
  if (type == "task_started") {
    const TaskRef ref = m.ref();
    return TaskStarted{ref, m.small("try")};
  }
  if (type == "task_waits") {
    const TaskRef ref = m.ref();
    const WaitsFor waits_for = m.word("waits_for", WaitsFor::none);
    const auto due = m.instant("due_us");
    return TaskWaits{ref, waits_for, due, m.text("message")};
  }
  if (type == "task_ended") {
    const TaskRef ref = m.ref();
    TaskEnded c{ref, m.word("status", WorkStatus::failed), m.word("reason", SkipReason::none), m.failure("error")};
    c.outputs = m.value("outputs");
    return c;
  }
  if (type == "task_answered") {
    TaskAnswered c;
    c.ref = m.ref();
    c.response.answer = m.word("answer", Answered::fail);
    c.response.who = m.who();
    c.response.comment = m.text("comment");
    return c;
  }
  if (type == "job_expanded") {
    const int job = m.small("job", -1);
    return JobExpanded{job, m.list("values")};
  }
  if (type == "instance_stopped") return InstanceStopped{m.small("job", -1)};
  if (type == "verdict_reached") return VerdictReached{m.word("status", RunStatus::success), m.failure("error")};
  if (type == "group_taken") return GroupTaken{};
  if (type == "line_left") return LineLeft{};
  if (type == "job_started") return JobStarted{m.small("job", -1)};
  if (type == "job_ended")
    return JobEnded{m.small("job", -1), m.word("status", WorkStatus::success), m.word("reason", SkipReason::none),
                    m.failure("error")};
  if (type == "attempt_started") {
    AttemptStarted c;
    c.attempt = m.small("attempt");
    c.version = m.small("version");
    c.who = m.who();
    if (m.has("from_job")) c.from = TaskRef{m.small("from_job", -1), m.small("from_task", -1)};
    c.inputs = m.value("inputs");
    c.vars = m.value("vars");
    c.env = m.value("env");
    return c;
  }
  if (type == "attempt_interrupted")
    return AttemptInterrupted{m.text("message"), m.flag("counted"), from_us(m.number("last_life_us"))};
  if (type == "attempt_held") return AttemptHeld{m.word("waits_for", WaitsFor::none), m.instant("due_us")};
  if (type == "attempt_ended") return AttemptEnded{m.word("status", RunStatus::success), m.failure("error")};
  if (type == "stop_asked") return StopAsked{m.who(), m.flag("hard"), m.failure("error")};
  if (type == "stop_noted") return StopNoted{};
  return std::nullopt;
}

}  // namespace

std::string encode(const std::vector<Change>& changes) {
  std::string body = "[";
  for (const Change& change : changes) {
    if (body.size() > 1) body += ',';
    std::visit(Encode{body}, change);
  }
  body += ']';
  return body;
}

Result<std::vector<Change>> decode(std::string_view body) {
  const auto corrupt = [](std::string why) {
    return fail(Code::corrupt, "record body: " + std::move(why), "broken_record");
  };
  const auto list = parse_json(body, {.depth = 300});
  if (!list) return corrupt(list.error().message);
  if (!list->is_array()) return corrupt("no list");
  std::vector<Change> changes;
  changes.reserve(list->get_array().size());
  for (const Json& entry : list->get_array()) {
    if (!entry.is_object()) return corrupt("a change is no object");
    const std::string_view type = find_string(entry, "t");
    Members members(entry.get_object());
    auto change = read_change(type, members);
    if (!change) return corrupt(fmt::format("a change of the unknown kind '{}'", type));
    if (!members.problem().empty()) return corrupt(members.problem());
    changes.push_back(std::move(*change));
  }
  return changes;
}

}  // namespace pawl::engine
