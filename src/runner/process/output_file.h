// What a task writes to $PAWL_OUTPUT.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace pawl::runner {

// Lines `key=value`, and blocks
//
//   key<<END
//   any lines
//   END
//
// whose value is the lines between, without the last line break. Keys are [A-Za-z_][A-Za-z0-9_-]*, values text (bytes
// that are no UTF-8 become U+FFFD); of a key given twice the last counts. Empty lines are passed over.
// Error: invalid, names the line.
Result<json::object> parse_outputs(std::string_view text);

// Reads the file `name` in `folder` (a descriptor) and parses it. One that was deleted is an empty one.
// Errors: invalid, with the name `output_invalid` (no plain file, or malformed) or `output_too_large`.
Result<json::object> read_outputs(int folder, const char* name);

}  // namespace pawl::runner
