#include "app/system_ports.h"

#include <sys/random.h>
#include <time.h>

#include <algorithm>

#include "base/check.h"
#include "base/thread_annotations.h"

namespace pawl::app {
namespace {

Duration read_clock(clockid_t clock) {
  timespec at{};
  check(clock_gettime(clock, &at) == 0);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec));
}

// A correction larger than this is a jump, and not followed.
constexpr Duration small_correction = std::chrono::seconds(2);

}  // namespace

struct SystemClock::Anchor {
  Mutex mutex;
  Duration wall GUARDED_BY(mutex){};
  Duration boot GUARDED_BY(mutex){};
  Duration latest GUARDED_BY(mutex){};
};

SystemClock::SystemClock() : anchor_(std::make_unique<Anchor>()) {
  const MutexLock lock(anchor_->mutex);
  anchor_->wall = read_clock(CLOCK_REALTIME);
  anchor_->boot = read_clock(CLOCK_BOOTTIME);
}

SystemClock::~SystemClock() = default;

Instant SystemClock::now() {
  const MutexLock lock(anchor_->mutex);
  const Duration wall = read_clock(CLOCK_REALTIME);
  const Duration boot = read_clock(CLOCK_BOOTTIME);
  const Duration carried = anchor_->wall + (boot - anchor_->boot);
  if (wall - carried < small_correction && carried - wall < small_correction) {
    anchor_->wall = wall;
    anchor_->boot = boot;
  } else {
    anchor_->wall = carried;
    anchor_->boot = boot;
  }
  anchor_->latest = std::max(anchor_->latest, anchor_->wall);
  return Instant{anchor_->latest};
}

std::uint64_t SystemRng::next() {
  if (left_ == 0) {
    std::size_t have = 0;
    while (have < sizeof buffer_) {
      const ssize_t got = getrandom(reinterpret_cast<char*>(buffer_) + have, sizeof buffer_ - have, 0);
      if (got > 0) have += static_cast<std::size_t>(got);
    }
    left_ = static_cast<int>(std::size(buffer_));
  }
  return buffer_[--left_];
}

}  // namespace pawl::app
