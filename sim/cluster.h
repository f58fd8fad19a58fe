// Many nodes that share one store: a model of the protocol by which one of them works and another takes over, with the real
// driver and engine in each. The product has no cluster yet; this is the test that waits for it.
//
// One node holds the lease: a right to act for ten seconds, numbered by an epoch, granted and measured by the store. It
// renews it every three seconds. Its trust window ends two seconds before the lease can, reckoned on its own monotonic
// clock from the instant at which it sent the last request that was granted. Then it starts nothing more, its guard ends
// its tries, and it throws its state away and stands by, as it does when a commit is refused or its outcome is unknown. A
// node that stands by asks for the lease twice a second, and begins as after a restart.
//
// Nodes are paused with what they have in hand, cut off from the store in one way or both, and die; commits are lost, or
// applied and not acknowledged, or arrive when another node has taken over. Their clocks differ and drift.
//
// Beside all promises that hold for one server:
//   I3     no commit of an epoch is applied after a newer one has begun
//   lease  no try starts outside of the trust window of its node, or while another node holds the lease
//   I16    when a node takes over, no try of the one before it is alive
//   P5     a lease that is over is taken within two seconds, if a node is there that can
#pragma once

#include "sim/simulator.h"

namespace pawl::sim {

// Of options.nodes nodes, 1 to 7.
Outcome simulate_cluster(const Options& options);

}  // namespace pawl::sim
