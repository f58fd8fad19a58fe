// One decision under way: what every concept file of the engine works on.
#pragma once

#include <vector>

#include "engine/context.h"
#include "engine/engine.h"
#include "engine/fold.h"

namespace pawl::engine {

class Step {
 public:
  Step(RunState& run, Limits& node_limits, Instant instant, Decision& decision)
      : s(run), limits(node_limits), now(instant), out(decision) {}

  RunState& s;
  Limits& limits;
  const Instant now;
  Decision& out;

  // Records the change and lives through it. After a change that does not fit (a bug) nothing more is recorded.
  void emit(Change change, const std::shared_ptr<const Plan>& new_plan = nullptr);
  void command(Command command) { out.commands.push_back(std::move(command)); }
  bool broken() const { return !out.broken.empty(); }

  bool stopping_now = false;  // a stop is being asked for: what waits ends, even if it is clean-up
  bool hold_cut_off = false;  // what was cut off waits for a person's release, whatever its on-crash says

  // Jobs whose last need has become final, in the order in which they did; settle() looks at them.
  std::vector<int> ready;

  const JobPlan& plan(int job) const { return s.job_plan(job); }
  JobRun& job(int job) const { return s.attempt.jobs[static_cast<std::size_t>(job)]; }
  JobProgress& progress(int job) const { return s.progress[static_cast<std::size_t>(job)]; }

  // Ends the decision: the record and, if it has changed, the row go into the changeset.
  void finish();

 private:
  std::vector<Change> changes_;
};

inline FailurePtr failure(std::string code, std::string message, Json cause = nullptr) {
  return std::make_shared<const Failure>(Failure{std::move(code), std::move(message), std::move(cause)});
}

// run.cc
void begin_attempt(Step& step);  // looks at every job that needs nothing open, then settles
void settle(Step& step);         // looks at ready jobs until there is none, and ends the attempt when no job is open

// job.cc
void look_at_job(Step& step, int job);  // its needs are final: starts it, or passes over it
void advance_job(Step& step, int job);  // starts its next task, or ends it
// The same after something happened in it; an instance's end may start another instance or end their job.
void advance(Step& step, int job);
// Whether nothing but clean-up starts in it any more.
bool is_stopping(const Step& step, int job);
void end_job(Step& step, int job, WorkStatus status, SkipReason reason = SkipReason::none, FailurePtr error = nullptr);

// matrix.cc
// Makes the list of a job's instances. False: the job has ended, as failed, or as skipped because the list is empty.
bool expand_job(Step& step, int job);
// Starts instances as far as max-parallel allows, stops them all after a failure if it is to, ends their job.
void advance_instances(Step& step, int job);

// task.cc
// Starts a try, or lets the task wait, for a seat, an instant or a person. False: it has ended at once.
bool start_task(Step& step, TaskRef ref);
void end_task(Step& step, TaskRef ref, WorkStatus status, SkipReason reason, FailurePtr error);
void finish_try(Step& step, const TaskFinished& event);
void task_is_due(Step& step, TaskRef ref);
enum class Held : std::uint8_t { yes, no, upstream, failed };
struct Judged {
  Held verdict = Held::yes;
  FailurePtr error;  // of failed
};
// The condition of a job (task -1) or task with what came before it.
Judged judge(Step& step, int job, int task, const Condition& condition, RunContext::Status status);

// retry.cc
Duration retry_delay(const Retry& retry, int failed_tries, std::uint64_t random);

// cancel.cc
void stop_run(Step& step, const Who& who, bool hard, FailurePtr error);

// limits.cc
// Starts tasks of a waiting run that want seats, as far as seats are free.
void use_free_seats(Step& step);
bool may_leave_probation_queue(Step& step);
// Whether the attempt may begin: it is in no concurrency group, or takes a place. False: it is held.
bool admit(Step& step);

// timers.cc
void on_timer(Step& step);

// recovery.cc
void recover(Step& step, Instant last_life);
void cut_off(Step& step);

// resume.cc
Result<Answer> resume(Step& step, const ResumeRequested& event, const View& view);
Result<Answer> rerun(Step& step, const RerunRequested& event);

// answer.cc
Result<Answer> answer(Step& step, const AnswerRequested& event);

}  // namespace pawl::engine
