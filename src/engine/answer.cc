// A person answers a task that waits for one: an approval, or a task that was cut off and is held.
#include <fmt/format.h>

#include "base/planted.h"
#include "engine/step.h"
#include "model/limits.h"

namespace pawl::engine {
namespace {

// `test`, or `test[db=x,os=a]`; -1: there is none in this attempt.
int find_job(const RunState& s, const std::string& name) {
  for (std::size_t j = 0; j < s.plan->jobs.size(); ++j) {
    if (!s.plan->jobs[j].job->matrix && s.plan->jobs[j].job->id == name) return static_cast<int>(j);
    for (const int instance : s.attempt.jobs[j].instances)
      if (s.job_name(instance) == name) return instance;
  }
  return -1;
}

FailurePtr rejected(const AnswerRequested& event) {
  std::string message = event.response.who.user.empty() ? "rejected" : "rejected by " + event.response.who.user;
  if (!event.response.comment.empty()) message += ": " + event.response.comment;
  return failure("approval_rejected", std::move(message));
}

// The outputs that a person gives in place of the task; only those that the definition declares.
Result<Json> given_outputs(const TaskPlan& plan, const Json& given) {
  json::object outputs;
  for (const auto& [name, unused] : plan.outputs) outputs[name] = nullptr;
  if (given.is_null()) return outputs;
  if (!given.is_object()) return fail(Code::invalid, "`outputs` is an object", "outputs_invalid");
  for (const auto& member : given.get_object()) {
    if (!outputs.contains(member.key()))
      return fail(Code::invalid,
                  fmt::format("task {} declares no output '{}'", plan.task->id, std::string_view(member.key())),
                  "outputs_invalid");
    if (const std::size_t size = text_size(member.value()); size > max_output_value)
      return fail(
          Code::invalid,
          fmt::format("output '{}' takes {} bytes; a value may take 1 MiB", std::string_view(member.key()), size),
          "outputs_invalid");
    outputs[member.key()] = member.value();
  }
  return outputs;
}

}  // namespace

Result<Answer> answer(Step& step, const AnswerRequested& event) {
  RunState& s = step.s;
  const int job = find_job(s, event.job);
  const auto unknown = [&] {
    return fail(Code::not_found, fmt::format("there is no task {}/{}", event.job, event.task), "task_unknown");
  };
  if (job < 0) return unknown();
  const auto found = step.plan(job).task_index.find(event.task);
  if (found == step.plan(job).task_index.end()) return unknown();
  const TaskRef ref{job, found->second};
  const TaskPlan& plan = s.plan_of(ref);
  const TaskRun& task = s.task(ref);
  const Answered said = event.response.answer;
  const bool of_approval = said == Answered::approved || said == Answered::rejected;
  if (!s.asking.contains(ref) || (task.waits_for == WaitsFor::approval) != of_approval) {
    const std::string state = task.status == WorkStatus::waiting
                                  ? fmt::format("waits for {}", to_string(task.waits_for))
                                  : fmt::format("is {}", to_string(task.status));
    return fail(Code::conflict,
                fmt::format("task {}/{} {}: there is nothing to {}", event.job, event.task, state,
                            of_approval ? "approve or reject" : "release"),
                "not_waiting");
  }
  auto outputs = given_outputs(plan, event.outputs);
  if (!outputs) return std::unexpected(outputs.error());
  if (s.held()) {
    // It waits after several crashes in a row. A person has looked at it now, and it goes on.
    step.emit(AttemptHeld{});
    begin_attempt(step);
  }
  Response response = event.response;
  response.who.at = step.now;
  step.emit(TaskAnswered{ref, std::move(response)});
  if (step.broken()) return Answer{};
  switch (planted(Planted::rejection_passes) && said == Answered::rejected ? Answered::approved : said) {
    case Answered::approved: {
      json::object values{{"approved_by", event.response.who.user}, {"comment", event.response.comment}};
      step.emit(TaskEnded{ref, WorkStatus::success, SkipReason::none, nullptr,
                          std::make_shared<const Json>(std::move(values))});
      break;
    }
    case Answered::rejected: end_task(step, ref, WorkStatus::failed, SkipReason::none, rejected(event)); break;
    case Answered::done:
      step.emit(TaskEnded{ref, WorkStatus::success, SkipReason::none, nullptr,
                          std::make_shared<const Json>(std::move(*outputs))});
      break;
    case Answered::fail:
      end_task(step, ref, WorkStatus::failed, SkipReason::none,
               failure("interrupted", "interrupted while it ran, and released as failed"));
      break;
    case Answered::rerun:
      if (start_task(step, ref)) {
        settle(step);
        return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
      }
      break;
  }
  advance(step, job);
  settle(step);
  return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
}

}  // namespace pawl::engine
