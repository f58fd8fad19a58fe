#include "expression/functions.h"

#include <array>

namespace pawl::expression {
namespace {

constexpr std::size_t any_number = max_nodes;

constexpr auto table = std::to_array<Function>({
    {"success", FunctionId::success, 0, 0, "success()", StatusFunction::success},
    {"failure", FunctionId::failure, 0, 0, "failure()", StatusFunction::failure},
    {"always", FunctionId::always, 0, 0, "always()", StatusFunction::always},
    {"cancelled", FunctionId::cancelled, 0, 0, "cancelled()", StatusFunction::cancelled},
    {"contains", FunctionId::contains, 2, 2, "contains(list, value) or contains(text, part)"},
    {"startsWith", FunctionId::starts_with, 2, 2, "startsWith(text, part)"},
    {"endsWith", FunctionId::ends_with, 2, 2, "endsWith(text, part)"},
    {"format", FunctionId::format, 1, any_number, "format('{0} of {1}', a, b)"},
    {"join", FunctionId::join, 1, 2, "join(list, ', ')"},
    {"split", FunctionId::split, 2, 2, "split(text, ',')"},
    {"length", FunctionId::length, 1, 1, "length(list)"},
    {"keys", FunctionId::keys, 1, 1, "keys(object)"},
    {"default", FunctionId::default_, 2, 2, "default(value, other)"},
    {"toJSON", FunctionId::to_json, 1, 1, "toJSON(value)"},
    {"fromJSON", FunctionId::from_json, 1, 1, "fromJSON(text)"},
    {"json", FunctionId::from_json, 1, 1, "json(text)"},
    {"hash", FunctionId::hash, 1, 1, "hash(value)"},
    {"now", FunctionId::now, 0, 0, "now()"},
    {"date", FunctionId::date, 1, 2, "date('%Y-%m-%d', time)"},
    {"addDuration", FunctionId::add_duration, 2, 2, "addDuration(time, '1h30m')"},
    {"compact", FunctionId::compact, 1, 1, "compact(list)"},
});

}  // namespace

std::span<const Function> functions() { return table; }

const Function* find_function(std::string_view name) {
  for (const Function& function : table)
    if (function.name == name) return &function;
  return nullptr;
}

}  // namespace pawl::expression
