// Routes of workflows and their versions.
#include <fmt/format.h>

#include <algorithm>

#include "api/routes.h"
#include "definition/definition.h"
#include "net/url.h"

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
  auto parsed = definition::parse(request.body);
  if (!parsed) return std::unexpected(invalid_definition(parsed.error()));
  return std::move(*parsed);
}

json::object row_to_json(const WorkflowRow& row) {
  return {{"name", text(row.name)},
          {"version", row.version},
          {"enabled", row.enabled},
          {"created_at", time(row.created_at)},
          {"updated_at", time(row.updated_at)}};
}

Outcome<WorkflowRow> find_workflow(store::Reader& reader, const std::string& name) {
  auto row = reader.workflow(name);
  if (!row) return refuse(row.error());
  if (!*row) return refuse("workflow_unknown", fmt::format("there is no workflow '{}'", name), 404);
  return std::move(**row);
}

// The definition as canonical JSON beside its text. A text that an earlier version of this program took and this one
// does not is shown with what is wrong with it.
void add_definition(json::object& object, const VersionRow& version) {
  const auto parsed = definition::parse(version.text);
  object["definition"] = parsed ? definition::to_json(parsed->workflow) : Json(nullptr);
  if (!parsed) object["errors"] = to_json(parsed.error());
  object["text"] = text(version.text);
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

std::vector<std::string> not_served_yet(const Workflow& workflow) {
  std::vector<std::string> sentences;
  if (!workflow.schedules.is_null())
    sentences.push_back("schedules are kept with the workflow, but not fired yet by this version");
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

Looked list_workflows(Service&, store::Reader& reader, const Call& call) {
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  const auto after = cursor_parameter(call.request);
  if (!after) return std::unexpected(after.error());
  const auto rows = reader.workflows();
  if (!rows) return refuse(rows.error());
  json::array items;
  std::string next;
  for (const WorkflowRow& row : *rows) {
    if (!after->empty() && row.name <= *after) continue;
    if (items.size() == *limit) {
      next = make_cursor(find_string(items.back(), "name"));
      break;
    }
    items.push_back(row_to_json(row));
  }
  return json_response(200, list(std::move(items), next));
}

Looked show_workflow(Service&, store::Reader& reader, const Call& call) {
  auto row = find_workflow(reader, call.path[0]);
  if (!row) return std::unexpected(std::move(row.error()));
  const auto version = reader.version(row->name, row->version);
  if (!version) return refuse(version.error());
  json::object body = row_to_json(*row);
  if (*version) add_definition(body, **version);
  return json_response(200, std::move(body));
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
