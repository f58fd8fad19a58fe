// Counts what a tree uses, where no cgroup does it. A count costs a look at every process of the machine, so it is only
// made when the tree can have grown by much.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "runner/process/process_runner.h"

namespace pawl::runner {

class Usage {
 public:
  // Counts against these limits; 0: not this one.
  Usage(std::int64_t processes, std::int64_t memory_bytes) : processes_(processes), memory_bytes_(memory_bytes) {}

  bool counts() const { return processes_ > 0 || memory_bytes_ > 0; }
  static constexpr std::chrono::milliseconds pause{50};  // between two looks

  enum class Passed { nothing, processes, memory };
  // What is below this process, compared with its limits. `now` is elapsed().
  Passed look(Duration now);

 private:
  const std::int64_t processes_, memory_bytes_;
  std::optional<Duration> counted_at_;
  std::int64_t total_then_ = 0;  // threads of the whole machine at the last count
};

}  // namespace pawl::runner
