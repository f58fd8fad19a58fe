// Commands about schedules: make and change them, see what comes next, what became of each slot and why, and fill in.
#include <fmt/format.h>

#include <algorithm>

#include "base/id.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/pace.h"
#include "cli/render.h"
#include "cli/server.h"
#include "cli/zone_time.h"

namespace pawl::cli {
namespace {

constexpr int longest_message = 100;

// ID on the command line, as a path of the API.
Outcome<std::string> path_of(const std::string& id) {
  const std::size_t slash = id.rfind('/');
  const bool is_name = slash != std::string::npos && slash > 0 && slash + 1 < id.size();
  if (parse_uuid(id) || is_name) return "schedules/" + encoded(id);
  return give_up(
      Exit::failed, "schedule_unknown",
      fmt::format("there is no schedule '{}': one is named by its id, or as WORKFLOW/NAME, such as '{}/main'", id, id));
}

Outcome<Instant> time_of(std::string_view option, const std::string& text) {
  const auto at = parse_instant(text);
  if (!at)
    return give_up(Exit::wrong_usage, "usage",
                   fmt::format("--{}: '{}' is no time: give Unix seconds, or 2026-11-23T08:00:00Z", option, text));
  return *at;
}

// What is wrong with the fields, a line each, where the answer names more than one thing.
std::unexpected<Trouble> with_problems(Trouble trouble) {
  const auto errors = trouble.more.find("errors");
  if (errors != trouble.more.end() && errors->value().is_array() && errors->value().get_array().size() > 1)
    for (const Json& one : errors->value().get_array())
      trouble.message += "\n  " + std::string(find_string(one, "message"));
  return std::unexpected(std::move(trouble));
}

bool is_true(const Json& value, std::string_view member) {
  const Json* const found = find(value, member);
  return found && found->is_bool() && found->get_bool();
}

std::string schedule_name(const Json& schedule) { return words(schedule, "workflow") + '/' + words(schedule, "name"); }

// 0 8 * * 1-5 (Asia/Seoul)  At 08:00, Monday to Friday
std::string when_words(const Json& schedule) {
  return fmt::format("{} ({})  {}", words(schedule, "cron"), words(schedule, "timezone"),
                     words(schedule, "description"));
}

// Why it does not fire; empty, if it does.
std::string why_stopped(const Json& schedule) {
  if (!is_true(schedule, "enabled")) return "it is disabled";
  if (!is_true(schedule, "active")) return "its workflow is disabled";
  return instant(schedule, "next_fire_at") ? "" : "no time of it is left";
}

void warn(Console& console, const Json& schedule) {
  for (const Json& warning : elements(schedule, "warnings"))
    console.complain("pawl: warning: " + words(warning, "message"));
}

// What a command that has changed one prints.
int print_schedule(Console& console, const Common& common, const Json& schedule) {
  if (common.json) {
    console.line(to_text(schedule));
    return Exit::fine;
  }
  warn(console, schedule);
  console.line(fmt::format("{}  {}", console.paint(Colour::bold, schedule_name(schedule)), when_words(schedule)));
  const auto next = instant(schedule, "next_fire_at");
  const Instant now = wall_clock();
  const ZoneTime local(find_string(schedule, "timezone"));
  if (next)
    console.line(fmt::format("  next  {}, in {}", local(*next), short_duration(*next - now)));
  else
    console.line("  next  none: " + why_stopped(schedule));
  console.line("  id    " + words(schedule, "id"));
  return Exit::fine;
}

// The inputs as members of a request. What stands in templates is known when a slot comes; all else is read as the
// workflow declares it.
Outcome<Json> inputs_of(Server& server, const std::string& workflow, const std::vector<std::string>& texts) {
  const Inputs given = split_inputs(texts);
  if (!given.problem.empty()) return give_up(Exit::wrong_usage, "usage", given.problem);
  const auto shown = server.get("workflows/" + encoded(workflow));
  if (!shown) return std::unexpected(shown.error());
  const auto parsed = definition::parse(find_string(*shown, "text"));
  json::object values;
  for (const auto& [name, value] : given.values) {
    if (!is_utf8(name) || !is_utf8(value))
      return give_up(Exit::wrong_usage, "usage", fmt::format("input '{}' is not UTF-8", name));
    values[name] = value;
    if (!parsed || value.find("${{") != std::string::npos) continue;
    const auto& inputs = parsed->workflow.inputs;
    const auto input = std::ranges::find(inputs, name, &Input::name);
    if (input == inputs.end()) continue;  // which the server tells, with what may be meant
    Workflow alone;
    alone.inputs = {*input};
    auto checked = definition::check_inputs(alone, json::object{{name, value}}, true);
    if (!checked) return give_up(Exit::failed, "schedule_invalid", fmt::format("{}", fmt::join(checked.error(), "\n")));
    if (Json* const read = checked->get_object().if_contains(name)) values[name] = std::move(*read);
  }
  return Json(std::move(values));
}

// The members of a request that the options of add and change make.
Outcome<json::object> body_of(Server& server, const std::string& workflow, const ScheduleOptions& options) {
  json::object body;
  for (const auto& [member, text] : options.fields) {
    if (member != "start" && member != "end") {
      body[member] = text;
      continue;
    }
    const auto at = time_of(member, text);
    if (!at) return std::unexpected(at.error());
    body[member] = to_rfc3339(*at);
  }
  if (options.max_catch_up) body["max_catch_up"] = *options.max_catch_up;
  if (options.no_start) body["start"] = nullptr;
  if (options.no_end) body["end"] = nullptr;
  if (options.no_late_after) body["late_after"] = nullptr;
  if (options.inputs.empty()) return body;
  auto inputs = inputs_of(server, workflow, options.inputs);
  if (!inputs) return std::unexpected(inputs.error());
  body["inputs"] = std::move(*inputs);
  return body;
}

// A server, and the schedule that is meant.
struct Asked {
  Server server;
  std::string path;
  Json schedule;
};
Outcome<Asked> ask_for(const Common& common, const std::string& id) {
  auto path = path_of(id);
  if (!path) return std::unexpected(path.error());
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  auto schedule = server->get(*path);
  if (!schedule) return std::unexpected(schedule.error());
  return Asked{std::move(*server), std::move(*path), std::move(*schedule)};
}

// 86399 as 86,399.
std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}
std::string slots_words(std::int64_t count) { return grouped(count) + (count == 1 ? " slot" : " slots"); }

// Why slots have no run, for people.
std::string why(const Json& entry, const Json& schedule) {
  const std::string reason = words(entry, "reason");
  const std::int64_t count = find_int(entry, "count").value_or(1);
  if (reason.empty()) return words(entry, "backfill").empty() ? "" : "filled in afterwards";
  if (reason == "misfired")
    return count == 1 ? "the server was away" : fmt::format("the server was away: {} missed", slots_words(count));
  if (reason == "overlap") return "an earlier run was still open";
  if (reason == "end") return "missed, and its end had passed when the server was back";
  if (reason == "invalid") return "no run could be started: " + words(entry, "message");
  if (reason != "disabled") return reason;
  // What is not decided yet is so because of how things are now.
  if (const Json* const decided = find(entry, "decided_at"); decided && decided->is_null())
    return why_stopped(schedule);
  return "it or its workflow was disabled";
}

std::string slots_cell(const Json& entry, const ZoneTime& local) {
  const auto from = instant(entry, "from"), to = instant(entry, "to");
  if (!from || !to) return "";
  const std::int64_t count = find_int(entry, "count").value_or(1);
  return count == 1 ? local(*from) : fmt::format("{} to {} ({})", local(*from), local(*to), slots_words(count));
}

std::string backfill_line(const Console& console, const Json& backfill) {
  std::string text = fmt::format("{}  {} started", status_words(console, words(backfill, "status")),
                                 grouped(find_int(backfill, "started").value_or(0)));
  if (const auto passed = find_int(backfill, "passed_over").value_or(0); passed > 0)
    text += fmt::format(", {} passed over", grouped(passed));
  return text;
}

void print_dry_run(Console& console, const Json& schedule, const Json& told, const ScheduleOptions& options) {
  const ZoneTime local(find_string(schedule, "timezone"));
  const std::int64_t slots = find_int(told, "slots").value_or(0), run = find_int(told, "already_run").value_or(0),
                     missing = find_int(told, "would_start").value_or(0);
  console.line(fmt::format("{} of {} in this range: {} would be started, {} had a run ({})", slots_words(slots),
                           schedule_name(schedule), grouped(missing), grouped(run), local.name()));
  const auto& first = elements(told, "first");
  for (const Json& slot : first)
    if (const auto at = slot.is_string() ? parse_rfc3339(as_view(slot)) : fail(Code::invalid, ""))
      console.line("  " + local(*at));
  if (const auto more = missing - static_cast<std::int64_t>(first.size()); more > 0)
    console.line(fmt::format("  and {} more", grouped(more)));
  if (const auto to = instant(told, "to"), until = instant(told, "until"); to && until && *until < *to)
    console.line(fmt::format("Slots after {} are the schedule's own to decide.", local(*until)));
  if (missing > 0)
    console.line(fmt::format("To start them, {} at once:\n  pawl schedule backfill {} --from {} --to {} --limit {}",
                             options.at_once, shell_word(printable(options.id)), words(told, "from"), words(told, "to"),
                             options.at_once));
}

// Until it is over; the backfill then.
Outcome<Json> wait_for_end(Server& server, const std::string& path, const Json& backfill) {
  const std::string id(find_string(backfill, "id"));
  Json newest = backfill;
  Pace pace;
  while (find_string(newest, "status") == "running") {
    pace.rest(false);
    const auto page = server.get_patiently(path + "/backfills?limit=200");
    if (!page) return std::unexpected(page.error());
    const auto& items = elements(*page, "items");
    const auto found = std::ranges::find_if(items, [&](const Json& one) { return find_string(one, "id") == id; });
    if (found == items.end())
      return give_up(Exit::failed, "backfill_unknown", "the backfill is not to be seen any more");
    newest = *found;
  }
  return newest;
}

}  // namespace

