// What may happen to the engine: requests of people, results of tasks, timers. Each is decided once, in the order in
// which the inbox holds them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/json.h"
#include "model/command.h"
#include "model/run.h"

namespace pawl {

// A process that came to its own end.
struct ProcessExit {
  int exit_code = 0;
  int signal = 0;               // that ended it, 0: none; exit_code is then 128 + signal
  std::string stdout_text;      // valid UTF-8: all of it if it was wanted, else the first 16 KiB
  bool stdout_cut = false;      // more was printed than stdout_text holds
  std::string stderr_tail;      // last lines, valid UTF-8
  Json outputs;                 // object: what it wrote to $PAWL_OUTPUT
};

// An HTTP response, whatever its status.
struct HttpReply {
  int status = 0;
  Json headers;               // object, names in lower case; if they were wanted
  std::string text;           // valid UTF-8: the whole body if it was wanted as text, else its first 16 KiB
  bool text_cut = false;
  std::optional<Json> json;   // the body, if it was wanted so and is JSON
  std::string json_error;     // why it is not
};

// The outcome of one try as the runner saw it; whether that is success is the engine's to say.
struct Outcome {
  enum class End : std::uint8_t {
    completed,  // `process` or `reply` is set
    failed,     // could not be carried through: failure says why
    timed_out,  // its time was over
    stopped,    // by a StopTask
    interrupted,  // ended by the stop of the server; not a failure: the run is cut off and recovered later
  };
  End end = End::completed;
  Failure failure;  // unless completed; code as in semantics.md, such as timeout, connection_failed, output_too_large
  std::optional<ProcessExit> process;
  std::optional<HttpReply> reply;
};

struct TaskFinished {
  RunId run;
  TaskRef ref;
  int try_number = 0;
  Outcome outcome;
  int attempt = 0;  // in which it was started: another version may mean other work by the same position; 0: not known
};

// A definition was sent; it has been parsed and checked. `text` is what its author wrote.
struct WorkflowSubmitted {
  enum class Mode : std::uint8_t { create, replace, create_or_replace };
  std::shared_ptr<const Workflow> workflow;
  std::string text;
  Mode mode = Mode::create;
  Who who;
  std::string file;  // it was read from there (WorkflowRow::file); empty: it was sent
};

// Enabled or disabled by a person.
struct WorkflowSwitched {
  std::string workflow;
  bool enabled = true;
  Who who;
};
// It goes from lists, with its schedules; open runs finish, and history stays.
struct WorkflowDeleted {
  std::string workflow;
  Who who;
};
// The watched folder's file of a workflow has vanished, or cannot be taken as it is.
struct WorkflowFileLost {
  std::string workflow;
  std::string file;  // nothing happens if it is another one by now
  std::string error;  // what is wrong with it; empty: it has vanished
  bool released = false;  // neither: no folder is watched any more, so that it is managed as any other
};

// `next_at` of a schedule has come, or its workflow was enabled again.
struct ScheduleDue {
  ScheduleId schedule;
};
// A schedule is made by API. The driver reads `fields` into the rule.
struct ScheduleAdded {
  std::string workflow;
  std::string name;  // empty: main, where it is the only one
  Json fields;  // object, as in docs/api.md
  bool enabled = true;
  ScheduleRule rule;
  Who who;
};
struct ScheduleChanged {
  ScheduleId schedule;
  Json fields;  // object of what is to change, `enabled` apart; empty: none of it
  std::optional<bool> enabled;
  ScheduleRule rule;  // with the fields: the driver reads them into it
  Who who;
};
struct ScheduleDeleted {
  ScheduleId schedule;
  Who who;
};
struct BackfillRequested {
  ScheduleId schedule;
  Instant from{}, to{};  // both included
  int limit = 1;
  Who who;
};
struct BackfillCancelled {
  BackfillId backfill;
  Who who;
};
// A backfill may go on: it was asked for, a run of it has ended, or the server has started.
struct BackfillGoesOn {
  BackfillId backfill;
};

struct RunRequested {
  std::string workflow;
  Json inputs;  // object
  std::string key;  // idempotency key; empty: none
  Who who;
};

struct CancelRequested {
  RunId run;
  Who who;
};

struct ResumeRequested {
  RunId run;
  bool with_current = false;  // the workflow's newest version
  bool force = false;  // … and done tasks that cannot be matched run again
  Json inputs;  // with_current: the run\'s, as the newest version reads them; the driver fills them in
  Who who;
};

struct RerunRequested {
  RunId run;
  std::string from;  // job · job/task · job[key=value] · job[key=value]/task
  Who who;
};

// Approves or rejects an approval, or releases a task that is held.
struct AnswerRequested {
  RunId run;
  std::string job;  // with the instance's key, as in name_of()
  std::string task;
  Response response;  // who and when are filled in
  Json outputs;  // of `done`: object of declared outputs, or null
};

// `due` of a run has come.
struct TimerDue {
  RunId run;
};

// A seat is free for a run that waits for one (waits_for: limit).
struct SeatFree {
  RunId run;
};

// The node that ran it is dead: adopt or recover it. Sent at start, for each open run.
struct RunOrphaned {
  RunId run;
  Instant last_life{};  // the last instant at which the dead node is known to have lived
};

// The server was asked to stop and the tries of this run in flight are about to be cut off.
struct RunCutOff {
  RunId run;
};

// `expires_at` of a run has come.
struct RetentionReached {
  RunId run;
};

// Of a run that is gone, log and folder have been removed.
struct RemainsRemoved {
  RunId run;
};

using Event =
    std::variant<WorkflowSubmitted, RunRequested, TaskFinished, CancelRequested, ResumeRequested, RerunRequested,
                 AnswerRequested, TimerDue, SeatFree, RunOrphaned, RunCutOff, RetentionReached, RemainsRemoved,
                 WorkflowSwitched, WorkflowDeleted, WorkflowFileLost, ScheduleDue, ScheduleAdded, ScheduleChanged,
                 ScheduleDeleted, BackfillRequested, BackfillCancelled, BackfillGoesOn>;

// Answers to those who asked.
struct WorkflowAccepted {
  std::string name;
  int version = 0;
  bool created = false;  // there was none of that name
  bool unchanged = false;  // the newest version says the same already
};
struct RunAccepted {
  RunId run;
  std::int64_t number = 0;
  std::string workflow;
  bool existing = false;  // the key had started it before
};
struct ScheduleAccepted {
  ScheduleId schedule;
};
struct BackfillAccepted {
  BackfillId backfill;
};
using Answer = std::variant<std::monostate, WorkflowAccepted, RunAccepted, ScheduleAccepted, BackfillAccepted>;

}  // namespace pawl
