#include "driver/carried_time.h"

#include <algorithm>

namespace pawl::driver {
namespace {

// A correction larger than this is a jump, and not followed.
constexpr Duration small_correction = std::chrono::seconds(2);

}  // namespace

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