Outcome<int> list_schedules(Console& console, const Common& common, const ScheduleOptions& options) {
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  auto page = server->list(
      options.workflow.empty() ? "schedules" : "workflows/" + encoded(options.workflow) + "/schedules", "", INT64_MAX);
  if (!page) return std::unexpected(page.error());
  if (common.json) {
    console.line(to_text(Json(std::move(*page))));
    return Exit::fine;
  }
  std::vector<std::vector<Cell>> rows{{{"SCHEDULE"}, {"WHEN"}, {"ENABLED"}, {"NEXT"}, {"ID"}}};
  for (const Json& schedule : (*page)["items"].get_array()) {
    const auto next = instant(schedule, "next_fire_at");
    const bool enabled = is_true(schedule, "enabled"), active = is_true(schedule, "active");
    rows.push_back({{schedule_name(schedule)},
                    {when_words(schedule)},
                    {!enabled ? "no"
                     : active ? "yes"
                              : "yes, its workflow not",
                     active ? Colour::none : Colour::yellow},
                    {next ? ZoneTime(find_string(schedule, "timezone"))(*next) : ""},
                    {words(schedule, "id"), Colour::dim}});
  }
  console.print(rows.size() > 1 ? table(console, rows)
                                : "no schedules; add one with: pawl schedule add NAME --cron \"0 8 * * *\"\n");
  return Exit::fine;
}

