// Reads over a connection of its own, which may neither write nor checkpoint.
#pragma once

#include <memory>
#include <string>

#include "store/reader.h"

namespace pawl::store {

// Of a database that open_sqlite() holds open. Error: unavailable.
Result<std::unique_ptr<Reader>> open_sqlite_reader(const std::string& path);

}  // namespace pawl::store
