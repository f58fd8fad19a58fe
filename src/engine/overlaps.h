// Which runs of which schedule are open, who stands in line behind them, and how many runs of a backfill are open. Belongs to
// the node, lives in memory, and follows the rows of open runs, in memory or not.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "model/run.h"

namespace pawl::engine {

class Overlaps {
 public:
  // Brings it up to date with a run's row; a final run is forgotten, and so is one that no slot has started.
  void note(const Run& run);
  void forget(RunId run);

  // Of the schedule's own slots; runs of a backfill, and those that tell of a late slot, do not count.
  bool any_open(ScheduleId schedule) const;
  bool any_in_line(ScheduleId schedule) const;
  // Whether a run that stands in line is the first of it, and nobody before it is open.
  bool may_begin(RunId run) const;
  // Runs that it waits for and that have not been told yet that it wants them to end; asking for them tells them. None, if it
  // is not one that cancels.
  std::vector<RunId> to_cancel(RunId run);
  // A run that should be looked at: it may begin, or has runs to cancel.
  std::optional<RunId> next() const;

  int open_of(BackfillId backfill) const;

 private:
  using Place = std::tuple<Instant, std::int64_t, RunId>;  // slot, number
  struct Member {
    ScheduleId schedule;
    Place place;
    bool in_line = false;
    std::optional<BackfillId> backfill;
  };
  struct Line {
    std::set<RunId> open;  // that have left the line, or never stood in it
    std::map<Place, bool> waiting;  // whether it cancels those before it
    std::set<RunId> told;
  };
  void settle(ScheduleId schedule);
  std::vector<RunId> untold(const Line& line, const Place& place) const;

  std::map<ScheduleId, Line> lines_;
  std::unordered_map<RunId, Member> members_;
  std::set<ScheduleId> ready_;
  std::map<BackfillId, int> backfills_;
};

}  // namespace pawl::engine
