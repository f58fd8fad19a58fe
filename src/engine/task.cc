// A task: whether it runs, how a try starts, and what a try's outcome means.
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/planted.h"
#include "base/random.h"
#include "base/utf8.h"
#include "engine/step.h"
#include "model/limits.h"

namespace pawl::engine {
namespace {

std::uint64_t jitter_seed(const RunState& state, TaskRef ref, int try_number) {
  std::uint64_t seed = 0;
  for (const std::uint8_t byte : state.run.id.value.bytes) seed = seed * 131 + byte;
  return seed * 31 + static_cast<std::uint64_t>(ref.job) * 1'000'003 + static_cast<std::uint64_t>(ref.task) * 8'191 +
         static_cast<std::uint64_t>(try_number);
}

FailurePtr of_error(const Error& error, std::string_view where) {
  return failure(error.name.empty() ? "expression_error" : error.name, fmt::format("{}: {}", where, error.message));
}

// What a reply or exit says of itself, for the cause of a failure.
Json cause_of(const Outcome& outcome) {
  json::object cause;
  if (const auto* fields = outcome.failure.cause.if_object()) cause = *fields;
  if (outcome.reply) {
    cause["status"] = outcome.reply->status;
    const std::string_view body = cut_utf8(outcome.reply->text, 1024);
    cause["body"] = json::string_view(body.data(), body.size());
  }
  if (outcome.process) {
    cause["exit_code"] = outcome.process->exit_code;
    if (outcome.process->signal != 0) cause["signal"] = outcome.process->signal;
    cause["stderr"] = outcome.process->stderr_tail;
  }
  if (cause.empty()) return nullptr;
  return cause;
}

// Whether a completed try is a success: nullptr, or why not.
FailurePtr judge_outcome(const TaskPlan& plan, const Outcome& outcome, const RunContext& context) {
  if (outcome.process) {
    const ProcessExit& exit = *outcome.process;
    if (exit.exit_code == 0) return nullptr;
    const std::string message =
        exit.signal != 0 ? fmt::format("ended by signal {}", exit.signal) : fmt::format("exit code {}", exit.exit_code);
    return failure("task_failed", message, cause_of(outcome));
  }
  if (!outcome.reply) return failure("task_failed", "the runner gave no outcome");
  const HttpReply& reply = *outcome.reply;
  const auto& http = std::get<HttpPlan>(plan.action);
  if (http.success_when) {
    const auto held = expression::evaluate_condition(*http.success_when, context);
    if (!held) return failure("task_failed", "success-when: " + held.error().message, cause_of(outcome));
    if (!*held)
      return failure("task_failed", fmt::format("success-when does not hold (HTTP {})", reply.status),
                     cause_of(outcome));
    return nullptr;
  }
  if (reply.status >= 200 && reply.status < 300) return nullptr;
  return failure("task_failed", fmt::format("HTTP {}", reply.status), cause_of(outcome));
}

// Outputs that a failed try may still be asked for.
json::object outputs_of_failure(const Outcome& outcome) {
  json::object outputs;
  if (outcome.reply) outputs["status"] = outcome.reply->status;
  if (outcome.process) outputs["exit_code"] = outcome.process->exit_code;
  return outputs;
}

// Declared outputs and the implicit ones that are named; or why they cannot be had.
std::expected<json::object, FailurePtr> outputs_of_success(const TaskPlan& plan, const Outcome& outcome,
                                                           const RunContext& context) {
  json::object outputs = outputs_of_failure(outcome);
  if (outcome.reply) {
    const HttpReply& reply = *outcome.reply;
    if (plan.keep.headers) outputs["headers"] = reply.headers;
    if (plan.keep.text) outputs["text"] = reply.text;
    if (plan.keep.json) outputs["json"] = reply.json.value_or(Json(nullptr));
  }
  if (outcome.process) {
    const ProcessExit& exit = *outcome.process;
    if (const auto* written = exit.outputs.if_object())
      for (const auto& member : *written) outputs[member.key()] = member.value();
    if (plan.want.text && exit.stdout_cut)
      return std::unexpected(failure("output_too_large", "stdout is named as a value and larger than 1 MiB"));
    if (plan.keep.text) {
      const std::string_view text = trimmed(exit.stdout_text);
      outputs["stdout"] = json::string_view(text.data(), text.size());
    }
  }
  for (const auto& [name, value] : plan.outputs) {
    auto evaluated = expression::evaluate(value, context);
    if (!evaluated) return std::unexpected(of_error(evaluated.error(), fmt::format("output {}", name)));
    if (*evaluated) outputs[name] = std::move(**evaluated);
  }
  for (const auto& member : outputs)
    if (const std::size_t size = text_size(member.value()); size > max_output_value)
      return std::unexpected(failure("output_too_large", fmt::format("output {} takes {} bytes; a value may take 1 MiB",
                                                                     std::string_view(member.key()), size)));
  return outputs;
}

// First bytes of what is no value, for looking at.
std::shared_ptr<const Json> preview_of(const TaskPlan& plan, const Outcome& outcome) {
  json::object preview;
  const auto add = [&](std::string_view name, std::string_view text, bool cut) {
    const std::string_view head = cut_utf8(text, preview_bytes);
    if (head.empty()) return;
    preview[json::string_view(name.data(), name.size())] = json::string_view(head.data(), head.size());
    if (cut || head.size() < text.size()) preview["cut"] = true;
  };
  if (outcome.reply && !plan.keep.text && !plan.keep.json) add("text", outcome.reply->text, outcome.reply->text_cut);
  if (outcome.process && !plan.keep.text) add("stdout", outcome.process->stdout_text, outcome.process->stdout_cut);
  if (preview.empty()) return nullptr;
  return std::make_shared<const Json>(std::move(preview));
}

Result<Pairs> evaluate_env(const NamedTemplates& env, const RunContext& context, Pairs so_far) {
  for (const auto& [name, value] : env) {
    auto text = expression::evaluate_text(value, context);
    if (!text) return fail(text.error().code, fmt::format("env {}: {}", name, text.error().message), text.error().name);
    const auto found = std::ranges::find_if(so_far, [&](const auto& pair) { return pair.first == name; });
    if (found != so_far.end())
      found->second = std::move(*text);
    else
      so_far.emplace_back(name, std::move(*text));
  }
  return so_far;
}

Result<ProcessInput> process_input(const RunState& state, TaskRef ref, const TaskPlan& plan,
                                   const RunContext& context) {
  const auto& action = std::get<ProcessAction>(plan.task->action);
  const auto& process = std::get<ProcessPlan>(plan.action);
  ProcessInput input;
  input.shell = action.shell;
  input.grace = action.grace;
  input.want_stdout = plan.want.text;
  auto env = evaluate_env(state.plan->env, context, {});
  if (env) env = evaluate_env(state.job_plan(ref.job).env, context, std::move(*env));
  if (env) env = evaluate_env(plan.env, context, std::move(*env));
  if (!env) return std::unexpected(env.error());
  input.env = std::move(*env);
  for (const expression::Template& word : process.command) {
    auto text = expression::evaluate_text(word, context);
    if (!text) return fail(text.error().code, "command: " + text.error().message, text.error().name);
    input.command.push_back(std::move(*text));
  }
  if (process.command.empty()) {
    input.script = process.script.text;
    for (std::size_t i = 0; i < process.script.variables.size(); ++i) {
      auto value = expression::evaluate(process.script.variables[i], context);
      if (!value) return fail(value.error().code, "run: " + value.error().message, value.error().name);
      if (value->is_null())
        return fail(Code::invalid,
                    fmt::format("run: expression {} of the script is null; write ?? '' for an empty text", i + 1),
                    "expression_error");
      input.env.emplace_back(fmt::format("PAWL_E{}", i + 1),
                             value->is_string() ? std::string(as_view(*value)) : to_text(*value));
    }
  }
  auto folder = expression::evaluate_text(process.working_directory, context);
  if (!folder) return fail(folder.error().code, "working-directory: " + folder.error().message, folder.error().name);
  input.working_directory = std::move(*folder);
  return input;
}

// Members of an evaluated object as texts; lists give a pair for each element.
Result<Pairs> pairs_of(const Json& value, std::string_view what) {
  Pairs pairs;
  const auto* object = value.if_object();
  if (!object)
    return value.is_null() ? Result<Pairs>(pairs) : fail(Code::invalid, fmt::format("{} is no object", what));
  const auto add = [&](std::string_view name, const Json& element) {
    if (!element.is_null())
      pairs.emplace_back(name, element.is_string() ? std::string(as_view(element)) : to_text(element));
  };
  for (const auto& member : *object) {
    const std::string_view name(member.key().data(), member.key().size());
    if (const auto* list = member.value().if_array()) {
      for (const Json& element : *list) add(name, element);
    } else {
      add(name, member.value());
    }
  }
  return pairs;
}

std::string percent_encoded(const Pairs& pairs) {
  std::string text;
  const auto encode = [&](std::string_view raw) {
    for (const char c : raw) {
      const auto byte = static_cast<unsigned char>(c);
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                         c == '_' || c == '.' || c == '~';
      if (plain)
        text += c;
      else
        text += fmt::format("%{:02X}", byte);
    }
  };
  for (const auto& [name, value] : pairs) {
    if (!text.empty()) text += '&';
    encode(name);
    text += '=';
    encode(value);
  }
  return text;
}

Result<HttpInput> http_input(const TaskPlan& plan, const RunContext& context) {
  const auto& action = std::get<HttpAction>(plan.task->action);
  const auto& http = std::get<HttpPlan>(plan.action);
  HttpInput input;
  const auto wrong = [](std::string_view where, const Error& error) {
    return fail(error.code, fmt::format("{}: {}", where, error.message), error.name);
  };
  auto url = expression::evaluate_text(http.url, context);
  if (!url) return wrong("url", url.error());
  input.url = std::move(*url);
  auto method = expression::evaluate_text(http.method, context);
  if (!method) return wrong("method", method.error());
  input.method = std::move(*method);
  if (input.method.empty()) input.method = action.body_kind == BodyKind::none ? "GET" : "POST";
  auto headers = http.headers.evaluate(context);
  if (!headers) return wrong("headers", headers.error());
  auto header_pairs = pairs_of(*headers, "headers");
  if (!header_pairs) return wrong("headers", header_pairs.error());
  input.headers = std::move(*header_pairs);
  auto query = http.query.evaluate(context);
  if (!query) return wrong("query", query.error());
  auto query_pairs = pairs_of(*query, "query");
  if (!query_pairs) return wrong("query", query_pairs.error());
  if (!query_pairs->empty()) {
    const std::size_t fragment = std::min(input.url.find('#'), input.url.size());
    const bool has_query = input.url.find('?') < fragment;
    input.url.insert(fragment, (has_query ? "&" : "?") + percent_encoded(*query_pairs));
  }
  switch (action.body_kind) {
    case BodyKind::none: break;
    case BodyKind::json: {
      auto body = http.body.evaluate(context);
      if (!body) return wrong("json", body.error());
      input.body = to_text(*body);
      input.content_type = "application/json";
      input.has_body = true;
      break;
    }
    case BodyKind::form: {
      auto body = http.body.evaluate(context);
      if (!body) return wrong("form", body.error());
      auto fields = pairs_of(*body, "form");
      if (!fields) return wrong("form", fields.error());
      input.body = percent_encoded(*fields);
      input.content_type = "application/x-www-form-urlencoded";
      input.has_body = true;
      break;
    }
    case BodyKind::text: {
      auto body = expression::evaluate_text(http.text, context);
      if (!body) return wrong("body", body.error());
      input.body = std::move(*body);
      input.content_type = "text/plain; charset=utf-8";
      input.has_body = true;
      break;
    }
  }
  input.follow_redirects = action.follow_redirects;
  input.tls_verify = action.tls_verify;
  input.tls_ca_file = action.tls_ca_file;
  input.want_text = plan.want.text;
  input.want_json = plan.want.json;
  input.want_headers = plan.want.headers;
  return input;
}

Result<std::variant<ProcessInput, HttpInput>> resolve(const RunState& state, TaskRef ref, Instant now) {
  const TaskPlan& plan = state.plan_of(ref);
  if (!has_tries(*plan.task)) return fail(Code::not_found, "a wait or an approval is given nothing", "no_input");
  const RunContext context(state, ref.job, ref.task, now);
  if (is_http(*plan.task)) {
    auto input = http_input(plan, context);
    if (!input) return std::unexpected(input.error());
    return std::move(*input);
  }
  auto input = process_input(state, ref, plan, context);
  if (!input) return std::unexpected(input.error());
  return std::move(*input);
}

std::optional<Duration> try_timeout(const Task& task) {
  std::optional<Duration> timeout = task.timeout;
  if (const auto* http = std::get_if<HttpAction>(&task.action))
    if (http->timeout && (!timeout || *http->timeout < *timeout)) timeout = http->timeout;
  return timeout;
}

}  // namespace

std::string idempotency_key(const RunState& state, TaskRef ref) {
  std::string name = to_string(state.run.id);
  name += '\n';
  name += state.job_name(ref.job);
  name += '\n';
  name += state.plan_of(ref).task->id;
  name += '\n';
  name += std::to_string(planted(Planted::key_of_attempt) ? state.attempt.number : state.task(ref).generation);
  return blake2b_hex(name);
}

Result<std::variant<ProcessInput, HttpInput>> resolve_input(const RunState& state, TaskRef ref) {
  return resolve(state, ref, state.task(ref).generation_started.value_or(state.attempt.created_at));
}

Judged judge(Step& step, int job, int task, const Condition& condition, RunContext::Status status) {
  if (!condition.has_status && !status.success) return {Held::upstream, nullptr};
  if (!condition.expression) return {Held::yes, nullptr};
  RunContext context(step.s, job, task, step.now);
  context.set_status(status);
  const auto held = expression::evaluate_condition(*condition.expression, context);
  if (!held) {
    const bool named = held.error().name == "secret_missing";
    return {Held::failed, failure(named ? held.error().name : "condition_error", "if: " + held.error().message)};
  }
  return {*held ? Held::yes : Held::no, nullptr};
}

namespace {

bool cannot_start(Step& step, TaskRef ref, const Error& error, std::string_view where) {
  end_task(step, ref, WorkStatus::failed, SkipReason::none, of_error(error, where));
  return false;
}

// An instant as `until` may name it: RFC 3339, or Unix seconds.
Result<Instant> instant_of(const Json& value) {
  if (value.is_string()) {
    auto instant = parse_rfc3339(as_view(value));
    if (!instant) return fail(Code::invalid, fmt::format("'{}' is no RFC 3339 time", as_view(value)));
    return instant;
  }
  constexpr double latest = 253'402'300'799;  // the end of the year 9999
  const double seconds = value.is_int64()    ? static_cast<double>(value.get_int64())
                         : value.is_double() ? value.get_double()
                                             : -1;
  if (!(seconds >= 0 && seconds <= latest))
    return fail(Code::invalid, fmt::format("{} is no time: write RFC 3339 or Unix seconds", to_text(value)));
  return from_us(static_cast<std::int64_t>(seconds * 1e6));
}

Result<Instant> end_of_wait(const WaitPlan& wait, const RunContext& context, Instant now) {
  if (!wait.until.parts().empty()) {
    auto value = expression::evaluate(wait.until, context);
    if (!value) return std::unexpected(value.error());
    return instant_of(value->value_or(Json(nullptr)));
  }
  const auto text = expression::evaluate_text(wait.duration, context);
  if (!text) return std::unexpected(text.error());
  const auto duration = parse_duration(*text);
  if (!duration) return std::unexpected(duration.error());
  return now + *duration;
}

bool start_wait(Step& step, TaskRef ref, const WaitPlan& wait) {
  const RunContext context(step.s, ref.job, ref.task, step.s.task(ref).generation_started.value_or(step.now));
  const auto due = end_of_wait(wait, context, step.now);
  if (!due) return cannot_start(step, ref, due.error(), "wait");
  if (*due <= step.now) {
    step.emit(TaskEnded{ref, WorkStatus::success, SkipReason::none, nullptr});
    return false;
  }
  step.emit(TaskWaits{ref, WaitsFor::timer, *due, {}});
  return true;
}

bool start_approval(Step& step, TaskRef ref, const ApprovalPlan& approval) {
  const auto& action = std::get<ApprovalAction>(step.s.plan_of(ref).task->action);
  const RunContext context(step.s, ref.job, ref.task, step.s.task(ref).generation_started.value_or(step.now));
  auto message = expression::evaluate_text(approval.message, context);
  if (!message) return cannot_start(step, ref, message.error(), "approval");
  if (message->size() > preview_bytes) *message = std::string(cut_utf8(*message, preview_bytes)) + "…";
  std::optional<Instant> expires;
  if (action.expires && !planted(Planted::endless_approval)) expires = step.now + *action.expires;
  step.emit(TaskWaits{ref, WaitsFor::approval, expires, std::move(*message)});
  return true;
}

}  // namespace

void task_is_due(Step& step, TaskRef ref) {
  const Task& task = *step.s.plan_of(ref).task;
  if (std::holds_alternative<WaitAction>(task.action)) {
    step.emit(TaskEnded{ref, WorkStatus::success, SkipReason::none, nullptr});
  } else if (const auto* approval = std::get_if<ApprovalAction>(&task.action)) {
    const WorkStatus end = planted(Planted::expiry_approves) ? WorkStatus::success : WorkStatus::failed;
    end_task(step, ref, end, SkipReason::none,
             failure("approval_expired", fmt::format("nobody answered within {}", to_text(*approval->expires))));
  } else if (start_task(step, ref)) {
    return;
  }
  advance(step, ref.job);
}

bool start_task(Step& step, TaskRef ref) {
  RunState& s = step.s;
  const TaskPlan& plan = s.plan_of(ref);
  const TaskRun& task = s.task(ref);
  if (const auto* wait = std::get_if<WaitPlan>(&plan.action)) return start_wait(step, ref, *wait);
  if (const auto* approval = std::get_if<ApprovalPlan>(&plan.action)) return start_approval(step, ref, *approval);
  if (!step.limits.may_take(seat_of(plan), s.run.id)) {
    if (task.status != WorkStatus::waiting || task.waits_for != WaitsFor::limit)
      step.emit(TaskWaits{ref, WaitsFor::limit, std::nullopt, {}});
    return true;
  }
  auto input = resolve(s, ref, task.generation_started.value_or(step.now));
  if (!input) return cannot_start(step, ref, input.error(), "input");
  step.emit(TaskStarted{ref, task.last_try + 1});
  if (step.broken()) return true;
  StartTask command;
  command.run = s.run.id;
  command.ref = ref;
  command.attempt = s.attempt.number;
  command.try_number = task.last_try;
  command.workflow = s.run.workflow;
  command.job = s.job_name(ref.job);
  command.task = plan.task->id;
  command.run_number = s.run.number;
  command.trace_id = s.run.trace_id;
  command.idempotency_key = idempotency_key(s, ref);
  command.timeout = try_timeout(*plan.task);
  command.input = std::move(*input);
  step.command(std::move(command));
  return true;
}

void end_task(Step& step, TaskRef ref, WorkStatus status, SkipReason reason, FailurePtr error) {
  step.emit(TaskEnded{ref, status, reason, std::move(error)});
}

void finish_try(Step& step, const TaskFinished& event) {
  RunState& s = step.s;
  const TaskRef ref = event.ref;
  // A result that comes late, or twice, changes nothing.
  if (!s.in_flight.contains(ref)) return;
  const int number = planted(Planted::any_try) ? s.task(ref).last_try : event.try_number;
  if (s.task(ref).last_try != number) return;
  if (event.attempt != 0 && event.attempt != s.attempt.number && !planted(Planted::any_attempt)) return;

  const Outcome& outcome = event.outcome;
  // The try stays in flight: the recovery after the stop cuts it off by its own rules.
  if (outcome.end == Outcome::End::interrupted && !planted(Planted::stop_fails_task)) return cut_off(step);
  const TaskPlan& plan = s.plan_of(ref);
  TryEnded ended{ref, number, TryStatus::success, nullptr, nullptr, preview_of(plan, outcome)};
  switch (outcome.end) {
    case Outcome::End::completed: {
      RunContext context(s, ref.job, ref.task, s.task(ref).generation_started.value_or(step.now));
      context.set_outcome(outcome);
      ended.error = judge_outcome(plan, outcome, context);
      if (!ended.error) {
        auto outputs = outputs_of_success(plan, outcome, context);
        if (outputs) {
          ended.outputs = std::make_shared<const Json>(std::move(*outputs));
        } else {
          ended.error = outputs.error();
        }
      }
      if (ended.error) ended.status = TryStatus::failed;
      break;
    }
    case Outcome::End::interrupted:
    case Outcome::End::failed:
      ended.status = TryStatus::failed;
      ended.error = failure(outcome.failure.code, outcome.failure.message, cause_of(outcome));
      break;
    case Outcome::End::timed_out:
      ended.status = TryStatus::timed_out;
      ended.error = failure(outcome.failure.code.empty() ? "timeout" : outcome.failure.code, outcome.failure.message,
                            cause_of(outcome));
      break;
    case Outcome::End::stopped: ended.status = TryStatus::cancelled; break;
  }
  if (ended.status != TryStatus::success) {
    json::object left = outputs_of_failure(outcome);
    if (!left.empty()) ended.outputs = std::make_shared<const Json>(std::move(left));
  }
  const TryStatus status = ended.status;
  const FailurePtr error = ended.error;
  step.emit(std::move(ended));
  if (step.broken()) return;

  const TaskRun& task = s.task(ref);
  if (status == TryStatus::cancelled) {
    end_task(step, ref, WorkStatus::cancelled, SkipReason::none, nullptr);
  } else if (status != TryStatus::success) {
    const Retry& retry = plan.task->retry;
    const bool may = !is_stopping(step, ref.job) || planted(Planted::retry_after_cancel);
    if (may && task.failed_tries <= retry.max) {
      const Duration delay = planted(Planted::eager_retry)
                                 ? Duration{}
                                 : retry_delay(retry, task.failed_tries, jitter_seed(s, ref, event.try_number));
      step.emit(TaskWaits{ref, WaitsFor::retry, step.now + delay, {}});
      return settle(step);
    }
    end_task(step, ref, WorkStatus::failed, SkipReason::none, error);
  }
  advance(step, ref.job);
  settle(step);
}

}  // namespace pawl::engine
