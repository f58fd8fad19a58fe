// How many tasks can run at once with the file descriptors of the process.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "cli/options.h"

namespace pawl::app {

// How the descriptors are shared out, so that clients and calls leave enough to start tasks and to read the store.
struct DescriptorShares {
  std::size_t connections = 0;  // of clients
  std::size_t calls = 0;  // of http tasks at once, and connections kept for them
  std::size_t processes = 0;  // of run tasks at once
};
// With fewer, the server could accept requests but do nothing.
inline constexpr std::size_t fewest_descriptors = 64;

// A number that is asked for is given in full; the rest is shared. Error: unavailable, with the number that is needed,
// if `descriptors` are too few for what is asked for.
Result<DescriptorShares> share_out(std::size_t descriptors, const cli::AtOnce& asked);

// The soft and the hard limit of this process.
std::size_t descriptor_limit();
std::size_t hard_descriptor_limit();
// Raises the soft limit to the hard one: thousands of calls at once need as many as are allowed.
void take_all_descriptors();

}  // namespace pawl::app
