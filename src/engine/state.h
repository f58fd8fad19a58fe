// A run as the engine holds it while it is open: its row, its newest attempt, and what follows from them. Only apply()
// changes it, so a run folded from its records and the one that lived through them are equal.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/plan.h"
#include "model/record.h"
#include "model/run.h"
#include "model/seat.h"

namespace pawl::engine {

struct JobProgress {
  int open_needs = 0;            // jobs it needs that are not final
  int next_task = 0;  // a cursor of advance_job: all tasks before it are final; after a fold it begins at 0.
                      // Of a job with a matrix: of its instances, all before it have begun
  bool condition_held = false;  // its `if` was evaluated in an earlier attempt, and is not again
  bool needs_failed = false;  // a job it needs failed or was skipped/upstream
  bool ancestor_failed = false;  // any job above it failed
  bool task_failed = false;  // one of its tasks failed, and that counts
  bool task_cancelled = false;
  bool stopping = false;     // an instance: another one failed, nothing but clean-up starts in it
  int instances_running = 0;  // of a job with a matrix
  int instances_open = 0;     // those that are not final
  bool instance_failed = false;
};

struct Verdict {
  RunStatus status = RunStatus::success;
  FailurePtr error;
};

struct RunState {
  Run run;
  std::shared_ptr<const Plan> plan;
  Attempt attempt;
  std::int64_t seq = 0;  // of the newest record
  Instant last_at{};  // of the newest record

  // All below follows from the records.
  std::vector<JobProgress> progress;  // by position in attempt.jobs
  int open_jobs = 0;  // jobs that make the verdict and are not final; instances are counted by their job
  int open_reserved = 0;  // those that do not, likewise
  std::optional<Verdict> verdict;  // stored before reserved jobs start; it outlives a crash
  std::set<TaskRef> in_flight;  // tasks with a running try
  std::array<int, seat_kinds> seats_held{};  // in_flight by kind
  std::set<std::pair<Instant, TaskRef>> timers;  // waiting tasks with a due time
  std::set<TaskRef> limited;  // waiting tasks that want a seat
  std::set<TaskRef> asking;  // waiting tasks that a person has to answer
  std::set<TaskRef> cut_off;  // carried tasks whose try was in flight when the node died
  std::vector<Attempt> past;  // earlier attempts, if they are kept
  std::map<int, std::shared_ptr<const Workflow>> definitions;  // of all attempts, if they are kept
  bool keep_past = false;
  bool other_version = false;  // some attempt took another version than the one before it
  std::optional<Attempt> carried;  // what the next attempt begins with after an interruption
  std::vector<JobProgress> carried_progress;
  std::set<TaskRef> carried_cut_off;

  bool stop_asked = false;  // cancel or run timeout: nothing but clean-up starts
  bool stop_hard = false;  // not even clean-up
  FailurePtr stop_error;  // set: the run's time was over; else a person asked
  std::optional<Instant> stop_at;
  bool stop_noted = false;  // the server was asked to stop
  bool line_left = false;  // since the row was settled
  bool finished_task = false;  // in this attempt a task was newly recorded as done
  int counted_recoveries = 0;

  Duration ran{};  // time spent running, while it was not running_since
  Duration ran_before{};  // `ran` when the attempt began
  std::optional<Instant> running_since;

  TaskRun& task(TaskRef ref) {
    return attempt.jobs[static_cast<std::size_t>(ref.job)].tasks[static_cast<std::size_t>(ref.task)];
  }
  const TaskRun& task(TaskRef ref) const {
    return attempt.jobs[static_cast<std::size_t>(ref.job)].tasks[static_cast<std::size_t>(ref.task)];
  }
  const JobPlan& job_plan(int job) const {
    const int of = attempt.jobs[static_cast<std::size_t>(job)].of;
    return plan->jobs[static_cast<std::size_t>(of < 0 ? job : of)];
  }
  const TaskPlan& plan_of(TaskRef ref) const { return job_plan(ref.job).tasks[static_cast<std::size_t>(ref.task)]; }
  std::string job_name(int job) const { return name_of(*plan->workflow, attempt.jobs, job); }
  bool held() const { return attempt.status == RunStatus::queued && attempt.waits_for != WaitsFor::none; }
};

// A run for a slot that is late: `on-late` is all there is to it, in later attempts too. In other runs it has no part.
inline bool is_late(const RunState& state) { return state.run.who.trigger == Trigger::late; }
// Whether the run ends as its jobs of this role do; the others come behind the verdict.
inline bool makes_verdict(const RunState& state, Role role) { return role == Role::normal || is_late(state); }
// The role of the jobs that do the run's work.
inline Role working_role(const RunState& state) { return is_late(state) ? Role::on_late : Role::normal; }

inline Seat seat_of(const TaskPlan& task) { return pawl::seat_of(*task.task); }

// The next instant at which time alone changes something; nullopt: never.
std::optional<Instant> next_due(const RunState& state);

}  // namespace pawl::engine
