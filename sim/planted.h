// The catalogue of planted bugs (base/planted.h): what each one is and which promises it breaks, so that a bug counts as
// caught only where one of these says so. Plays seeds until that happens.
#pragma once

#ifdef PAWL_PLANTED

#include <cstdint>
#include <string_view>

namespace pawl::sim {

// Prints a line for each bug, or for the one called so: where it was caught, by which promise; and how many were.
// At most `seeds` from `first` on are played for each. Returns the exit code: 0 only if all were caught.
int catch_planted(std::string_view name, std::uint64_t first, std::uint64_t seeds);
// Prints names and what they are.
int list_planted();

}  // namespace pawl::sim

#endif
