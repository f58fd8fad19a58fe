// A node's capacity: who may start now, and who waits.
#include "engine/limits.h"

#include "base/planted.h"
#include "engine/step.h"

namespace pawl::engine {

void Limits::remember(const RunState& state) {
  for (std::size_t kind = 0; kind < used.size(); ++kind) used[kind] += state.seats_held[kind];
  note_waiting(state);
  note_probation(state);
  // It was told to wait for its turn, and nothing but its turn comes.
  if (state.held() && state.attempt.waits_for == WaitsFor::limit) wants_probation.insert(state.run.id);
}

void Limits::forget(const RunState& state) {
  for (std::size_t kind = 0; kind < used.size(); ++kind) used[kind] -= state.seats_held[kind];
  for (auto& kind : waiting) kind.erase(state.run.id);
  wants_probation.erase(state.run.id);
  on_probation.erase(state.run.id);
}

bool Limits::free(Seat seat) const {
  const auto kind = static_cast<std::size_t>(seat);
  return used[kind] < most[kind] + (planted(Planted::crowded_seats) ? 1 : 0);
}

bool Limits::may_take(Seat seat, RunId run) const {
  const auto& queue = waiting[static_cast<std::size_t>(seat)];
  return free(seat) && (queue.empty() || *queue.begin() >= run);
}

void Limits::note_waiting(const RunState& state) {
  std::array<bool, seat_kinds> wants{};
  // A held run takes nothing before its time, so it must not be offered anything.
  if (!state.held())
    for (const TaskRef ref : state.limited) wants[static_cast<std::size_t>(seat_of(state.plan_of(ref)))] = true;
  for (std::size_t kind = 0; kind < wants.size(); ++kind) {
    if (wants[kind])
      waiting[kind].insert(state.run.id);
    else
      waiting[kind].erase(state.run.id);
  }
}

void Limits::note_probation(const RunState& state) {
  // A run that only waits, perhaps for a person, kills nobody: the next one need not wait for it.
  const bool works = !state.held() && (!state.in_flight.empty() || !state.limited.empty());
  if (works && state.counted_recoveries >= 2 && !state.finished_task)
    on_probation.insert(state.run.id);
  else
    on_probation.erase(state.run.id);
}

void Limits::note_places(const Run& run) {
  groups.note(run);
  overlaps.note(run);
}

void Limits::forget_places(RunId run) {
  groups.forget(run);
  overlaps.forget(run);
}

std::optional<RunId> Limits::next_waiting() const {
  for (std::size_t kind = 0; kind < waiting.size(); ++kind)
    if (!waiting[kind].empty() && used[kind] < most[kind]) return *waiting[kind].begin();
  if (on_probation.empty() && !wants_probation.empty()) return *wants_probation.begin();
  if (const auto run = overlaps.next()) return run;
  return groups.next();
}

void use_free_seats(Step& step) {
  if (step.s.held()) return on_timer(step);
  // A copy: a start takes its task out of the set.
  const std::vector<TaskRef> wanting(step.s.limited.begin(), step.s.limited.end());
  for (const TaskRef ref : wanting) {
    if (step.broken()) return;
    if (!step.limits.may_take(seat_of(step.s.plan_of(ref)), step.s.run.id)) continue;
    if (!start_task(step, ref)) advance(step, ref.job);
  }
  settle(step);
}

namespace {

// Whether it need not wait for earlier runs of its schedule, or not any more.
bool leaves_line(Step& step) {
  const Run& run = step.s.run;
  Overlaps& overlaps = step.limits.overlaps;
  if (!run.slot || !run.slot->in_line) return true;
  overlaps.note(run);
  if (overlaps.may_begin(run.id)) {
    step.emit(LineLeft{});
    return true;
  }
  for (const RunId earlier : overlaps.to_cancel(run.id)) {
    Who who;
    who.trigger = step.s.attempt.who.trigger;
    who.client = schedule_client;
    step.out.follow_ups.emplace_back(CancelRequested{earlier, std::move(who)});
  }
  return false;
}

}  // namespace

bool admit(Step& step) {
  const Run& run = step.s.run;
  if (!leaves_line(step)) {
    if (step.s.attempt.waits_for != WaitsFor::group) step.emit(AttemptHeld{WaitsFor::group, std::nullopt});
    return false;
  }
  if (run.group.empty() || run.group_held) return true;
  if (step.limits.groups.may_take(run)) {
    if (planted(Planted::unrecorded_place))
      step.s.run.group_held = true;
    else
      step.emit(GroupTaken{});
    return true;
  }
  if (step.s.attempt.waits_for != WaitsFor::group) step.emit(AttemptHeld{WaitsFor::group, std::nullopt});
  step.limits.groups.note(run);
  if (run.group_cancels)
    for (const RunId holder : step.limits.groups.to_cancel(run.group)) {
      Who who;
      who.trigger = step.s.attempt.who.trigger;
      who.client = group_client;
      who.user = step.s.attempt.who.user;
      step.out.follow_ups.emplace_back(CancelRequested{holder, std::move(who)});
    }
  return false;
}

bool may_leave_probation_queue(Step& step) {
  Limits& limits = step.limits;
  if (step.s.counted_recoveries < 2) return true;
  if (!limits.on_probation.empty() && !planted(Planted::crowded_probation)) {
    limits.wants_probation.insert(step.s.run.id);
    return false;
  }
  limits.wants_probation.erase(step.s.run.id);
  return true;
}

}  // namespace pawl::engine
