// The embedded store: one SQLite file in WAL mode, synchronous=FULL (docs/formats/sqlite.md). One connection writes and
// checkpoints, all others only read: SQLite before 3.51.3 can corrupt a WAL that two connections checkpoint at once.
#pragma once

#include <memory>
#include <string>

#include "store/store.h"

namespace pawl::store {

struct SqliteOptions {
  std::string path;  // of the file; its folder must exist
  // Pages in the WAL from which on it is copied into the database. Tests set it lower.
  int checkpoint_pages = 4000;
};

// Opens or creates the file, takes its lock (`path`.lock), brings the schema to the newest version and counts the
// node's epoch up. Files up to 4 MiB are checked page by page (PRAGMA quick_check); larger ones would hold up the
// start, and their damage shows when it is met.
// Errors: conflict    another process holds it, or this one does already; nothing was touched
//         refused     the schema is newer than this program, or one of the files is not a plain file of ours alone
//                     (base/own_file.h); nothing was touched
//         corrupt     it is no database of ours, or fails the quick check; nothing was touched
//         overloaded  no room · unavailable  it cannot be read or written
Result<std::unique_ptr<Store>> open_sqlite(const SqliteOptions& options);

}  // namespace pawl::store
