#include "api/run_json.h"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::api {
namespace {

// Only where they say something: most job and task runs neither wait nor were skipped.
template <class Work>
void add_reason(json::object& object, const Work& work) {
  if (work.reason != SkipReason::none) object["reason"] = text(to_string(work.reason));
  if (work.done_in_attempt > 0) object["done_in_attempt"] = work.done_in_attempt;
}
template <class Waiting>
void add_waiting(json::object& object, const Waiting& waiting) {
  if (waiting.waits_for != WaitsFor::none) object["waits_for"] = text(to_string(waiting.waits_for));
  // A run's due time is also the engine's note of when to look at it again, which is nobody else's business.
  if (waiting.waits_for != WaitsFor::none && waiting.due) object["due"] = time(waiting.due);
}

Json limit_to_json(Seat seat, const SeatCount& count) {
  Json oldest = nullptr;
  if (const auto& holder = count.oldest)
    oldest = json::object{{"run", text(to_string(holder->run))},
                          {"workflow", text(holder->workflow)},
                          {"number", holder->number},
                          {"job", text(holder->job)},
                          {"task", text(holder->task)},
                          {"since", time(holder->since)}};
  return json::object{
      {"name", text(limit_name(seat))}, {"size", count.size}, {"taken", count.taken}, {"oldest", std::move(oldest)}};
}

// The limit that a task waits for.
void add_limit(json::object& object, const TaskRun& task, const Task* definition,
               const std::optional<SeatCounts>& seats) {
  if (!seats || !definition || task.waits_for != WaitsFor::limit) return;
  const Seat seat = seat_of(*definition);
  object["limit"] = limit_to_json(seat, (*seats)[static_cast<std::size_t>(seat)]);
}

// The limit that the first such task of the run waits for. A run that waits for its turn after crashes has none.
void add_limit(json::object& object, const RunHistory& history, const std::optional<SeatCounts>& seats) {
  if (!seats || history.run.waits_for != WaitsFor::limit || history.attempts.empty()) return;
  const Attempt& attempt = history.attempts.back();
  const Names names(history, attempt);
  for (std::size_t j = 0; j < attempt.jobs.size(); ++j)
    for (std::size_t t = 0; t < attempt.jobs[j].tasks.size(); ++t) {
      const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
      add_limit(object, attempt.jobs[j].tasks[t], names.find_task(ref), seats);
      if (object.contains("limit")) return;
    }
}

Json try_to_json(const Try& one) {
  return json::object{{"try", one.number},
                      {"status", text(to_string(one.status))},
                      {"error", failure_to_json(one.error)},
                      {"started_at", time(one.started_at)},
                      {"finished_at", time(one.finished_at)}};
}

Json job_to_json(const JobRun& job, const Names& names, int position, OutputRoom& room,
                 const std::optional<SeatCounts>& seats) {
  const Job* const definition = names.find_job(position);
  json::object object{{"job", text(names.job(position))},
                      {"name", text(definition ? title(*definition) : names.job(position))},
                      {"status", text(to_string(job.status))}};
  if (job.of >= 0) {
    object["instance"] = text(job.key);
    object["matrix"] = job.matrix ? *job.matrix : Json(nullptr);
  } else if (definition && definition->matrix) {
    json::array keys;
    for (const int instance : job.instances) keys.push_back(text(names.job(instance)));
    object["instances"] = job.expanded ? Json(std::move(keys)) : Json(nullptr);
  }
  add_reason(object, job);
  object["error"] = failure_to_json(job.error);
  object["started_at"] = time(job.started_at);
  object["finished_at"] = time(job.finished_at);
  json::array tasks;
  const std::size_t shown = std::min(job.tasks.size(), task_page);
  tasks.reserve(shown);
  for (std::size_t t = 0; t < shown; ++t)
    tasks.push_back(task_to_json(job.tasks[t], names, {position, static_cast<int>(t)}, room, seats));
  object["task_runs"] = std::move(tasks);
  if (shown < job.tasks.size()) object["next_cursor"] = text(make_cursor(std::to_string(shown)));
  return object;
}

void add_who(json::object& object, const Who& who) {
  object["trigger"] = text(to_string(who.trigger));
  object["user"] = text(who.user);
  object["client"] = text(who.client);
  object["user_agent"] = text(who.user_agent);
}

Json attempt_to_json(const Attempt& attempt, const RunHistory& history, OutputRoom& room,
                     const std::optional<SeatCounts>& seats) {
  const Names names(history, attempt);
  json::object object{
      {"attempt", attempt.number}, {"version", attempt.version}, {"status", text(to_string(attempt.status))}};
  add_waiting(object, attempt);
  add_who(object, attempt.who);
  object["cancel_requested"] = attempt.cancel_requested;
  object["error"] = failure_to_json(attempt.error);
  object["created_at"] = time(attempt.created_at);
  object["started_at"] = time(attempt.started_at);
  object["finished_at"] = time(attempt.finished_at);
  json::array jobs;
  // A job with a matrix, then its instances in the order of their list.
  for (std::size_t j = 0; j < attempt.jobs.size() && attempt.jobs[j].of < 0; ++j) {
    jobs.push_back(job_to_json(attempt.jobs[j], names, static_cast<int>(j), room, seats));
    for (const int instance : attempt.jobs[j].instances)
      jobs.push_back(job_to_json(attempt.jobs[static_cast<std::size_t>(instance)], names, instance, room, seats));
  }
  object["job_runs"] = std::move(jobs);
  return object;
}

Json origin_to_json(const std::optional<SlotOrigin>& slot) {
  if (!slot) return nullptr;
  return json::object{{"id", text(to_string(slot->schedule))},
                      {"name", text(slot->name)},
                      {"slot", time(slot->slot)},
                      {"backfill", slot->backfill ? text(to_string(*slot->backfill)) : Json(nullptr)}};
}

Json pairs_to_json(const Pairs& pairs) {
  json::object object;
  for (const auto& [name, value] : pairs) object[name] = text(value);
  return object;
}

}  // namespace

