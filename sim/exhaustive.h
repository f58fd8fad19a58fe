// Small workflows, one for each thing that the language has, played again and again: the server dies, or a service manager
// stops it and its tasks, at the first point of the play, at the second, and so on, before and after every single commit,
// until a play ends without reaching its point. Each play must come to the same end as the one without that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pawl::sim {

struct Exhausted {
  std::string story;  // its name
  std::uint64_t points = 0;  // at which that happened
  std::vector<std::string> violations;  // each with its point
};

// All stories, in a fixed order.
std::vector<Exhausted> exhaust();

}  // namespace pawl::sim
