#include "engine/fold.h"

#include <fmt/format.h>

#include "engine/record_codec.h"
#include "engine/transitions.h"

namespace pawl::engine {
namespace {

using Applied = Result<void>;

std::unexpected<Error> broken(std::string message) { return fail(Code::corrupt, std::move(message), "broken_record"); }

std::size_t at_index(int position) { return static_cast<std::size_t>(position); }

// A verdict as it shows in the next attempt: success is done there.
void carry_verdict(JobRun& job, int attempt) {
  if (job.status == WorkStatus::success) {
    job.status = WorkStatus::skipped;
    job.reason = SkipReason::done;
    job.done_in_attempt = attempt;
  }
}
void carry_verdict(TaskRun& task, int attempt) {
  if (task.status == WorkStatus::success) {
    task.status = WorkStatus::skipped;
    task.reason = SkipReason::done;
    task.done_in_attempt = attempt;
  }
  task.tries.clear();
  task.started_at.reset();
  task.finished_at.reset();
}

bool done(const TaskRun& task) {
  return task.status == WorkStatus::success || (task.status == WorkStatus::skipped && task.reason == SkipReason::done);
}
bool done(const JobRun& job) {
  return job.status == WorkStatus::success || (job.status == WorkStatus::skipped && job.reason == SkipReason::done);
}

// Back to the beginning, in the same generation: what it did before stays known by its number of tries.
void begin_again(TaskRun& task) {
  task.status = WorkStatus::pending;
  task.reason = SkipReason::none;
  task.waits_for = WaitsFor::none;
  task.due.reset();
  task.done_in_attempt = 0;
  task.tries.clear();
  task.error.reset();
  task.started_at.reset();
  task.finished_at.reset();
}
// The recorded result is thrown away: new key, new now(), new budget.
void new_generation(TaskRun& task) {
  if (task.last_try > 0) ++task.generation;
  begin_again(task);
  task.generation_started.reset();
  task.failed_tries = 0;
  task.outputs.reset();
  task.preview.reset();
}

void begin_again(JobRun& job) {
  job.status = WorkStatus::pending;
  job.reason = SkipReason::none;
  job.done_in_attempt = 0;
  job.error.reset();
  job.started_at.reset();
  job.finished_at.reset();
}

void fresh_attempt(RunState& state) {
  const auto& jobs = state.plan->jobs;
  state.attempt.jobs.assign(jobs.size(), JobRun{});
  for (std::size_t j = 0; j < jobs.size(); ++j) state.attempt.jobs[j].tasks.assign(jobs[j].tasks.size(), TaskRun{});
}

// What the attempt after an interruption begins with: every verdict stays, cut-off jobs go on where they were.
void carry_over_interruption(RunState& state) {
  Attempt next;
  next.jobs = state.attempt.jobs;
  state.carried_cut_off.clear();
  state.carried_progress.assign(next.jobs.size(), JobProgress{});
  const int number = state.attempt.number;
  for (std::size_t j = 0; j < next.jobs.size(); ++j) {
    JobRun& job = next.jobs[j];
    if (is_final(job.status)) {
      carry_verdict(job, number);
      for (TaskRun& task : job.tasks) carry_verdict(task, number);
      continue;
    }
    const bool begun = job.status == WorkStatus::running || state.progress[j].condition_held;
    state.carried_progress[j].condition_held = begun;
    begin_again(job);
    const bool whole = begun && state.plan->jobs[j].job->resume == ResumeAt::job;
    for (std::size_t t = 0; t < job.tasks.size(); ++t) {
      TaskRun& task = job.tasks[t];
      const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
      if (whole) {
        new_generation(task);
      } else if (is_final(task.status)) {
        carry_verdict(task, number);
      } else if (task.status == WorkStatus::waiting) {
        task.tries.clear();  // its due time stays
        task.started_at.reset();
      } else {
        if (state.in_flight.contains(ref) || state.cut_off.contains(ref)) state.carried_cut_off.insert(ref);
        begin_again(task);
      }
    }
  }
  state.carried = std::move(next);
}

// What the attempt after a person's resume begins with: all that is not success runs again.
Attempt carry_over_resume(const RunState& state) {
  Attempt next;
  next.jobs = state.attempt.jobs;
  std::vector<char> again(next.jobs.size(), 0);
  // Needs come before their dependents in this order.
  std::vector<int> order, open(next.jobs.size(), 0);
  for (std::size_t j = 0; j < next.jobs.size(); ++j) {
    open[j] = static_cast<int>(state.plan->jobs[j].job->needs.size());
    if (open[j] == 0) order.push_back(static_cast<int>(j));
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t j = at_index(order[i]);
    JobRun& job = next.jobs[j];
    const bool keeps_condition = job.status == WorkStatus::skipped && job.reason == SkipReason::condition;
    if (keeps_condition) {
      for (const int need : state.plan->jobs[j].job->needs) again[j] |= again[at_index(need)];
    } else {
      again[j] = !done(job);
    }
    for (TaskRun& task : job.tasks) {
      if (!again[j] || done(task)) {
        carry_verdict(task, state.attempt.number);
      } else {
        begin_again(task);
        task.failed_tries = 0;
      }
    }
    if (again[j])
      begin_again(job);
    else
      carry_verdict(job, state.attempt.number);
    for (const int dependent : state.plan->jobs[j].dependents)
      if (--open[at_index(dependent)] == 0) order.push_back(dependent);
  }
  return next;
}

// What a final job means for those that need it.
void tell_dependents(RunState& state, int job_position) {
  const JobRun& job = state.attempt.jobs[at_index(job_position)];
  const JobProgress& own = state.progress[at_index(job_position)];
  const bool bad = !(done(job) || (job.status == WorkStatus::skipped && job.reason == SkipReason::condition));
  for (const int dependent : state.plan->jobs[at_index(job_position)].dependents) {
    JobProgress& progress = state.progress[at_index(dependent)];
    --progress.open_needs;
    progress.needs_failed |= bad;
    progress.ancestor_failed |= own.ancestor_failed || job.status == WorkStatus::failed;
  }
}

// Counts, sets and positions that follow from the attempt's jobs; run once when an attempt begins.
void derive_progress(RunState& state, const std::vector<JobProgress>* held) {
  const auto& jobs = state.plan->jobs;
  state.progress.assign(jobs.size(), JobProgress{});
  state.open_jobs = 0;
  state.in_flight.clear();
  state.slots_held = {};
  state.timers.clear();
  state.limited.clear();
  std::vector<int> final_jobs, open(jobs.size(), 0);
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    JobProgress& progress = state.progress[j];
    progress.open_needs = open[j] = static_cast<int>(jobs[j].job->needs.size());
    if (held) progress.condition_held = (*held)[j].condition_held;
    JobRun& job = state.attempt.jobs[j];
    state.open_jobs += !is_final(job.status);
    for (std::size_t t = 0; t < job.tasks.size(); ++t) {
      const TaskRun& task = job.tasks[t];
      const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
      progress.task_failed |= task.status == WorkStatus::failed;
      progress.task_cancelled |= task.status == WorkStatus::cancelled;
      if (task.status == WorkStatus::waiting && task.due) state.timers.emplace(*task.due, ref);
      if (task.status == WorkStatus::waiting && task.waits_for == WaitsFor::limit) state.limited.insert(ref);
    }
  }
  // In the order of needs, so that `ancestor_failed` has reached a job before it is passed on.
  std::vector<int> order;
  for (std::size_t j = 0; j < jobs.size(); ++j)
    if (open[j] == 0) order.push_back(static_cast<int>(j));
  for (std::size_t i = 0; i < order.size(); ++i) {
    const int j = order[i];
    if (is_final(state.attempt.jobs[at_index(j)].status)) tell_dependents(state, j);
    for (const int dependent : jobs[at_index(j)].dependents)
      if (--open[at_index(dependent)] == 0) order.push_back(dependent);
  }
}

class Apply {
 public:
  Apply(RunState& state, Instant at, const std::shared_ptr<const Plan>& new_plan)
      : s_(state), at_(at), new_plan_(new_plan) {}

