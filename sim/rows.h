// Which rows of the engine's transition tables (engine/transitions.h) were played, counted from what was committed.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/transitions.h"
#include "sim/ledger.h"

namespace pawl::sim {

class Rows : public Watch {
 public:
  void changes(const engine::RunState& before, const Change& change) override;
  void record(RunStatus before, const engine::RunState& after) override;
  void add(const Rows& other);

  static constexpr std::size_t all =
      engine::task_transitions.size() + engine::job_transitions.size() + engine::attempt_transitions.size();
  std::size_t reached() const;
  // `task: running start`, in the order of the tables: rows that were never played …
  std::vector<std::string> never() const;
  // … and those of them that no reason excuses (rows.cc).
  std::vector<std::string> missing() const;

 private:
  void note(WorkStatus from, engine::TaskEvent on, std::uint64_t times = 1);
  void note(WorkStatus from, engine::JobEvent on);
  void note(RunStatus from, engine::AttemptEvent on);

  std::array<std::uint64_t, engine::task_transitions.size()> tasks_{};
  std::array<std::uint64_t, engine::job_transitions.size()> jobs_{};
  std::array<std::uint64_t, engine::attempt_transitions.size()> attempts_{};
  bool is_named_ = false;  // the change of attempt of this record stands in a change of its own
};

}  // namespace pawl::sim
