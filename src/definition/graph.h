// The jobs as a graph by `needs`. Inside of the room.
#pragma once

#include <cstdint>
#include <vector>

#include "definition/parts.h"

namespace pawl::definition {

// Fills in Job::needs and reports unknown jobs and cycles. `needs` is by job.
void connect_jobs(Reader& reader, Workflow& workflow, const std::vector<std::vector<Need>>& needs);

// Which jobs come before which. Of a job in a cycle, or after one, nothing is known, and all jobs count as before it.
class Ancestors {
 public:
  explicit Ancestors(const Workflow& workflow);
  bool contains(int job, int ancestor) const;

 private:
  std::size_t words_;
  std::vector<std::size_t> missing_;  // needs whose ancestors are not known
  std::vector<std::uint64_t> bits_;  // words_ for each job
};

}  // namespace pawl::definition
