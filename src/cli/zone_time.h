// Instants as the wall clock of a zone shows them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"
#include "calendar/words.h"
#include "calendar/zone.h"

namespace pawl::cli {

std::string weekday_text(std::chrono::local_days day, calendar::Language in);
std::string wall_text(calendar::local_seconds wall);  // 2026-11-23 08:00:00

// The wall clock of a schedule's zone; that of UTC, if this machine does not know the zone.
class ZoneTime {
 public:
  explicit ZoneTime(std::string_view name);
  const std::string& name() const { return zone_->name(); }
  std::string operator()(Instant instant) const;  // Mon 2026-11-23 08:00:00

 private:
  std::shared_ptr<const calendar::Zone> zone_;
};

}  // namespace pawl::cli
