// Planted bugs: faults built in on purpose, to show that the simulator finds them (./dev sim --planted). They exist only
// in libraries built with PAWL_PLANTED; in all others planted() is false at compile time.
#pragma once

#include <cstdint>

namespace pawl {

enum class Planted : std::uint8_t {
  none,
  answer_before_commit,  // P1
  act_before_commit,  // P3
  crowded_group,  // a concurrency group takes one run more than its limit
  impatient_wait,  // a wait forgets its due time when its attempt is cut off
  forgotten_hold,  // what is to be held after a crash starts again
  wide_matrix,  // one instance more than max-parallel
  // Of many nodes (sim/cluster.cc, store/memory):
  no_fence,  // a commit of an older epoch is applied
  wall_clock_lease,  // a lease is over when the clock of who wants it says so
  accepted_late_commit,  // a commit that comes late is taken for one of the node that has taken over
  deaf_guard,  // tries start and live on after the trust window of their node
};

#ifdef PAWL_PLANTED
inline Planted active_planted = Planted::none;
inline bool planted(Planted bug) { return active_planted == bug; }
#else
constexpr bool planted(Planted) { return false; }
#endif

}  // namespace pawl
