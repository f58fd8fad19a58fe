// The simulator: the server's own driver and engine, played turn by turn from one seed over a memory store, a runner
// without work and a clock that moves when told. It draws requests, results, crashes and failing commits, and checks the
// promises after every step (checks.h). The same seed plays the same steps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pawl::sim {

struct Options {
  std::uint64_t seed = 1;
  int steps = 400;  // of the part with faults; then they stop and all must come to rest
  bool story = false;  // keep a line a step
};

struct Outcome {
  std::uint64_t seed = 0;
  std::uint64_t steps = 0;
  std::uint64_t crashes = 0;
  std::uint64_t runs = 0;
  std::uint64_t step_of_violation = 0;
  std::vector<std::string> violations;  // of the first step that had any
  std::vector<std::string> story;
  std::uint64_t hash = 0;  // of everything that was committed, in order
};

Outcome simulate(const Options& options);

}  // namespace pawl::sim
