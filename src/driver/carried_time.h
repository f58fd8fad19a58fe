// The time that due times hang on: the machine's clock as it was at the start, carried on by one that nobody can set.
#pragma once

#include "base/time.h"

namespace pawl::driver {

// Somebody who sets the machine's clock moves no due time. Small corrections, as time services make them, are followed; it
// never goes back. Threads: one at a time.
class CarriedTime {
 public:
  // `wall`: since 1970, UTC, by the machine's clock. `boot`: since some instant of the past, also while the machine sleeps.
  CarriedTime(Duration wall, Duration boot) : wall_(wall), boot_(boot), latest_(wall) {}

  Instant at(Duration wall, Duration boot);

  // What is stored has seen `seen`. Where the machine's clock went back while nobody was here, time goes on from there, or
  // ids would not be in order and a retry in ten seconds would come a day late; unless that is so far ahead that the
  // clock was wrong then. Returns how far it is behind, if it is.
  Duration go_on_from(Instant seen);

 private:
  Duration wall_, boot_;  // read together, or what the one said was carried on by the other
  Duration latest_;
};

// A correction larger than this is a jump, and not followed.
inline constexpr Duration small_correction = std::chrono::seconds(2);
// go_on_from() does up to here.
inline constexpr Duration most_carried = std::chrono::hours(48);

}  // namespace pawl::driver
