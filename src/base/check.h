// Bugs are not errors: a broken invariant stops the process, in release builds too, before it can be stored.
#pragma once

#include <source_location>
#include <string_view>

namespace pawl {

// Writes where and what to standard error, then aborts.
[[noreturn]] void check_failed(std::string_view what, std::source_location where);

inline void check(bool condition, std::string_view what = "invariant",
                  std::source_location where = std::source_location::current()) {
  if (!condition) [[unlikely]]
    check_failed(what, where);
}

// For the end of a switch over every enumerator.
[[noreturn]] inline void unreachable(std::source_location where = std::source_location::current()) {
  check_failed("unreachable", where);
}

}  // namespace pawl