  Applied operator()(const AttemptStarted& change) {
    const bool first = change.attempt == 1;
    if (first ? s_.seq != 0 || s_.attempt.version != 0 : change.attempt != s_.attempt.number + 1)
      return broken(fmt::format("attempt {} does not follow attempt {}", change.attempt, s_.attempt.number));
    if (!first && !is_final(s_.attempt.status)) return broken("an attempt begins while another is open");
    if (!new_plan_) return broken(fmt::format("version {} is not known", change.version));
    Attempt next;
    if (change.who.trigger == Trigger::recovery && !first) {
      if (!s_.carried) return broken("a recovery without an interruption");
      next = std::move(*s_.carried);
    } else if (!first) {
      next = carry_over_resume(s_);
      s_.counted_recoveries = 0;
    }
    if (!first && s_.keep_past) s_.past.push_back(std::move(s_.attempt));
    const bool recovery = s_.carried.has_value();
    s_.plan = new_plan_;
    s_.attempt = std::move(next);
    s_.attempt.number = change.attempt;
    s_.attempt.version = change.version;
    s_.attempt.status = RunStatus::queued;
    s_.attempt.who = change.who;
    s_.attempt.created_at = at_;
    if (first) fresh_attempt(s_);
    derive_progress(s_, recovery ? &s_.carried_progress : nullptr);
    s_.cut_off = recovery ? std::move(s_.carried_cut_off) : std::set<TaskRef>{};
    s_.carried.reset();
    s_.carried_progress.clear();
    s_.carried_cut_off.clear();
    // A stop that was asked for outlives a crash, not a person's resume.
    if (!recovery) {
      s_.stop_asked = s_.stop_hard = false;
      s_.stop_error.reset();
      s_.stop_at.reset();
      s_.ran = Duration{};
    }
    s_.attempt.cancel_requested = s_.stop_asked && !s_.stop_error;
    s_.stop_noted = false;
    s_.finished_task = false;
    return {};
  }

