// The end of a play: faults are over, and what is open must come to its end within a bound that follows from how much of
// it there is.
#pragma once

#include <cstdint>
#include <string>

#include "sim/machine.h"

namespace pawl::sim {

struct Bound {
  std::uint64_t steps = 0;
  std::string because;  // how it was reckoned
};

// Of steps in each of which a try ends if one runs, and a turn is played; or else time passes to the next instant at which
// something is due; or a person answers. `requests`: starts that are asked for and not decided.
//
//   steps = 50 + 12 a try + 6 a run + (20 + 12 a try that can be in flight + 6 a run) a death by poison
//
// A try takes its decision to start, its commit, its end, that one's decision and commit, a wait for its delay and one for
// a seat, and all of it twice if a person may want it again. A run takes its recovery, its end, and its retention. A task
// that kills the server may do so `recover.max` + 2 times for each other task that is newly done and each answer of a
// person, of whom one that is asked a fifth time cancels; each time all that was in flight begins again.
Bound bound_of(const Machine& machine, std::uint64_t requests);

// The runs that are open, each with why: what it waits for, which of its tasks are not final and what these wait for.
std::string open_runs(const Machine& machine);

}  // namespace pawl::sim
