// What the power goes off in the middle of: commits to the embedded store and lines of logs, drawn from a seed, with what
// was promised about them and when.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/id.h"
#include "power/tape.h"

namespace pawl::power {

// What the store holds once so many transactions are in it.
struct Content {
  std::map<RunId, std::int64_t> records;  // their number, of each run
  std::map<RunId, std::size_t> frames;  // that were synced before: what a result stands on has been printed
};

struct Played {
  Tape tape;
  RunId diary;  // has one record for each transaction
  std::vector<Content> contents;  // by number of transactions, from 0 on
  // After so many ops of the tape …
  std::vector<std::pair<std::size_t, std::size_t>> opened;  // … the store had been opened so often
  std::vector<std::size_t> begun, acknowledged;  // … this transaction was asked for, and promised
  struct Synced {
    std::size_t at = 0;
    std::size_t frames = 0;  // of a run's log that were promised
  };
  std::map<RunId, std::vector<Synced>> synced;
  std::map<RunId, std::size_t> appended;  // in the end
};

// In `folder`, which is empty. Stops the program if something does not work: nothing is broken here yet.
Played play(std::uint64_t seed, const std::string& folder);

// The bodies of records and the frames of logs, the same for the same place.
std::string record_body(RunId run, std::int64_t seq);
std::string frame_text(RunId run, std::size_t number);

}  // namespace pawl::power
