#include "engine/fold.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "engine/carry.h"
#include "engine/record_codec.h"
#include "engine/transitions.h"

namespace pawl::engine {
namespace {

using Applied = Result<void>;

std::unexpected<Error> broken(std::string message) { return fail(Code::corrupt, std::move(message), "broken_record"); }

std::size_t at_index(int position) { return static_cast<std::size_t>(position); }

bool waits_for_person(WaitsFor waits_for) { return waits_for == WaitsFor::approval || waits_for == WaitsFor::release; }

// What a final job means for those that need it.
void tell_dependents(RunState& state, int job_position) {
  const JobRun& job = state.attempt.jobs[at_index(job_position)];
  const JobProgress& own = state.progress[at_index(job_position)];
  const bool goes_on = job.status == WorkStatus::failed && state.plan->jobs[at_index(job_position)].job->keep_going;
  const bool bad =
      !(is_done(job) || goes_on || (job.status == WorkStatus::skipped && job.reason == SkipReason::condition));
  for (const int dependent : state.plan->jobs[at_index(job_position)].dependents) {
    JobProgress& progress = state.progress[at_index(dependent)];
    --progress.open_needs;
    if (!planted(Planted::blind_needs)) progress.needs_failed |= bad;
    progress.ancestor_failed |= own.ancestor_failed || job.status == WorkStatus::failed;
  }
}

// What the tasks of one job or instance mean for it, and what of them waits.
void derive_tasks(RunState& state, int position) {
  JobProgress& progress = state.progress[at_index(position)];
  const JobPlan& plan = state.job_plan(position);
  const JobRun& job = state.attempt.jobs[at_index(position)];
  for (std::size_t t = 0; t < job.tasks.size(); ++t) {
    const TaskRun& task = job.tasks[t];
    const TaskRef ref{position, static_cast<int>(t)};
    if (!planted(Planted::forgotten_failure)) progress.task_failed |= failure_counts(plan.tasks[t], task);
    progress.task_cancelled |= task.status == WorkStatus::cancelled;
    if (task.status != WorkStatus::waiting) continue;
    if (task.due) state.timers.emplace(*task.due, ref);
    if (task.waits_for == WaitsFor::limit) state.limited.insert(ref);
    if (waits_for_person(task.waits_for)) state.asking.insert(ref);
  }
}

// Counts, sets and positions that follow from the attempt's jobs; run once when an attempt begins.
void derive_progress(RunState& state, const std::vector<JobProgress>* held) {
  const auto& jobs = state.plan->jobs;
  state.progress.assign(state.attempt.jobs.size(), JobProgress{});
  state.open_jobs = 0;
  state.open_reserved = 0;
  state.in_flight.clear();
  state.seats_held = {};
  state.timers.clear();
  state.limited.clear();
  state.asking.clear();
  std::vector<int> open(jobs.size(), 0), order;
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    JobProgress& progress = state.progress[j];
    progress.open_needs = open[j] = static_cast<int>(jobs[j].job->needs.size());
    if (open[j] == 0) order.push_back(static_cast<int>(j));
    const JobRun& job = state.attempt.jobs[j];
    (makes_verdict(state, jobs[j].job->role) ? state.open_jobs : state.open_reserved) += !is_final(job.status);
    derive_tasks(state, static_cast<int>(j));
    for (const int instance : job.instances) {
      const JobRun& one = state.attempt.jobs[at_index(instance)];
      progress.instances_open += !is_final(one.status);
      progress.instance_failed |= one.status == WorkStatus::failed;
      derive_tasks(state, instance);
    }
  }
  if (held)
    for (std::size_t j = 0; j < held->size(); ++j) state.progress[j].condition_held = (*held)[j].condition_held;
  // In the order of needs, so that `ancestor_failed` has reached a job before it is passed on.
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
    const bool recovery = change.who.trigger == Trigger::recovery && !first;
    Attempt next;
    if (recovery) {
      if (!s_.carried) return broken("a recovery without an interruption");
      next = std::move(*s_.carried);
    } else if (first) {
      next.jobs = fresh_jobs(*new_plan_);
    } else {
      if (change.from && !find(*change.from, true)) return broken("a rerun from what there is not");
      next.jobs = carry_over_resume(s_, new_plan_, change.from);
      s_.counted_recoveries = 0;
    }
    if (!first && s_.keep_past) s_.past.push_back(std::move(s_.attempt));
    if (s_.keep_past) s_.definitions.emplace(change.version, new_plan_->workflow);
    s_.other_version |= !first && change.version != s_.attempt.version;
    s_.plan = new_plan_;
    s_.attempt = std::move(next);
    s_.attempt.number = change.attempt;
    s_.attempt.version = change.version;
    s_.attempt.status = RunStatus::queued;
    s_.attempt.who = change.who;
    s_.attempt.created_at = at_;
    if (change.inputs) s_.run.inputs = *change.inputs;
    if (change.vars) s_.run.vars = *change.vars;
    if (change.env) s_.run.env = *change.env;
    derive_progress(s_, recovery ? &s_.carried_progress : nullptr);
    s_.cut_off = recovery ? std::move(s_.carried_cut_off) : std::set<TaskRef>{};
    s_.carried.reset();
    s_.carried_progress.clear();
    s_.carried_cut_off.clear();
    // A stop that was asked for outlives a crash, and so does a verdict; a person's resume ends both.
    if (!recovery) {
      s_.stop_asked = s_.stop_hard = false;
      s_.stop_error.reset();
      s_.stop_at.reset();
      s_.verdict.reset();
      s_.ran = Duration{};
      s_.run.group_held = false;
      if (!s_.run.group.empty()) s_.run.group_since = at_;
    }
    if (planted(Planted::forgotten_cancel)) s_.stop_asked = s_.stop_hard = false;
    if (planted(Planted::forgotten_verdict)) s_.verdict.reset();
    s_.ran_before = s_.ran;
    s_.attempt.cancel_requested = s_.stop_asked && !s_.stop_error;
    s_.stop_noted = false;
    s_.finished_task = false;
    return {};
  }