  Applied operator()(const AttemptInterrupted& change) {
    if (is_final(s_.attempt.status)) return broken("a final attempt cannot be interrupted");
    carry_over_interruption(s_);
    const auto error = std::make_shared<const Failure>(Failure{"interrupted", change.message, nullptr});
    for (JobRun& job : s_.attempt.jobs) {
      if (is_final(job.status)) continue;
      for (TaskRun& task : job.tasks) {
        if (is_final(task.status)) continue;
        const bool begun = task.status != WorkStatus::pending;
        for (Try& t : task.tries) {
          if (is_final(t.status)) continue;
          t.status = TryStatus::interrupted;
          t.finished_at = at_;
          t.error = error;
        }
        close(task, begun, error);
      }
      close(job, job.status == WorkStatus::running, error);
    }
    s_.open_jobs = 0;
    s_.in_flight.clear();
    s_.slots_held = {};
    s_.timers.clear();
    s_.limited.clear();
    s_.cut_off.clear();
    s_.attempt.status = RunStatus::failed;
    s_.attempt.waits_for = WaitsFor::none;
    s_.attempt.due.reset();
    s_.attempt.error = error;
    s_.attempt.finished_at = at_;
    if (s_.running_since) {
      s_.ran += std::max(Duration{}, change.last_life - *s_.running_since);
      s_.running_since.reset();
    }
    // A newly finished task or a longer life sets the count to 0; a stop on request leaves it as it is.
    if (s_.finished_task || (!change.counted && !s_.stop_noted)) s_.counted_recoveries = 0;
    if (change.counted) ++s_.counted_recoveries;
    return {};
  }

  Applied operator()(const AttemptHeld& change) {
    if (s_.attempt.status != RunStatus::queued) return broken("only a queued attempt can be held");
    s_.attempt.waits_for = change.waits_for;
    s_.attempt.due = change.due;
    return {};
  }

