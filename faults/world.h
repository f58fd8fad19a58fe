// A server without its threads: the embedded store, the logs and the turns of the driver, with clients that ask until
// they are answered and a runner whose tasks print and end.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "faults/fault.h"
#include "faults/ledger.h"

namespace pawl::faults {

// Faults of ours, built in to see that they are found out.
enum class Lie : std::uint8_t {
  none,
  hushed_sync,  // a sync that failed is done again, and said to be fine
  repeated_commit,  // after an unknown outcome the store is opened anew beneath, and the commit made again
  no_room_is_fine,  // a commit for which there was no room is acknowledged
  unknown_is_refused,  // an unknown outcome is told as if nothing had been written
  memory_is_fine,  // a commit that found no memory is acknowledged
  unsynced_logs,  // a log that could not be synced is promised
};

struct Play {
  std::string folder;
  Fault fault;
  Lie lie = Lie::none;
  // After the first fault so many turns are played, then the play is over in the middle of things. Negative: to the end.
  int turns_after = -1;
};

// Until all runs have ended. After some patience a lasting fault passes. What must not be is noted in the ledger.
void play(const Play& play, Ledger& ledger, Injector& injector);

// `folder` is what a play has left. Plays it to its end, without faults, and looks whether every promise was kept.
void look_at(const std::string& folder, Ledger& ledger);

}  // namespace pawl::faults
