// The slots of a schedule by arithmetic of the simulator's own, for the expressions that it draws: what says of the
// calendar's answers whether they are right must not ask it. UTC, and the same times every day.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/schedule.h"

namespace pawl::sim {

class Ticks {
 public:
  Ticks(const ScheduleRule& rule, Instant created_at);

  // How many slots are later than `after` and not later than `until`.
  std::int64_t count(Instant after, Instant until) const;
  // The first slot later than `after`.
  std::optional<Instant> next(Instant after) const;
  bool has(Instant slot) const { return count(slot - Duration(1), slot) == 1; }

 private:
  // How many there are from 1970, or from the anchor of @every, up to this second, whatever start and end say.
  std::int64_t up_to(std::int64_t second) const;

  std::int64_t every_ = 0, anchor_ = 0;  // of @every, in seconds; 0: an expression
  std::vector<std::int64_t> day_;  // seconds of a day at which it fires
  std::int64_t first_, last_;  // seconds between which slots may lie
};

}  // namespace pawl::sim
