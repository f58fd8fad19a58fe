// Small workflows, one for each feature of the language, played again and again. The server dies, or a service manager
// stops it and its tasks, at the first point of the play, at the second, and so on, before and after every single
// commit, until a play ends without reaching its point. Each play must come to the same end as one without a crash or
// stop.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pawl::sim {

struct Exhausted {
  std::string story;  // its name
  std::uint64_t points = 0;  // at which it died or was stopped
  std::vector<std::string> violations;  // each with its point
};

// All stories, in a fixed order.
std::vector<Exhausted> exhaust();

}  // namespace pawl::sim
