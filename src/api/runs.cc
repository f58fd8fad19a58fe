// Routes of runs: start and look.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/routes.h"
#include "api/run_filter.h"
#include "api/run_json.h"
#include "base/utf8.h"
#include "definition/definition.h"

namespace pawl::api {
namespace {

constexpr std::size_t longest_key = 255;

Outcome<std::string> idempotency_key(const net::Request& request) {
  const auto is_key = [](const auto& header) { return header.first == "idempotency-key"; };
  const auto given = std::ranges::count_if(request.headers, is_key);
  if (given == 0) return std::string();
  const std::string_view key = request.header("idempotency-key");
  if (given > 1 || key.empty() || key.size() > longest_key || !is_utf8(key))
    return refuse("bad_key", fmt::format("Idempotency-Key is given once, with 1 to {} bytes of UTF-8", longest_key));
  return std::string(key);
}

// `inputs`, or those of the run that `like` names.
Outcome<Json> read_inputs(store::Reader& reader, const Call& call) {
  constexpr std::string_view members[] = {"inputs", "like"};
  auto body = read_body(call.request, members);
  if (!body) return body;
  const Json* const inputs = find(*body, "inputs");
  const Json* const like = find(*body, "like");
  if (inputs && like) return refuse("bad_request", "give inputs or like, not both");
  if (inputs && !inputs->is_object()) return refuse("bad_request", "'inputs' must be an object");
  if (inputs) return *inputs;
  if (!like) return Json(json::object());
  if (!like->is_string()) return refuse("bad_request", "'like' must be the id of a run");
  const auto id = parse_uuid(as_view(*like));
  if (!id) return refuse("bad_request", "'like' must be the id of a run");
  auto run = reader.run(RunId{*id});
  if (!run) return refuse(run.error());
  if (!*run) return refuse("run_unknown", fmt::format("there is no run {}", as_view(*like)), 404);
  if ((*run)->workflow != call.path[0])
    return refuse("other_workflow", fmt::format("run {} is of workflow '{}'", as_view(*like), (*run)->workflow), 422);
  return std::move((*run)->inputs);
}

// What is wrong with the inputs, one entry a problem. The engine's own answer tells it in one sentence.
net::Response invalid_inputs(store::Reader& reader, const std::string& workflow, const Json& inputs,
                             const Error& error) {
  json::array errors;
  if (const auto row = reader.workflow(workflow); row && *row)
    if (const auto version = reader.version(workflow, (*row)->version); version && *version)
      if (const auto parsed = definition::parse((*version)->text))
        if (const auto checked = definition::check_inputs(parsed->workflow, inputs); !checked)
          for (const std::string& problem : checked.error()) errors.push_back(json::object{{"message", text(problem)}});
  return net::problem(422, error.name, error.message, {{"errors", std::move(errors)}});
}

Outcome<RunHistory> find_history(Service& service, const Call& call) {
  const auto id = run_id(call.path[0]);
  if (!id) return std::unexpected(id.error());
  auto history = service.histories().history(*id);
  if (!history) return refuse(history.error());
  return std::move(*history);
}

}  // namespace

void answer_with_run(Service& service, const Call& call, RunId id, int status) {
  const auto history = service.histories().history(id);
  if (!history) return call.respond(to_response(history.error()));
  auto response = json_response(status, run_to_json(*history, service.seats()));
  if (status == 202) response.headers.emplace_back("Location", "/api/v1/runs/" + to_string(id));
  call.respond(std::move(response));
}

void start_run(Service& service, store::Reader& reader, Call call) {
  auto key = idempotency_key(call.request);
  if (!key) return call.respond(std::move(key.error()));
  auto inputs = read_inputs(reader, call);
  if (!inputs) return call.respond(std::move(inputs.error()));
  const std::string workflow = call.path[0];
  RunRequested event{workflow, *inputs, std::move(*key), call.who()};
  service.ask(std::move(event), std::move(call),
              [workflow, inputs = std::move(*inputs)](Service& service_, store::Reader& reader_, const Call& call_,
                                                      const Result<Answer>& answer) {
                if (!answer) {
                  const bool told_apart = answer.error().name == "inputs_invalid";
                  return call_.respond(told_apart ? invalid_inputs(reader_, workflow, inputs, answer.error())
                                                  : to_response(answer.error()));
                }
                const auto* accepted = std::get_if<RunAccepted>(&*answer);
                if (accepted) answer_with_run(service_, call_, accepted->run, accepted->existing ? 200 : 202);
              });
}

Looked list_runs(Service&, store::Reader& reader, const Call& call) {
  const net::Request& request = call.request;
  const auto filter = read_run_filter([&](std::string_view name) { return std::string(request.parameter(name)); });
  if (!filter) return std::unexpected(filter.error());
  const auto limit = limit_parameter(request);
  if (!limit) return std::unexpected(limit.error());
  const auto page = reader.runs(*filter, *limit, std::string(request.parameter("cursor")));
  // All of the filter is checked by now: what is still invalid is the cursor.
  if (!page && page.error().code == Code::invalid) return refuse("bad_parameter", page.error().message);
  if (!page) return refuse(page.error());
  json::array items;
  for (const Run& run : page->items) items.push_back(summary(run));
  return json_response(200, list(std::move(items), page->next_cursor));
}

Looked show_run(Service& service, store::Reader&, const Call& call) {
  const auto history = find_history(service, call);
  if (!history) return std::unexpected(history.error());
  return json_response(200, run_to_json(*history, service.seats()));
}

Looked show_run_by_number(Service& service, store::Reader& reader, const Call& call) {
  const auto number = parse_json(call.path[1]);
  if (!number || !number->is_int64() || number->get_int64() < 1) return unknown("such run");
  const auto run = reader.run_by_number(call.path[0], number->get_int64());
  if (!run) return refuse(run.error());
  if (!*run)
    return refuse("run_unknown", fmt::format("workflow '{}' has no run {}", call.path[0], number->get_int64()), 404);
  const auto history = service.histories().history((*run)->id);
  if (!history) return refuse(history.error());
  return json_response(200, run_to_json(*history, service.seats()));
}

Looked list_tasks(Service& service, store::Reader&, const Call& call) {
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  const auto cursor = cursor_parameter(call.request);
  if (!cursor) return std::unexpected(cursor.error());
  const auto wanted = number_parameter(call.request, "attempt");
  if (!wanted) return std::unexpected(wanted.error());
  const auto history = find_history(service, call);
  if (!history) return std::unexpected(history.error());

  const Attempt* attempt = history->attempts.empty() ? nullptr : &history->attempts.back();
  if (*wanted) {
    const auto found = std::ranges::find(history->attempts, **wanted, &Attempt::number);
    attempt = found == history->attempts.end() ? nullptr : &*found;
  }
  if (!attempt) return unknown("such attempt");
  const Names names(*history, *attempt);
  const auto job = names.position_of_job(call.request.parameter("job"));
  if (!job || static_cast<std::size_t>(*job) >= attempt->jobs.size())
    return call.request.parameter("job").empty() ? refuse("bad_parameter", "job is missing") : unknown("such job");
  const auto& tasks = attempt->jobs[static_cast<std::size_t>(*job)].tasks;
  std::size_t at = 0;
  if (!cursor->empty()) {
    const auto place = parse_json(*cursor);
    if (!place || !place->is_int64() || place->get_int64() < 0)
      return refuse("bad_parameter", "cursor is none that a page of this server gave");
    at = static_cast<std::size_t>(place->get_int64());
  }
  OutputRoom room;
  const auto seats = service.seats();
  json::array items;
  for (; at < tasks.size() && items.size() < *limit; ++at)
    items.push_back(task_to_json(tasks[at], names, {*job, static_cast<int>(at)}, room, seats));
  return json_response(200, list(std::move(items), at < tasks.size() ? make_cursor(std::to_string(at)) : ""));
}

Looked show_io(Service& service, store::Reader&, const Call& call) {
  const auto history = find_history(service, call);
  if (!history) return std::unexpected(history.error());
  if (history->attempts.empty()) return unknown("such task");
  const Attempt& attempt = history->attempts.back();
  const Names names(*history, attempt);
  const auto ref = names.position_of_task(call.path[1], call.path[2]);
  if (!ref) return refuse("task_unknown", fmt::format("the run has no task '{}/{}'", call.path[1], call.path[2]), 404);
  const TaskRun& task =
      attempt.jobs.at(static_cast<std::size_t>(ref->job)).tasks.at(static_cast<std::size_t>(ref->task));
  json::object body{{"attempt", attempt.number},
                    {"job", text(call.path[1])},
                    {"task", text(call.path[2])},
                    {"status", text(to_string(task.status))}};
  // A task that is not ready yet has no input, and why is no fault.
  const auto input = service.histories().input(history->run.id, *ref);
  body["input"] = input ? input_to_json(*input) : Json(nullptr);
  if (!input) body["input_error"] = text(input.error().message);
  body["outputs"] = task.outputs ? *task.outputs : Json(nullptr);
  body["preview"] = task.preview ? *task.preview : Json(nullptr);
  body["error"] = failure_to_json(task.error);
  return json_response(200, std::move(body));
}

}  // namespace pawl::api
