// The stored steps of a run. A record tells what one decision found out and did; folding the records of a run in order
// gives its whole history (engine/fold.h). Positions are those of the attempt's definition version.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "model/run.h"

namespace pawl {

// A new attempt begins. The one before it, if any, must be final, or is ended by this very record (interrupted).
struct AttemptStarted {
  int attempt = 1;
  int version = 0;
  Who who;
  std::optional<TaskRef> from;  // a rerun: from this task on, and all that needs its job; task -1: the whole job
  std::shared_ptr<const Json> inputs, vars, env;  // anew, if a person took another version
};
// The attempt was cut off by the death of its node: its open tries are `interrupted`, what had begun is
// `failed`/interrupted, the rest `skipped`/interrupted.
struct AttemptInterrupted {
  std::string message;
  bool counted = false;  // towards recover.max
  Instant last_life{};  // last instant at which the dead node is known to have lived
};
// The attempt left or entered `queued`/`waiting` as a whole, before anything of it may start.
struct AttemptHeld {
  WaitsFor waits_for = WaitsFor::none;  // none: it may go on
  std::optional<Instant> due;
};
struct AttemptEnded {
  RunStatus status = RunStatus::success;
  FailurePtr error;
};
// Nothing but clean-up starts from here on; tries that run were told to stop. `hard`: no clean-up either.
// `error` is set where not a person asked but the run's time was over.
struct StopAsked {
  Who who;
  bool hard = false;
  FailurePtr error;
};
// The server was asked to stop: the recovery that will follow is not counted.
struct StopNoted {};

// The run's verdict is known; `on-failure` and `always` follow, and then its end.
struct VerdictReached {
  RunStatus status = RunStatus::success;
  FailurePtr error;
};
// The attempt took a place in its concurrency group; it gives it back when it is final.
struct GroupTaken {};
// No earlier run of the schedule is open any more: the run need not stand in line for them.
struct LineLeft {};

struct JobStarted {
  int job = 0;
};
// The list of a job's matrix is known: one object each. Those with the key of an instance of an earlier attempt go on
// with that one's generation.
struct JobExpanded {
  int job = 0;
  std::vector<Json> values;
};
// An instance is stopped because another has failed: nothing but clean-up starts in it.
struct InstanceStopped {
  int job = 0;
};
struct JobEnded {
  int job = 0;
  WorkStatus status = WorkStatus::success;
  SkipReason reason = SkipReason::none;
  FailurePtr error;
};
// A try begins.
struct TaskStarted {
  TaskRef ref;
  int try_number = 1;
};
// A task waits before its (next) try.
struct TaskWaits {
  TaskRef ref;
  WaitsFor waits_for = WaitsFor::retry;
  std::optional<Instant> due;
  std::string message;  // of an approval
};
// A person answered a task that waited for it; what follows from that stands behind it.
struct TaskAnswered {
  TaskRef ref;
  Response response;
};
// A try ended. `success` ends its task with these outputs.
struct TryEnded {
  TaskRef ref;
  int try_number = 1;
  TryStatus status = TryStatus::success;
  FailurePtr error;
  std::shared_ptr<const Json> outputs;
  std::shared_ptr<const Json> preview;
};
// A task ended otherwise than by the success of a try: `success` is the end of a wait, an approval or a release.
struct TaskEnded {
  TaskRef ref;
  WorkStatus status = WorkStatus::failed;
  SkipReason reason = SkipReason::none;
  FailurePtr error;
  std::shared_ptr<const Json> outputs = nullptr;
};

using Change = std::variant<AttemptStarted, AttemptInterrupted, AttemptHeld, AttemptEnded, StopAsked, StopNoted,
                            VerdictReached, GroupTaken, LineLeft, JobStarted, JobExpanded, InstanceStopped, JobEnded,
                            TaskStarted, TaskWaits, TaskAnswered, TryEnded, TaskEnded>;

struct Record {
  std::int64_t seq = 0;
  Instant at{};
  std::vector<Change> changes;
};

}  // namespace pawl
