// What a run may be given: reading the declarations, and checking values against them. Inside of the room.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "definition/reader.h"

namespace pawl::definition {

constexpr std::size_t max_inputs = 100;

std::vector<Input> read_inputs(Reader& reader, const Node& node);

// The value as the input's type has it, or what is wrong with it, such as "must be at least 3".
std::expected<Json, std::string> check_value(const Input& input, const Json& value, bool from_text);

std::string_view to_string(InputType type);

}  // namespace pawl::definition
