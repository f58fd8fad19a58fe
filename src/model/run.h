// A run as data: its row in the store, and below it the attempts, job runs, task runs and tries that are folded from
// its records (engine/fold.h). Plain values; copying an attempt shares outputs and errors.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/json.h"
#include "base/time.h"
#include "model/status.h"
#include "model/workflow.h"

namespace pawl {

// Why something failed: a stable code for programs, a sentence for people, and the cause below it (HTTP status and
// first bytes of the body; or exit code, signal and last lines of standard error).
struct Failure {
  std::string code;
  std::string message;
  Json cause;  // object or null
};
using FailurePtr = std::shared_ptr<const Failure>;

// Who asked for an attempt.
struct Who {
  Trigger trigger = Trigger::manual;
  std::string user;        // user or token name
  std::string client;      // address, or system-recovery
  std::string user_agent;
  Instant at{};
};

// What a run owes to a schedule.
struct SlotOrigin {
  ScheduleId schedule;
  std::string name;  // of the schedule, when it fired
  Instant slot{};
  bool in_line = false;  // waits until no run of the schedule that is not in line is open
  bool cancels = false;  // in line, it cancels those that it waits for
  std::optional<BackfillId> backfill;
  bool operator==(const SlotOrigin&) const = default;
};

// A row of `runs`. Status, attempt, version, waits_for, due, error and the last three instants are the newest attempt's.
struct Run {
  RunId id;
  std::string workflow;
  std::int64_t number = 0;
  int version = 0;
  std::string trace_id;
  RunStatus status = RunStatus::queued;
  WaitsFor waits_for = WaitsFor::none;
  std::optional<Instant> due;  // earliest instant at which the run has to be looked at although nothing happens
  int attempt = 1;
  Who who;  // of the first attempt
  Json inputs;
  Json vars;  // as resolved once, at the start
  Json env;  // values of `env.*` that vars and tasks name, as resolved once
  FailurePtr error;
  Instant created_at{};
  std::optional<Instant> started_at, finished_at;
  std::optional<Instant> expires_at;  // of a final run: when retention takes it; absent: never
  // Its place in a concurrency group.
  std::string group;  // empty: in none
  int group_limit = 1;
  bool group_cancels = false;  // cancels those that hold a place
  std::optional<Instant> group_since;  // when its newest attempt asked for one: the order of the queue
  bool group_held = false;  // it has one, until it is final
  std::optional<SlotOrigin> slot;  // it was started by a schedule, or for a slot of one that is late
};

struct Try {
  int number = 0;  // counted per task through all attempts of the run
  TryStatus status = TryStatus::running;
  Instant started_at{};
  std::optional<Instant> finished_at;
  FailurePtr error;
};

struct Response {
  Answered answer = Answered::approved;
  Who who;
  std::string comment;
};

struct TaskRun {
  WorkStatus status = WorkStatus::pending;
  SkipReason reason = SkipReason::none;
  WaitsFor waits_for = WaitsFor::none;
  std::optional<Instant> due;
  int done_in_attempt = 0;  // of skipped/done
  int generation = 1;
  std::optional<Instant> generation_started;  // what now() gives in this generation
  bool was_done = false;  // recorded as success in some generation
  int failed_tries = 0;  // of this generation: what its retry budget has lost
  int last_try = 0;  // number of the newest try in any attempt
  std::vector<Try> tries;  // of this attempt
  std::shared_ptr<const Json> outputs;  // object: declared and implicit outputs; null: none
  std::shared_ptr<const Json> preview;  // object: what is kept to look at and never a value
  std::string message;  // of an approval: what is asked
  std::shared_ptr<const Response> response;  // the newest answer of a person
  FailurePtr error;
  std::optional<Instant> started_at, finished_at;
};

// The run of a job, or of one instance of a job with a matrix. Such a job has no tasks of its own; its instances stand
// behind all jobs of the definition, in the order in which they were first made.
struct JobRun {
  int of = -1;  // instances: position of their job
  std::string key;  // instances: db=x,os=a
  std::shared_ptr<const Json> matrix;  // instances: object, their values
  std::vector<int> instances;  // of a job with a matrix whose list is known: positions, in list order
  bool expanded = false;  // its list is known
  WorkStatus status = WorkStatus::pending;
  SkipReason reason = SkipReason::none;
  int done_in_attempt = 0;
  FailurePtr error;
  std::optional<Instant> started_at, finished_at;
  std::vector<TaskRun> tasks;  // by position in the definition
};

struct Attempt {
  int number = 1;
  int version = 0;
  RunStatus status = RunStatus::queued;
  WaitsFor waits_for = WaitsFor::none;
  std::optional<Instant> due;
  Who who;
  FailurePtr error;
  bool cancel_requested = false;
  Instant created_at{};
  std::optional<Instant> started_at, finished_at;
  std::vector<JobRun> jobs;  // by position in the definition, then instances
};

// All of a run, for looking at.
struct RunHistory {
  Run run;
  std::vector<Attempt> attempts;  // oldest first
  std::map<int, std::shared_ptr<const Workflow>> definitions;  // by version: the names that the positions mean
};

// `test`, or `test[db=x,os=a]` of an instance: how people, logs and idempotency keys name it.
inline std::string name_of(const Workflow& workflow, const std::vector<JobRun>& jobs, int job) {
  const JobRun& run = jobs[static_cast<std::size_t>(job)];
  const std::string& id = workflow.jobs[static_cast<std::size_t>(run.of < 0 ? job : run.of)].id;
  return run.of < 0 ? id : id + "[" + run.key + "]";
}

// The position of a task in an attempt: that of its job or instance in Attempt::jobs, and that of the task in it.
struct TaskRef {
  int job = 0;
  int task = 0;
  auto operator<=>(const TaskRef&) const = default;
};

}  // namespace pawl
