// When a task is tried again.
#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "engine/step.h"

namespace pawl::engine {

// The delay after the n-th failed try of a generation, n from 1: delay × backoff^(n-1), at most max-delay, moved by up
// to the share `jitter`.
Duration retry_delay(const Retry& retry, int failed_tries, std::uint64_t random) {
  const double longest = static_cast<double>(retry.max_delay.value_or(std::chrono::hours(24 * 365)).count());
  double us = static_cast<double>(retry.delay.count()) * std::pow(retry.backoff, std::max(0, failed_tries - 1));
  us = std::min(us, longest);
  if (retry.jitter > 0) us = std::min(us * (1 + retry.jitter * (2 * SplitMix(random).fraction() - 1)), longest);
  return Duration{static_cast<std::int64_t>(std::max(0.0, us))};
}

}  // namespace pawl::engine