Outcome<int> add_schedule(Console& console, const Common& common, const ScheduleOptions& options) {
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  auto body = body_of(*server, options.workflow, options);
  if (!body) return std::unexpected(body.error());
  if (!options.name.empty()) (*body)["name"] = options.name;
  if (options.disabled) (*body)["enabled"] = false;
  const auto schedule = server->post("workflows/" + encoded(options.workflow) + "/schedules", Json(std::move(*body)));
  if (!schedule) return with_problems(schedule.error());
  return print_schedule(console, common, *schedule);
}

Outcome<int> change_schedule(Console& console, const Common& common, const ScheduleOptions& options) {
  if (options.fields.empty() && options.inputs.empty() && !options.max_catch_up && !options.no_start &&
      !options.no_end && !options.no_late_after)
    return give_up(Exit::wrong_usage, "usage", "what is to change? See pawl schedule change --help");
  auto asked = ask_for(common, options.id);
  if (!asked) return std::unexpected(asked.error());
  const auto body = body_of(asked->server, std::string(find_string(asked->schedule, "workflow")), options);
  if (!body) return std::unexpected(body.error());
  if (body->empty()) return give_up(Exit::wrong_usage, "usage", "what is to change? See pawl schedule change --help");
  const auto schedule = asked->server.patch(asked->path, Json(*body));
  if (!schedule) return with_problems(schedule.error());
  return print_schedule(console, common, *schedule);
}

