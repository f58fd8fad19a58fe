// What one seed is like: which faults exist in it at all and how often each strikes, what its workflows are made of, how
// much is asked of it. Seeds that differ find more than many that are all a little of everything (Groce and others, "Swarm
// testing", 2012).
#pragma once

#include <array>
#include <set>
#include <string>

#include "base/random.h"
#include "sim/events.h"

namespace pawl::sim {

struct Swarm {
  explicit Swarm(SplitMix random);

  double rate(What what) const { return rates[static_cast<std::size_t>(what)]; }
  void no_more_faults();

  std::array<double, what_count> rates{};  // of faults and persons; the rest by `load`, of which each step has one
  std::array<double, 5> load{};  // request, finish, time, due; the last is the sum of all with turn
  std::set<std::string> missing;  // what no workflow of this seed has (shapes.h)
  int process_seats = 1, http_seats = 1;
  int workflows = 1;
  bool heals_by_restart = true;  // or it goes on without
};

}  // namespace pawl::sim
