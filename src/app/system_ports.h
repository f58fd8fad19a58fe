// The machine's clock and randomness, as the driver wants them.
#pragma once

#include <memory>

#include "driver/ports.h"

namespace pawl::app {

// UTC, set once at the start and carried on by CLOCK_BOOTTIME: driver/carried_time.h. Threads: any.
class SystemClock final : public driver::Clock {
 public:
  SystemClock();
  ~SystemClock() override;
  Instant now() override;
  // CarriedTime's
  Duration go_on_from(Instant seen);

 private:
  struct Carried;
  std::unique_ptr<Carried> carried_;
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