Names::Names(const RunHistory& history, const Attempt& attempt) : attempt_(&attempt) {
  if (const auto found = history.definitions.find(attempt.version); found != history.definitions.end())
    workflow_ = found->second;
}

const Job* Names::find_job(int position) const {
  if (position >= 0 && static_cast<std::size_t>(position) < attempt_->jobs.size())
    if (const int of = attempt_->jobs[static_cast<std::size_t>(position)].of; of >= 0) position = of;
  if (!workflow_ || position < 0 || static_cast<std::size_t>(position) >= workflow_->jobs.size()) return nullptr;
  return &workflow_->jobs[static_cast<std::size_t>(position)];
}

const Task* Names::find_task(TaskRef ref) const {
  const Job* const job = find_job(ref.job);
  if (!job || ref.task < 0 || static_cast<std::size_t>(ref.task) >= job->tasks.size()) return nullptr;
  return &job->tasks[static_cast<std::size_t>(ref.task)];
}

std::string Names::job(int position) const {
  const Job* const found = find_job(position);
  if (!found) return fmt::format("job-{}", position + 1);
  if (static_cast<std::size_t>(position) >= attempt_->jobs.size()) return found->id;
  return name_of(*workflow_, attempt_->jobs, position);
}

std::string Names::task(TaskRef ref) const {
  const Task* const found = find_task(ref);
  return found ? found->id : fmt::format("task-{}", ref.task + 1);
}

std::optional<int> Names::position_of_job(std::string_view name) const {
  if (!workflow_) return std::nullopt;
  for (std::size_t j = 0; j < attempt_->jobs.size(); ++j)
    if (name_of(*workflow_, attempt_->jobs, static_cast<int>(j)) == name) return static_cast<int>(j);
  return std::nullopt;
}

std::optional<TaskRef> Names::position_of_task(std::string_view job, std::string_view task) const {
  const auto position = position_of_job(job);
  if (!position) return std::nullopt;
  const auto& tasks = find_job(*position)->tasks;
  const auto found = std::ranges::find(tasks, task, &Task::id);
  if (found == tasks.end()) return std::nullopt;
  return TaskRef{*position, static_cast<int>(found - tasks.begin())};
}

