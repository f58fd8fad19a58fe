// Which tries hold the seats of a node, to be shown while others wait. Kept in memory beside engine::Limits, which
// decides, and computed only while runs wait. Threads: the core's.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <optional>

#include "engine/limits.h"
#include "engine/state.h"
#include "model/command.h"
#include "model/seat.h"

namespace pawl::driver {

class Seating {
 public:
  // Returns the run if it is in memory, else null.
  using Find = std::function<const engine::RunState*(RunId)>;
  using Show = std::function<void(Seat, const SeatCount&)>;
  // `show` is called when the counts of a kind have changed while runs wait for it; may be empty.
  Seating(std::array<int, seat_kinds> sizes, Find find, Show show);

  // A try has taken a seat. `limits` are those of that moment.
  void taken(const StartTask& start, Instant now, const engine::Limits& limits);

  // Shows what has changed. Warns when a kind has been full for `patience` while runs waited for it, once until that
  // ends. `settled`: every run that could take a free seat has been offered it, so a free seat ends the wait.
  void look(const engine::Limits& limits, Instant now, bool settled);

  static constexpr Duration patience = std::chrono::minutes(5);

 private:
  struct Held {
    RunId run;
    TaskRef ref;
    int try_number = 0;
    Instant since;
    bool operator==(const Held&) const = default;
  };
  struct Kind {
    int size = 0;
    std::deque<Held> held;  // in the order of their starts; some have ended
    SeatCount shown;
    std::optional<Held> shown_oldest;
    std::optional<Instant> full_since;
    bool warned = false;
  };

  bool holds(const Held& held) const;
  void show(Seat seat, Kind& kind, const engine::Limits& limits);

  std::array<Kind, seat_kinds> kinds_;
  const Find find_;
  const Show show_;
};

}  // namespace pawl::driver
