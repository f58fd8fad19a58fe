// What the driver needs of the world beside store and runner. The server gives the real things, the simulator its own.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace pawl::driver {

class Clock {
 public:
  virtual ~Clock() = default;
  // UTC. Must never go back, and must not jump when somebody sets the machine's clock: due times hang on it.
  // Threads: any.
  virtual Instant now() = 0;
};

class Rng {
 public:
  virtual ~Rng() = default;
  virtual std::uint64_t next() = 0;
};

}  // namespace pawl::driver
