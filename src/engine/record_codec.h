// The text of a record in the store (docs/formats/records.md): a JSON list of changes, each an object whose `t` names
// it. Positions are numbers, absent members have their default.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/record.h"

namespace pawl::engine {

std::string encode(const std::vector<Change>& changes);
// Error: corrupt. An unknown `t` is an error: a newer program wrote it.
Result<std::vector<Change>> decode(std::string_view body);

}  // namespace pawl::engine
