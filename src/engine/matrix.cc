// Jobs with a matrix: their list, how many instances run at once, and what one failure does to the others.
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/planted.h"
#include "engine/fold.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

constexpr std::size_t most_task_runs = 100'000;  // of a run
constexpr std::size_t longest_key = 1'000;       // bytes

bool excluded(const json::object& values, const std::vector<Json>& exclude) {
  return std::ranges::any_of(exclude, [&](const Json& one) {
    return std::ranges::all_of(one.get_object(), [&](const auto& member) {
      const Json* const value = values.if_contains(member.key());
      return value && *value == member.value();
    });
  });
}

// Every combination, the last axis fastest.
std::vector<Json> combinations(const Matrix& matrix) {
  std::vector<Json> list;
  std::vector<std::size_t> at(matrix.axes.size(), 0);
  if (matrix.axes.empty() || std::ranges::any_of(matrix.axes, [](const Axis& axis) { return axis.values.empty(); }))
    return list;
  for (;;) {
    json::object values;
    for (std::size_t i = 0; i < at.size(); ++i) values[matrix.axes[i].name] = matrix.axes[i].values[at[i]];
    if (!excluded(values, matrix.exclude)) list.emplace_back(std::move(values));
    std::size_t axis = at.size();
    while (axis > 0 && ++at[axis - 1] == matrix.axes[axis - 1].values.size()) at[--axis] = 0;
    if (axis == 0) return list;
  }
}

Result<std::vector<Json>> list_of(Step& step, int job) {
  const JobPlan& plan = step.plan(job);
  if (!plan.matrix) return combinations(*plan.job->matrix);
  const RunContext context(step.s, job, -1, step.now);
  auto value = expression::evaluate(*plan.matrix, context);
  if (!value) return std::unexpected(value.error());
  if (!value->is_array()) return fail(Code::invalid, "it is no list of objects", "matrix_error");
  std::vector<Json> list;
  for (Json& entry : value->get_array()) {
    if (!entry.is_object() || entry.get_object().empty())
      return fail(Code::invalid, fmt::format("element {} is no object with members", list.size() + 1), "matrix_error");
    if (!excluded(entry.get_object(), plan.job->matrix->exclude)) list.push_back(std::move(entry));
  }
  return list;
}

// Instances are told apart by their keys, in logs, folders, idempotency keys and by people.
Result<void> check_names(const std::vector<Json>& list) {
  std::vector<std::string> keys;
  keys.reserve(list.size());
  for (const Json& values : list) {
    keys.push_back(instance_key(values));
    if (keys.back().size() > longest_key)
      return fail(Code::invalid,
                  fmt::format("element {} gives an instance a name of {} bytes; {} are allowed", keys.size(),
                              keys.back().size(), longest_key),
                  "matrix_error");
  }
  std::ranges::sort(keys);
  if (const auto twice = std::ranges::adjacent_find(keys); twice != keys.end())
    return fail(Code::invalid, fmt::format("two of its elements are called {}", *twice), "matrix_error");
  return {};
}

void stop_instance(Step& step, int instance) {
  RunState& s = step.s;
  if (step.progress(instance).stopping) return;
  const bool was_pending = step.job(instance).status == WorkStatus::pending;
  if (was_pending) {
    if (!step.progress(instance).condition_held) return end_job(step, instance, WorkStatus::cancelled);
    step.emit(JobStarted{instance});  // cut off after it had begun: it may have to clean up
  }
  step.emit(InstanceStopped{instance});
  const auto first = s.in_flight.lower_bound({instance, 0});
  if (first == s.in_flight.end() || first->job != instance) {
    const bool before = std::exchange(step.stopping_now, step.stopping_now || !was_pending);
    advance_job(step, instance);
    step.stopping_now = before;
    return;
  }
  const auto* process = std::get_if<ProcessAction>(&s.plan_of(*first).task->action);
  step.command(StopTask{s.run.id, *first, s.task(*first).last_try, process ? process->grace : Duration{}});
}

}  // namespace

bool expand_job(Step& step, int job) {
  auto list = list_of(step, job);
  std::size_t tasks = 0;
  for (const JobRun& run : step.s.attempt.jobs) tasks += run.tasks.size();
  if (list && tasks + list->size() * step.plan(job).tasks.size() > most_task_runs)
    list = fail(Code::invalid,
                fmt::format("{} instances would give the run more than {} tasks", list->size(), most_task_runs),
                "matrix_too_large");
  if (list)
    if (auto named = check_names(*list); !named) list = std::unexpected(named.error());
  if (!list) {
    end_job(step, job, WorkStatus::failed, SkipReason::none,
            failure(list.error().name.empty() ? "matrix_error" : list.error().name, "matrix: " + list.error().message));
    return false;
  }
  if (list->empty()) {
    end_job(step, job, WorkStatus::skipped, SkipReason::condition);
    return false;
  }
  step.emit(JobStarted{job});
  step.emit(JobExpanded{job, std::move(*list)});
  return !step.broken();
}

void advance_instances(Step& step, int job) {
  RunState& s = step.s;
  const Job& definition = *step.plan(job).job;
  // Nothing below makes another list, so its elements stay where they are. A copy for each result would be quadratic.
  const std::span<const int> instances = step.job(job).instances;
  for (;;) {
    if (step.broken() || step.job(job).status != WorkStatus::running) return;
    JobProgress& progress = step.progress(job);
    if (definition.fail_fast && !planted(Planted::slow_failure) && progress.instance_failed) {
      for (const int instance : instances)
        if (!is_final(step.job(instance).status) && !step.broken()) stop_instance(step, instance);
      break;
    }
    int& next = progress.next_task;
    while (next < static_cast<int>(instances.size()) &&
           step.job(instances[static_cast<std::size_t>(next)]).status != WorkStatus::pending)
      ++next;
    const int most = definition.max_parallel + (planted(Planted::wide_matrix) ? 1 : 0);
    if (next >= static_cast<int>(instances.size()) || progress.instances_running >= most) break;
    const int instance = instances[static_cast<std::size_t>(next++)];
    const bool stopping = is_stopping(step, job) && !step.progress(instance).condition_held;
    if (stopping) {
      end_job(step, instance, WorkStatus::cancelled);
    } else {
      step.emit(JobStarted{instance});
      advance_job(step, instance);
    }
  }
  if (step.broken() || step.progress(job).instances_open > 0) return;
  bool cancelled = false;
  for (const int instance : instances) {
    const JobRun& run = step.job(instance);
    cancelled |= run.status == WorkStatus::cancelled;
    if (run.status != WorkStatus::failed) continue;
    const std::string why = run.error ? run.error->message : "failed";
    return end_job(step, job, WorkStatus::failed, SkipReason::none,
                   failure("task_failed", fmt::format("{}: {}", s.job_name(instance), why),
                           run.error ? run.error->cause : Json(nullptr)));
  }
  end_job(step, job, cancelled ? WorkStatus::cancelled : WorkStatus::success);
}

}  // namespace pawl::engine
