// Simulated persons who look after schedules: they add, change, enable, disable and delete them, do the same with whole
// workflows, and have past slots filled in.
#pragma once

#include <string>

#include "base/random.h"
#include "sim/machine.h"

namespace pawl::sim {

class Keeper {
 public:
  Keeper(Machine& machine, SplitMix& random) : machine_(machine), random_(random) {}

  // Asks for something. Returns the workflow that is to be submitted again, because it was just deleted; empty: none.
  std::string act();

 private:
  std::string act_on_workflow();
  void add();
  void change(const ScheduleRow& row);
  void fill_in(const ScheduleRow& row);
  json::object fields(bool is_new);
  void expect(bool held, const std::string& what);

  Machine& machine_;
  SplitMix& random_;
};

// The end of a play: workflows are enabled and schedules are disabled, all of those that are not. False: there was nothing
// to ask for.
bool stop_schedules(Machine& machine);
// So many runs at the most will backfills that go on still start.
std::uint64_t left_to_fill(const Machine& machine);

}  // namespace pawl::sim
