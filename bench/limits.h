// What the machine gives with no engine in the way, measured beside each workload.
#pragma once

#include <cstddef>
#include <string>

namespace pawl::bench {

// One thread that appends 4 KiB and calls fdatasync, for about a second: calls a second.
double append_syncs_per_second(const std::string& folder);
// Rows of `row_bytes` a second into one table without index, WAL, synchronous=FULL, `batch` rows a transaction.
double sqlite_rows_per_second(const std::string& folder, std::size_t batch, std::size_t row_bytes);
// posix_spawn of /bin/true and the wait for its end, one after the other.
double spawns_per_second();
// POSTs a second that the echo server answers to 64 kept connections of one client thread.
double echo_posts_per_second(int port);

}  // namespace pawl::bench
