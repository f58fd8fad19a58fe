#include "base/json.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include "base/check.h"
#include "base/utf8.h"

namespace pawl {
namespace {

// Builds a value as the parser goes. Numbers are read from their own text, because the parser's doubles are not exact.
struct Builder {
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  using Ec = boost::system::error_code;

  json::value_stack stack;
  std::string number;  // the parts of a number seen so far
  std::size_t members = 0;
  bool number_too_large = false;

  bool on_document_begin(Ec&) { return true; }
  bool on_document_end(Ec&) { return true; }
  bool on_object_begin(Ec&) { return true; }
  bool on_object_end(std::size_t n, Ec&) { return members += n, stack.push_object(n), true; }
  bool on_array_begin(Ec&) { return true; }
  bool on_array_end(std::size_t n, Ec&) { return stack.push_array(n), true; }
  bool on_key_part(json::string_view s, std::size_t, Ec&) { return stack.push_chars(s), true; }
  bool on_key(json::string_view s, std::size_t, Ec&) { return stack.push_key(s), true; }
  bool on_string_part(json::string_view s, std::size_t, Ec&) { return stack.push_chars(s), true; }
  bool on_string(json::string_view s, std::size_t, Ec&) { return stack.push_string(s), true; }
  bool on_number_part(json::string_view s, Ec&) { return number.append(s.data(), s.size()), true; }
  bool on_int64(std::int64_t i, json::string_view, Ec&) { return number.clear(), stack.push_int64(i), true; }
  bool on_uint64(std::uint64_t u, json::string_view, Ec&) { return number.clear(), stack.push_uint64(u), true; }
  bool on_double(double, json::string_view s, Ec& ec) {
    number.append(s.data(), s.size());
    double value = 0;
    const char* const end = number.data() + number.size();
    const auto [at, error] = std::from_chars(number.data(), end, value);
    // Out of range is also what from_chars says of a number that is merely too close to zero.
    if (error != std::errc{}) value = std::strtod(number.c_str(), nullptr);
    if (at != end || !std::isfinite(value)) {
      number_too_large = true;
      ec = make_error_code(json::error::not_number);
      return false;
    }
    number.clear();
    stack.push_double(value);
    return true;
  }
  bool on_bool(bool b, Ec&) { return stack.push_bool(b), true; }
  bool on_null(Ec&) { return stack.push_null(), true; }
  bool on_comment_part(json::string_view, Ec&) { return true; }
  bool on_comment(json::string_view, Ec&) { return true; }
};

std::size_t count_members(const Json& value) {
  std::size_t count = 0;
  if (const auto* object = value.if_object()) {
    count += object->size();
    for (const auto& member : *object) count += count_members(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const Json& element : *array) count += count_members(element);
  }
  return count;
}

std::unexpected<Error> error_at(std::string_view text, std::size_t offset, std::string_view what) {
  offset = std::min(offset, text.size());
  const std::string_view before = text.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t start = before.rfind('\n');
  const std::size_t column = 1 + offset - (start == std::string_view::npos ? 0 : start + 1);
  return fail(Code::invalid, fmt::format("JSON: line {}, column {}: {}", line, column, what));
}

// How many characters a byte of a string is escaped to; 0: it is written as it is.
constexpr auto written_as = [] {
  std::array<std::uint8_t, 256> length{};
  for (std::size_t c = 0; c < 0x20; ++c) length[c] = 6;
  length[0x7f] = 6;
  for (const char c : {'"', '\\', '\n', '\r', '\t'}) length[static_cast<std::size_t>(c)] = 2;
  return length;
}();

void append_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  check(error == std::errc{});
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  out += text;
  // A double stays a double when it is read back.
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

template <class Int>
void append_integer(std::string& out, Int value) {
  char buffer[24];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  check(error == std::errc{});
  out.append(buffer, end);
}

}  // namespace

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
  json::parse_options options;
  options.max_depth = limits.depth;
  json::basic_parser<Builder> parser(options);
  boost::system::error_code ec;
  try {
    const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
    if (parser.handler().number_too_large) return error_at(text, used, "a number too large for a double");
    if (ec == json::error::too_deep) return error_at(text, used, fmt::format("nested deeper than {}", limits.depth));
    if (ec == json::error::incomplete) return error_at(text, text.size(), "the text ends too early");
    if (ec) return error_at(text, used, ec.message());
    if (used < text.size()) {
      const std::size_t rest = text.find_first_not_of(" \t\r\n", used);
      if (rest != std::string_view::npos) return error_at(text, rest, "something follows the value");
    }
    const std::size_t members = parser.handler().members;
    Json value = parser.handler().stack.release();
    if (count_members(value) != members) return fail(Code::invalid, "JSON: an object has the same key twice");
    return value;
  } catch (const std::bad_alloc&) {  // says nothing about the text, which may be a stored one
    throw;
  } catch (const std::exception& e) {  // Boost.JSON throws on sizes past its own limits
    return fail(Code::invalid, fmt::format("JSON: {}", e.what()));
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;  // start of what can be copied as it is
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (!written_as[c]) continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: out += fmt::format("\\u{:04x}", c);
    }
  }
  out.append(text, plain);
  out += '"';
}

