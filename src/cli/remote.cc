// Commands that ask a server.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/pace.h"
#include "cli/render.h"
#include "cli/server.h"
#include "cli/steps.h"

namespace pawl::cli {
namespace {

constexpr std::size_t page_limit = 200;

void print_json(Console& console, const Json& value) { console.line(to_text(value)); }

// Of a job with many tasks the run shows the first; the others are added here.
Outcome<void> add_other_tasks(Server& server, Json& run) {
  if (!elements(run, "attempts").size()) return {};
  for (Json& attempt : run.as_object()["attempts"].as_array()) {
    if (elements(attempt, "job_runs").empty()) continue;
    for (Json& job : attempt.as_object()["job_runs"].as_array()) {
      std::string cursor(find_string(job, "next_cursor"));
      while (!cursor.empty()) {
        const auto page = server.get(fmt::format("runs/{}/tasks?attempt={}&job={}&limit={}&cursor={}", id_of(run),
                                                 find_int(attempt, "attempt").value_or(1),
                                                 encoded(find_string(job, "job")), page_limit, encoded(cursor)));
        if (!page) return std::unexpected(page.error());
        for (const Json& task : elements(*page, "items")) job.as_object()["task_runs"].as_array().push_back(task);
        cursor = find_string(*page, "next_cursor");
      }
      job.as_object().erase("next_cursor");
    }
  }
  return {};
}

// What tasks of a run print, page by page.
class LogReader {
 public:
  LogReader(Server& server, std::string run) : server_(server), run_(std::move(run)) {}

  // The next items; empty when there are none now. Afterwards over() tells whether more may come.
  Outcome<json::array> next() {
    auto page = server_.get_patiently(fmt::format("runs/{}/logs?offset={}", run_, offset_));
    // After a crash the log may be shorter than what was read of it.
    if (!page && page.error().code == "bad_parameter" && offset_ > 0) {
      offset_ = 0;
      page = server_.get_patiently(fmt::format("runs/{}/logs?offset=0", run_));
    }
    if (!page) return std::unexpected(page.error());
    json::array items = elements(*page, "items");
    offset_ = find_int(*page, "next_offset").value_or(offset_);
    status_ = find_string(*page, "status");
    over_ = items.empty() && is_over(status_);
    return items;
  }
  bool over() const { return over_; }
  std::int64_t offset() const { return offset_; }
  const std::string& status() const { return status_; }

