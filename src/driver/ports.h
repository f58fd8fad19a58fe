// What the driver needs of the world beside store and runner. The server gives the real things, the simulator its own.
#pragma once

#include <cstdint>
#include <stop_token>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"

namespace pawl::driver {

class Clock {
 public:
  virtual ~Clock() = default;
  // UTC. Must never go back, and must not jump when somebody sets the machine's clock: due times hang on it.
  // Threads: any.
  virtual Instant now() = 0;
};

// What of a run lies outside the store: its log, its folder.
class Remains {
 public:
  virtual ~Remains() = default;
  // Removes it; that there is nothing is no error. May take long, and ends early when asked to. What will never go is
  // told by it and left behind, as is what cannot be removed at all. Threads: one at a time.
  // Error: it may go later, or the stop came first.
  virtual Result<void> remove(RunId run, const std::stop_token& stop) = 0;
};

class Rng {
 public:
  virtual ~Rng() = default;
  virtual std::uint64_t next() = 0;
};

}  // namespace pawl::driver
