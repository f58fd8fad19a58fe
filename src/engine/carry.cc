#include "engine/carry.h"

#include <algorithm>

#include "base/planted.h"

namespace pawl::engine {
namespace {

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
    if (planted(Planted::lost_output)) task.outputs.reset();
  }
  task.tries.clear();
  task.started_at.reset();
  task.finished_at.reset();
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
  task.message.clear();
  task.response.reset();
  task.started_at.reset();
  task.finished_at.reset();
}
// The recorded result is thrown away: new key, new now(), new budget.
void new_generation(TaskRun& task) {
  if (task.generation_started) ++task.generation;  // else nothing has been done under its name yet
  begin_again(task);
  task.generation_started.reset();
  task.failed_tries = 0;
  if (!planted(Planted::stale_output)) task.outputs.reset();
  task.preview.reset();
}
// A person asked: the budget is fresh.
void begin_afresh(TaskRun& task) {
  begin_again(task);
  if (!planted(Planted::stingy_resume)) task.failed_tries = 0;
  // A wait or an approval that has ended is asked for anew.
}

void begin_again(JobRun& job) {
  job.status = WorkStatus::pending;
  job.reason = SkipReason::none;
  job.done_in_attempt = 0;
  job.error.reset();
  job.started_at.reset();
  job.finished_at.reset();
}

// Needs before their dependents.
std::vector<int> in_order_of_needs(const Plan& plan) {
  std::vector<int> order, open(plan.jobs.size(), 0);
  for (std::size_t j = 0; j < plan.jobs.size(); ++j) {
    open[j] = static_cast<int>(plan.jobs[j].job->needs.size());
    if (open[j] == 0) order.push_back(static_cast<int>(j));
  }
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const int dependent : plan.jobs[at_index(order[i])].dependents)
      if (--open[at_index(dependent)] == 0) order.push_back(dependent);
  return order;
}

// The tasks of a job, or of one instance, of another version: those of the same explicit id with what they hold; those
// that only share a name begin a new generation, because the name may mean other work now.
std::vector<TaskRun> match_tasks(const std::vector<TaskRun>& old, const JobPlan& before, const JobPlan& now,
                                 const TaskRun& unknown) {
  std::vector<TaskRun> tasks(now.tasks.size(), unknown);
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const auto found = before.task_index.find(now.tasks[t].task->id);
    if (found == before.task_index.end()) continue;
    tasks[t] = old[at_index(found->second)];
    if (!now.tasks[t].task->explicit_id || !before.tasks[at_index(found->second)].task->explicit_id)
      new_generation(tasks[t]);
  }
  return tasks;
}

bool all_final(const std::vector<TaskRun>& tasks) {
  return std::ranges::all_of(tasks, [](const TaskRun& task) { return is_final(task.status); });
}

std::vector<JobRun> match_version(const RunState& state, const Plan& now) {
  const Plan& before = *state.plan;
  TaskRun unknown;
  unknown.generation = state.attempt.number + 1;
  std::vector<JobRun> jobs = fresh_jobs(now);
  for (std::size_t j = 0; j < now.jobs.size(); ++j) {
    std::ranges::fill(jobs[j].tasks, unknown);
    const auto found = before.job_index.find(now.jobs[j].job->id);
    if (found == before.job_index.end()) continue;
    const JobRun& old = state.attempt.jobs[at_index(found->second)];
    const JobPlan& old_plan = before.jobs[at_index(found->second)];
    const bool both_plain = !old_plan.job->matrix && !now.jobs[j].job->matrix;
    const bool both_many = old_plan.job->matrix && now.jobs[j].job->matrix;
    if (both_plain) {
      auto tasks = match_tasks(old.tasks, old_plan, now.jobs[j], unknown);
      jobs[j] = old;
      jobs[j].tasks = std::move(tasks);
    } else if (both_many) {
      // Its list is made anew; instances of the same key are found again by it.
      for (const JobRun& instance : state.attempt.jobs) {
        if (instance.of != found->second) continue;
        JobRun kept = instance;
        kept.of = static_cast<int>(j);
        kept.tasks = match_tasks(instance.tasks, old_plan, now.jobs[j], unknown);
        if (!all_final(kept.tasks)) begin_again(kept);
        jobs.push_back(std::move(kept));
      }
    }
    if (now.jobs[j].job->matrix || !all_final(jobs[j].tasks)) begin_again(jobs[j]);
  }
  return jobs;
}

}  // namespace

