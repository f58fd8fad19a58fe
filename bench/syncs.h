// Counts this process's calls of fdatasync and fsync: SQLite's and our own go through the functions in syncs.cc, which
// then do what they are named for.
#pragma once

#include <cstdint>

namespace pawl::bench {

std::uint64_t syncs();  // since the start; any thread

}  // namespace pawl::bench
