// What the outside has been promised, and what the outside has seen: kept where the end of a process takes nothing of it
// away, and compared with what the next process shows.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>

#include "base/id.h"

namespace pawl::faults {

struct Ledger {
  static constexpr int runs = 14, tasks = 3, most_frames = 512;

  struct Notes {
    bool acknowledged = false;
    bool known = false;  // `id` is
    RunId id;
    bool failed_once = false;  // its second task
    int through = 0;  // results of so many tasks are durable: the next one was started, or the run has ended
    std::uint32_t frames = 0;  // appended, or tried to
    std::bitset<most_frames> promised, refused;  // of them: synced · said not to be kept
  };
  Notes notes[runs];

  std::uint64_t hits = 0;
  std::uint64_t lives = 0;  // stores opened
  bool died = false;  // without memory
  std::uint32_t violations = 0;
  char first[400] = {};  // of them

  void wrong(std::string_view what) {
    if (++violations == 1) first[what.copy(first, sizeof first - 1)] = '\0';
  }
};

}  // namespace pawl::faults
