// The simulator: the server's own driver and engine, played turn by turn from one seed over a memory store, a runner
// without work and a clock that moves when told. It draws requests, results and faults (events.h, swarm.h), and checks the
// promises after every step (checks.h). Then the faults end, and within a bound everything has to come to rest (rest.h).
// The same seed plays the same steps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/planted.h"
#include "base/time.h"
#include "sim/events.h"
#include "sim/rows.h"
#include "sim/slot_book.h"

namespace pawl::sim {

struct Options {
  std::uint64_t seed = 1;
  int steps = 400;  // of the part with faults
  int nodes = 0;  // that share one store (cluster.h); 0: one server that has its store for itself
  bool story = false;  // tell all that happens
  const Kept* kept = nullptr;  // nothing else may happen; null: all may
};

// What happened to many nodes.
struct Incidents {
  std::uint64_t pauses = 0, partitions = 0, lost_acks = 0, late_commits = 0, refused_commits = 0, take_overs = 0;
};

struct Outcome {
  std::uint64_t seed = 0;
  int nodes = 0;
  Incidents incidents;
  std::uint64_t steps = 0;
  std::uint64_t crashes = 0;
  std::uint64_t runs = 0;
  Duration simulated{};  // while the server was up
  std::uint64_t step_of_violation = 0;
  std::vector<std::string> violations;  // of the first step that had any
  std::vector<std::string> story;
  std::uint64_t hash = 0;  // of everything that was committed, in order
  Rows rows;
  SlotCounts slots;
  Kept happened;  // all of it: playing with just this is playing the same
};

Outcome simulate(const Options& options);

// What a violation breaks: `P1`, `group`.
std::string_view promise_of(std::string_view violation);

}  // namespace pawl::sim
