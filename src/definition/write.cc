#include <fmt/format.h>

#include "definition/definition.h"
#include "definition/inputs.h"

namespace pawl::definition {
namespace {

json::string text(std::string_view value) { return json::string(value); }

json::object object_of(const TextMap& map) {
  json::object object;
  for (const auto& [name, value] : map) object.emplace(name, text(value));
  return object;
}

json::object input_to_json(const Input& input) {
  json::object object{{"type", to_string(input.type)}, {"required", input.required}};
  if (input.fallback) object.emplace("default", *input.fallback);
  if (!input.options.empty()) object.emplace("options", json::array(input.options.begin(), input.options.end()));
  if (!input.pattern.empty()) object.emplace("pattern", text(input.pattern));
  if (input.min) object.emplace("min", *input.min);
  if (input.max) object.emplace("max", *input.max);
  if (!input.description.empty()) object.emplace("description", text(input.description));
  return object;
}

json::object retry_to_json(const Retry& retry) {
  json::object object{{"max", retry.max}, {"delay", pawl::to_text(retry.delay)}, {"backoff", retry.backoff}};
  if (retry.max_delay) object.emplace("max-delay", pawl::to_text(*retry.max_delay));
  object.emplace("jitter", retry.jitter);
  return object;
}

void add_action(json::object& object, const ProcessAction& action) {
  if (action.command.empty()) {
    object.emplace("run", text(action.script));
    object.emplace("shell", text(action.shell));
  } else {
    json::array command;
    for (const std::string& part : action.command) command.push_back(text(part));
    object.emplace("command", std::move(command));
  }
  if (!action.working_directory.empty()) object.emplace("working-directory", text(action.working_directory));
  object.emplace("grace", pawl::to_text(action.grace));
}

void add_action(json::object& object, const HttpAction& action) {
  const bool has_body = action.body_kind != BodyKind::none;
  json::object http{{"method", action.method.empty() ? text(has_body ? "POST" : "GET") : text(action.method)},
                    {"url", text(action.url)}};
  if (!action.headers.is_null()) http.emplace("headers", action.headers);
  if (!action.query.is_null()) http.emplace("query", action.query);
  switch (action.body_kind) {
    case BodyKind::none: break;
    case BodyKind::json: http.emplace("json", action.body); break;
    case BodyKind::form: http.emplace("form", action.body); break;
    case BodyKind::text: http.emplace("body", action.body); break;
  }
  if (action.timeout) http.emplace("timeout", pawl::to_text(*action.timeout));
  http.emplace("follow-redirects", action.follow_redirects);
  json::object tls{{"verify", action.tls_verify}};
  if (!action.tls_ca_file.empty()) tls.emplace("ca-file", text(action.tls_ca_file));
  http.emplace("tls", std::move(tls));
  http.emplace("success-when", action.success_when.empty()
                                   ? text("${{ response.status >= 200 && response.status < 300 }}")
                                   : text(action.success_when));
  object.emplace("http", std::move(http));
}

void add_action(json::object& object, const WaitAction& action) {
  if (action.until.empty())
    object.emplace("wait", text(action.duration));
  else
    object.emplace("wait", json::object{{"until", text(action.until)}});
}

void add_action(json::object& object, const ApprovalAction& action) {
  json::object approval;
  if (!action.message.empty()) approval.emplace("message", text(action.message));
  if (action.expires) approval.emplace("expires", pawl::to_text(*action.expires));
  object.emplace("approval", std::move(approval));
}

// What is not the default, so that reading it gives the same and no more is said than was meant.
json::object schedule_to_json(const DefinedSchedule& schedule) {
  static const ScheduleRule defaults;
  const ScheduleRule& rule = schedule.rule;
  json::object object{{"id", text(schedule.name)}, {"cron", text(rule.cron)}};
  const auto duration = [&](std::string_view key, Duration value, Duration usual) {
    if (value != usual) object.emplace(key, text(pawl::to_text(value)));
  };
  if (!rule.timezone.empty()) object.emplace("timezone", text(rule.timezone));
  if (rule.misfire != defaults.misfire) object.emplace("misfire", text(pawl::to_string(rule.misfire)));
  duration("misfire-threshold", rule.misfire_threshold, defaults.misfire_threshold);
  duration("misfire-window", rule.misfire_window, defaults.misfire_window);
  if (rule.max_catch_up != defaults.max_catch_up) object.emplace("max-catch-up", rule.max_catch_up);
  if (rule.overlap != defaults.overlap) object.emplace("overlap", text(pawl::to_string(rule.overlap)));
  if (rule.inputs != defaults.inputs) object.emplace("inputs", rule.inputs);
  if (rule.start) object.emplace("start", text(to_rfc3339(*rule.start)));
  if (rule.end) object.emplace("end", text(to_rfc3339(*rule.end)));
  duration("jitter", rule.jitter, defaults.jitter);
  if (rule.late_after) object.emplace("late-after", text(pawl::to_text(*rule.late_after)));
  return object;
}

std::string_view to_string(OnCrash choice) {
  switch (choice) {
    case OnCrash::rerun: return "rerun";
    case OnCrash::fail: return "fail";
    case OnCrash::hold: return "hold";
  }
  return {};
}

json::object task_to_json(const Task& task) {
  json::object object{{"id", text(task.id)},
                      {"name", text(title(task))},
                      {"if", text(task.condition.empty() ? "success()" : task.condition)}};
  std::visit([&](const auto& action) { add_action(object, action); }, task.action);
  object.emplace("continue-on-error", task.continue_on_error);
  if (!has_tries(task)) return object;
  object.emplace("env", object_of(task.env));
  object.emplace("retry", retry_to_json(task.retry));
  if (task.timeout) object.emplace("timeout", pawl::to_text(*task.timeout));
  object.emplace("outputs", object_of(task.outputs));
  object.emplace("on-crash", to_string(task.on_crash));
  return object;
}

json::array tasks_to_json(const Job& job) {
  json::array tasks;
  for (const Task& task : job.tasks) tasks.push_back(task_to_json(task));
  return tasks;
}

Json matrix_to_json(const Matrix& matrix) {
  if (!matrix.expression.empty()) return text(fmt::format("${{{{ {} }}}}", matrix.expression));
  json::object object;
  for (const Axis& axis : matrix.axes) object.emplace(axis.name, json::array(axis.values.begin(), axis.values.end()));
  if (!matrix.exclude.empty()) object.emplace("exclude", json::array(matrix.exclude.begin(), matrix.exclude.end()));
  return object;
}

json::object job_to_json(const Workflow& workflow, const Job& job) {
  json::array needs;
  for (const int need : job.needs) needs.push_back(text(workflow.jobs[static_cast<std::size_t>(need)].id));
  json::object object{{"name", text(title(job))},
                      {"needs", std::move(needs)},
                      {"if", text(job.condition.empty() ? "success()" : job.condition)},
                      {"env", object_of(job.env)},
                      {"resume", job.resume == ResumeAt::task ? "task" : "job"},
                      {"keep-going", job.keep_going}};
  if (job.matrix) {
    object.emplace("matrix", matrix_to_json(*job.matrix));
    object.emplace("max-parallel", job.max_parallel);
    object.emplace("fail-fast", job.fail_fast);
  }
  object.emplace("tasks", tasks_to_json(job));
  return object;
}

}  // namespace

std::string to_text(const Problem& problem, std::string_view file) {
  std::string line = fmt::format("{}:{}:{}: {}", file, problem.line, problem.column, problem.message);
  if (!problem.hint.empty()) line += "; " + problem.hint;
  return line;
}

Json to_json(const Workflow& workflow) {
  json::object jobs, reserved;
  bool keep_going = false;
  for (const Job& job : workflow.jobs) {
    if (job.role == Role::normal) {
      jobs.emplace(job.id, job_to_json(workflow, job));
    } else {
      reserved.emplace(job.id, tasks_to_json(job));
      // Their own is the workflow's; each other job says its own.
      keep_going = job.keep_going;
    }
  }
  json::object inputs;
  for (const Input& input : workflow.inputs) inputs.emplace(input.name, input_to_json(input));
  json::object on;
  if (!workflow.schedules.empty()) {
    json::array schedules;
    for (const DefinedSchedule& schedule : workflow.schedules) schedules.push_back(schedule_to_json(schedule));
    on.emplace("schedule", std::move(schedules));
  }
  if (!workflow.webhook.is_null()) on.emplace("webhook", workflow.webhook);
  json::object object{{"name", text(workflow.name)}};
  if (!workflow.description.empty()) object.emplace("description", text(workflow.description));
  object.emplace("labels", object_of(workflow.labels));
  object.emplace("on", std::move(on));
  object.emplace("inputs", std::move(inputs));
  object.emplace("vars", object_of(workflow.vars));
  object.emplace("env", object_of(workflow.env));
  object.emplace("timeout", pawl::to_text(workflow.timeout));
  object.emplace("cleanup-timeout", pawl::to_text(workflow.cleanup_timeout));
  object.emplace("recover", json::object{{"max", workflow.recover.max},
                                         {"window", pawl::to_text(workflow.recover.window)},
                                         {"then", workflow.recover.then_hold ? "hold" : "fail"}});
  if (workflow.concurrency)
    object.emplace("concurrency",
                   json::object{{"group", text(workflow.concurrency->group)},
                                {"limit", workflow.concurrency->limit},
                                {"on-conflict", workflow.concurrency->cancel_running ? "cancel-running" : "queue"}});
  if (workflow.retention) object.emplace("retention", pawl::to_text(*workflow.retention));
  object.emplace("keep-going", keep_going);
  object.emplace("jobs", std::move(jobs));
  for (auto& member : reserved) object.emplace(member.key(), std::move(member.value()));
  return object;
}

}  // namespace pawl::definition
