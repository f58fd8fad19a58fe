// A run's state as text, so that two of them can be compared and the difference read.
#pragma once

#include <string>

#include "engine/state.h"

namespace pawl::sim {

std::string describe(const Attempt& attempt);
// Everything that decides what the engine does next.
std::string describe(const engine::RunState& state);

}  // namespace pawl::sim
