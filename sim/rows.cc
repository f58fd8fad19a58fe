#include "sim/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace pawl::sim {
namespace {

using engine::AttemptEvent;
using engine::JobEvent;
using engine::TaskEvent;

constexpr auto task_words =
    std::to_array<std::string_view>({"start", "wait", "succeed", "give_up", "cancel", "pass_over"});
constexpr auto job_words = std::to_array<std::string_view>({"start", "succeed", "fail", "cancel", "pass_over"});
constexpr auto attempt_words = std::to_array<std::string_view>({"hold", "run", "wait", "succeed", "fail", "cancel"});

// Rows that need not be played, each with its reason.
struct Excuse {
  std::string_view row, why;
};
constexpr auto excuses = std::to_array<Excuse>({
    {"task: running start", "a task whose try has failed waits, be it for a delay of 0"},
});

template <class Table, class Counts, class Status, class On>
void count(const Table& table, Counts& counts, Status from, On on, std::uint64_t times) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].from == from && table[i].on == on) counts[i] += times;
}

template <class Table, class Counts, class Words>
void list_never(const Table& table, const Counts& counts, const Words& words, std::string_view what,
                std::vector<std::string>& never) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (counts[i] == 0)
      never.push_back(
          fmt::format("{}: {} {}", what, to_string(table[i].from), words[static_cast<std::size_t>(table[i].on)]));
}

}  // namespace

void Rows::note(WorkStatus from, TaskEvent on, std::uint64_t times) {
  count(engine::task_transitions, tasks_, from, on, times);
}
void Rows::note(WorkStatus from, JobEvent on) { count(engine::job_transitions, jobs_, from, on, 1); }
void Rows::note(RunStatus from, AttemptEvent on) { count(engine::attempt_transitions, attempts_, from, on, 1); }

void Rows::changes(const engine::RunState& before, const Change& change) {
  if (const auto* started = std::get_if<TaskStarted>(&change)) {
    note(before.task(started->ref).status, TaskEvent::start);
  } else if (const auto* waits = std::get_if<TaskWaits>(&change)) {
    note(before.task(waits->ref).status, TaskEvent::wait);
  } else if (const auto* tried = std::get_if<TryEnded>(&change)) {
    if (tried->status == TryStatus::success) note(before.task(tried->ref).status, TaskEvent::succeed);
  } else if (const auto* ended = std::get_if<TaskEnded>(&change)) {
    const TaskEvent on = ended->status == WorkStatus::success   ? TaskEvent::succeed
                         : ended->status == WorkStatus::failed  ? TaskEvent::give_up
                         : ended->status == WorkStatus::skipped ? TaskEvent::pass_over
                                                                : TaskEvent::cancel;
    note(before.task(ended->ref).status, on);
  } else if (const auto* began = std::get_if<JobStarted>(&change)) {
    note(before.attempt.jobs[static_cast<std::size_t>(began->job)].status, JobEvent::start);
  } else if (const auto* end = std::get_if<JobEnded>(&change)) {
    const JobRun& job = before.attempt.jobs[static_cast<std::size_t>(end->job)];
    const JobEvent on = end->status == WorkStatus::success   ? JobEvent::succeed
                        : end->status == WorkStatus::failed  ? JobEvent::fail
                        : end->status == WorkStatus::skipped ? JobEvent::pass_over
                                                             : JobEvent::cancel;
    note(job.status, on);
    // Tasks that were never reached share their job's fate.
    for (const TaskRun& task : job.tasks)
      if (!is_final(task.status))
        note(task.status, end->status == WorkStatus::cancelled ? TaskEvent::cancel : TaskEvent::pass_over);
  } else if (const auto* held = std::get_if<AttemptHeld>(&change)) {
    if (held->waits_for != WaitsFor::none) note(before.attempt.status, AttemptEvent::hold);
  } else if (const auto* over = std::get_if<AttemptEnded>(&change)) {
    // An interrupted attempt that no other follows is final already.
    if (is_final(before.attempt.status)) return;
    note(before.attempt.status, over->status == RunStatus::success     ? AttemptEvent::succeed
                                : over->status == RunStatus::cancelled ? AttemptEvent::cancel
                                                                       : AttemptEvent::fail);
  } else if (std::holds_alternative<AttemptStarted>(change)) {
    is_named_ = true;
  }
}

void Rows::record(RunStatus before, const engine::RunState& after) {
  const RunStatus from = std::exchange(is_named_, false) ? RunStatus::queued : before;
  if (after.attempt.status == RunStatus::running) note(from, AttemptEvent::run);
  if (after.attempt.status == RunStatus::waiting) note(from, AttemptEvent::wait);
}

void Rows::add(const Rows& other) {
  const auto sum = [](auto& to, const auto& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  sum(tasks_, other.tasks_);
  sum(jobs_, other.jobs_);
  sum(attempts_, other.attempts_);
}

std::size_t Rows::reached() const { return all - never().size(); }

std::vector<std::string> Rows::never() const {
  std::vector<std::string> rows;
  list_never(engine::task_transitions, tasks_, task_words, "task", rows);
  list_never(engine::job_transitions, jobs_, job_words, "job", rows);
  list_never(engine::attempt_transitions, attempts_, attempt_words, "attempt", rows);
  return rows;
}

std::vector<std::string> Rows::missing() const {
  std::vector<std::string> rows = never();
  std::erase_if(rows, [](const std::string& row) {
    return std::ranges::any_of(excuses, [&](const Excuse& excuse) { return excuse.row == row; });
  });
  return rows;
}

}  // namespace pawl::sim
