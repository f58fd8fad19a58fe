// What SQLite itself says about a database.
#pragma once

#include <string>

namespace pawl::power {

// All pages and all indexes, which opening looks at only quickly. "ok", or the first thing that is wrong.
std::string integrity(const std::string& path);

}  // namespace pawl::power
