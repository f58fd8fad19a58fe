#include "app/system_ports.h"

#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/thread_annotations.h"
#include "driver/carried_time.h"

namespace pawl::app {
namespace {

Duration read_clock(clockid_t clock) {
  timespec at{};
  check(clock_gettime(clock, &at) == 0);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec));
}

}  // namespace

struct SystemClock::Carried {
  Mutex mutex;
  driver::CarriedTime time GUARDED_BY(mutex){read_clock(CLOCK_REALTIME), read_clock(CLOCK_BOOTTIME)};
};

SystemClock::SystemClock() : carried_(std::make_unique<Carried>()) {}
SystemClock::~SystemClock() = default;

Instant SystemClock::now() {
  const MutexLock lock(carried_->mutex);
  return carried_->time.at(read_clock(CLOCK_REALTIME), read_clock(CLOCK_BOOTTIME));
}

Duration SystemClock::go_on_from(Instant seen) {
  const MutexLock lock(carried_->mutex);
  return carried_->time.go_on_from(seen);
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