void append_json(std::string& out, const Json& value) {
  switch (value.kind()) {
    case json::kind::null: out += "null"; return;
    case json::kind::bool_: out += value.get_bool() ? "true" : "false"; return;
    case json::kind::int64: append_integer(out, value.get_int64()); return;
    case json::kind::uint64: append_integer(out, value.get_uint64()); return;
    case json::kind::double_: append_number(out, value.get_double()); return;
    case json::kind::string: append_json_string(out, as_view(value)); return;
    case json::kind::array: {
      out += '[';
      bool first = true;
      for (const Json& element : value.get_array()) {
        if (!std::exchange(first, false)) out += ',';
        append_json(out, element);
      }
      out += ']';
      return;
    }
    case json::kind::object: {
      out += '{';
      bool first = true;
      for (const auto& member : value.get_object()) {
        if (!std::exchange(first, false)) out += ',';
        append_json_string(out, {member.key().data(), member.key().size()});
        out += ':';
        append_json(out, member.value());
      }
      out += '}';
      return;
    }
  }
  unreachable();
}

std::string to_text(const Json& value) {
  std::string text;
  append_json(text, value);
  return text;
}

const Json* find(const Json& value, std::string_view member) {
  const auto* object = value.if_object();
  return object ? object->if_contains({member.data(), member.size()}) : nullptr;
}

std::string_view find_string(const Json& value, std::string_view member) {
  const Json* found = find(value, member);
  return found && found->is_string() ? as_view(*found) : std::string_view{};
}

std::optional<std::int64_t> find_int(const Json& value, std::string_view member) {
  const Json* found = find(value, member);
  if (!found || !found->is_int64()) return std::nullopt;
  return found->get_int64();
}

std::string_view type_name(const Json& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "bool";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return "number";
    case json::kind::string: return "string";
    case json::kind::array: return "list";
    case json::kind::object: return "object";
  }
  unreachable();
}

std::size_t text_size(const Json& value) {
  switch (value.kind()) {
    case json::kind::array: {
      std::size_t size = 2 + value.get_array().size();
      for (const Json& element : value.get_array()) size += text_size(element);
      return size;
    }
    case json::kind::object: {
      std::size_t size = 2;
      for (const auto& member : value.get_object()) size += member.key().size() + 4 + text_size(member.value());
      return size;
    }
    default: {
      if (value.is_string()) {
        // Escapes are counted as they will be written.
        std::size_t size = 2;
        for (const char c : as_view(value)) {
          const auto longer = written_as[static_cast<unsigned char>(c)];
          size += longer ? longer : 1;
        }
        return size;
      }
      std::string text;
      append_json(text, value);
      return text.size();
    }
  }
}

}  // namespace pawl