Outcome<int> switch_schedule(Console& console, const Common& common, const ScheduleOptions& options, bool enabled) {
  const auto path = path_of(options.id);
  if (!path) return std::unexpected(path.error());
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  const auto schedule = server->patch(*path, json::object{{"enabled", enabled}});
  if (!schedule) return std::unexpected(schedule.error());
  return print_schedule(console, common, *schedule);
}

Outcome<int> delete_schedule(Console& console, const Common& common, const ScheduleOptions& options) {
  const auto path = path_of(options.id);
  if (!path) return std::unexpected(path.error());
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  const auto answer = server->remove(*path);
  if (!answer) return std::unexpected(answer.error());
  console.line(common.json ? to_text(*answer) : fmt::format("{} is deleted", printable(options.id)));
  return Exit::fine;
}

Outcome<int> next_slots(Console& console, const Common& common, const ScheduleOptions& options) {
  std::string query = fmt::format("?count={}", options.count);
  if (!options.after.empty()) {
    const auto after = time_of("after", options.after);
    if (!after) return std::unexpected(after.error());
    query += "&after=" + encoded(to_rfc3339(*after));
  }
  auto asked = ask_for(common, options.id);
  if (!asked) return std::unexpected(asked.error());
  const auto page = asked->server.get(asked->path + "/next" + query);
  if (!page) return std::unexpected(page.error());
  if (common.json) {
    console.line(to_text(*page));
    return Exit::fine;
  }
  console.line(
      fmt::format("{}  {}", console.paint(Colour::bold, schedule_name(asked->schedule)), when_words(asked->schedule)));
  if (!is_true(asked->schedule, "active"))
    console.complain(fmt::format("none of these starts a run as things are: {}", why_stopped(asked->schedule)));
  const ZoneTime local(find_string(asked->schedule, "timezone"));
  std::vector<std::vector<Cell>> rows{{{local.name()}, {"UTC"}, {"DUE"}, {"CLOCK"}}};
  const ZoneTime utc("UTC");
  bool spread = false, noted = false;
  for (const Json& item : elements(*page, "items")) {
    const auto slot = instant(item, "slot"), due = instant(item, "due");
    if (!slot || !due) continue;
    const std::string clock = words(item, "clock");
    spread = spread || *due != *slot;
    noted = noted || !clock.empty();
    rows.push_back({{local(*slot)},
                    {utc(*slot).substr(4)},
                    {local(*due).substr(15)},
                    {clock == "moved"           ? "moved: the time asked for does not exist"
                     : clock == "first_of_two"  ? "first of two"
                     : clock == "second_of_two" ? "second of two"
                                                : clock,
                     Colour::yellow}});
  }
  for (auto& row : rows) {
    if (!noted || row.back().text.empty()) row.pop_back();
    if (!spread) row.erase(row.begin() + 2);
  }
  console.print(rows.size() > 1 ? "\n" + table(console, rows) : "\nno time of it is left\n");
  return Exit::fine;
}

Outcome<int> ledger(Console& console, const Common& common, const ScheduleOptions& options) {
  std::string query;
  for (const auto& [name, text] : {std::pair("since", &options.since), std::pair("until", &options.until)}) {
    if (text->empty()) continue;
    const auto at = time_of(name, *text);
    if (!at) return std::unexpected(at.error());
    query += fmt::format("&{}={}", name, encoded(to_rfc3339(*at)));
  }
  auto asked = ask_for(common, options.id);
  if (!asked) return std::unexpected(asked.error());
  auto page = asked->server.list(asked->path + "/ledger", query, options.shown);
  if (!page) return std::unexpected(page.error());
  if (common.json) {
    console.line(to_text(Json(std::move(*page))));
    return Exit::fine;
  }
  const Json& schedule = asked->schedule;
  const ZoneTime local(find_string(schedule, "timezone"));
  std::vector<std::vector<Cell>> rows{{{"SLOT(S), " + local.name()}, {"OUTCOME"}, {"RUN"}, {"LATE"}, {"WHY"}}};
  for (const Json& entry : (*page)["items"].get_array()) {
    const std::string outcome = words(entry, "outcome");
    const Mark sign = mark(console, outcome);
    const auto late = find_int(entry, "lateness_ms"), number = find_int(entry, "run_number");
    rows.push_back({{slots_cell(entry, local)},
                    {fmt::format("{} {}", sign.shape, outcome), sign.colour},
                    {number ? fmt::format("{}#{}", words(schedule, "workflow"), *number) : ""},
                    {late ? short_duration(std::chrono::milliseconds(*late)) : ""},
                    {fit(console, why(entry, schedule), longest_message)}});
  }
  for (auto& row : rows)
    if (row.back().text.empty()) row.pop_back();
  if (rows.size() > 1) {
    console.print(table(console, rows));
  } else {
    const auto next = instant(schedule, "next_fire_at");
    console.line(fmt::format("no slot of {} is in this time; {}", schedule_name(schedule),
                             next ? "it fires next at " + local(*next) : why_stopped(schedule)));
  }
  if (rows.size() > 1 && (*page)["next_cursor"].is_string())
    console.complain(fmt::format("there are more: --limit N shows more than {}", options.shown));
  return Exit::fine;
}

