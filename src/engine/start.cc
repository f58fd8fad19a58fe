// How a run begins, whoever asks for it.
#include "engine/start.h"

#include <fmt/format.h>

#include <iterator>

#include "base/hash.h"
#include "base/planted.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

constexpr std::size_t longest_group = 200;

std::string body_hash(const Json& inputs) { return sha256_hex(to_text(inputs)); }

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

}  // namespace

Decision refuse(Code code, std::string message, std::string name) {
  Decision decision;
  decision.answer = fail(code, std::move(message), std::move(name));
  return decision;
}

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

Result<RunAccepted> begin_run(const View& view, RunOrder order, Instant now, SplitMix& random, Decision& decision) {
  auto state = std::make_unique<RunState>();
  Run& run = state->run;
  run.workflow = view.workflow->name;
  run.number = view.last_number + 1;
  // The number where a version 7 id may have one (RFC 9562, 6.2): lists go by id, and those of one workflow that begin in
  // the same millisecond stand in their order.
  run.id = RunId{uuid_v7(now, static_cast<std::uint64_t>(run.number), random.next())};
  run.trace_id = trace_id(now, random.next(), random.next());
  run.version = view.plan->version;
  run.who = std::move(order.who);
  run.who.at = now;
  run.inputs = std::move(order.inputs);
  run.slot = std::move(order.slot);
  run.created_at = now;
  auto values = resolve_values(*view.plan, run, run.inputs, view.environment, now);
  if (!values) return std::unexpected(values.error());
  run.vars = std::move(values->vars);
  run.env = std::move(values->env);
  auto group = group_of(*view.plan, run, now);
  if (!group) return std::unexpected(group.error());
  run.group = std::move(*group);
  if (!run.group.empty()) {
    run.group_limit = view.plan->workflow->concurrency->limit;
    run.group_cancels = view.plan->workflow->concurrency->cancel_running;
  }

  Decision own;
  own.changes.new_run.emplace();  // there is one; it follows below in its final form
  Step step(*state, *view.limits, now, own);
  step.emit(AttemptStarted{1, view.plan->version, run.who, {}, {}, {}, {}}, view.plan);
  if (!step.broken() && admit(step)) begin_attempt(step);
  step.finish();
  if (!own.broken.empty()) return fail(Code::internal, "the run cannot begin: " + own.broken, "run_broken");
  decision.changes.new_run = run;
  decision.changes.record = std::move(own.changes.record);
  decision.record = std::move(own.record);
  std::ranges::move(own.commands, std::back_inserter(decision.commands));
  std::ranges::move(own.follow_ups, std::back_inserter(decision.follow_ups));
  const RunAccepted accepted{run.id, run.number, run.workflow, false};
  decision.created = std::move(state);
  return accepted;
}

Decision start(const View& view, const RunRequested& event, Instant now, std::uint64_t seed) {
  if (!view.workflow || view.workflow->deleted_at || !view.plan)
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
  if (!view.workflow->active())
    return refuse(Code::conflict,
                  view.workflow->enabled ? fmt::format("workflow '{}' is disabled: its file {} has vanished",
                                                       event.workflow, view.workflow->file)
                                         : fmt::format("workflow '{}' is disabled", event.workflow),
                  "workflow_disabled");

  SplitMix random(seed);
  Decision decision;
  const auto accepted = begin_run(view, {event.inputs, event.who, {}}, now, random, decision);
  if (!accepted) return refuse(accepted.error().code, accepted.error().message, accepted.error().name);
  if (!event.key.empty() && !planted(Planted::forgotten_key))
    decision.changes.start_key = StartKey{event.workflow, event.key, hash, accepted->run, now};
  decision.answer = *accepted;
  return decision;
}

}  // namespace pawl::engine