  Applied operator()(const AttemptInterrupted& change) {
    if (is_final(s_.attempt.status)) return broken("a final attempt cannot be interrupted");
    // A newly finished task or a longer life sets the count to 0; a stop on request leaves it as it is.
    if (s_.finished_task || (!change.counted && !s_.stop_noted)) s_.counted_recoveries = 0;
    if (change.counted && !planted(Planted::uncounted_recovery)) ++s_.counted_recoveries;
    const Recover& policy = s_.plan->workflow->recover;
    carry_over_interruption(s_, policy.then_hold && s_.counted_recoveries > policy.max);
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
    s_.open_reserved = 0;
    s_.in_flight.clear();
    s_.seats_held = {};
    s_.timers.clear();
    s_.limited.clear();
    s_.asking.clear();
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
    if (s_.open_jobs != 0 || s_.open_reserved != 0) return broken("an attempt with open jobs cannot end");
    s_.attempt.status = change.status;
    s_.attempt.waits_for = WaitsFor::none;
    s_.attempt.due.reset();
    s_.attempt.error = change.error;
    s_.attempt.finished_at = at_;
    s_.carried.reset();
    s_.run.group_held = false;
    return {};
  }

  Applied operator()(const VerdictReached& change) {
    if (is_final(s_.attempt.status) || s_.verdict) return broken("a verdict comes once, in an open attempt");
    if (s_.open_jobs != 0) return broken("a verdict while jobs are open");
    s_.verdict = Verdict{change.status, change.error};
    return {};
  }

  Applied operator()(const GroupTaken&) {
    if (s_.run.group.empty() || s_.run.group_held || is_final(s_.attempt.status))
      return broken("a place in a group that was not asked for");
    s_.run.group_held = true;
    return {};
  }

  Applied operator()(const LineLeft&) {
    if (!s_.run.slot || is_final(s_.attempt.status)) return broken("it stood in no line");
    s_.run.slot->in_line = s_.run.slot->cancels = false;
    s_.line_left = true;
    return {};
  }

  Applied operator()(const StopAsked& change) {
    if (is_final(s_.attempt.status)) return broken("a final attempt cannot be stopped");
    if (!s_.stop_asked) {
      s_.stop_at = at_;
      s_.stop_error = change.error;
    }
    s_.stop_asked = true;
    s_.stop_hard |= change.hard && !planted(Planted::soft_second_cancel);
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
    if (job->of >= 0) ++s_.progress[at_index(job->of)].instances_running;
    return {};
  }

