// Makes a play that broke a promise small: leaves out faults, requests, steps and parts of workflows as long as the same
// promise is broken (ddmin: Zeller and Hildebrandt 2002).
#pragma once

#include <cstddef>
#include <string>

#include "sim/simulator.h"

namespace pawl::sim {

struct Shrunk {
  Kept kept;  // plays it: simulate({.seed, .kept})
  Outcome outcome;  // with its story
  std::size_t before = 0, after = 0;  // happenings and parts
  int plays = 0;
};

// `broken` is what simulate(options) has found; it has a violation. Plays at most `budget` times, and a bounded number of steps.
Shrunk shrink(const Options& options, const Outcome& broken, int budget = 3'000);

// What was found, as a story to read: numbered lines, the broken promise, and the command that plays it again.
std::string story_of(const Shrunk& shrunk);

}  // namespace pawl::sim