Outcome<int> backfill(Console& console, const Common& common, const ScheduleOptions& options) {
  const auto from = time_of("from", options.from), to = time_of("to", options.to);
  if (!from) return std::unexpected(from.error());
  if (!to) return std::unexpected(to.error());
  auto asked = ask_for(common, options.id);
  if (!asked) return std::unexpected(asked.error());
  json::object body{{"from", to_rfc3339(*from)}, {"to", to_rfc3339(*to)}, {"limit", options.at_once}};
  if (options.dry_run) body["dry_run"] = true;
  auto answer = asked->server.post(asked->path + "/backfill", Json(std::move(body)));
  if (!answer) return std::unexpected(answer.error());
  if (options.dry_run) {
    if (common.json)
      console.line(to_text(*answer));
    else
      print_dry_run(console, asked->schedule, *answer, options);
    return Exit::fine;
  }
  if (!common.json) console.line(fmt::format("backfill {}", words(*answer, "id")));
  if (options.wait) {
    answer = wait_for_end(asked->server, asked->path, *answer);
    if (!answer) return std::unexpected(answer.error());
  }
  if (common.json)
    console.line(to_text(*answer));
  else if (options.wait)
    console.line(backfill_line(console, *answer));
  else
    console.line(fmt::format("how far it is: pawl schedule backfills {}", shell_word(printable(options.id))));
  return find_string(*answer, "status") == "cancelled" ? Exit::failed : Exit::fine;
}

Outcome<int> backfills(Console& console, const Common& common, const ScheduleOptions& options) {
  auto asked = ask_for(common, options.id);
  if (!asked) return std::unexpected(asked.error());
  if (!options.cancel.empty()) {
    const auto answer =
        asked->server.post(fmt::format("{}/backfills/{}/cancel", asked->path, encoded(options.cancel)), json::object());
    if (!answer) return std::unexpected(answer.error());
    console.line(common.json ? to_text(*answer) : backfill_line(console, *answer));
    return Exit::fine;
  }
  const auto page = asked->server.get(asked->path + "/backfills?limit=200");
  if (!page) return std::unexpected(page.error());
  if (common.json) {
    console.line(to_text(*page));
    return Exit::fine;
  }
  const ZoneTime local(find_string(asked->schedule, "timezone"));
  std::vector<std::vector<Cell>> rows{
      {{"FROM, " + local.name()}, {"TO"}, {"STATUS"}, {"STARTED"}, {"PASSED OVER"}, {"AT"}, {"ID"}}};
  for (const Json& one : elements(*page, "items")) {
    const std::string status = words(one, "status");
    const Mark sign = mark(console, status);
    const auto time = [&](std::string_view member) {
      const auto at = instant(one, member);
      return at ? local(*at) : std::string();
    };
    rows.push_back({{time("from")},
                    {time("to")},
                    {fmt::format("{} {}", sign.shape, status), sign.colour},
                    {grouped(find_int(one, "started").value_or(0))},
                    {grouped(find_int(one, "passed_over").value_or(0))},
                    {time("cursor")},
                    {words(one, "id"), Colour::dim}});
  }
  console.print(rows.size() > 1 ? table(console, rows) : "no backfills\n");
  return Exit::fine;
}

}  // namespace pawl::cli
