// Whether the write-ahead log beside a database holds all that was committed to it. SQLite takes a log up to the first
// frame that is broken, whatever stands behind it, and one with a broken header for none: what a crash may leave and what
// damage leaves look the same to it, and acknowledged commits would go without a word.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace pawl::store {

// Where the last transaction of a log stands.
struct WalEnd {
  std::uint64_t last_begins = 0, last_ends = 0;  // bytes; equal: there is none
  bool is_void = false;  // the log has no whole header, and nothing in it is needed
};

// Looks at `path`-wal and `path`-shm while nobody has them open. Fine is whatever a crash can leave where each commit is
// synced before the next begins (synchronous=FULL): a torn end behind the last commit.
// Errors: corrupt      commits are missing: the log is gone, shorter than the index beside it says, or broken before a
//                      commit that another one follows; the message names the byte
//         unavailable  it cannot be read
Result<WalEnd> check_wal(const std::string& path);

// Makes durable what the last transaction is, whatever became of it before: a process may have been killed before its
// sync, or that sync has failed. Of the latter a second one knows nothing: the system takes what it could not write for
// written, shows it from memory, and forgets it when the power goes. So it is written again, with the bytes that are
// there, and then synced. All transactions before it were synced before it began. One that is void is emptied. To be done
// before anybody can read it.
// Errors: overloaded no room · unavailable an I/O error. Later it may succeed.
Result<void> renew_wal(const std::string& path, const WalEnd& end);

}  // namespace pawl::store
