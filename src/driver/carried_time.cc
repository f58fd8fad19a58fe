#include "driver/carried_time.h"

#include <algorithm>

namespace pawl::driver {

Instant CarriedTime::at(Duration wall, Duration boot) {
  const Duration carried = wall_ + (boot - boot_);
  wall_ = wall - carried < small_correction && carried - wall < small_correction ? wall : carried;
  boot_ = boot;
  latest_ = std::max(latest_, wall_);
  return Instant{latest_};
}

Duration CarriedTime::go_on_from(Instant seen) {
  const Duration behind = seen.time_since_epoch() - wall_;
  if (behind <= Duration{}) return {};
  if (behind <= most_carried) {
    wall_ += behind;
    latest_ = std::max(latest_, wall_);
  }
  return behind;
}

}  // namespace pawl::driver
