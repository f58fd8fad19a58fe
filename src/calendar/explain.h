// An expression explained for programs: what `pawl cron --json` prints and POST cron/explain answers (docs/cli.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"
#include "calendar/slots.h"
#include "calendar/words.h"

namespace pawl::calendar {

// The first `count` slots later than `after`; fewer, if there are no more.
std::vector<Instant> next_slots(const Slots& slots, Instant after, std::int64_t count);

// {"cron","tz","description","next":[Unix seconds]}, and "warnings":[…] if there are any. `times` are what next_slots() gave.
Json explain(const Slots& slots, std::span<const Instant> times, Language language);

// {"field","position","message"}.
json::object to_json(const Problem& problem);

}  // namespace pawl::calendar
