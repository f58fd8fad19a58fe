// JSON values (Boost.JSON) with a reader and a writer of our own: Boost.JSON 1.81 rounds doubles by one unit, turns
// 1e999 into Infinity, writes 1.5 as 1.5E0 and names no position in its errors.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pawl {

namespace json = boost::json;
using Json = boost::json::value;

struct JsonLimits {
  std::size_t depth = 200;
};

// Strict RFC 8259: UTF-8 only, no comments, nothing after the value. A key given twice is an error. Whole numbers
// that fit are std::int64_t or std::uint64_t, all others the nearest double; one beyond doubles is an error.
// The error names line and column.
Result<Json> parse_json(std::string_view text, JsonLimits limits = {});

// Shortest text that reads back as the same value; one line, no spaces. NaN and infinities, which no value of ours
// should hold, are written as null.
void append_json(std::string& out, const Json& value);
void append_json_string(std::string& out, std::string_view text);
std::string to_text(const Json& value);

// The member, or nullptr if `value` is no object or has no such member.
const Json* find(const Json& value, std::string_view member);
// The member's string, or empty if it is absent or of another type.
std::string_view find_string(const Json& value, std::string_view member);
std::optional<std::int64_t> find_int(const Json& value, std::string_view member);

inline std::string_view as_view(const Json& text) {
  const json::string& s = text.get_string();
  return {s.data(), s.size()};
}

// What to call its type in a message: null, bool, number, string, list, object.
std::string_view type_name(const Json& value);

// How many bytes its text takes, without making it.
std::size_t text_size(const Json& value);

}  // namespace pawl