  Applied operator()(const JobExpanded& change) {
    JobRun* const job = find(change.job);
    if (!job || job->of >= 0 || job->expanded || !s_.plan->jobs[at_index(change.job)].job->matrix)
      return broken("a list of instances for a job that takes none");
    // Those that an earlier attempt made are found by their key, so that their work keeps its generation.
    std::map<std::string, int> known;
    for (std::size_t i = s_.plan->jobs.size(); i < s_.attempt.jobs.size(); ++i)
      if (s_.attempt.jobs[i].of == change.job) known.emplace(s_.attempt.jobs[i].key, static_cast<int>(i));
    std::vector<int> instances;
    std::set<int> listed;
    for (const Json& values : change.values) {
      if (!values.is_object()) return broken("an instance without values");
      std::string key = instance_key(values);
      auto [entry, is_new] = known.emplace(key, static_cast<int>(s_.attempt.jobs.size()));
      if (!listed.insert(entry->second).second) return broken("two instances of one key");
      instances.push_back(entry->second);
      if (is_new) {
        JobRun instance;
        instance.of = change.job;
        instance.key = std::move(key);
        instance.tasks.assign(s_.plan->jobs[at_index(change.job)].tasks.size(), unknown_task(s_, s_.attempt.number));
        s_.attempt.jobs.push_back(std::move(instance));
        s_.progress.emplace_back();
      }
      s_.attempt.jobs[at_index(entry->second)].matrix = std::make_shared<const Json>(values);
      derive_tasks(s_, entry->second);
    }
    JobRun& parent = s_.attempt.jobs[at_index(change.job)];
    parent.expanded = true;
    parent.instances = std::move(instances);
    JobProgress& progress = s_.progress[at_index(change.job)];
    for (const int instance : parent.instances) {
      const JobRun& one = s_.attempt.jobs[at_index(instance)];
      progress.instances_open += !is_final(one.status);
      progress.instance_failed |= one.status == WorkStatus::failed;
    }
    return {};
  }

  Applied operator()(const InstanceStopped& change) {
    JobRun* const job = find(change.job);
    if (!job || job->of < 0 || is_final(job->status)) return broken("no open instance to stop");
    s_.progress[at_index(change.job)].stopping = true;
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
    if (change.status != WorkStatus::skipped && s_.progress[at_index(change.job)].instances_open > 0)
      return broken("a job with open instances cannot end");
    // Tasks that were never reached share their job's fate.
    for (TaskRun& task : job->tasks) {
      if (is_final(task.status)) continue;
      if (task.status != WorkStatus::pending) return broken("a job with an open task cannot end");
      task.status = change.status == WorkStatus::cancelled ? WorkStatus::cancelled : WorkStatus::skipped;
      if (task.status == WorkStatus::skipped)
        task.reason = change.status == WorkStatus::skipped ? change.reason : SkipReason::upstream;
    }
    if (job->of >= 0) {
      JobProgress& parent = s_.progress[at_index(job->of)];
      if (change.status != WorkStatus::skipped && job->started_at) --parent.instances_running;
      --parent.instances_open;
      parent.instance_failed |= job->status == WorkStatus::failed;
      return {};
    }
    --(makes_verdict(s_, s_.plan->jobs[at_index(change.job)].job->role) ? s_.open_jobs : s_.open_reserved);
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
    begin(*task);
    task->tries.push_back(Try{.number = change.try_number, .started_at = at_});
    s_.in_flight.insert(change.ref);
    s_.stop_noted = false;  // it was followed by no crash
    s_.cut_off.erase(change.ref);
    ++s_.seats_held[static_cast<std::size_t>(seat_of(s_.plan_of(change.ref)))];
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
    task->message = change.message;
    if (change.due) s_.timers.emplace(*change.due, change.ref);
    if (change.waits_for == WaitsFor::limit) s_.limited.insert(change.ref);
    if (waits_for_person(change.waits_for)) s_.asking.insert(change.ref);
    if (!has_tries(*s_.plan_of(change.ref).task)) begin(*task);
    s_.cut_off.erase(change.ref);
    return {};
  }

  Applied operator()(const TaskAnswered& change) {
    TaskRun* const task = find(change.ref);
    if (!task || !s_.asking.contains(change.ref)) return broken("an answer that nobody waits for");
    task->response = std::make_shared<const Response>(change.response);
    s_.counted_recoveries = 0;  // a person has looked at it
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
    --s_.seats_held[static_cast<std::size_t>(seat_of(s_.plan_of(change.ref)))];
    task->preview = change.preview;
    task->outputs = change.outputs;
    if (change.status == TryStatus::success) {
      const auto to = next(task->status, TaskEvent::succeed);
      if (!to) return illegal("task", change.ref.job, task->status);
      task->status = *to;
      finish_well(*task);
    } else if (change.status == TryStatus::failed || change.status == TryStatus::timed_out) {
      ++task->failed_tries;
    }
    return {};
  }

