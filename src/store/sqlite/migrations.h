// The schema as an ordered list of steps; docs/formats/sqlite.md describes what they lead to.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "store/sqlite/connection.h"

namespace pawl::store {

// "Pawl" in the file's header: says that a database is one of ours.
inline constexpr std::int64_t application_id = 0x5061776c;

struct Migration {
  int version;      // PRAGMA user_version once it is done
  const char* sql;  // never changed after a release: a new step is added
};

// By version, from 1, without gaps.
std::span<const Migration> migrations();
// What this program writes.
int newest_version();

// Brings the schema from its version up to the last of `steps`, each in a transaction of its own, so that a crash
// leaves it at one of them. Error: refused if the schema is newer than all steps; nothing was changed.
Result<void> migrate(Connection& connection, std::span<const Migration> steps);

}  // namespace pawl::store
