// A time zone as data: the stretches of time between two changes of its offset. Where the rules come from is no matter of
// this room (zones/ reads them from the system's files). Immutable: any number of threads may ask one zone.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace pawl::calendar {

using std::chrono::local_seconds;  // what a clock on the wall shows
using std::chrono::seconds;
using std::chrono::sys_seconds;  // an instant

// Schedules live in these years; no zone needs rules beyond them.
inline constexpr int first_year = 1970;
inline constexpr int last_year = 2199;

// Instants from `begin` to before `end` with one offset.
struct Stretch {
  sys_seconds begin, end;
  seconds offset{};  // east of UTC
  // Every time of the wall clock before this one was shown, or passed over, before this stretch began. Earlier than
  // opens(): the clock was put forward, and what lies between does not exist. Later: it was put back, and what lies
  // between is shown for the second time.
  local_seconds shown;

  local_seconds opens() const { return local(begin); }
  local_seconds closes() const { return local(end); }
  local_seconds local(sys_seconds instant) const { return local_seconds{instant.time_since_epoch() + offset}; }
  sys_seconds instant(local_seconds wall) const { return sys_seconds{wall.time_since_epoch() - offset}; }
};

class Zone {
 public:
  struct Change {
    sys_seconds at;
    seconds offset{};  // from then on
  };
  // `changes` in rising order; those that change nothing are passed over. Offsets are smaller than 26 hours.
  Zone(std::string name, seconds first_offset, const std::vector<Change>& changes);
  static Zone utc() { return {"UTC", seconds(0), {}}; }

  const std::string& name() const { return name_; }  // IANA name
  // In order, without holes, from long before the first year to long after the last.
  const std::vector<Stretch>& stretches() const { return stretches_; }
  std::size_t index_at(sys_seconds instant) const;
  const Stretch& at(sys_seconds instant) const { return stretches_[index_at(instant)]; }
  // The stretch in which the wall clock first shows, or passes over, that time.
  const Stretch& first_to_show(local_seconds wall) const;

 private:
  std::string name_;
  std::vector<Stretch> stretches_;
};

}  // namespace pawl::calendar
