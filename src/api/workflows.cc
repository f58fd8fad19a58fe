// Routes of workflows and their versions.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>

#include "api/routes.h"
#include "api/schedule_json.h"
#include "definition/definition.h"
#include "net/url.h"
#include "zones/zones.h"

namespace pawl::api {
namespace {

Json to_json(const std::vector<definition::Problem>& problems) {
  json::array items;
  for (const definition::Problem& problem : problems)
    items.push_back(json::object{{"line", problem.line},
                                 {"column", problem.column},
                                 {"message", text(problem.message)},
                                 {"hint", text(problem.hint)}});
  return items;
}

// What has to be said of a definition that is accepted: the reader's warnings, and what is not served yet.
json::array warnings_of(const definition::Parsed& parsed) {
  json::array warnings = to_json(parsed.warnings).get_array();
  for (const std::string& sentence : not_served_yet(parsed.workflow))
    warnings.push_back(json::object{{"line", nullptr}, {"column", nullptr}, {"message", text(sentence)}, {"hint", ""}});
  return warnings;
}

net::Response invalid_definition(const std::vector<definition::Problem>& problems) {
  const std::string detail = problems.size() == 1 ? "the definition has a problem"
                                                  : fmt::format("the definition has {} problems", problems.size());
  return net::problem(422, "definition_invalid", detail, {{"errors", to_json(problems)}});
}

Outcome<definition::Parsed> read_definition(const net::Request& request) {
  const std::string type = media_type(request);
  if (type != "application/yaml" && type != "application/x-yaml" && type != "text/yaml" && type != "application/json")
    return refuse("unsupported_media_type", "a definition is sent as application/yaml or application/json", 415);
  if (request.body.size() > definition::max_text)
    return refuse("content_too_large", fmt::format("a definition has at most {} bytes", definition::max_text), 413);
  auto parsed = definition::parse(request.body, {.zone_problem = zones::problem_of});
  if (!parsed) return std::unexpected(invalid_definition(parsed.error()));
  return std::move(*parsed);
}

json::object row_to_json(const WorkflowRow& row) {
  return {{"name", text(row.name)},
          {"version", row.version},
          {"enabled", row.enabled && !row.file_gone},
          {"file", row.file.empty() ? Json(nullptr) : text(row.file)},
          {"file_gone", row.file_gone},
          {"file_error", row.file_error.empty() ? Json(nullptr) : text(row.file_error)},
          {"created_at", time(row.created_at)},
          {"updated_at", time(row.updated_at)}};
}

// So many schedules are looked at for one page of workflows.
constexpr std::size_t most_looked_at = 2'000;
constexpr std::size_t looked_at_once = 500;

// When each of these workflows, in order of their names, fires next: those that stand in the answer have been looked at.
Outcome<std::map<std::string, std::optional<Instant>>> next_fires(store::Reader& reader,
                                                                  std::span<const WorkflowRow> workflows, Instant now) {
  std::map<std::string, std::optional<Instant>> fires;
  if (workflows.empty()) return fires;
  std::size_t at = 0, looked_at = 0;
  // Behind all schedules of workflows with smaller names: no schedule has an empty name.
  auto after = std::optional(std::pair(workflows.front().name, std::string()));
  fires[workflows.front().name];
  while (looked_at < most_looked_at) {
    const auto rows = reader.schedules({.enabled = true}, after, looked_at_once);
    if (!rows) return refuse(rows.error());
    for (const ScheduleRow& row : *rows) {
      while (at < workflows.size() && workflows[at].name < row.workflow) {
        ++at;
        if (at < workflows.size()) fires[workflows[at].name];
      }
      if (at == workflows.size()) return fires;
      if (workflows[at].name != row.workflow) continue;
      const auto next = next_fire(row, workflows[at], now);
      auto& earliest = fires[row.workflow];
      if (next && (!earliest || *next < *earliest)) earliest = next;
    }
    looked_at += rows->size();
    if (rows->size() < looked_at_once) {
      for (const WorkflowRow& workflow : workflows.subspan(std::min(at, workflows.size()))) fires[workflow.name];
      return fires;
    }
    after = std::pair(rows->back().workflow, rows->back().name);
  }
  // The last one may have more than these.
  if (at < workflows.size()) fires.erase(workflows[at].name);
  return fires;
}

Outcome<std::optional<Instant>> next_fire_of(store::Reader& reader, const WorkflowRow& workflow, Instant now) {
  std::optional<Instant> earliest;
  std::optional<std::pair<std::string, std::string>> after;
  for (;;) {
    const auto rows = reader.schedules({.workflow = workflow.name, .enabled = true}, after, looked_at_once);
    if (!rows) return refuse(rows.error());
    for (const ScheduleRow& row : *rows)
      if (const auto next = next_fire(row, workflow, now); next && (!earliest || *next < *earliest)) earliest = next;
    if (rows->size() < looked_at_once) return earliest;
    after = std::pair(rows->back().workflow, rows->back().name);
  }
}

// The definition as canonical JSON beside its text. A text that an earlier version of this program took and this one
// does not is shown with what is wrong with it.
void add_definition(json::object& object, const VersionRow& version) {
  const auto parsed = definition::parse(version.text);
  object["definition"] = parsed ? definition::to_json(parsed->workflow) : Json(nullptr);
  if (!parsed) object["errors"] = to_json(parsed.error());
  object["text"] = text(version.text);
}

// All of a workflow, as GET shows it.
Looked page_of(Service& service, store::Reader& reader, const WorkflowRow& row) {
  const auto version = reader.version(row.name, row.version);
  if (!version) return refuse(version.error());
  const auto next = next_fire_of(reader, row, service.now());
  if (!next) return std::unexpected(next.error());
  json::object body = row_to_json(row);
  body["next_fire_at"] = time(*next);
  if (*version) add_definition(body, **version);
  return json_response(200, std::move(body));
}

void submit(Service& service, Call call, definition::Parsed parsed, WorkflowSubmitted::Mode mode) {
  json::array warnings = warnings_of(parsed);
  auto sentences = not_served_yet(parsed.workflow);
  WorkflowSubmitted event{std::make_shared<const Workflow>(std::move(parsed.workflow)), call.request.body, mode,
                          call.who()};
  service.ask(std::move(event), std::move(call),
              [warnings = std::move(warnings), sentences = std::move(sentences)](
                  Service& service_, store::Reader& reader, const Call& call_, const Result<Answer>& answer) mutable {
                if (!answer) return call_.respond(to_response(answer.error()));
                const auto* accepted = std::get_if<WorkflowAccepted>(&*answer);
                if (!accepted) return;
                service_.warn_once(accepted->name, sentences);
                auto row = find_workflow(reader, accepted->name);
                if (!row) return call_.respond(std::move(row.error()));
                json::object body = row_to_json(*row);
                // A change that came in between would show its own version here.
                body["version"] = accepted->version;
                body["created"] = accepted->created;
                body["unchanged"] = accepted->unchanged;
                body["warnings"] = std::move(warnings);
                auto response = json_response(accepted->created ? 201 : 200, std::move(body));
                if (accepted->created)
                  response.headers.emplace_back("Location", "/api/v1/workflows/" + net::percent_encode(accepted->name));
                call_.respond(std::move(response));
              });
}

}  // namespace

Outcome<WorkflowRow> find_workflow(store::Reader& reader, const std::string& name) {
  auto row = reader.workflow(name);
  if (!row) return refuse(row.error());
  if (!*row || (*row)->deleted_at)
    return refuse("workflow_unknown", fmt::format("there is no workflow '{}'", name), 404);
  return std::move(**row);
}

Outcome<std::optional<Workflow>> newest_definition(store::Reader& reader, const WorkflowRow& workflow) {
  const auto version = reader.version(workflow.name, workflow.version);
  if (!version) return refuse(version.error());
  if (!*version) return std::nullopt;
  auto parsed = definition::parse((*version)->text);
  if (!parsed) return std::nullopt;
  return std::move(parsed->workflow);
}

std::vector<std::string> not_served_yet(const Workflow& workflow) {
  std::vector<std::string> sentences;
  if (!workflow.webhook.is_null())
    sentences.push_back("the webhook is kept with the workflow, but not served yet by this version");
  return sentences;
}

void create_workflow(Service& service, store::Reader&, Call call) {
  auto parsed = read_definition(call.request);
  if (!parsed) return call.respond(std::move(parsed.error()));
  submit(service, std::move(call), std::move(*parsed), WorkflowSubmitted::Mode::create);
}

void put_workflow(Service& service, store::Reader&, Call call) {
  auto parsed = read_definition(call.request);
  if (!parsed) return call.respond(std::move(parsed.error()));
  if (parsed->workflow.name != call.path[0])
    return call.respond(
        net::problem(422, "name_mismatch",
                     fmt::format("the definition is of '{}', the path of '{}'", parsed->workflow.name, call.path[0])));
  submit(service, std::move(call), std::move(*parsed), WorkflowSubmitted::Mode::create_or_replace);
}

Looked validate_workflow(Service&, store::Reader&, const Call& call) {
  auto parsed = read_definition(call.request);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  return json_response(
      200, json::object{{"valid", true}, {"name", text(parsed->workflow.name)}, {"warnings", warnings_of(*parsed)}});
}

Looked list_workflows(Service& service, store::Reader& reader, const Call& call) {
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  const auto after = cursor_parameter(call.request);
  if (!after) return std::unexpected(after.error());
  const auto rows = reader.workflows();
  if (!rows) return refuse(rows.error());
  const auto first = after->empty() ? rows->begin() : std::ranges::upper_bound(*rows, *after, {}, &WorkflowRow::name);
  const auto left = static_cast<std::size_t>(rows->end() - first);
  const std::span<const WorkflowRow> page(first, std::min(left, *limit));
  const auto fires = next_fires(reader, page, service.now());
  if (!fires) return std::unexpected(fires.error());
  json::array items;
  for (const WorkflowRow& row : page) {
    json::object item = row_to_json(row);
    if (const auto next = fires->find(row.name); next != fires->end()) item["next_fire_at"] = time(next->second);
    items.push_back(std::move(item));
  }
  return json_response(200, list(std::move(items), left > page.size() ? make_cursor(page.back().name) : ""));
}

Looked show_workflow(Service& service, store::Reader& reader, const Call& call) {
  auto row = find_workflow(reader, call.path[0]);
  if (!row) return std::unexpected(std::move(row.error()));
  return page_of(service, reader, *row);
}

void switch_workflow(Service& service, store::Reader&, Call call) {
  constexpr std::string_view members[] = {"enabled"};
  const auto body = read_body(call.request, members);
  if (!body) return call.respond(body.error());
  if (!find(*body, "enabled"))
    return call.respond(refuse("bad_request", "'enabled' is missing: true or false").error());
  const auto enabled = flag(*body, "enabled");
  if (!enabled) return call.respond(enabled.error());
  WorkflowSwitched event{call.path[0], *enabled, call.who()};
  service.ask(std::move(event), std::move(call),
              [](Service& service_, store::Reader& reader, const Call& call_, const Result<Answer>& answer) {
                if (!answer) return call_.respond(to_response(answer.error()));
                const auto shown = show_workflow(service_, reader, call_);
                call_.respond(shown ? *shown : shown.error());
              });
}

void delete_workflow(Service& service, store::Reader&, Call call) {
  WorkflowDeleted event{call.path[0], call.who()};
  service.ask(std::move(event), std::move(call),
              [](Service&, store::Reader&, const Call& call_, const Result<Answer>& answer) {
                call_.respond(answer ? no_content() : to_response(answer.error()));
              });
}

Looked list_versions(Service&, store::Reader& reader, const Call& call) {
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  auto row = find_workflow(reader, call.path[0]);
  if (!row) return std::unexpected(std::move(row.error()));
  const auto cursor = cursor_parameter(call.request);
  if (!cursor) return std::unexpected(cursor.error());
  int number = row->version;
  if (!cursor->empty()) {
    const auto parsed = parse_json(*cursor);
    if (!parsed || !parsed->is_int64() || parsed->get_int64() < 1 || parsed->get_int64() > row->version)
      return refuse("bad_parameter", "cursor is none that a page of this server gave");
    number = static_cast<int>(parsed->get_int64());
  }
  json::array items;
  for (; number >= 1 && items.size() < *limit; --number) {
    const auto version = reader.version(row->name, number);
    if (!version) return refuse(version.error());
    if (!*version) continue;
    items.push_back(json::object{
        {"version", number}, {"created_at", time((*version)->created_at)}, {"user", text((*version)->user)}});
  }
  return json_response(200, list(std::move(items), number >= 1 ? make_cursor(std::to_string(number)) : ""));
}

Looked show_version(Service&, store::Reader& reader, const Call& call) {
  const auto number = parse_json(call.path[1]);
  if (!number || !number->is_int64() || number->get_int64() < 1 || number->get_int64() > INT32_MAX)
    return unknown("such version");
  if (const auto row = find_workflow(reader, call.path[0]); !row) return std::unexpected(row.error());
  const auto version = reader.version(call.path[0], static_cast<int>(number->get_int64()));
  if (!version) return refuse(version.error());
  if (!*version) return unknown("such version");
  json::object body{{"workflow", text((*version)->workflow)},
                    {"version", (*version)->version},
                    {"created_at", time((*version)->created_at)},
                    {"user", text((*version)->user)}};
  add_definition(body, **version);
  return json_response(200, std::move(body));
}

}  // namespace pawl::api