Json failure_to_json(const FailurePtr& failure) {
  if (!failure) return nullptr;
  json::object error{{"code", text(failure->code)}, {"message", text(failure->message)}, {"cause", failure->cause}};
  // A hint belongs where people look first, not in the cause with the program's output.
  if (auto* const cause = error["cause"].if_object()) {
    if (const auto hint = cause->find("hint"); hint != cause->end()) {
      error["hint"] = std::move(hint->value());
      cause->erase("hint");
    }
  }
  return error;
}

json::object summary(const Run& run) {
  json::object object{{"id", text(to_string(run.id))},  {"number", run.number},
                      {"workflow", text(run.workflow)}, {"version", run.version},
                      {"trace_id", text(run.trace_id)}, {"status", text(to_string(run.status))}};
  add_waiting(object, run);
  if (!run.group.empty()) object["group"] = text(run.group);
  object["attempt"] = run.attempt;
  add_who(object, run.who);
  object["schedule"] = origin_to_json(run.slot);
  object["error"] = failure_to_json(run.error);
  object["created_at"] = time(run.created_at);
  object["started_at"] = time(run.started_at);
  object["finished_at"] = time(run.finished_at);
  return object;
}

json::object task_to_json(const TaskRun& task, const Names& names, TaskRef ref, OutputRoom& room,
                          const std::optional<SeatCounts>& seats) {
  const Task* const definition = names.find_task(ref);
  const std::string id = names.task(ref);
  json::object object{{"task", text(id)},
                      {"name", text(definition ? title(*definition) : id)},
                      {"status", text(to_string(task.status))}};
  add_reason(object, task);
  add_waiting(object, task);
  add_limit(object, task, definition, seats);
  if (!task.message.empty()) object["message"] = text(task.message);
  if (task.response)
    object["response"] = json::object{{"answer", text(to_string(task.response->answer))},
                                      {"user", text(task.response->who.user)},
                                      {"client", text(task.response->who.client)},
                                      {"at", time(task.response->who.at)},
                                      {"comment", text(task.response->comment)}};
  object["generation"] = task.generation;
  object["outputs"] = nullptr;
  if (task.outputs) {
    const std::size_t size = text_size(*task.outputs);
    if (size <= room.each && size <= room.left) {
      room.left -= size;
      object["outputs"] = *task.outputs;
    } else {
      object["outputs_cut"] = true;
    }
  }
  object["error"] = failure_to_json(task.error);
  object["started_at"] = time(task.started_at);
  object["finished_at"] = time(task.finished_at);
  json::array tries;
  for (const Try& one : task.tries) tries.push_back(try_to_json(one));
  object["tries"] = std::move(tries);
  return object;
}

Json run_to_json(const RunHistory& history, const std::optional<SeatCounts>& seats) {
  json::object object = summary(history.run);
  add_limit(object, history, seats);
  object["inputs"] = history.run.inputs;
  OutputRoom room;
  json::array attempts;
  for (const Attempt& attempt : history.attempts) attempts.push_back(attempt_to_json(attempt, history, room, seats));
  object["attempts"] = std::move(attempts);
  return object;
}

Json input_to_json(const std::variant<ProcessInput, HttpInput>& input) {
  if (const auto* process = std::get_if<ProcessInput>(&input)) {
    json::array command;
    for (const std::string& part : process->command) command.push_back(text(part));
    json::object object{{"kind", "run"}};
    if (process->command.empty()) {
      object["script"] = text(process->script);
      object["shell"] = text(process->shell);
    } else {
      object["command"] = std::move(command);
    }
    object["env"] = pairs_to_json(process->env);
    object["working_directory"] = text(process->working_directory);
    return object;
  }
  const HttpInput& http = std::get<HttpInput>(input);
  json::object object{{"kind", "http"},
                      {"method", text(http.method)},
                      {"url", text(http.url)},
                      {"headers", pairs_to_json(http.headers)}};
  object["body"] = http.has_body ? text(http.body) : Json(nullptr);
  if (http.has_body) object["content_type"] = text(http.content_type);
  return object;
}

}  // namespace pawl::api
