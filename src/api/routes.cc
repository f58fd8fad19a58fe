#include "api/routes.h"

#include <array>

#include "base/check.h"

namespace pawl::api {
namespace {

using Names = std::string_view;
constexpr Names page_parameters[] = {"limit", "cursor"};
constexpr Names run_parameters[] = {"workflow", "status", "trigger", "since", "until", "trace_id", "limit", "cursor"};
constexpr Names task_parameters[] = {"attempt", "job", "limit", "cursor"};
constexpr Names task_log_parameters[] = {"attempt", "try", "offset"};
constexpr Names offset_parameters[] = {"offset"};
constexpr Names schedule_parameters[] = {"workflow", "enabled", "limit", "cursor"};
constexpr Names next_parameters[] = {"count", "after"};
constexpr Names ledger_parameters[] = {"since", "until", "limit", "cursor"};
constexpr Names limit_parameters[] = {"limit"};

const std::array table{
    Route{"GET", "/healthz", Role::open, nullptr, "Whether the server lives"},
    Route{"GET", "/readyz", Role::open, nullptr, "Whether the server is ready: store open, recovery committed"},
    Route{"GET", "/api/v1/openapi.json", Role::viewer, nullptr, "This description"},

    Route{"GET", "/api/v1/workflows", Role::viewer, now<list_workflows>, "Workflows by name", page_parameters},
    Route{"POST", "/api/v1/workflows", Role::editor, create_workflow, "Create a workflow", {}, "definition"},
    Route{"POST",
          "/api/v1/workflows/validate",
          Role::editor,
          now<validate_workflow>,
          "Check a definition",
          {},
          "definition"},
    Route{"GET", "/api/v1/workflows/{name}", Role::viewer, now<show_workflow>, "A workflow with its definition"},
    Route{"PUT",
          "/api/v1/workflows/{name}",
          Role::editor,
          put_workflow,
          "Create a workflow or give it a new version",
          {},
          "definition"},
    Route{"PATCH",
          "/api/v1/workflows/{name}",
          Role::operator_,
          switch_workflow,
          "Enable or disable a workflow, and with it its schedules",
          {},
          "json"},
    Route{"DELETE", "/api/v1/workflows/{name}", Role::editor, delete_workflow,
          "Delete a workflow with its schedules; its runs stay"},
    Route{"GET", "/api/v1/workflows/{name}/versions", Role::viewer, now<list_versions>, "Its versions, newest first",
          page_parameters},
    Route{"GET", "/api/v1/workflows/{name}/versions/{version}", Role::viewer, now<show_version>,
          "One version with its text"},
    Route{"POST", "/api/v1/workflows/{name}/runs", Role::operator_, start_run, "Start a run", {}, "json"},
    Route{"GET", "/api/v1/workflows/{name}/runs/{number}", Role::viewer, now<show_run_by_number>,
          "A run by its number"},

    Route{"GET", "/api/v1/workflows/{name}/schedules", Role::viewer, now<list_workflow_schedules>,
          "Schedules of a workflow, by name", page_parameters},
    Route{"POST", "/api/v1/workflows/{name}/schedules", Role::editor, add_schedule, "Make a schedule", {}, "json"},
    Route{"GET", "/api/v1/schedules", Role::viewer, now<list_schedules>, "Schedules by workflow and name",
          schedule_parameters},
    Route{"GET", "/api/v1/schedules/{schedule}", Role::viewer, now<show_schedule>,
          "A schedule, by its id or as workflow/name"},
    // The role is that of `enabled` alone. Whoever changes other members has to be an editor, which change_schedule() must
    // ask as soon as there are accounts: the one token of now may do everything.
    Route{"PATCH",
          "/api/v1/schedules/{schedule}",
          Role::operator_,
          change_schedule,
          "Change a schedule, enable or disable it",
          {},
          "json"},
    Route{"DELETE", "/api/v1/schedules/{schedule}", Role::editor, delete_schedule,
          "Delete a schedule; its ledger stays"},
    Route{"GET", "/api/v1/schedules/{schedule}/next", Role::viewer, now<show_next>, "Its next slots", next_parameters},
    Route{"GET", "/api/v1/schedules/{schedule}/ledger", Role::viewer, now<show_ledger>,
          "What became of its slots, newest first", ledger_parameters},
    Route{"POST",
          "/api/v1/schedules/{schedule}/backfill",
          Role::operator_,
          begin_backfill,
          "Start runs for slots of a past range that have none, or say which",
          {},
          "json"},
    Route{"GET", "/api/v1/schedules/{schedule}/backfills", Role::viewer, now<list_backfills>,
          "Its backfills, newest first", limit_parameters},
    Route{"POST",
          "/api/v1/schedules/{schedule}/backfills/{backfill}/cancel",
          Role::operator_,
          cancel_backfill,
          "Start no further run of a backfill",
          {},
          "json"},
    Route{"POST",
          "/api/v1/cron/explain",
          Role::viewer,
          now<explain_cron>,
          "What a cron expression means, and when it fires",
          {},
          "json"},

    Route{"GET", "/api/v1/runs", Role::viewer, now<list_runs>, "Runs, newest first", run_parameters},
    Route{"GET", "/api/v1/runs/{run}", Role::viewer, now<show_run>,
          "A run with its attempts, job runs, task runs and tries, and the limit that it waits for"},
    Route{"POST",
          "/api/v1/runs/bulk",
          Role::operator_,
          bulk,
          "Cancel, resume or rerun all runs of a filter, at most 1 000 at a time",
          {},
          "json"},
    Route{"POST",
          "/api/v1/runs/{run}/cancel",
          Role::operator_,
          cancel_run,
          "Cancel; a second time: its clean-up too",
          {},
          "json"},
    Route{
        "POST", "/api/v1/runs/{run}/resume", Role::operator_, resume_run, "Run again what is not success", {}, "json"},
    Route{"POST",
          "/api/v1/runs/{run}/rerun",
          Role::operator_,
          rerun_run,
          "Run again from a job, a matrix instance or a task on",
          {},
          "json"},
    Route{"POST",
          "/api/v1/runs/{run}/tasks/{job}/{task}/approve",
          Role::operator_,
          approve_task,
          "Approve what waits for it",
          {},
          "json"},
    Route{"POST",
          "/api/v1/runs/{run}/tasks/{job}/{task}/reject",
          Role::operator_,
          reject_task,
          "Reject what waits for approval",
          {},
          "json"},
    Route{"POST",
          "/api/v1/runs/{run}/tasks/{job}/{task}/release",
          Role::operator_,
          release_task,
          "Say what becomes of a task that was cut off and is held: done, rerun or fail",
          {},
          "json"},
    Route{"GET", "/api/v1/runs/{run}/tasks", Role::viewer, now<list_tasks>, "Task runs of one job of one attempt",
          task_parameters},
    Route{"GET", "/api/v1/runs/{run}/tasks/{job}/{task}/io", Role::viewer, now<show_io>,
          "Input, outputs and error of a task"},
    Route{"GET", "/api/v1/runs/{run}/tasks/{job}/{task}/logs", Role::viewer, now<show_task_logs>,
          "What a task printed, as text", task_log_parameters},
    Route{"GET", "/api/v1/runs/{run}/logs", Role::viewer, now<show_run_logs>, "What all tasks of a run printed",
          offset_parameters},
    Route{"GET", "/api/v1/runs/{run}/log", Role::viewer, now<show_run_log>, "What happened to a run, step by step",
          page_parameters},
};

Json parameter(std::string_view name, std::string_view in) {
  return json::object{
      {"name", text(name)}, {"in", text(in)}, {"required", in == "path"}, {"schema", json::object{{"type", "string"}}}};
}

Json content(std::initializer_list<std::string_view> types) {
  json::object kinds;
  for (const std::string_view type : types) kinds[type] = json::object{};
  return kinds;
}

std::string method_name(std::string_view method) {
  std::string lower(method);
  for (char& c : lower) c = static_cast<char>(c | 0x20);
  return lower;
}

}  // namespace

std::span<const Route> routes() { return table; }

Json openapi() {
  json::object paths;
  for (const Route& route : table) {
    json::array parameters;
    for (std::size_t at = route.pattern.find('{'); at != std::string_view::npos; at = route.pattern.find('{', at + 1))
      parameters.push_back(parameter(route.pattern.substr(at + 1, route.pattern.find('}', at) - at - 1), "path"));
    for (const std::string_view name : route.parameters) parameters.push_back(parameter(name, "query"));
    if (route.pattern.ends_with("/runs") && route.method == "POST")
      parameters.push_back(parameter("Idempotency-Key", "header"));
    json::object operation{
        {"summary", text(route.summary)},
        {"parameters", std::move(parameters)},
        {"x-role", text(to_string(route.role))},
        {"responses", json::object{{"2XX", json::object{{"description", "Done or accepted"}}},
                                   {"default", json::object{{"description", "Why not"},
                                                            {"content", content({"application/problem+json"})}}}}}};
    if (route.role == Role::open) operation["security"] = json::array{};
    if (route.body == "json") operation["requestBody"] = json::object{{"content", content({"application/json"})}};
    if (route.body == "definition")
      operation["requestBody"] = json::object{
          {"required", true},
          {"content", content({"application/yaml", "application/x-yaml", "text/yaml", "application/json"})}};
    Json& path = paths[route.pattern];
    if (!path.is_object()) path = json::object{};
    path.get_object()[method_name(route.method)] = std::move(operation);
  }
  json::object bearer{{"type", "http"}, {"scheme", "bearer"}};
  return json::object{{"openapi", "3.1.0"},
                      {"info", json::object{{"title", "Pawl"}, {"version", PAWL_VERSION}}},
                      {"security", json::array{json::object{{"token", json::array{}}}}},
                      {"components", json::object{{"securitySchemes", json::object{{"token", std::move(bearer)}}}}},
                      {"paths", std::move(paths)}};
}

}  // namespace pawl::api
