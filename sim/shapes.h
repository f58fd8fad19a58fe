// Workflows that the simulator runs: drawn from a seed, as text, so that definition and expressions are in the play too.
#pragma once

#include <string>

#include "base/random.h"

namespace pawl::sim {

struct Shape {
  std::string name;
  std::string text;
};

// A workflow called `name` whose tasks carry `mark` in their bodies, so that a later version can be told from it. Every
// http task of it hands on tokens of the tasks before it. One in a few has a task called `poison`.
Shape draw_shape(SplitMix& random, const std::string& name, const std::string& mark);

}  // namespace pawl::sim
