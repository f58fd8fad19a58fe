// A job: whether it runs, which of its tasks is next, and how it ends.
#include <fmt/format.h>

#include <algorithm>

#include "base/planted.h"
#include "engine/carry.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

// Whether a stopped run may still start it: clean-up asks for it by name.
bool may_clean_up(const Step& step, const Condition& condition) {
  if (step.s.stop_hard) return false;
  return condition.asks_cleanup || (step.s.stop_error && condition.asks_failure);
}

}  // namespace

bool is_stopping(const Step& step, int job) {
  // What follows the verdict is clean-up itself.
  if (!makes_verdict(step.s, step.plan(job).job->role)) return step.s.stop_hard;
  return step.s.stop_asked || step.progress(job).stopping;
}

void advance(Step& step, int job) {
  const int of = step.job(job).of;
  advance_job(step, job);
  if (of >= 0) advance_instances(step, of);
}

void end_job(Step& step, int job, WorkStatus status, SkipReason reason, FailurePtr error) {
  // What an earlier attempt left open in it ends with it: instances of a list that is known, and tasks that wait.
  const std::vector<int> instances =
      step.progress(job).instances_open > 0 ? step.job(job).instances : std::vector<int>{};
  for (const int instance : instances) {
    if (step.broken() || is_final(step.job(instance).status)) continue;
    if (status == WorkStatus::cancelled)
      end_job(step, instance, WorkStatus::cancelled);
    else
      end_job(step, instance, WorkStatus::skipped, status == WorkStatus::skipped ? reason : SkipReason::upstream);
  }
  if (status == WorkStatus::cancelled) {
    const int count = static_cast<int>(step.job(job).tasks.size());
    for (int t = 0; t < count; ++t)
      if (step.s.task({job, t}).status == WorkStatus::waiting)
        end_task(step, {job, t}, WorkStatus::cancelled, SkipReason::none, nullptr);
  }
  step.emit(JobEnded{job, status, reason, std::move(error)});
}

void look_at_job(Step& step, int job) {
  if (step.job(job).status != WorkStatus::pending) return;
  const JobProgress& progress = step.progress(job);
  const Condition& condition = step.plan(job).condition;
  const bool stopping = is_stopping(step, job);
  const Job& definition = *step.plan(job).job;
  // A late run is `on-late` and nothing else, and no other run is any of it.
  if (is_late(step.s) != (definition.role == Role::on_late))
    return end_job(step, job, WorkStatus::skipped, SkipReason::condition);
  const auto start = [&] {
    if (definition.matrix && !step.job(job).expanded) {
      if (expand_job(step, job)) advance_instances(step, job);
      return;
    }
    step.emit(JobStarted{job});
    if (definition.matrix)
      advance_instances(step, job);
    else
      advance_job(step, job);
  };
  if (progress.condition_held && !stopping && !planted(Planted::condition_again)) {
    // Its `if` held in an earlier attempt; verdicts are not taken twice.
    return start();
  }
  if (!makes_verdict(step.s, definition.role)) {
    if (stopping) return end_job(step, job, WorkStatus::cancelled);
    if (definition.role == Role::on_failure &&
        (step.s.verdict->status != RunStatus::failed || planted(Planted::silent_failure)))
      return end_job(step, job, WorkStatus::skipped, SkipReason::condition);
    return start();
  }
  if (stopping && !may_clean_up(step, condition)) {
    // A cut-off job may still hold tasks that ask to clean up.
    if (progress.condition_held && !step.s.stop_hard) return start();
    return end_job(step, job, WorkStatus::cancelled);
  }
  const auto judged = judge(step, job, -1, condition,
                            {.success = !progress.needs_failed && !stopping,
                             .failure = progress.ancestor_failed || step.s.stop_error,
                             .cancelled = stopping && !step.s.stop_error});
  switch (judged.verdict) {
    case Held::yes: return start();
    case Held::no: return end_job(step, job, WorkStatus::skipped, SkipReason::condition);
    case Held::upstream: return end_job(step, job, WorkStatus::skipped, SkipReason::upstream);
    case Held::failed: return end_job(step, job, WorkStatus::failed, SkipReason::none, judged.error);
  }
}

