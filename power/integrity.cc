#include "power/integrity.h"

#include <sqlite3.h>

namespace pawl::power {

std::string integrity(const std::string& path) {
  sqlite3* db = nullptr;
  std::string said = "cannot be opened";
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr) == SQLITE_OK) {
    const auto keep = [](void* text, int, char** values, char**) {
      *static_cast<std::string*>(text) = values[0];
      return 0;
    };
    if (sqlite3_exec(db, "PRAGMA integrity_check(1)", keep, &said, nullptr) != SQLITE_OK) said = sqlite3_errmsg(db);
  }
  sqlite3_close(db);
  return said;
}

}  // namespace pawl::power
