// Expected failures are values. Result<T> is either a T or an Error that says what the caller can do.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace pawl {

// Few, and each says what the caller can do about it.
enum class Code {
  invalid,      // the input is wrong: correct it
  not_found,    // no such thing
  conflict,     // it is not in a state for this: look again, decide again
  refused,      // not allowed, or not supported
  overloaded,   // full: try again later
  unavailable,  // cannot be done now, and whether it was done may be unknown: reload before deciding again
  corrupt,      // stored data cannot be read: an operator has to look
  internal,     // a fault of ours or of the machine
};

std::string_view to_string(Code code);

struct Error {
  Code code = Code::internal;
  std::string message;
  // Stable word for programs, such as `run_open`; empty where the code says all there is.
  std::string name = {};
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string message, std::string name = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(name)});
}

}  // namespace pawl
