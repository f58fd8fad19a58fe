#include "calendar/zone.h"

#include <algorithm>

#include "base/check.h"

namespace pawl::calendar {
namespace {

// Far enough from all years, and from where adding an offset would overflow.
constexpr sys_seconds beginning{seconds(-(std::int64_t{1} << 40))};
constexpr sys_seconds ending{seconds(std::int64_t{1} << 40)};
constexpr seconds most_offset = std::chrono::hours(26);

}  // namespace

Zone::Zone(std::string name, seconds first_offset, const std::vector<Change>& changes) : name_(std::move(name)) {
  stretches_.push_back({beginning, ending, first_offset, {}});
  for (const Change& change : changes) {
    Stretch& last = stretches_.back();
    check(change.at > last.begin && change.at < ending, "changes of a zone are in order");
    check(std::chrono::abs(change.offset) < most_offset, "offset of a zone");
    if (change.offset == last.offset) continue;
    last.end = change.at;
    stretches_.push_back({change.at, ending, change.offset, {}});
  }
  local_seconds shown = stretches_.front().opens();
  for (Stretch& stretch : stretches_) {
    stretch.shown = shown;
    shown = std::max(shown, stretch.closes());
  }
}

std::size_t Zone::index_at(sys_seconds instant) const {
  const auto after = std::ranges::upper_bound(stretches_, instant, {}, &Stretch::begin);
  return after == stretches_.begin() ? 0 : static_cast<std::size_t>(after - stretches_.begin()) - 1;
}

const Stretch& Zone::first_to_show(local_seconds wall) const {
  // The next stretch is the first of which `wall` was shown before.
  const auto next = std::ranges::upper_bound(stretches_.begin() + 1, stretches_.end(), wall, {}, &Stretch::shown);
  return *(next - 1);
}

}  // namespace pawl::calendar
