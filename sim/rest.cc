#include "sim/rest.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/telling.h"

namespace pawl::sim {
namespace {

constexpr std::uint64_t most_instances = 6;  // that a drawn matrix has

struct Work {
  std::uint64_t tries = 0;
  std::uint64_t tasks = 0;
  std::uint64_t deaths = 0;
};

Work work_of(const Workflow& workflow) {
  Work work;
  bool is_poisoned = false;
  for (const Job& job : workflow.jobs) {
    const std::uint64_t times = job.matrix ? most_instances : 1;
    for (const Task& task : job.tasks) {
      work.tries += times * static_cast<std::uint64_t>(1 + task.retry.max);
      work.tasks += times;
      is_poisoned |= task.id.starts_with("poison");
    }
  }
  if (is_poisoned) work.deaths = static_cast<std::uint64_t>(workflow.recover.max + 2) * (1 + 5 * work.tasks);
  return work;
}

}  // namespace

Bound bound_of(const Machine& machine, std::uint64_t requests) {
  Work all;
  Work largest;
  std::uint64_t runs = requests;
  std::uint64_t kept = 0;  // runs that retention may still take
  for (const auto& [id, page] : machine.ledger().pages()) {
    if (!page.state.plan) continue;
    const Work one = work_of(*page.state.plan->workflow);
    largest = {std::max(largest.tries, one.tries), std::max(largest.tasks, one.tasks),
               std::max(largest.deaths, one.deaths)};
    const auto row = machine.disk().runs().find(id);
    if (row == machine.disk().runs().end()) continue;
    if (is_final(row->second.status)) {
      ++kept;
      continue;
    }
    ++runs;
    all.tries += one.tries;
    all.tasks += one.tasks;
    all.deaths += one.deaths;
  }
  all.tries += requests * largest.tries;
  all.tasks += requests * largest.tasks;
  all.deaths += requests * largest.deaths;
  const std::uint64_t gone = machine.disk().gone().size();
  Bound bound;
  bound.steps = 50 + 12 * all.tries + 6 * (runs + kept + gone) + all.deaths * (20 + 12 * all.tasks + 6 * runs);
  bound.because = fmt::format("{} steps for {} open runs with up to {} tries, {} kept ones, {} deaths by poison",
                              bound.steps, runs, all.tries, kept + gone, all.deaths);
  return bound;
}

std::string open_runs(const Machine& machine) {
  std::string text;
  for (const RunId id : machine.disk().open_runs()) {
    const engine::RunState* state = machine.ledger().state(id);
    if (!state || !state->plan) continue;
    text += fmt::format("\n  {} is {}", name_of_run(state->run), to_string(state->attempt.status));
    const auto wait = [&](WaitsFor waits_for, const std::optional<Instant>& due) {
      if (waits_for != WaitsFor::none) text += fmt::format(", waits for {}", to_string(waits_for));
      if (due) text += ", due " + to_rfc3339(*due);
    };
    wait(state->attempt.waits_for, state->attempt.due);
    for (std::size_t j = 0; j < state->attempt.jobs.size(); ++j)
      for (std::size_t t = 0; t < state->attempt.jobs[j].tasks.size(); ++t) {
        const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
        const TaskRun& task = state->task(ref);
        if (task.status != WorkStatus::running && task.status != WorkStatus::waiting) continue;
        text += fmt::format("; {} is {}", work_name(*state, ref), to_string(task.status));
        wait(task.waits_for, task.due);
      }
  }
  return text;
}

}  // namespace pawl::sim