  Applied operator()(const AttemptEnded& change) {
    const AttemptEvent on = change.status == RunStatus::success     ? AttemptEvent::succeed
                            : change.status == RunStatus::cancelled ? AttemptEvent::cancel
                                                                    : AttemptEvent::fail;
    // An interrupted attempt may be given the reason why no other follows it.
    const bool gives_up = is_final(s_.attempt.status) && s_.carried && change.status != RunStatus::success;
    const auto to = next(s_.attempt.status, on);
    if (!is_final(change.status) || (!gives_up && (!to || *to != change.status)))
      return broken(fmt::format("an attempt that is {} cannot become {}", to_string(s_.attempt.status),
                                to_string(change.status)));
    if (s_.open_jobs != 0) return broken("an attempt with open jobs cannot end");
    s_.attempt.status = change.status;
    s_.attempt.waits_for = WaitsFor::none;
    s_.attempt.due.reset();
    s_.attempt.error = change.error;
    s_.attempt.finished_at = at_;
    s_.carried.reset();
    return {};
  }

  Applied operator()(const StopAsked& change) {
    if (is_final(s_.attempt.status)) return broken("a final attempt cannot be stopped");
    if (!s_.stop_asked) {
      s_.stop_at = at_;
      s_.stop_error = change.error;
    }
    s_.stop_asked = true;
    s_.stop_hard |= change.hard;
    s_.attempt.cancel_requested |= !change.error;
    return {};
  }

  Applied operator()(const StopNoted&) {
    s_.stop_noted = true;
    return {};
  }

  Applied operator()(const JobStarted& change) {
    JobRun* const job = find(change.job);
    if (!job) return broken("no such job");
    const auto to = next(job->status, JobEvent::start);
    if (!to) return illegal("job", change.job, job->status);
    job->status = *to;
    job->started_at = at_;
    return {};
  }

  Applied operator()(const JobEnded& change) {
    JobRun* const job = find(change.job);
    if (!job) return broken("no such job");
    const JobEvent on = change.status == WorkStatus::success   ? JobEvent::succeed
                        : change.status == WorkStatus::failed  ? JobEvent::fail
                        : change.status == WorkStatus::skipped ? JobEvent::pass_over
                                                               : JobEvent::cancel;
    const auto to = next(job->status, on);
    if (!to || *to != change.status) return illegal("job", change.job, job->status);
    job->status = *to;
    job->reason = change.reason;
    job->error = change.error;
    job->finished_at = at_;
    // Tasks that were never reached share their job's fate.
    for (TaskRun& task : job->tasks) {
      if (is_final(task.status)) continue;
      if (task.status != WorkStatus::pending) return broken("a job with an open task cannot end");
      task.status = change.status == WorkStatus::cancelled ? WorkStatus::cancelled : WorkStatus::skipped;
      if (task.status == WorkStatus::skipped)
        task.reason = change.status == WorkStatus::skipped ? change.reason : SkipReason::upstream;
    }
    --s_.open_jobs;
    tell_dependents(s_, change.job);
    return {};
  }

  Applied operator()(const TaskStarted& change) {
    TaskRun* const task = find(change.ref);
    if (!task) return broken("no such task");
    const auto to = next(task->status, TaskEvent::start);
    if (!to || s_.in_flight.contains(change.ref)) return illegal("task", change.ref.job, task->status);
    if (change.try_number != task->last_try + 1) return broken("tries are not numbered one after the other");
    leave_waiting(*task, change.ref);
    task->status = *to;
    task->last_try = change.try_number;
    if (!task->generation_started) task->generation_started = at_;
    if (!task->started_at) task->started_at = at_;
    task->tries.push_back(Try{.number = change.try_number, .started_at = at_});
    s_.in_flight.insert(change.ref);
    s_.stop_noted = false;  // it was followed by no crash
    s_.cut_off.erase(change.ref);
    ++s_.slots_held[static_cast<std::size_t>(slot_of(s_.plan_of(change.ref)))];
    s_.attempt.waits_for = WaitsFor::none;
    s_.attempt.due.reset();
    return {};
  }

  Applied operator()(const TaskWaits& change) {
    TaskRun* const task = find(change.ref);
    if (!task) return broken("no such task");
    const auto to = next(task->status, TaskEvent::wait);
    if (!to || s_.in_flight.contains(change.ref)) return illegal("task", change.ref.job, task->status);
    leave_waiting(*task, change.ref);
    task->status = *to;
    task->waits_for = change.waits_for;
    task->due = change.due;
    if (change.due) s_.timers.emplace(*change.due, change.ref);
    if (change.waits_for == WaitsFor::limit) s_.limited.insert(change.ref);
    return {};
  }

