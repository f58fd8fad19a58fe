#include "engine/context.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"
#include "engine/engine.h"

namespace pawl::engine {
namespace {

using Found = expression::Context::Found;

Json text_json(std::string_view text) { return Json(json::string_view(text.data(), text.size())); }

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

Found RunContext::keep(Json value, std::size_t used) const {
  made_.push_back(std::move(value));
  return {&made_.back(), used};
}

Json RunContext::task_object(const TaskRun& task) const {
  json::object object;
  object["status"] = text_json(to_string(task.reason == SkipReason::done ? WorkStatus::success : task.status));
  if (task.outputs)
    object["outputs"] = *task.outputs;
  else
    object["outputs"] = nullptr;
  return object;
}

Found RunContext::task_path(int job, std::span<const std::string> path, std::size_t used) const {
  const JobPlan& plan = state_->job_plan(job);
  const int of = state_->attempt.jobs[static_cast<std::size_t>(job)].of;
  const int from = of >= 0 && planted(Planted::wrong_instance)
                       ? state_->attempt.jobs[static_cast<std::size_t>(of)].instances.front()
                       : job;
  const JobRun& jobs_run = state_->attempt.jobs[static_cast<std::size_t>(from)];
  if (path.empty()) {
    json::object all;
    for (std::size_t t = 0; t < plan.tasks.size(); ++t) all[plan.tasks[t].task->id] = task_object(jobs_run.tasks[t]);
    return keep(std::move(all), used);
  }
  const auto found = plan.task_index.find(path[0]);
  if (found == plan.task_index.end()) return {nullptr, used + path.size()};
  const TaskRun& task = jobs_run.tasks[static_cast<std::size_t>(found->second)];
  if (path.size() >= 2 && path[1] == "outputs") return {task.outputs.get(), used + 2};
  return keep(task_object(task), used + 1);
}

Json RunContext::job_object(int job) const {
  const JobRun& run = state_->attempt.jobs[static_cast<std::size_t>(job)];
  json::object object;
  object["status"] = text_json(to_string(run.reason == SkipReason::done ? WorkStatus::success : run.status));
  if (run.of < 0 && state_->job_plan(job).job->matrix)
    object["instances"] = instances(job);
  else
    object["tasks"] = *task_path(job, {}, 0).value;
  return object;
}

Json RunContext::instances(int job) const {
  json::array list;
  for (const int instance : state_->attempt.jobs[static_cast<std::size_t>(job)].instances) {
    const JobRun& run = state_->attempt.jobs[static_cast<std::size_t>(instance)];
    Json object = job_object(instance);
    object.get_object()["key"] = text_json(run.key);
    object.get_object()["matrix"] = *run.matrix;
    list.push_back(std::move(object));
  }
  return list;
}

Found RunContext::job_path(std::span<const std::string> path) const {
  if (path.size() == 1) {
    json::object all;
    for (const auto& [id, index] : state_->plan->job_index) all[id] = job_object(index);
    return keep(std::move(all), 1);
  }
  const auto found = state_->plan->job_index.find(path[1]);
  if (found == state_->plan->job_index.end()) return {nullptr, path.size()};
  const bool many = state_->plan->jobs[static_cast<std::size_t>(found->second)].job->matrix.has_value();
  if (path.size() >= 3 && path[2] == "tasks" && !many) return task_path(found->second, path.subspan(3), 3);
  if (path.size() >= 3 && path[2] == "instances" && many) return keep(instances(found->second), 3);
  return keep(job_object(found->second), 2);
}

Found RunContext::response(std::span<const std::string> path) const {
  if (!outcome_ || !outcome_->reply) return {nullptr, path.size()};
  const HttpReply& reply = *outcome_->reply;
  if (path.size() >= 2) {
    if (path[1] == "json") return {reply.json ? &*reply.json : nullptr, 2};
    if (path[1] == "headers") return {&reply.headers, 2};
    if (path[1] == "status") return keep(Json(reply.status), 2);
    if (path[1] == "text") return keep(text_json(reply.text), 2);
    return {nullptr, path.size()};
  }
  json::object object;
  object["status"] = reply.status;
  object["headers"] = reply.headers;
  object["text"] = text_json(reply.text);
  if (reply.json)
    object["json"] = *reply.json;
  else
    object["json"] = nullptr;
  return keep(std::move(object), 1);
}

Json RunContext::run_object() const {
  const Run& r = run();
  json::object object;
  object["id"] = text_json(to_string(r.id));
  object["number"] = r.number;
  object["attempt"] = state_ ? state_->attempt.number : 1;
  object["trace_id"] = text_json(r.trace_id);
  object["trigger"] = text_json(to_string(state_ ? state_->attempt.who.trigger : r.who.trigger));
  object["outcome"] = nullptr;
  object["error"] = nullptr;
  if (state_) {
    const auto& jobs = state_->attempt.jobs;
    const bool failed = std::any_of(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(state_->plan->jobs.size()),
                                    [](const JobRun& j) { return j.status == WorkStatus::failed; });
    object["outcome"] = text_json(state_->verdict                             ? to_string(state_->verdict->status)
                                  : state_->stop_asked && !state_->stop_error ? "cancelled"
                                  : state_->stop_asked || failed              ? "failed"
                                                                              : "success");
    const FailurePtr& error = state_->verdict ? state_->verdict->error : state_->attempt.error;
    if (error) object["error"] = json::object{{"code", error->code}, {"message", error->message}};
  }
  return object;
}

Result<Found> RunContext::lookup(std::span<const std::string> path) const {
  const std::string& root = path[0];
  if (root == "inputs") return Found{&run().inputs, 1};
  if (root == "vars") return Found{&run().vars, 1};
  if (root == "env") return Found{&run().env, 1};
  if (root == "run") return keep(run_object(), 1);
  if (root == "workflow") {
    const Workflow& workflow = state_ ? *state_->plan->workflow : *start_.workflow;
    return keep(json::object{{"name", workflow.name}, {"version", state_ ? state_->attempt.version : run().version}},
                1);
  }
  if (root == "secrets")
    return fail(Code::not_found,
                path.size() > 1 ? fmt::format("secret {} is not set on this server", path[1])
                                : "no secrets are set on this server",
                "secret_missing");
  if (root == "trigger") return keep(json::object{{"type", to_string(run().who.trigger)}, {"user", run().who.user}}, 1);
  if (root == "schedule") {
    const auto& slot = run().slot;
    if (!slot) return Found{nullptr, path.size()};
    return keep(json::object{{"id", to_string(slot->schedule)}, {"name", slot->name}, {"slot", to_rfc3339(slot->slot)}},
                1);
  }
  if (state_ && job_ >= 0) {
    if (root == "tasks") return task_path(job_, path.subspan(1), 1);
    if (root == "jobs") return job_path(path);
    if (root == "matrix") return Found{state_->attempt.jobs[static_cast<std::size_t>(job_)].matrix.get(), 1};
    if (root == "task" && task_ >= 0) {
      const Task& task = *state_->plan_of({job_, task_}).task;
      return keep(json::object{{"id", idempotency_key(*state_, {job_, task_})},
                               {"name", task.id},
                               {"job", state_->job_name(job_)},
                               {"try", state_->task({job_, task_}).last_try}},
                  1);
    }
    if (root == "response") return response(path);
    if (outcome_ && outcome_->process) {
      const ProcessExit& exit = *outcome_->process;
      if (root == "stdout") return keep(text_json(trimmed(exit.stdout_text)), 1);
      if (root == "stderr") return keep(text_json(trimmed(exit.stderr_tail)), 1);
      if (root == "exit_code") return keep(Json(exit.exit_code), 1);
    }
  }
  if (root == "jobs" && state_) return job_path(path);
  return Found{nullptr, path.size()};
}

std::optional<bool> RunContext::status(expression::StatusFunction function) const {
  if (!status_) return std::nullopt;
  switch (function) {
    case expression::StatusFunction::success: return status_->success;
    case expression::StatusFunction::failure: return status_->failure;
    case expression::StatusFunction::always: return true;
    case expression::StatusFunction::cancelled: return status_->cancelled;
  }
  unreachable();
}

}  // namespace pawl::engine