 private:
  Server& server_;
  const std::string run_;
  std::int64_t offset_ = 0;
  std::string status_;
  bool over_ = false;
};

void print_log(Console& console, LogLines& lines, const Json& item) {
  for (const std::string& line :
       lines.add(std::string(find_string(item, "job")), std::string(find_string(item, "task")),
                 fmt::format("{}/{}", find_string(item, "stream"), find_int(item, "try").value_or(1)),
                 find_string(item, "text")))
    console.line(line);
}

// The result of a run that is over, with why it failed.
int print_result(Console& console, const Json& run) {
  console.line(result_line(console, run));
  if (const Json* error = find(run, "error"))
    for (const std::string& line : error_lines(*error, true)) console.line("  " + line);
  return find_string(run, "status") == "success" ? Exit::fine : Exit::failed;
}

// Until the run is over; the run then.
Outcome<Json> wait_for_end(Server& server, const Json& run) {
  const std::string id = id_of(run);
  // The list shows rows alone, which costs the server little however long the run is.
  const std::string row = "runs?limit=1&trace_id=" + encoded(find_string(run, "trace_id"));
  Pace pace;
  for (;;) {
    const auto page = server.get_patiently(row);
    if (!page) return std::unexpected(page.error());
    const auto& items = elements(*page, "items");
    if (items.empty() || is_over(find_string(items[0], "status"))) return server.get_patiently("runs/" + id);
    pace.rest(false);
  }
}

Outcome<Json> follow(Console& console, Server& server, const std::string& id) {
  Steps steps;
  LogLines lines(console);
  LogReader log(server, id);
  Pace pace;
  for (;;) {
    // The run first: when it is over, all of its log is there.
    auto run = server.get_patiently("runs/" + id);
    if (!run) return run;
    bool something = false;
    for (;;) {
      const auto items = log.next();
      if (!items) return std::unexpected(items.error());
      for (const Json& item : *items) print_log(console, lines, item);
      if (items->empty()) break;
      something = true;
    }
    const bool over = is_over(find_string(*run, "status"));
    if (over)
      for (const std::string& line : lines.rest()) console.line(line);
    for (const std::string& line : steps.update(*run)) {
      console.line(line);
      something = true;
    }
    if (over) return run;
    pace.rest(something);
  }
}

// Only the inputs that were given: the server fills in the others.
Outcome<Json> inputs_for(Server& server, const StartOptions& options) {
  if (options.inputs.empty()) return Json(json::object());
  const Inputs given = split_inputs(options.inputs);
  if (!given.problem.empty()) return give_up(Exit::wrong_usage, "usage", given.problem);
  const auto workflow = server.get("workflows/" + encoded(options.workflow));
  if (!workflow) return std::unexpected(workflow.error());
  const auto parsed = definition::parse(find_string(*workflow, "text"));
  if (!parsed)
    return give_up(
        Exit::failed, "definition_invalid",
        fmt::format("the definition of '{}' is not understood by this version of pawl, so its inputs cannot be read",
                    options.workflow));
  const auto values = read_inputs(parsed->workflow, options.inputs);
  if (!values) return std::unexpected(values.error());
  json::object chosen;
  for (const auto& [name, value] : given.values)
    if (const Json* found = find(*values, name)) chosen[name] = *found;
  return Json(std::move(chosen));
}

// The file that a workflow comes from, and what is wrong with that.
Cell file_cell(const Json& workflow) {
  const std::string file = words(workflow, "file");
  if (const std::string error = words(workflow, "file_error"); !error.empty())
    return {file + ": " + error, Colour::red};
  const Json* const gone = find(workflow, "file_gone");
  if (gone && gone->is_bool() && gone->get_bool()) return {file + " is gone", Colour::yellow};
  return {file};
}

// Columns at the end that no row fills.
void drop_empty_columns(std::vector<std::vector<Cell>>& rows) {
  const auto is_empty = [](const std::vector<Cell>& row) { return row.back().text.empty(); };
  while (rows.size() > 1 && std::all_of(rows.begin() + 1, rows.end(), is_empty))
    for (auto& row : rows) row.pop_back();
}

}  // namespace

Outcome<int> list(Console& console, const Common& common) {
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  auto page = server->list("workflows", "", INT64_MAX);
  if (!page) return std::unexpected(page.error());
  if (common.json) {
    print_json(console, Json(std::move(*page)));
    return Exit::fine;
  }
  std::vector<std::vector<Cell>> rows{{{"NAME"}, {"VERSION"}, {"ENABLED"}, {"UPDATED"}, {"NEXT"}, {"FILE"}}};
  for (const Json& row : (*page)["items"].get_array()) {
    const Json* const enabled = find(row, "enabled");
    const bool on = enabled && enabled->is_bool() && enabled->get_bool();
    const auto updated = instant(row, "updated_at"), next = instant(row, "next_fire_at");
    rows.push_back({{words(row, "name")},
                    {std::to_string(find_int(row, "version").value_or(0))},
                    {on ? "yes" : "no", on ? Colour::none : Colour::yellow},
                    {updated ? local_time(*updated) : ""},
                    {next ? local_time(*next) : ""},
                    file_cell(row)});
  }
  drop_empty_columns(rows);
  console.print(rows.size() > 1 ? table(console, rows) : "no workflows; send one with: pawl apply FILE\n");
  return Exit::fine;
}

Outcome<int> switch_workflow(Console& console, const Common& common, const std::string& name, bool enabled) {
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  const auto answer = server->patch("workflows/" + encoded(name), json::object{{"enabled", enabled}});
  if (!answer) return std::unexpected(answer.error());
  if (common.json) {
    print_json(console, *answer);
    return Exit::fine;
  }
  const auto next = instant(*answer, "next_fire_at");
  console.line(fmt::format("{} is {}{}", words(*answer, "name"), enabled ? "enabled" : "disabled",
                           next ? "; its schedules fire next at " + local_time(*next) : ""));
  if (!enabled) console.line("no run of it starts; those that are open go on");
  return Exit::fine;
}

Outcome<int> delete_workflow(Console& console, const Common& common, const std::string& name) {
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  const auto answer = server->remove("workflows/" + encoded(name));
  if (!answer) return std::unexpected(answer.error());
  if (common.json)
    print_json(console, *answer);
  else
    console.line(fmt::format("{} is deleted, with its schedules; its runs stay", printable(name)));
  return Exit::fine;
}

Outcome<int> start(Console& console, const Common& common, const StartOptions& options) {
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  json::object body;
  if (!options.like.empty()) {
    const auto like = server->run(options.like);
    if (!like) return std::unexpected(like.error());
    body["like"] = id_of(*like);
  } else {
    auto inputs = inputs_for(*server, options);
    if (!inputs) return std::unexpected(inputs.error());
    body["inputs"] = std::move(*inputs);
  }
  std::vector<std::pair<std::string, std::string>> headers;
  if (!options.key.empty()) headers.emplace_back("Idempotency-Key", options.key);
  auto run = server->post("workflows/" + encoded(options.workflow) + "/runs", Json(std::move(body)), headers);
  if (!run) {
    Trouble trouble = run.error();
    const auto errors = trouble.more.find("errors");
    if (errors != trouble.more.end() && errors->value().is_array())
      for (const Json& one : errors->value().get_array())
        trouble.message += "\n" + std::string(find_string(one, "message"));
    return std::unexpected(std::move(trouble));
  }
  const bool wait = options.wait || options.follow;
  if (!common.json) console.line(fmt::format("{}  {}", name_of(*run), id_of(*run)));
  if (!wait) {
    if (common.json) print_json(console, *run);
    return Exit::fine;
  }
  auto ended = options.follow && !common.json ? follow(console, *server, id_of(*run)) : wait_for_end(*server, *run);
  if (!ended) return std::unexpected(ended.error());
  if (!common.json) return print_result(console, *ended);
  print_json(console, *ended);
  return find_string(*ended, "status") == "success" ? Exit::fine : Exit::failed;
}

Outcome<int> runs(Console& console, const Common& common, const RunsOptions& options) {
  const auto filter = filter_members(options.filter);
  if (!filter) return std::unexpected(filter.error());
  std::string query;
  for (const auto& member : *filter)
    query += fmt::format("&{}={}", std::string_view(member.key()), encoded(as_view(member.value())));
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  auto page = server->list("runs", query, options.limit);
  if (!page) return std::unexpected(page.error());
  const auto& items = (*page)["items"].get_array();
  // No runs of a workflow that is not there is another thing than no runs.
  if (items.empty() && !options.filter.workflow.empty())
    if (const auto known = server->get("workflows/" + encoded(options.filter.workflow)); !known)
      return std::unexpected(known.error());
  if (common.json) {
    print_json(console, Json(std::move(*page)));
    return Exit::fine;
  }
  const Instant now = wall_clock();
  std::vector<std::vector<Cell>> rows{{{"RUN"}, {"STATUS"}, {"TRIGGER"}, {"CREATED"}, {"TOOK"}, {"ID"}}};
  for (const Json& run : items) {
    const std::string status = words(run, "status"), waits_for = words(run, "waits_for");
    const Mark sign = mark(console, status);
    const auto created = instant(run, "created_at");
    rows.push_back(
        {{name_of(run)},
         {fmt::format("{} {}{}", sign.shape, status, waits_for.empty() ? "" : ": " + waits_for), sign.colour},
         {words(run, "trigger")},
         {created ? local_time(*created) : ""},
         {duration_of(run, now)},
         {id_of(run), Colour::dim}});
  }
  console.print(rows.size() > 1 ? table(console, rows) : "no runs\n");
  if (rows.size() > 1 && (*page)["next_cursor"].is_string())
    console.complain(fmt::format("there are more: --limit N shows more than {}", options.limit));
  return Exit::fine;
}

Outcome<int> show(Console& console, const Common& common, const std::string& name) {
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  auto run = server->run(name);
  if (!run) return std::unexpected(run.error());
  if (const auto added = add_other_tasks(*server, *run); !added) return std::unexpected(added.error());
  if (common.json)
    print_json(console, *run);
  else
    console.print(run_page(console, *run, wall_clock()));
  return Exit::fine;
}

Outcome<int> logs(Console& console, const Common& common, const LogsOptions& options) {
  const auto named = split_task(options.task);
  if (!options.task.empty() && !named)
    return give_up(Exit::wrong_usage, "usage", fmt::format("'{}' is no task: write it as JOB/TASK", options.task));
  const auto [job, task] = named.value_or(std::pair<std::string, std::string>());
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  auto run = server->run(options.run);
  if (!run) return std::unexpected(run.error());
  if (!task.empty()) {
    // Asking for its input is the one way to learn of a task, however many there are.
    const auto known = server->get(fmt::format("runs/{}/tasks/{}/{}/io", id_of(*run), encoded(job), encoded(task)));
    if (!known && known.error().code == "task_unknown") return std::unexpected(known.error());
  }
  // Followed, one object a line; otherwise one object with all items, written as they come.
  const bool one_object = common.json && !options.follow;
  LogReader log(*server, id_of(*run));
  LogLines lines(console, task.empty());
  Pace pace;
  bool first = true;
  const auto next_item = [&](const Json& item) {
    if (!task.empty() && (find_string(item, "job") != job || find_string(item, "task") != task)) return;
    if (!common.json) return print_log(console, lines, item);
    if (one_object) console.print(first ? "{\"items\":[" : ",");
    first = false;
    if (one_object)
      console.print(to_text(item));
    else
      print_json(console, item);
  };
  for (;;) {
    const auto items = log.next();
    if (!items) return std::unexpected(items.error());
    for (const Json& item : *items) next_item(item);
    if (log.over() || (items->empty() && !options.follow)) break;
    if (items->empty()) pace.rest(false);
  }
  if (one_object) {
    if (first) console.print("{\"items\":[");
    console.line(fmt::format("],\"next_offset\":{},\"status\":\"{}\"}}", log.offset(), log.status()));
  }
  for (const std::string& line : lines.rest()) console.line(line);
  return Exit::fine;
}

}  // namespace pawl::cli
