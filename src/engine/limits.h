// How much of a node's capacity is taken, and who waits for it. Belongs to the node, lives in memory, and is built up
// again from the runs when it starts.
#pragma once

#include <array>
#include <optional>
#include <set>

#include "engine/groups.h"
#include "engine/overlaps.h"
#include "engine/state.h"

namespace pawl::engine {

// The client of a cancel that a concurrency group asks for, and of one for a slot that cancels what runs.
inline constexpr std::string_view group_client = "system-concurrency";
inline constexpr std::string_view schedule_client = "system-schedule";

struct Limits {
  std::array<int, seat_kinds> most{4, 4096};
  std::array<int, seat_kinds> used{};
  std::array<std::set<RunId>, seat_kinds>
      waiting;  // runs with a task that wants a seat of a kind; by id, so oldest first
  std::set<RunId> on_probation;  // those that work after a second counted recovery: no other may begin beside them
  std::set<RunId> wants_probation;
  Groups groups;
  Overlaps overlaps;

  bool free(Seat seat) const;
  // Whether `run` may take a seat now: one is free, and no older run waits for it.
  bool may_take(Seat seat, RunId run) const;
  // Brings `waiting` up to date with what the run's tasks want.
  void note_waiting(const RunState& state);
  // Brings `on_probation` up to date.
  void note_probation(const RunState& state);
  // The oldest run that could have a seat now, if any.
  std::optional<RunId> next_waiting() const;
  // Brings groups and overlaps up to date with a run's row, or forgets it.
  void note_places(const Run& run);
  void forget_places(RunId run);
  // Counts the seats of a run that is loaded into memory, or no longer counts those of one that is dropped.
  void remember(const RunState& state);
  void forget(const RunState& state);
};

}  // namespace pawl::engine
