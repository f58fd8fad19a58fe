// Workflows that the simulator runs: drawn from a seed, as text, so that definition and expressions are in the play too.
#pragma once

#include <string>

#include "base/random.h"

namespace pawl::sim {

// A workflow called `name` with some of all that the language has. Its tasks carry `mark` in their bodies, so that a
// later version can be told from it, and hand on tokens of the tasks before them. A task called `poison` kills the
// server; one in a few workflows has such a task. Groups have the same names in all workflows.
std::string draw_shape(SplitMix& random, const std::string& name, const std::string& mark);

}  // namespace pawl::sim
