// What reaches the files below a folder, in order: every write, sync, cut, creation, renaming and removal, whoever asks
// for it, SQLite or we. Recorded where both meet, in the functions of the C library (file_calls.h).
// SQLite's index (-shm) is mapped memory: nothing writes it that could be seen here, and nothing syncs it. `index` holds
// what was in it.
// Threads: any; the order is that in which the calls return.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "power/file_calls.h"

namespace pawl::power {

struct Op {
  enum class Kind : std::uint8_t {
    make,  // file `file` appears as `path`, empty
    make_folder,  // `path`
    rename,  // `path` to `to`, in one folder
    remove,  // `path`
    sync_folder,  // entries of `path` are durable
    write,  // `bytes` at `offset` of `file`
    cut,  // `file` is `offset` bytes long
    sync,  // `file` is durable
    lose,  // its sync failed: the kernel takes what was pending for clean, and it will never be durable
  };
  Kind kind{};
  int file = -1;
  std::string path, to;  // below the folder; the folder itself is empty
  std::uint64_t offset = 0;
  std::string bytes;
};

struct Tape {
  std::vector<Op> ops;
  // After so many ops the index of a database had this content; by file.
  std::map<int, std::vector<std::pair<std::size_t, std::string>>> index;
};

// One recording at a time. The folder exists and is empty. `below` is asked before the kernel.
// Returns who records: somebody else may be put above it.
FileCalls& start_tape(const std::string& folder, FileCalls* below = nullptr);
std::size_t tape_length();  // so far
Tape stop_tape();

}  // namespace pawl::power