  Applied operator()(const TaskEnded& change) {
    TaskRun* const task = find(change.ref);
    if (!task) return broken("no such task");
    const TaskEvent on = change.status == WorkStatus::success   ? TaskEvent::succeed
                         : change.status == WorkStatus::failed  ? TaskEvent::give_up
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
    if (change.outputs) task->outputs = change.outputs;
    s_.cut_off.erase(change.ref);
    if (*to == WorkStatus::success) {
      begin(*task);
      finish_well(*task);
    }
    JobProgress& progress = s_.progress[at_index(change.ref.job)];
    progress.task_failed |= failure_counts(s_.plan_of(change.ref), *task);
    progress.task_cancelled |= *to == WorkStatus::cancelled;
    return {};
  }

 private:
  JobRun* find(int job) {
    return job >= 0 && at_index(job) < s_.attempt.jobs.size() ? &s_.attempt.jobs[at_index(job)] : nullptr;
  }
  // `or_job`: task -1 is the job as a whole.
  bool find(TaskRef ref, bool or_job) { return (or_job && ref.task == -1 && find(ref.job)) || find(ref); }
  // The first start of a generation.
  void begin(TaskRun& task) const {
    if (!task.generation_started) task.generation_started = at_;
    if (!task.started_at) task.started_at = at_;
  }
  void finish_well(TaskRun& task) {
    task.finished_at = at_;
    // A task that is done over and over, as `resume: job` may have it, is no progress: it would hide a poison run.
    s_.finished_task |= !task.was_done;
    task.was_done = true;
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
    s_.asking.erase(ref);
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

std::string instance_key(const Json& values) {
  std::map<std::string_view, const Json*> sorted;
  for (const auto& member : values.get_object())
    sorted.emplace(std::string_view(member.key().data(), member.key().size()), &member.value());
  std::string key;
  for (const auto& [name, value] : sorted) {
    if (!key.empty()) key += ',';
    key += name;
    key += '=';
    if (value->is_string())
      key += as_view(*value);
    else
      append_json(key, *value);
  }
  return key;
}

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
    if (!state.stop_hard) sooner(*state.stop_at + state.plan->workflow->cleanup_timeout);
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
    } else if (!state.limited.empty()) {
      // This comes first, because a restarted node finds by it the runs that want seats.
      attempt.status = RunStatus::waiting;
      attempt.waits_for = WaitsFor::limit;
      attempt.due = state.timers.empty() ? std::nullopt : std::optional(state.timers.begin()->first);
    } else if (!state.asking.empty()) {
      // Said before a due time, because a person can do something about it.
      attempt.status = RunStatus::waiting;
      attempt.waits_for = state.task(*state.asking.begin()).waits_for;
      attempt.due = state.timers.empty() ? std::nullopt : std::optional(state.timers.begin()->first);
    } else if (!state.timers.empty()) {
      const TaskRun& first = state.task(state.timers.begin()->second);
      attempt.status = RunStatus::waiting;
      attempt.waits_for = first.waits_for;
      attempt.due = first.due;
    }
  }
  if (attempt.status == RunStatus::running && !state.running_since) state.running_since = at;
  if (attempt.status != RunStatus::running && state.running_since) {
    state.ran += at - *state.running_since;
    state.running_since.reset();
  }
  if (attempt.status != RunStatus::queued && !attempt.started_at) attempt.started_at = at;

  const auto& retention = state.plan->workflow->retention;
  std::optional<Instant> expires_at;
  if (is_final(attempt.status) && attempt.finished_at && retention) expires_at = *attempt.finished_at + *retention;

  Run& run = state.run;
  const bool same_due = run.due == attempt.due || planted(Planted::stale_row);
  if (!std::exchange(state.line_left, false) && run.status == attempt.status && run.waits_for == attempt.waits_for &&
      same_due && run.attempt == attempt.number && run.error == attempt.error && run.expires_at == expires_at)
    return false;
  run.status = attempt.status;
  run.waits_for = attempt.waits_for;
  run.due = attempt.due;
  run.attempt = attempt.number;
  run.version = attempt.version;
  run.error = attempt.error;
  if (!run.started_at) run.started_at = attempt.started_at;
  run.finished_at = attempt.finished_at;
  run.expires_at = expires_at;
  return true;
}

Result<RunState> fold(Run run, const Plans& plans, const std::vector<RecordRow>& records, bool keep_past) {
  RunState state;
  state.run = std::move(run);
  state.run.group_held = false;
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
  history.definitions = std::move(state.definitions);
  history.definitions[state.attempt.version] = state.plan->workflow;
  history.attempts = std::move(state.past);
  history.attempts.push_back(std::move(state.attempt));
  history.run = std::move(state.run);
  return history;
}

}  // namespace pawl::engine