  Applied operator()(const TryEnded& change) {
    TaskRun* const task = find(change.ref);
    if (!task) return broken("no such task");
    if (!s_.in_flight.contains(change.ref) || task->tries.empty() || task->tries.back().number != change.try_number ||
        !is_final(change.status))
      return broken("a try ends that is not running");
    Try& ended = task->tries.back();
    ended.status = change.status;
    ended.error = change.error;
    ended.finished_at = at_;
    s_.in_flight.erase(change.ref);
    --s_.slots_held[static_cast<std::size_t>(slot_of(s_.plan_of(change.ref)))];
    task->preview = change.preview;
    task->outputs = change.outputs;
    if (change.status == TryStatus::success) {
      const auto to = next(task->status, TaskEvent::succeed);
      if (!to) return illegal("task", change.ref.job, task->status);
      task->status = *to;
      task->finished_at = at_;
      // A task that is done over and over, as `resume: job` may have it, is no progress: it would hide a poison run.
      s_.finished_task |= !task->was_done;
      task->was_done = true;
    } else if (change.status == TryStatus::failed || change.status == TryStatus::timed_out) {
      ++task->failed_tries;
    }
    return {};
  }

  Applied operator()(const TaskEnded& change) {
    TaskRun* const task = find(change.ref);
    if (!task) return broken("no such task");
    const TaskEvent on = change.status == WorkStatus::failed    ? TaskEvent::give_up
                         : change.status == WorkStatus::skipped ? TaskEvent::pass_over
                                                                : TaskEvent::cancel;
    const auto to = next(task->status, on);
    if (!to || *to != change.status || s_.in_flight.contains(change.ref))
      return illegal("task", change.ref.job, task->status);
    leave_waiting(*task, change.ref);
    task->status = *to;
    task->reason = change.reason;
    task->error = change.error;
    task->finished_at = at_;
    s_.cut_off.erase(change.ref);
    JobProgress& progress = s_.progress[at_index(change.ref.job)];
    progress.task_failed |= *to == WorkStatus::failed;
    progress.task_cancelled |= *to == WorkStatus::cancelled;
    return {};
  }

 private:
  JobRun* find(int job) {
    return job >= 0 && at_index(job) < s_.attempt.jobs.size() ? &s_.attempt.jobs[at_index(job)] : nullptr;
  }
  TaskRun* find(TaskRef ref) {
    JobRun* const job = find(ref.job);
    return job && ref.task >= 0 && at_index(ref.task) < job->tasks.size() ? &job->tasks[at_index(ref.task)] : nullptr;
  }
  static std::unexpected<Error> illegal(std::string_view what, int job, WorkStatus status) {
    return broken(fmt::format("no such move of a {} of job {} that is {}", what, job, to_string(status)));
  }
  void leave_waiting(TaskRun& task, TaskRef ref) {
    if (task.status != WorkStatus::waiting) return;
    if (task.due) s_.timers.erase({*task.due, ref});
    s_.limited.erase(ref);
    task.waits_for = WaitsFor::none;
    task.due.reset();
  }
  void close(TaskRun& task, bool begun, const FailurePtr& error) const {
    task.status = begun ? WorkStatus::failed : WorkStatus::skipped;
    task.reason = begun ? SkipReason::none : SkipReason::interrupted;
    task.error = begun ? error : nullptr;
    task.waits_for = WaitsFor::none;
    task.due.reset();
    if (begun) task.finished_at = at_;
  }
  void close(JobRun& job, bool begun, const FailurePtr& error) const {
    job.status = begun ? WorkStatus::failed : WorkStatus::skipped;
    job.reason = begun ? SkipReason::none : SkipReason::interrupted;
    job.error = begun ? error : nullptr;
    if (begun) job.finished_at = at_;
  }

  RunState& s_;
  Instant at_;
  const std::shared_ptr<const Plan>& new_plan_;
};

}  // namespace

