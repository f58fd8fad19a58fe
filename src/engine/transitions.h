// The state machines as tables. A move that stands in no table is refused by apply(), so a broken record or a broken
// decision parks its run instead of being stored.
#pragma once

#include <array>
#include <optional>

#include "model/status.h"

namespace pawl::engine {

enum class TaskEvent : std::uint8_t { start, wait, succeed, give_up, cancel, pass_over };
enum class JobEvent : std::uint8_t { start, succeed, fail, cancel, pass_over };
enum class AttemptEvent : std::uint8_t { hold, run, wait, succeed, fail, cancel };

template <class Status, class On>
struct Transition {
  Status from;
  On on;
  Status to;
};

inline constexpr auto task_transitions = std::to_array<Transition<WorkStatus, TaskEvent>>({
    {WorkStatus::pending, TaskEvent::start, WorkStatus::running},
    {WorkStatus::pending, TaskEvent::wait, WorkStatus::waiting},       // for a seat, an instant, a person
    {WorkStatus::pending, TaskEvent::succeed, WorkStatus::success},    // a wait until what has passed
    {WorkStatus::pending, TaskEvent::pass_over, WorkStatus::skipped},  // by condition, upstream, or done earlier
    {WorkStatus::pending, TaskEvent::give_up, WorkStatus::failed},     // its condition or input cannot be evaluated
    {WorkStatus::pending, TaskEvent::cancel, WorkStatus::cancelled},
    {WorkStatus::running, TaskEvent::succeed, WorkStatus::success},
    {WorkStatus::running, TaskEvent::wait, WorkStatus::waiting},       // tries left
    {WorkStatus::running, TaskEvent::start, WorkStatus::running},      // tries left, no delay
    {WorkStatus::running, TaskEvent::give_up, WorkStatus::failed},     // none left, or interrupted
    {WorkStatus::running, TaskEvent::cancel, WorkStatus::cancelled},
    {WorkStatus::waiting, TaskEvent::start, WorkStatus::running},
    {WorkStatus::waiting, TaskEvent::wait, WorkStatus::waiting},       // due, and now for a seat
    {WorkStatus::waiting, TaskEvent::succeed, WorkStatus::success},    // a wait, an approval, a release
    {WorkStatus::waiting, TaskEvent::give_up, WorkStatus::failed},
    {WorkStatus::waiting, TaskEvent::cancel, WorkStatus::cancelled},
});

inline constexpr auto job_transitions = std::to_array<Transition<WorkStatus, JobEvent>>({
    {WorkStatus::pending, JobEvent::start, WorkStatus::running},
    {WorkStatus::pending, JobEvent::pass_over, WorkStatus::skipped},
    {WorkStatus::pending, JobEvent::fail, WorkStatus::failed},  // its condition cannot be evaluated
    {WorkStatus::pending, JobEvent::cancel, WorkStatus::cancelled},
    {WorkStatus::running, JobEvent::succeed, WorkStatus::success},
    {WorkStatus::running, JobEvent::fail, WorkStatus::failed},
    {WorkStatus::running, JobEvent::cancel, WorkStatus::cancelled},
});

inline constexpr auto attempt_transitions = std::to_array<Transition<RunStatus, AttemptEvent>>({
    {RunStatus::queued, AttemptEvent::hold, RunStatus::queued},
    {RunStatus::queued, AttemptEvent::run, RunStatus::running},
    {RunStatus::queued, AttemptEvent::wait, RunStatus::waiting},
    {RunStatus::queued, AttemptEvent::succeed, RunStatus::success},  // every job skipped by condition
    {RunStatus::queued, AttemptEvent::fail, RunStatus::failed},
    {RunStatus::queued, AttemptEvent::cancel, RunStatus::cancelled},
    {RunStatus::running, AttemptEvent::run, RunStatus::running},
    {RunStatus::running, AttemptEvent::wait, RunStatus::waiting},
    {RunStatus::running, AttemptEvent::succeed, RunStatus::success},
    {RunStatus::running, AttemptEvent::fail, RunStatus::failed},
    {RunStatus::running, AttemptEvent::cancel, RunStatus::cancelled},
    {RunStatus::waiting, AttemptEvent::run, RunStatus::running},
    {RunStatus::waiting, AttemptEvent::wait, RunStatus::waiting},
    {RunStatus::waiting, AttemptEvent::succeed, RunStatus::success},
    {RunStatus::waiting, AttemptEvent::fail, RunStatus::failed},
    {RunStatus::waiting, AttemptEvent::cancel, RunStatus::cancelled},
});

template <class Table, class Status, class On>
constexpr std::optional<Status> next_in(const Table& table, Status from, On on) {
  for (const auto& row : table)
    if (row.from == from && row.on == on) return row.to;
  return std::nullopt;
}
constexpr std::optional<WorkStatus> next(WorkStatus from, TaskEvent on) { return next_in(task_transitions, from, on); }
constexpr std::optional<WorkStatus> next(WorkStatus from, JobEvent on) { return next_in(job_transitions, from, on); }
constexpr std::optional<RunStatus> next(RunStatus from, AttemptEvent on) {
  return next_in(attempt_transitions, from, on);
}

// Done is done, and a final status never changes.
static_assert(!next(WorkStatus::success, TaskEvent::start));
static_assert(!next(WorkStatus::skipped, TaskEvent::start) && !next(WorkStatus::cancelled, TaskEvent::start));
static_assert(!next(WorkStatus::success, JobEvent::fail) && !next(WorkStatus::failed, JobEvent::succeed));
static_assert(!next(RunStatus::failed, AttemptEvent::run) && !next(RunStatus::cancelled, AttemptEvent::succeed));

}  // namespace pawl::engine
