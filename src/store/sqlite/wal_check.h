// Whether the write-ahead log beside a database holds all that was committed to it. SQLite takes a log up to the first
// frame that is broken, whatever stands behind it, and one with a broken header for none: what a crash may leave and what
// damage leaves look the same to it, and acknowledged commits would go without a word.
#pragma once

#include <string>

#include "base/result.h"

namespace pawl::store {

// Looks at `path`-wal and `path`-shm while nobody has them open. Fine is whatever a crash can leave where each commit is
// synced before the next begins (synchronous=FULL): a torn end behind the last commit.
// Errors: corrupt      commits are missing: the log is gone, shorter than the index beside it says, or broken before a
//                      commit that another one follows; the message names the byte
//         unavailable  it cannot be read
Result<void> check_wal(const std::string& path);

}  // namespace pawl::store