void advance_job(Step& step, int job) {
  const JobPlan& plan = step.plan(job);
  JobProgress& progress = step.progress(job);
  JobRun& run = step.job(job);
  const int count = static_cast<int>(plan.tasks.size());
  const bool fails_what_follows = !plan.job->keep_going;
  // Tasks that will not run are recorded one by one only when a later one does; otherwise the end of the job says it.
  std::vector<TaskEnded> passed_over;
  const auto record_passed_over = [&] {
    for (TaskEnded& change : passed_over) step.emit(std::move(change));
    passed_over.clear();
  };
  for (; progress.next_task < count && !step.broken(); ++progress.next_task) {
    const int t = progress.next_task;
    const TaskRef ref{job, t};
    const TaskRun& task = run.tasks[static_cast<std::size_t>(t)];
    if (is_final(task.status)) continue;  // carried from an earlier attempt
    const bool stopping = is_stopping(step, job);
    if (task.status == WorkStatus::waiting) {
      // Carried with its due time. What waited when the stop was asked for ends; what clean-up began since goes on.
      if (!stopping || planted(Planted::waits_on) ||
          (!step.stopping_now && may_clean_up(step, plan.tasks[static_cast<std::size_t>(t)].condition)))
        return;
      end_task(step, ref, WorkStatus::cancelled, SkipReason::none, nullptr);
      continue;
    }
    const TaskPlan& task_plan = plan.tasks[static_cast<std::size_t>(t)];
    if (stopping && !may_clean_up(step, task_plan.condition)) {
      if (step.s.cut_off.contains(ref)) {
        record_passed_over();
        end_task(step, ref, WorkStatus::cancelled, SkipReason::none, nullptr);
      } else {
        passed_over.push_back({ref, WorkStatus::cancelled, SkipReason::none, nullptr});
      }
      continue;
    }
    if (step.s.cut_off.contains(ref)) {
      // Its condition held before the node died.
      const OnCrash on_crash = step.hold_cut_off ? OnCrash::hold : task_plan.task->on_crash;
      if (on_crash == OnCrash::fail && !planted(Planted::forgiving_crash)) {
        record_passed_over();
        end_task(step, ref, WorkStatus::failed, SkipReason::none,
                 failure("interrupted", "interrupted while it ran, and on-crash says fail"));
        continue;
      }
      if (on_crash == OnCrash::hold && !planted(Planted::forgotten_hold)) {
        record_passed_over();
        return step.emit(TaskWaits{ref, WaitsFor::release, std::nullopt, {}});
      }
    } else {
      if (fails_what_follows && progress.task_failed && !task_plan.condition.has_status) {
        passed_over.push_back({ref, WorkStatus::skipped, SkipReason::upstream, nullptr});
        continue;
      }
      const auto judged = judge(step, job, t, task_plan.condition,
                                {.success = !(fails_what_follows && progress.task_failed) && !stopping,
                                 .failure = progress.task_failed || progress.ancestor_failed || step.s.stop_error ||
                                            (step.s.verdict && step.s.verdict->status == RunStatus::failed),
                                 .cancelled = (stopping && !step.s.stop_error) ||
                                              (step.s.verdict && step.s.verdict->status == RunStatus::cancelled)});
      if (judged.verdict == Held::failed) {
        record_passed_over();
        end_task(step, ref, WorkStatus::failed, SkipReason::none, judged.error);
        continue;
      }
      if (judged.verdict != Held::yes) {
        record_passed_over();
        end_task(step, ref, WorkStatus::skipped,
                 judged.verdict == Held::no ? SkipReason::condition : SkipReason::upstream, nullptr);
        continue;
      }
    }
    record_passed_over();
    if (start_task(step, ref)) return;
  }
  if (step.broken()) return;

  // No task is left. What was never reached shares the verdict, unless the job has another one.
  const bool cancelled = progress.task_cancelled || std::ranges::any_of(passed_over, [](const TaskEnded& t) {
                           return t.status == WorkStatus::cancelled;
                         });
  if (progress.task_failed) {
    if (cancelled) record_passed_over();
    for (int t = 0; t < count; ++t) {
      const TaskRun& task = run.tasks[static_cast<std::size_t>(t)];
      if (!failure_counts(plan.tasks[static_cast<std::size_t>(t)], task)) continue;
      const std::string& id = plan.tasks[static_cast<std::size_t>(t)].task->id;
      const std::string why = task.error ? task.error->message : "failed";
      return end_job(
          step, job, WorkStatus::failed, SkipReason::none,
          failure("task_failed", fmt::format("task {}: {}", id, why), task.error ? task.error->cause : Json(nullptr)));
    }
  }
  if (cancelled) return end_job(step, job, WorkStatus::cancelled);
  record_passed_over();
  end_job(step, job, WorkStatus::success);
}

}  // namespace pawl::engine
