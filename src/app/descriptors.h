// How many tasks run at once, as far as the file descriptors of the process bear it.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "cli/options.h"

namespace pawl::app {

// How the descriptors are shared out, so that neither clients nor calls take those without which a task cannot be started
// and the store not be read.
struct DescriptorShares {
  std::size_t connections = 0;  // of clients
  std::size_t calls = 0;  // of http tasks at once, and connections kept for them
  std::size_t processes = 0;  // of run tasks at once
};
// With fewer the server could be reached and do nothing.
inline constexpr std::size_t fewest_descriptors = 64;

// What is asked for by number is given whole; the rest gets what is left. Error: unavailable, with the number that is
// needed, if `descriptors` do not bear what is asked for.
Result<DescriptorShares> share_out(std::size_t descriptors, const cli::AtOnce& asked);

// Of this process, now; and what it may have at most.
std::size_t descriptor_limit();
std::size_t hard_descriptor_limit();
// Raises the first to the second: thousands of calls at once want as many as are allowed.
void take_all_descriptors();

}  // namespace pawl::app
