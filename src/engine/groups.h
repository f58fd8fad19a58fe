// Who holds a place in which concurrency group, and who waits for one. Belongs to the node, lives in memory, and follows
// the rows of open runs, in memory or not.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "model/run.h"

namespace pawl::engine {

class Groups {
 public:
  // Brings it up to date with a run's row; a final run, or one of no group, is forgotten.
  void note(const Run& run);
  void forget(RunId run);
  // Whether the run, which waits, may take a place: there is one, and nobody asked before it.
  bool may_take(const Run& run) const;
  // Runs that hold a place and have not been told yet that another wants it; asking for them tells them.
  std::vector<RunId> to_cancel(const std::string& group);
  // A run that should be looked at: it may take a place, or has runs to cancel.
  std::optional<RunId> next() const { return ready_.empty() ? std::nullopt : first_of(*ready_.begin()); }
  std::size_t waiting() const { return waiting_; }

 private:
  // Of two that asked in the same instant the smaller run number is first.
  using Place = std::tuple<Instant, std::int64_t, RunId>;
  struct Member {
    std::string group;
    Place place;
    bool holds = false;
  };
  struct Waiter {
    int limit = 1;
    bool cancels = false;
  };
  struct Group {
    std::set<RunId> holders;
    std::set<RunId> told;
    std::map<Place, Waiter> queue;
  };
  std::optional<RunId> first_of(const std::string& group) const;
  void settle(const std::string& group);

  std::map<std::string, Group> groups_;
  std::unordered_map<RunId, Member> members_;
  std::set<std::string> ready_;
  std::size_t waiting_ = 0;
};

}  // namespace pawl::engine
