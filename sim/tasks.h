// The tasks of an attempt, for those who judge it.
#pragma once

#include <cstddef>

#include "model/run.h"

namespace pawl::sim {

inline std::size_t at_index(int position) { return static_cast<std::size_t>(position); }

// All that can be reached: those of jobs, and of instances that stand in a list.
template <class Visit>
void each_task(const Attempt& attempt, Visit visit) {
  const auto job = [&](int position) {
    for (std::size_t t = 0; t < attempt.jobs[at_index(position)].tasks.size(); ++t)
      visit(TaskRef{position, static_cast<int>(t)});
  };
  for (std::size_t j = 0; j < attempt.jobs.size(); ++j) {
    if (attempt.jobs[j].of >= 0) continue;
    job(static_cast<int>(j));
    for (const int instance : attempt.jobs[j].instances) job(instance);
  }
}

}  // namespace pawl::sim