Result<void> apply(RunState& state, const Change& change, Instant at, const std::shared_ptr<const Plan>& new_plan) {
  return std::visit(Apply(state, at, new_plan), change);
}

std::optional<Instant> next_due(const RunState& state) {
  if (is_final(state.attempt.status)) return std::nullopt;
  std::optional<Instant> due;
  const auto sooner = [&](Instant instant) {
    if (!due || instant < *due) due = instant;
  };
  if (state.held()) {
    if (state.attempt.due) sooner(*state.attempt.due);
    return due;
  }
  if (!state.timers.empty()) sooner(state.timers.begin()->first);
  if (state.stop_asked) {
    if (!state.stop_hard) sooner(*state.stop_at + cleanup_timeout);
  } else if (state.running_since) {
    sooner(*state.running_since + (state.plan->workflow->timeout - state.ran));
  }
  return due;
}

bool settle_row(RunState& state, Instant at) {
  Attempt& attempt = state.attempt;
  if (!is_final(attempt.status) && !state.held()) {
    if (!state.in_flight.empty()) {
      attempt.status = RunStatus::running;
      attempt.waits_for = WaitsFor::none;
      attempt.due.reset();
    } else if (!state.timers.empty()) {
      const TaskRun& first = state.task(state.timers.begin()->second);
      attempt.status = RunStatus::waiting;
      attempt.waits_for = first.waits_for;
      attempt.due = first.due;
    } else if (!state.limited.empty()) {
      attempt.status = RunStatus::waiting;
      attempt.waits_for = WaitsFor::limit;
      attempt.due.reset();
    }
  }
  if (attempt.status == RunStatus::running && !state.running_since) state.running_since = at;
  if (attempt.status != RunStatus::running && state.running_since) {
    state.ran += at - *state.running_since;
    state.running_since.reset();
  }
  if (attempt.status != RunStatus::queued && !attempt.started_at) attempt.started_at = at;

  Run& run = state.run;
  if (run.status == attempt.status && run.waits_for == attempt.waits_for && run.due == attempt.due &&
      run.attempt == attempt.number && run.error == attempt.error)
    return false;
  run.status = attempt.status;
  run.waits_for = attempt.waits_for;
  run.due = attempt.due;
  run.attempt = attempt.number;
  run.version = attempt.version;
  run.error = attempt.error;
  if (!run.started_at) run.started_at = attempt.started_at;
  run.finished_at = attempt.finished_at;
  return true;
}

Result<RunState> fold(Run run, const Plans& plans, const std::vector<RecordRow>& records, bool keep_past) {
  RunState state;
  state.run = std::move(run);
  state.keep_past = keep_past;
  const auto corrupt = [&](std::int64_t seq, const std::string& why) {
    return fail(Code::corrupt, fmt::format("run {}, record {}: {}", to_string(state.run.id), seq, why),
                "broken_record");
  };
  for (const RecordRow& row : records) {
    if (row.seq != state.seq + 1) return corrupt(row.seq, fmt::format("record {} is missing", state.seq + 1));
    const auto changes = decode(row.body);
    if (!changes) return corrupt(row.seq, changes.error().message);
    for (const Change& change : *changes) {
      std::shared_ptr<const Plan> plan;
      if (const auto* started = std::get_if<AttemptStarted>(&change)) {
        auto found = plans(started->version);
        if (!found) return std::unexpected(found.error());
        plan = std::move(*found);
      } else if (!state.plan) {
        return corrupt(row.seq, "the run has no attempt yet");
      }
      if (const auto applied = apply(state, change, row.at, plan); !applied)
        return corrupt(row.seq, applied.error().message);
    }
    settle_row(state, row.at);
    state.seq = row.seq;
    state.last_at = row.at;
  }
  if (!state.plan) return corrupt(0, "the run has no records");
  return state;
}

RunHistory history(RunState&& state) {
  RunHistory history;
  history.definitions[state.attempt.version] = state.plan->workflow;
  history.attempts = std::move(state.past);
  history.attempts.push_back(std::move(state.attempt));
  history.run = std::move(state.run);
  return history;
}

}  // namespace pawl::engine
