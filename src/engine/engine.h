// The engine decides, and does nothing else: no clock, no I/O, no randomness but the seed it is given. Same input, same
// Decision, on any machine.
// Threads: a pure function of its arguments; the driver calls it from its one engine thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "calendar/timetable.h"
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
  // View::schedule with its timetable, and its workflow as for `workflow`.
  std::optional<ScheduleId> schedule;
  // View::backfill, its schedule as above, and the ledger's entry of its next slot.
  std::optional<BackfillId> backfill;
  // Schedules are made, changed or backfilled: of one workflow one such event is decided at a time, on what is durable.
  bool changes_schedules = false;
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

  std::optional<ScheduleRow> schedule;
  std::shared_ptr<const calendar::Timetable> timetable;  // of the schedule; of ScheduleAdded: of its rule
  std::shared_ptr<const calendar::Timetable> new_timetable;  // of ScheduleChanged's rule
  std::optional<ScheduleRow> same_name, same;  // of ScheduleAdded and ScheduleChanged: by name, by ScheduleRow::same
  bool has_schedules = false;  // of ScheduleAdded: the workflow has one already
  // Of WorkflowSubmitted: what the workflow has now, and what becomes of each schedule of the new version.
  struct Carried {
    std::string timezone;  // its own, or the server's
    std::shared_ptr<const calendar::Timetable> slots;
    std::optional<ScheduleRow> row;  // of that name, if there is one …
    std::shared_ptr<const calendar::Timetable> old_slots;  // … and its timetable
    std::optional<ScheduleRow> same;
  };
  std::vector<ScheduleRow> defined;
  std::vector<Carried> carried;
  std::optional<BackfillRow> backfill;
  std::optional<LedgerRow> covering;
  // The inputs with defaults, or why they are none of the workflow's. Pure.
  Result<Json> (*check_inputs)(const Workflow& workflow, const Json& given) = nullptr;
};

struct Decision {
  Changeset changes;  // empty: nothing to commit
  std::vector<Command> commands;  // leave when `changes` are durable
  Result<Answer> answer = Answer{};  // to who asked; given when durable
  std::unique_ptr<RunState> created;  // the run that RunRequested made
  std::optional<Record> record;  // that stands encoded in `changes`, for observers
  std::vector<Event> follow_ups;  // to be decided next, once `changes` are durable
  std::string
      wakes;  // not empty: once `changes` are durable, the workflow's parked schedules and its backfills are to be looked at
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
