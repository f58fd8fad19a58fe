#include "cli/zone_time.h"

#include <array>

#include "zones/zones.h"

namespace pawl::cli {

std::string weekday_text(std::chrono::local_days day, calendar::Language in) {
  constexpr auto names = std::to_array<std::string_view>({"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"});
  constexpr auto korean_names = std::to_array<std::string_view>({"일", "월", "화", "수", "목", "금", "토"});
  const unsigned number = std::chrono::weekday(day).c_encoding();
  return std::string(in == calendar::Language::korean ? korean_names[number] : names[number]);
}

std::string wall_text(calendar::local_seconds wall) {
  return to_rfc3339(Instant{wall.time_since_epoch()}).replace(10, 1, " ").substr(0, 19);
}

ZoneTime::ZoneTime(std::string_view name) {
  auto zone = zones::load(name);
  zone_ = zone ? std::move(*zone) : std::make_shared<const calendar::Zone>(calendar::Zone::utc());
}

std::string ZoneTime::operator()(Instant instant) const {
  const auto at = std::chrono::floor<std::chrono::seconds>(instant);
  const auto wall = zone_->at(at).local(at);
  return weekday_text(std::chrono::floor<std::chrono::days>(wall), calendar::Language::english) + ' ' + wall_text(wall);
}

}  // namespace pawl::cli
