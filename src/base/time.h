// Instants and durations, both in whole microseconds, and their texts. Nothing here reads a clock.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pawl {

using Duration = std::chrono::microseconds;
using Instant = std::chrono::sys_time<Duration>;  // UTC, without leap seconds, as POSIX counts

inline std::int64_t to_us(Instant instant) { return instant.time_since_epoch().count(); }
inline Instant from_us(std::int64_t us) { return Instant{Duration{us}}; }

// RFC 3339 in UTC with milliseconds: 2026-11-23T08:00:00.000Z.
std::string to_rfc3339(Instant instant);
// RFC 3339 with any offset and up to nine digits of a second; finer than microseconds is cut off.
Result<Instant> parse_rfc3339(std::string_view text);

// A sum of numbers with units in falling order: 500ms, 10s, 5m, 1h30m, 2d. A bare number is an error, so is a sign.
// At most 1000 years.
Result<Duration> parse_duration(std::string_view text);
// The shortest text that parse_duration reads back, cut to milliseconds: 1h30m, 500ms, 0s.
std::string to_text(Duration duration);

}  // namespace pawl
