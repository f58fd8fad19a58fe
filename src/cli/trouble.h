// Why a command did not do what it was asked, and with which exit code it ends.
#pragma once

#include <expected>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/console.h"

namespace pawl::cli {

enum Exit : int { fine = 0, failed = 1, wrong_usage = 2, unreachable_server = 3, refused = 4 };

struct Trouble {
  int exit = failed;
  std::string code;     // stable word: run_unknown, unreachable, …
  std::string message;  // a sentence; may name more below it, a line each
  json::object more;    // further members of the error in JSON
};

template <class T>
using Outcome = std::expected<T, Trouble>;

inline std::unexpected<Trouble> give_up(int exit, std::string code, std::string message, json::object more = {}) {
  return std::unexpected(Trouble{exit, std::move(code), std::move(message), std::move(more)});
}
// An error of a room in this process: what was refused, or is not in a state for it, is 4, one with the name `usage` 2,
// all else 1.
Trouble to_trouble(const Error& error);

// To standard error for people; with `as_json` as {"error":{…}} to standard output.
void tell(Console& console, const Trouble& trouble, bool as_json);

}  // namespace pawl::cli
