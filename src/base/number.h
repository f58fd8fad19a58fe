// Whole numbers from the text of arguments.
#pragma once

#include <charconv>
#include <string_view>

namespace pawl {

// All of `text` as a number that fits, without sign or space. False: it is none, and `value` may have changed.
template <class Number>
bool parse_number(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace pawl