std::vector<JobRun> fresh_jobs(const Plan& plan) {
  std::vector<JobRun> jobs(plan.jobs.size());
  for (std::size_t j = 0; j < jobs.size(); ++j)
    if (!plan.jobs[j].job->matrix) jobs[j].tasks.assign(plan.jobs[j].tasks.size(), TaskRun{});
  return jobs;
}

TaskRun unknown_task(const RunState& state, int attempt) {
  TaskRun task;
  if (state.other_version) task.generation = attempt;
  return task;
}

bool is_done(const TaskRun& task) {
  return task.status == WorkStatus::success || (task.status == WorkStatus::skipped && task.reason == SkipReason::done);
}
bool is_done(const JobRun& job) {
  return job.status == WorkStatus::success || (job.status == WorkStatus::skipped && job.reason == SkipReason::done);
}

bool failure_counts(const TaskPlan& plan, const TaskRun& task) {
  const bool is_forgiven = plan.task->continue_on_error && !planted(Planted::unforgiving);
  return task.status == WorkStatus::failed && !is_forgiven;
}

namespace {

// Whether a try of this job or instance was in flight, and its job wants to begin again after that. What the task
// itself says of a crash comes first: one that must not be repeated would be by its job. What was asked to stop does not
// begin again: nothing but its clean-up would, and what it has done would be shown as cancelled.
bool begins_again(const RunState& state, int job) {
  const Job& its = *state.job_plan(job).job;
  if (its.resume != ResumeAt::job && !planted(Planted::whole_job_again)) return false;
  if (makes_verdict(state, its.role) && (state.stop_asked || state.progress[at_index(job)].stopping)) return false;
  bool cut_off = false;
  for (const std::set<TaskRef>* refs : {&state.in_flight, &state.cut_off})
    for (auto ref = refs->lower_bound({job, 0}); ref != refs->end() && ref->job == job; ++ref) {
      if (state.plan_of(*ref).task->on_crash != OnCrash::rerun) return false;
      cut_off = true;
    }
  return cut_off;
}

// Planted: what a recovery takes for not decided yet.
bool forgets_verdict(const TaskRun& task) {
  return planted(is_done(task) ? Planted::done_again : Planted::verdict_again);
}

}  // namespace

void carry_over_interruption(RunState& state, bool holds) {
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
    const bool whole = !holds && begins_again(state, static_cast<int>(j));
    for (std::size_t t = 0; t < job.tasks.size(); ++t) {
      TaskRun& task = job.tasks[t];
      const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
      if (whole) {
        new_generation(task);
      } else if (is_final(task.status) && !forgets_verdict(task)) {
        carry_verdict(task, number);
      } else if (task.status == WorkStatus::waiting && !planted(Planted::restarted_wait)) {
        task.tries.clear();  // its due time stays
        task.started_at.reset();
        if (planted(Planted::impatient_wait) && task.due) task.due = Instant{};
      } else {
        if (state.in_flight.contains(ref) || state.cut_off.contains(ref)) state.carried_cut_off.insert(ref);
        begin_again(task);
        if (planted(Planted::fresh_budget)) task.failed_tries = 0;
        if (planted(Planted::crash_costs_a_try)) ++task.failed_tries;
      }
    }
    if (planted(Planted::matrix_again)) job.expanded = false;
  }
  state.carried = std::move(next);
}

