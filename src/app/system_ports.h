// The machine's clock and randomness, as the driver wants them.
#pragma once

#include <memory>

#include "driver/ports.h"

namespace pawl::app {

// UTC, set once at the start and carried on by CLOCK_BOOTTIME: somebody who sets the machine's clock moves no due time.
// Small corrections, as time services make them, are followed; it never goes back. Threads: any.
class SystemClock final : public driver::Clock {
 public:
  SystemClock();
  ~SystemClock() override;
  Instant now() override;

 private:
  struct Anchor;
  std::unique_ptr<Anchor> anchor_;
};

// The kernel's randomness, 512 bytes a call. Threads: one.
class SystemRng final : public driver::Rng {
 public:
  std::uint64_t next() override;

 private:
  std::uint64_t buffer_[64] = {};
  int left_ = 0;
};

}  // namespace pawl::app
