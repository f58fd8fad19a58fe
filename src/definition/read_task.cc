#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/utf8.h"
#include "definition/parts.h"
#include "expression/expression.h"

namespace pawl::definition {
namespace {

constexpr std::size_t longest_title = 200;
constexpr int most_tries = 1000;

constexpr auto task_keys = std::to_array<Key>({
    {"id"},
    {"name"},
    {"if"},
    {"env"},
    {"retry"},
    {"timeout"},
    {"outputs"},
    {"on-crash"},
    {"run"},
    {"command"},
    {"shell"},
    {"working-directory"},
    {"grace"},
    {"http"},
    {"wait"},
    {"approval"},
    {"continue-on-error"},
    later("workflow"),
    later("sql"),
    later("mail"),
    later("container"),
    later("worker"),
    foreign("uses", "there are no actions: use `run` or `http`"),
    foreign("with", "there are no actions: use `run` or `http`"),
    foreign("steps", "tasks hold no tasks: write them one after the other"),
    foreign("tasks", "tasks hold no tasks: write them one after the other"),
    foreign("needs", "`needs` belongs to a job; the tasks of a job run in order"),
    foreign("timeout-minutes", "write `timeout: 5m`"),
    foreign("script", "did you mean `run`?"),
    foreign("retries", "did you mean `retry`?"),
    foreign("recover", "`recover` belongs to the workflow"),
    foreign("resume", "`resume` belongs to the job"),
    foreign("matrix", "`matrix` belongs to the job"),
    foreign("keep-going", "`keep-going` belongs to the job or the workflow; a task has `continue-on-error`"),
    foreign("expires", "it belongs into `approval: {…}`"),
    foreign("until", "it belongs into `wait: {until: …}`"),
    foreign("sleep", "did you mean `wait`?"),
    foreign("delay", "it belongs into `retry`; a pause is a task of its own: - wait: 10m"),
    foreign("working_directory", "did you mean `working-directory`?"),
    foreign("environment", "did you mean `env`?"),
    foreign("url", "it belongs into `http: {…}`"),
    foreign("method", "it belongs into `http: {…}`"),
});

constexpr auto http_keys = std::to_array<Key>({
    {"method"},
    {"url"},
    {"headers"},
    {"query"},
    {"json"},
    {"form"},
    {"body"},
    {"timeout"},
    {"follow-redirects"},
    {"tls"},
    {"success-when"},
    foreign("data", "did you mean `json`, `form` or `body`?"),
    foreign("params", "did you mean `query`?"),
    foreign("retry", "`retry` stands beside `http`"),
    foreign("outputs", "`outputs` stands beside `http`"),
    foreign("verify", "write `tls: {verify: false}`"),
});

constexpr auto retry_keys = std::to_array<Key>({{"max"},
                                                {"delay"},
                                                {"backoff"},
                                                {"max-delay"},
                                                {"jitter"},
                                                foreign("attempts", "did you mean `max`, the tries after the first?"),
                                                foreign("count", "did you mean `max`, the tries after the first?")});
constexpr auto tls_keys = std::to_array<Key>({{"verify"}, {"ca-file"}, later("client-cert"), later("client-key")});
constexpr auto wait_keys = std::to_array<Key>({{"until"},
                                               foreign("for", "write `wait: 10m`"),
                                               foreign("duration", "write `wait: 10m`"),
                                               foreign("seconds", "write `wait: 10s`")});
constexpr auto approval_keys = std::to_array<Key>({{"message"},
                                                   {"expires"},
                                                   foreign("timeout", "did you mean `expires`?"),
                                                   later("approvers"),
                                                   foreign("text", "did you mean `message`?")});

constexpr auto tables = std::to_array<KeyTable>({{"task", task_keys},
                                                 {"http", http_keys},
                                                 {"retry", retry_keys},
                                                 {"tls", tls_keys},
                                                 {"wait", wait_keys},
                                                 {"approval", approval_keys}});

// The keys that each are a task of their own.
constexpr auto task_kinds = std::to_array<std::string_view>({"run", "command", "http", "wait", "approval"});
constexpr std::string_view one_kind = "a task needs exactly one of `run`, `command`, `http`, `wait` and `approval`";

// A key that belongs to another kind of task.
void refuse(Reader& reader, const Fields& fields, std::initializer_list<std::string_view> names, std::string_view owner,
            std::string_view hint = {}) {
  for (const std::string_view name : names)
    if (const Node* key = fields.key(name))
      reader.problem(*key, fmt::format("`{}` belongs to {}", name, owner), std::string(hint));
}

ProcessAction read_process(Reader& reader, const Fields& fields) {
  ProcessAction action;
  if (const Node* shell = fields.value("shell")) {
    if (fields.value("command")) {
      reader.problem(*fields.key("shell"), "`shell` belongs to `run`: a `command` has none");
    } else if (auto name = reader.plain(*shell, "`shell`", longest_title)) {
      if (name->find_first_of(" \t") != std::string::npos)
        reader.problem(*shell, "`shell` is the name of a program, without arguments",
                       "use `command: [program, argument, …]`");
      action.shell = std::move(*name);
    }
  }
  if (const Node* run = fields.value("run")) {
    if (reader.text(*run, "`run`")) action.script = reader.templated(*run, "`run`", Place::run_script, Form::script);
  } else if (const Node* command = fields.value("command")) {
    if (command->kind != Node::Kind::list) {
      reader.wrong_type(*command, "`command`", "a list: [program, argument, …]");
    } else if (command->items.empty()) {
      reader.problem(*command, "`command` is empty");
    } else {
      for (const Node* item : command->items)
        action.command.push_back(reader.templated(*item, "an argument of `command`", Place::run_argument));
      if (action.command.front().empty() && command->items.front()->kind == Node::Kind::string)
        reader.problem(*command->items.front(), "`command` names no program");
    }
  }
  if (const Node* folder = fields.value("working-directory"))
    action.working_directory = reader.templated(*folder, "`working-directory`", Place::run_argument);
  if (const Node* grace = fields.value("grace"))
    action.grace = reader.duration(*grace, "`grace`", true).value_or(action.grace);
  return action;
}

// An object of templates: headers, query, form.
Json read_members(Reader& reader, const Node& node, std::string_view what) {
  if (node.kind == Node::Kind::null || !reader.is_map(node, what)) return nullptr;
  const bool headers = what == "`headers`";
  json::object members;
  for (const auto& [key, value] : node.entries) {
    const std::string name = fmt::format("`{}`", cut_utf8(key->text, 100));
    constexpr std::string_view token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (headers && (key->text.empty() || key->text.find_first_not_of(token) != std::string::npos))
      reader.problem(*key, fmt::format("{} is no name of a header", name));
    auto text = reader.templated(*value, name, Place::http_request);
    if (headers && text.find_first_of("\r\n") != std::string::npos)
      reader.problem(*value, fmt::format("the header {} has more than one line", name));
    members.emplace(key->text, json::string(text));
  }
  return members;
}

void read_body(Reader& reader, const Fields& fields, HttpAction& action) {
  constexpr auto kinds = std::to_array<std::pair<std::string_view, BodyKind>>(
      {{"json", BodyKind::json}, {"form", BodyKind::form}, {"body", BodyKind::text}});
  for (const auto& [name, kind] : kinds) {
    const Node* node = fields.value(name);
    if (!node) continue;
    if (action.body_kind != BodyKind::none) {
      reader.problem(*fields.key(name), "a request has one of `json`, `form` and `body`");
      continue;
    }
    action.body_kind = kind;
    constexpr Place place = Place::http_request;
    if (kind == BodyKind::json)
      action.body = reader.json(*node, &place);
    else if (kind == BodyKind::form)
      action.body = read_members(reader, *node, "`form`");
    else
      action.body = json::string(reader.templated(*node, "`body`", place));
  }
}

void read_tls(Reader& reader, const Node& node, HttpAction& action) {
  if (!reader.is_map(node, "`tls`")) return;
  const Fields fields(reader, node, "`tls`", tls_keys);
  if (const Node* verify = fields.value("verify"))
    action.tls_verify = reader.boolean(*verify, "`verify`").value_or(true);
  if (const Node* file = fields.value("ca-file"))
    action.tls_ca_file = reader.plain(*file, "`ca-file`", 4096).value_or("");
}

// What a literal url has to begin with; an expression may say anything.
void check_url(Reader& reader, const Node& node, std::string_view url) {
  if (url.empty()) return reader.problem(node, "`url` is empty");
  const std::string_view literal = url.substr(0, url.find("${{"));
  if (literal.empty()) return;
  const bool begins = literal.starts_with("http://") || literal.starts_with("https://");
  const bool may_begin = literal.size() < url.size() && (std::string_view("https://").starts_with(literal) ||
                                                         std::string_view("http://").starts_with(literal));
  if (!begins && !may_begin)
    reader.problem(node, fmt::format("`url` must begin with http:// or https://, not {}", cut_utf8(url, 40)));
}

HttpAction read_http(Reader& reader, const Node& key, const Node& node) {
  HttpAction action;
  if (node.kind == Node::Kind::string) {
    reader.problem(node, "`http` must be a map, not a text",
                   fmt::format("write http: {{url: {}}}", cut_utf8(node.text, 100)));
    return action;
  }
  if (!reader.is_map(node, "`http`")) return action;
  const Fields fields(reader, node, "`http`", http_keys);
  if (const Node* method = fields.value("method")) {
    action.method = reader.templated(*method, "`method`", Place::http_request);
    if (!expression::has_expression(action.method)) {
      std::ranges::transform(action.method, action.method.begin(),
                             [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
      if (method->kind == Node::Kind::string &&
          (action.method.empty() || action.method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos))
        reader.problem(*method, fmt::format("`{}` is no HTTP method", cut_utf8(method->text, 40)));
    }
  }
  if (const Node* url = fields.value("url")) {
    action.url = reader.templated(*url, "`url`", Place::http_request);
    if (url->kind == Node::Kind::string && !url->misread) check_url(reader, *url, action.url);
  } else {
    reader.problem(key, "`http` needs a `url`");
  }
  if (const Node* headers = fields.value("headers")) action.headers = read_members(reader, *headers, "`headers`");
  if (const Node* query = fields.value("query")) action.query = read_members(reader, *query, "`query`");
  read_body(reader, fields, action);
  if (const Node* timeout = fields.value("timeout")) action.timeout = reader.duration(*timeout, "`timeout`");
  if (const Node* follow = fields.value("follow-redirects"))
    action.follow_redirects = reader.boolean(*follow, "`follow-redirects`").value_or(false);
  if (const Node* tls = fields.value("tls")) read_tls(reader, *tls, action);
  if (const Node* success = fields.value("success-when")) {
    action.success_when = reader.templated(*success, "`success-when`", Place::success_when, Form::expression);
  }
  return action;
}

// A duration, or the time until which to wait.
WaitAction read_wait(Reader& reader, const Node& key, const Node& node) {
  WaitAction action;
  if (node.misread) return action;
  if (node.kind == Node::Kind::map) {
    const Fields fields(reader, node, "`wait`", wait_keys);
    const Node* until = fields.value("until");
    if (!until) {
      if (node.entries.empty()) reader.problem(key, "`wait` is empty", "it takes a duration, or {until: …}");
      return action;
    }
    if (until->misread) return action;
    action.until = reader.templated(*until, "`until`", Place::wait);
    if (action.until.empty() || expression::has_expression(action.until)) {
      if (until->kind == Node::Kind::string && action.until.empty()) reader.problem(*until, "`until` is empty");
      return action;
    }
    // 253402300799 is the last second of the year 9999.
    const bool seconds = action.until.find_first_not_of("0123456789") == std::string::npos;
    if (seconds) {
      if (action.until.size() > 12 || (action.until.size() == 12 && action.until > "253402300799"))
        reader.problem(*until, "`until` as Unix seconds is after the year 9999", "seconds, not milliseconds");
    } else if (const auto instant = parse_rfc3339(action.until); !instant) {
      reader.problem(*until, fmt::format("`until`: {}", instant.error().message),
                     parse_duration(action.until) ? fmt::format("a duration is written wait: {}", action.until)
                                                  : "such as 2026-11-23T08:00:00Z, or Unix seconds");
    }
    return action;
  }
  if (node.kind == Node::Kind::null) {
    reader.problem(key, "`wait` is empty", "it takes a duration, or {until: …}");
    return action;
  }
  if (node.kind == Node::Kind::string && expression::has_expression(node.text)) {
    action.duration = reader.templated(node, "`wait`", Place::wait);
  } else if (node.kind == Node::Kind::string && parse_rfc3339(node.text)) {
    reader.problem(node, "`wait` takes a duration, and this is a time",
                   fmt::format("write wait: {{until: {}}}", node.text));
  } else if (reader.duration(node, "`wait`", true)) {
    action.duration = node.text;
  }
  return action;
}

ApprovalAction read_approval(Reader& reader, const Node& node) {
  ApprovalAction action;
  if (node.misread || node.kind == Node::Kind::null) return action;
  if (node.kind == Node::Kind::boolean) {
    if (!reader.boolean(node, "`approval`").value_or(true))
      reader.problem(node, "`approval: false` asks for nothing", "leave the task out, or give it an `if`");
    return action;
  }
  if (node.kind == Node::Kind::string) {
    reader.problem(node, "`approval` must be a map, not a text",
                   fmt::format("write approval: {{message: {}}}", cut_utf8(node.text, 100)));
    return action;
  }
  if (!reader.is_map(node, "`approval`")) return action;
  const Fields fields(reader, node, "`approval`", approval_keys);
  if (const Node* message = fields.value("message"))
    action.message = reader.templated(*message, "`message`", Place::approval);
  if (const Node* expires = fields.value("expires")) action.expires = reader.duration(*expires, "`expires`");
  return action;
}

// What is beside `run` and `http` alone.
void read_tries(Reader& reader, const Fields& fields, const Defaults& defaults, Task& task) {
  task.retry = defaults.retry;
  task.timeout = defaults.timeout;
  if (const Node* env = fields.value("env"))
    task.env = reader.templates(*env, "`env`", Place::task_env, Form::text, true);
  if (const Node* retry = fields.value("retry")) task.retry = read_retry(reader, *retry);
  if (const Node* timeout = fields.value("timeout")) task.timeout = reader.duration(*timeout, "`timeout`");
  if (const Node* outputs = fields.value("outputs"))
    task.outputs = reader.templates(*outputs, "`outputs`", Place::outputs, Form::output, false);
  if (const Node* crash = fields.value("on-crash")) {
    constexpr auto words = std::to_array<std::string_view>({"rerun", "fail", "hold"});
    constexpr auto choices = std::to_array<OnCrash>({OnCrash::rerun, OnCrash::fail, OnCrash::hold});
    if (const auto word = reader.word(*crash, "`on-crash`", words)) task.on_crash = choices[*word];
  }
}

// The kind of task that is written; of several the first. nullptr: none, or not one.
const Node* read_kind(Reader& reader, const Node& node, const Fields& fields) {
  const Node* first = nullptr;
  const Node* last = nullptr;
  for (const Entry& entry : node.entries) {
    if (std::ranges::find(task_kinds, std::string_view(entry.key->text)) == task_kinds.end()) continue;
    if (!first) first = entry.key;
    last = entry.key;
  }
  if (!first) {
    const bool foreign_kind = has_key(node, "uses") || has_key(node, "steps") || has_key(node, "tasks") ||
                              has_key(node, "script") || has_key(node, "sleep");
    if (!fields.postponed() && !foreign_kind) reader.problem(node, std::string(one_kind));
    return nullptr;
  }
  if (first != last) {
    reader.problem(*last, std::string(one_kind), "make two tasks of it");
    return nullptr;
  }
  return first;
}

void read_action(Reader& reader, const Fields& fields, const Node& kind, const Defaults& defaults, Task& task) {
  const std::string_view name = kind.text;
  if (name == "wait" || name == "approval") {
    refuse(reader, fields, {"retry", "env", "on-crash"}, "`run` and `http`");
    refuse(reader, fields, {"timeout"}, "`run` and `http`",
           name == "approval" ? "write it as `expires` into `approval: {…}`" : "a wait ends by itself");
    refuse(reader, fields, {"outputs"}, "`run` and `http`",
           name == "approval" ? "an approval has the outputs `approved_by` and `comment`" : "a wait has none");
    refuse(reader, fields, {"shell", "working-directory", "grace"}, "`run`");
    if (name == "wait")
      task.action = read_wait(reader, kind, *fields.value("wait"));
    else
      task.action = read_approval(reader, *fields.value("approval"));
    return;
  }
  read_tries(reader, fields, defaults, task);
  if (name == "http") {
    refuse(reader, fields, {"shell", "working-directory", "grace"}, "`run`");
    task.action = read_http(reader, kind, *fields.value("http"));
    if (const Node* env = fields.key("env"))
      reader.warn(*env, "`env` reaches processes only: an `http` task reads nothing of it");
  } else {
    task.action = read_process(reader, fields);
  }
}

Task read_task(Reader& reader, const Node& node, const Defaults& defaults, int position) {
  Task task;
  task.id = fmt::format("task-{}", position + 1);
  if (node.kind == Node::Kind::string) {
    reader.problem(node, "a task must be a map, not a text", fmt::format("write - run: {}", cut_utf8(node.text, 100)));
    return task;
  }
  if (!reader.is_map(node, "a task")) return task;
  const Fields fields(reader, node, "a task", task_keys);
  if (const Node* id = fields.value("id")) {
    if (auto text = reader.scalar(*id, "`id`")) {
      task.id = std::move(*text);
      task.explicit_id = true;
      if (!is_id(task.id))
        reader.problem(*id, fmt::format("`{}` is no id", cut_utf8(task.id, 100)),
                       "letters, digits, _ and -; a letter or _ at first; names for people go into `name`");
    }
  }
  if (const Node* name = fields.value("name")) task.name = reader.plain(*name, "`name`", longest_title).value_or("");
  if (const Node* condition = fields.value("if"))
    task.condition = reader.templated(*condition, "`if`", Place::task_if, Form::expression);
  if (const Node* go_on = fields.value("continue-on-error"))
    task.continue_on_error = reader.boolean(*go_on, "`continue-on-error`").value_or(false);
  if (const Node* kind = read_kind(reader, node, fields)) read_action(reader, fields, *kind, defaults, task);
  return task;
}

}  // namespace

std::span<const KeyTable> task_key_tables() { return tables; }

bool has_key(const Node& map, std::string_view name) {
  return std::ranges::any_of(map.entries, [&](const Entry& entry) { return entry.key->text == name; });
}

Retry read_retry(Reader& reader, const Node& node) {
  Retry retry;
  if (node.kind == Node::Kind::integer) {
    retry.max = static_cast<int>(reader.integer(node, "`retry`", 0, most_tries).value_or(0));
    return retry;
  }
  if (node.kind != Node::Kind::map) {
    reader.wrong_type(node, "`retry`", "a number of further tries, or a map");
    return retry;
  }
  const Fields fields(reader, node, "`retry`", retry_keys);
  if (const Node* max = fields.value("max"))
    retry.max = static_cast<int>(reader.integer(*max, "`max`", 0, most_tries).value_or(0));
  else
    reader.problem(node, "`retry` needs `max`, the number of further tries");
  if (const Node* delay = fields.value("delay"))
    retry.delay = reader.duration(*delay, "`delay`", true).value_or(retry.delay);
  if (const Node* backoff = fields.value("backoff"))
    retry.backoff = reader.number(*backoff, "`backoff`", 1, 100).value_or(1);
  if (const Node* longest = fields.value("max-delay")) retry.max_delay = reader.duration(*longest, "`max-delay`");
  if (const Node* jitter = fields.value("jitter")) retry.jitter = reader.number(*jitter, "`jitter`", 0, 1).value_or(0);
  return retry;
}

std::vector<Task> read_tasks(Reader& reader, const Node& node, std::string_view what, const Defaults& defaults) {
  std::vector<Task> tasks;
  if (node.kind == Node::Kind::map) {
    reader.problem(node, fmt::format("{} must be a list, not a map", what), "write each task as - id: …");
    return tasks;
  }
  if (node.kind != Node::Kind::list) {
    reader.wrong_type(node, what, "a list");
    return tasks;
  }
  if (node.items.empty())
    reader.problem(node, fmt::format("{} is empty", what),
                   what == "`tasks`" ? "a job has at least one task" : "leave it out");
  std::map<std::string, const Node*> ids;
  tasks.reserve(node.items.size());
  for (const Node* item : node.items) {
    reader.task = static_cast<int>(tasks.size());
    tasks.push_back(read_task(reader, *item, defaults, reader.task));
    const auto [first, fresh] = ids.emplace(tasks.back().id, item);
    if (!fresh)
      reader.problem(*item, fmt::format("the id `{}` is used twice in this job", cut_utf8(tasks.back().id, 100)),
                     fmt::format("first in line {}", reader.document.source().position(first->second->begin).line));
  }
  reader.task = -1;
  return tasks;
}

}  // namespace pawl::definition