std::vector<JobRun> carry_over_resume(const RunState& state, const std::shared_ptr<const Plan>& plan,
                                      std::optional<TaskRef> from) {
  std::vector<JobRun> jobs =
      plan == state.plan || plan->version == state.attempt.version ? state.attempt.jobs : match_version(state, *plan);
  const int number = state.attempt.number;
  // What becomes of a job: it stays, what is not done of it runs again, or all of it is thrown away.
  enum class Fate : char { stays, goes_on, anew };
  std::vector<Fate> fates(plan->jobs.size(), Fate::stays);
  const int first = !from ? -1 : jobs[at_index(from->job)].of < 0 ? from->job : jobs[at_index(from->job)].of;
  for (const int position : in_order_of_needs(*plan)) {
    const std::size_t j = at_index(position);
    JobRun& job = jobs[j];
    Fate fate = is_done(job) ? Fate::stays : Fate::goes_on;
    if (job.status == WorkStatus::skipped && job.reason == SkipReason::condition) fate = Fate::stays;
    for (const int need : plan->jobs[j].job->needs) {
      const Fate before = fates[at_index(need)];
      if (before == Fate::anew || (need == first && first >= 0)) fate = Fate::anew;
      if (before == Fate::goes_on && fate == Fate::stays && !is_done(job)) fate = Fate::goes_on;
    }
    // What follows the verdict follows it again.
    if (!makes_verdict(state, plan->jobs[j].job->role)) fate = Fate::anew;
    if (position == first && from->task < 0 && from->job == first)
      fate = Fate::anew;
    else if (position == first && fate == Fate::stays)
      fate = Fate::goes_on;
    fates[j] = fate;

    const auto look_at_tasks = [&](JobRun& run, int run_position) {
      const bool is_first = from && from->job == run_position;
      for (std::size_t t = 0; t < run.tasks.size(); ++t) {
        TaskRun& task = run.tasks[t];
        if (fate == Fate::anew ||
            (is_first && static_cast<int>(t) >= from->task + (planted(Planted::spared_task) ? 1 : 0)))
          new_generation(task);
        else if (fate == Fate::stays || (is_done(task) && !planted(Planted::resume_from_start)))
          carry_verdict(task, number);
        else
          begin_afresh(task);
      }
    };
    if (fate == Fate::stays)
      carry_verdict(job, number);
    else
      begin_again(job);
    look_at_tasks(job, position);
    // Instances, also those that are in no list at present.
    for (std::size_t i = plan->jobs.size(); i < jobs.size(); ++i) {
      JobRun& instance = jobs[i];
      if (instance.of != position) continue;
      const bool is_first = from && from->job == static_cast<int>(i);
      if (fate == Fate::stays || (fate == Fate::goes_on && is_done(instance) && !is_first)) {
        carry_verdict(instance, number);
        for (TaskRun& task : instance.tasks) carry_verdict(task, number);
      } else {
        begin_again(instance);
        look_at_tasks(instance, static_cast<int>(i));
      }
    }
    if (fate == Fate::anew) {
      job.instances.clear();
      job.expanded = false;
    }
  }
  return jobs;
}

std::vector<std::string> unmatched(const RunState& state, const Plan& plan) {
  std::vector<std::string> names;
  for (std::size_t j = 0; j < state.attempt.jobs.size(); ++j) {
    const JobRun& job = state.attempt.jobs[j];
    const JobPlan& before = state.job_plan(static_cast<int>(j));
    const auto found = plan.job_index.find(before.job->id);
    if (before.job->role != working_role(state) || found == plan.job_index.end()) continue;
    // A job that gets a matrix, or loses it, has other places for its work.
    const bool other_shape =
        before.job->matrix.has_value() != plan.jobs[at_index(found->second)].job->matrix.has_value();
    for (std::size_t t = 0; t < job.tasks.size(); ++t)
      if (is_done(job.tasks[t]) && (other_shape || !before.tasks[t].task->explicit_id))
        names.push_back(state.job_name(static_cast<int>(j)) + "/" + before.tasks[t].task->id);
  }
  return names;
}

}  // namespace pawl::engine
