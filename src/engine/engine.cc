#include "engine/engine.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/planted.h"
#include "base/random.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

constexpr std::size_t longest_group = 200;

std::string body_hash(const Json& inputs) { return sha256_hex(to_text(inputs)); }

Decision refuse(Code code, std::string message, std::string name) {
  Decision decision;
  decision.answer = fail(code, std::move(message), std::move(name));
  return decision;
}

Decision submit(const View& view, const WorkflowSubmitted& event, Instant now) {
  const std::string& name = event.workflow->name;
  if (view.workflow && event.mode == WorkflowSubmitted::Mode::create)
    return refuse(Code::conflict, fmt::format("workflow '{}' exists already; change it with PUT", name),
                  "workflow_exists");
  if (view.workflow && view.text && *view.text == event.text) {
    Decision same;
    same.answer = WorkflowAccepted{name, view.workflow->version, false, true};
    return same;
  }
  Decision decision;
  WorkflowRow row = view.workflow.value_or(WorkflowRow{.name = name, .created_at = now});
  ++row.version;
  row.updated_at = now;
  row.last_number = view.last_number;
  decision.answer = WorkflowAccepted{name, row.version, !view.workflow, false};
  decision.changes.version = VersionRow{name, row.version, event.text, now, event.who.user};
  decision.changes.workflow = std::move(row);
  return decision;
}

// The values of `env` that the definition names, resolved once: a run keeps them (P9).
Json named_environment(const Plan& plan, const Json* environment) {
  json::object kept;
  const auto* all = environment ? environment->if_object() : nullptr;
  if (!all) return kept;
  for (const std::string& name : plan.environment)
    if (const Json* value = all->if_contains(name)) kept[name] = *value;
  if (plan.whole_environment) kept = *all;
  return kept;
}

}  // namespace

Result<StartValues> resolve_values(const Plan& plan, const Run& run, const Json& inputs, const Json* environment,
                                   Instant now) {
  Run known = run;
  known.inputs = inputs;
  known.version = plan.version;
  known.env = named_environment(plan, environment);
  known.vars = json::object{};
  for (const auto& [name, value] : plan.vars) {
    const RunContext context(StartContext{plan.workflow.get(), &known}, now);
    auto evaluated = expression::evaluate(value, context);
    if (!evaluated)
      return fail(Code::invalid, fmt::format("vars.{}: {}", name, evaluated.error().message), "vars_invalid");
    known.vars.get_object()[name] = evaluated->value_or(Json(nullptr));
  }
  return StartValues{std::move(known.vars), std::move(known.env)};
}

namespace {

// The group whose places the run shares; empty: none.
Result<std::string> group_of(const Plan& plan, const Run& run, Instant now) {
  if (!plan.group) return std::string{};
  const RunContext context(StartContext{plan.workflow.get(), &run}, now);
  auto group = expression::evaluate_text(*plan.group, context);
  if (!group) return fail(Code::invalid, "concurrency.group: " + group.error().message, "group_invalid");
  if (group->empty() || group->size() > longest_group)
    return fail(Code::invalid, fmt::format("concurrency.group is a text of 1 to {} bytes", longest_group),
                "group_invalid");
  return group;
}

Decision start(View& view, const RunRequested& event, Instant now, std::uint64_t seed) {
  if (!view.workflow || !view.plan)
    return refuse(Code::not_found, fmt::format("there is no workflow '{}'", event.workflow), "workflow_unknown");
  const std::string hash = body_hash(event.inputs);
  if (view.start_key) {
    if (view.start_key->body_hash != hash && !planted(Planted::careless_key))
      return refuse(
          Code::conflict,
          fmt::format("the key '{}' has started run {} with other inputs", event.key, to_string(view.start_key->run)),
          "key_reused");
    Decision decision;
    decision.answer = RunAccepted{view.start_key->run, 0, event.workflow, true};
    return decision;
  }
  if (!view.workflow->enabled)
    return refuse(Code::conflict, fmt::format("workflow '{}' is disabled", event.workflow), "workflow_disabled");

  SplitMix random(seed);
  auto state = std::make_unique<RunState>();
  Run& run = state->run;
  run.id = RunId{uuid_v7(now, random.next(), random.next())};
  run.trace_id = trace_id(random.next(), random.next());
  run.workflow = event.workflow;
  run.number = view.last_number + 1;
  run.version = view.plan->version;
  run.who = event.who;
  run.who.at = now;
  run.inputs = event.inputs;
  run.created_at = now;
  auto values = resolve_values(*view.plan, run, event.inputs, view.environment, now);
  if (!values) return refuse(values.error().code, values.error().message, values.error().name);
  run.vars = std::move(values->vars);
  run.env = std::move(values->env);
  auto group = group_of(*view.plan, run, now);
  if (!group) return refuse(group.error().code, group.error().message, group.error().name);
  run.group = std::move(*group);
  if (!run.group.empty()) {
    run.group_limit = view.plan->workflow->concurrency->limit;
    run.group_cancels = view.plan->workflow->concurrency->cancel_running;
  }

  Decision decision;
  decision.changes.new_run = run;  // its final form follows below
  Step step(*state, *view.limits, now, decision);
  step.emit(AttemptStarted{1, view.plan->version, run.who, {}, {}, {}, {}}, view.plan);
  if (!step.broken() && admit(step)) begin_attempt(step);
  step.finish();
  if (!decision.broken.empty()) return refuse(Code::internal, "the run cannot begin: " + decision.broken, "run_broken");
  decision.changes.new_run = state->run;
  if (!event.key.empty() && !planted(Planted::forgotten_key))
    decision.changes.start_key = StartKey{event.workflow, event.key, hash, run.id, now};
  decision.answer = RunAccepted{run.id, run.number, run.workflow, false};
  decision.created = std::move(state);
  return decision;
}

Result<Answer> cancel(Step& step, const CancelRequested& event) {
  RunState& s = step.s;
  if (is_final(s.attempt.status))
    return fail(Code::conflict, fmt::format("run {} is {} already", to_string(s.run.id), to_string(s.attempt.status)),
                "run_final");
  // A group wants back a place, and asks only for what nobody has asked for yet; a second cancel of a person stops the
  // clean-up too.
  if (event.who.client == group_client && (s.stop_asked || !s.run.group_held))
    return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
  if (!s.stop_hard) stop_run(step, event.who, s.stop_asked, nullptr);
  return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
}

// A run that a person opened again in time stays, and so does one that is taken already.
Decision take(const View& view, Instant now) {
  const Run* const run = view.run ? &view.run->run : view.row ? &*view.row : nullptr;
  Decision decision;
  if (!run || !is_final(run->status) || !run->expires_at || *run->expires_at > now) return decision;
  decision.changes.gone = run->id;
  decision.commands.emplace_back(ForgetRun{run->id});
  return decision;
}

Decision clear_away(const RemainsRemoved& event) {
  Decision decision;
  decision.changes.cleared = event.run;
  return decision;
}

}  // namespace

