// The functions of the language: their table. Inside of the room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "expression/expression.h"

namespace pawl::expression {

enum class FunctionId : std::uint8_t {
  success,
  failure,
  always,
  cancelled,
  contains,
  starts_with,
  ends_with,
  format,
  join,
  split,
  length,
  keys,
  default_,
  to_json,
  from_json,
  hash,
  now,
  date,
  add_duration,
  compact,
};

struct Function {
  std::string_view name;
  FunctionId id;
  std::size_t least = 0, most = 0;  // arguments
  std::string_view usage;
  std::optional<StatusFunction> status = {};
};

std::span<const Function> functions();
// nullptr: no function of this name.
const Function* find_function(std::string_view name);

}  // namespace pawl::expression
