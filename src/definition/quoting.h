// Values that need quotes: where `${{ … }}` and cron expressions meet YAML's own characters. Inside of the room.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "definition/definition.h"
#include "definition/source.h"

namespace pawl::definition {

// The value that begins at `begin` of its line, as its author meant it: up to the end of the line, or of the place in a
// list or map on that line. `flow`: it stands in such a list or map that began on an earlier line.
std::string_view meant_value(const Source& source, std::size_t begin, bool flow = false);
// The same between quotes, cut to what fits into a message.
std::string quoted(std::string_view value);

// Explains an error of the YAML reader at `offset` (inside of something that begins at `context`) by a value that lacks
// quotes, if there is one. `flow`: the reader was inside of a `{ }` or `[ ]`.
std::optional<Problem> missing_quotes(const Source& source, std::size_t offset, std::size_t context, bool flow);
// A comment that swallows a part of a plain scalar ending at `end`: ` #${{ … }}`.
bool swallowed_by_comment(const Source& source, std::size_t end);

}  // namespace pawl::definition