Needs needs(const Event& event) {
  struct Visit {
    Needs operator()(const WorkflowSubmitted& e) const { return {std::nullopt, e.workflow->name, {}}; }
    Needs operator()(const RunRequested& e) const { return {std::nullopt, e.workflow, e.key}; }
    Needs operator()(const TaskFinished& e) const { return {e.run, {}, {}}; }
    Needs operator()(const CancelRequested& e) const { return {e.run, {}, {}}; }
    Needs operator()(const ResumeRequested& e) const { return {e.run, {}, {}, e.with_current}; }
    Needs operator()(const RerunRequested& e) const { return {e.run, {}, {}}; }
    Needs operator()(const AnswerRequested& e) const { return {e.run, {}, {}}; }
    Needs operator()(const TimerDue& e) const { return {e.run, {}, {}}; }
    Needs operator()(const SlotFree& e) const { return {e.run, {}, {}}; }
    Needs operator()(const RunOrphaned& e) const { return {e.run, {}, {}}; }
    Needs operator()(const RunCutOff& e) const { return {e.run, {}, {}}; }
    Needs operator()(const RetentionReached& e) const { return {.row = e.run}; }
    Needs operator()(const RemainsRemoved&) const { return {}; }
  };
  return std::visit(Visit{}, event);
}

Decision decide(View& view, const Event& event, Instant now, std::uint64_t seed) {
  if (const auto* submitted = std::get_if<WorkflowSubmitted>(&event)) return submit(view, *submitted, now);
  if (const auto* requested = std::get_if<RunRequested>(&event)) return start(view, *requested, now, seed);

  if (std::holds_alternative<RetentionReached>(event)) return take(view, now);
  if (const auto* removed = std::get_if<RemainsRemoved>(&event)) return clear_away(*removed);

  Decision decision;
  if (!view.run) {
    decision.answer = fail(Code::not_found, "there is no such run", "run_unknown");
    return decision;
  }
  Step step(*view.run, *view.limits, now, decision);
  if (const auto* finished = std::get_if<TaskFinished>(&event))
    finish_try(step, *finished);
  else if (const auto* asked = std::get_if<CancelRequested>(&event))
    decision.answer = cancel(step, *asked);
  else if (const auto* resumed = std::get_if<ResumeRequested>(&event))
    decision.answer = resume(step, *resumed, view);
  else if (const auto* again = std::get_if<RerunRequested>(&event))
    decision.answer = rerun(step, *again);
  else if (const auto* answered = std::get_if<AnswerRequested>(&event))
    decision.answer = answer(step, *answered);
  else if (std::holds_alternative<TimerDue>(event))
    on_timer(step);
  else if (std::holds_alternative<SlotFree>(event))
    use_free_slots(step);
  else if (const auto* orphaned = std::get_if<RunOrphaned>(&event))
    recover(step, orphaned->last_life);
  else if (std::holds_alternative<RunCutOff>(event))
    cut_off(step);
  step.finish();
  return decision;
}

}  // namespace pawl::engine
