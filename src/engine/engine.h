// The engine decides, and does nothing else: no clock, no I/O, no randomness but the seed it is given. Same input, same
// Decision, on any machine.
// Threads: a pure function of its arguments; the driver calls it from its one engine thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/limits.h"
#include "engine/plan.h"
#include "engine/state.h"
#include "model/changeset.h"
#include "model/command.h"
#include "model/event.h"
#include "model/record.h"

namespace pawl::engine {

// What must be in the View before decide() is called.
struct Needs {
  std::optional<RunId> run;  // View::run
  std::string workflow;  // View::workflow and, if it exists, View::plan of its newest version
  std::string start_key;  // with workflow: View::start_key
  bool newest_version = false;  // with run: View::plan and View::environment of its workflow\'s newest version
  std::optional<RunId> row;  // View::run if the run is in memory, else View::row: no records are read for it
};
Needs needs(const Event& event);

struct View {
  RunState* run = nullptr;  // changed in place, so that the next decision may follow before the commit
  std::optional<Run> row;
  std::optional<WorkflowRow> workflow;
  std::shared_ptr<const Plan> plan;
  std::optional<std::string> text;  // of the newest version, as written
  std::optional<StartKey> start_key;
  std::int64_t last_number = 0;  // highest run number given in the workflow
  const Json* environment = nullptr;  // object: what the server passes on as `env`
  Limits* limits = nullptr;
};

struct Decision {
  Changeset changes;  // empty: nothing to commit
  std::vector<Command> commands;  // leave when `changes` are durable
  Result<Answer> answer = Answer{};  // to who asked; given when durable
  std::unique_ptr<RunState> created;  // the run that RunRequested made
  std::optional<Record> record;  // that stands encoded in `changes`, for observers
  std::vector<Event> follow_ups;  // to be decided next, once `changes` are durable
  std::string broken;  // not empty: an invariant of this run does not hold; park the run, store nothing
};

Decision decide(View& view, const Event& event, Instant now, std::uint64_t seed);

// The resolved input of a task as it would be started now, for looking at. Error: why it cannot be resolved.
Result<std::variant<ProcessInput, HttpInput>> resolve_input(const RunState& state, TaskRef ref);

// What a run keeps from its start on (P9): `vars` as the plan has them, and the values of `env` that it names.
struct StartValues {
  Json vars, env;
};
Result<StartValues> resolve_values(const Plan& plan, const Run& run, const Json& inputs, const Json* environment,
                                   Instant now);

// Stable name of the work of a task in its generation: the same for every try of it.
std::string idempotency_key(const RunState& state, TaskRef ref);

}  // namespace pawl::engine
