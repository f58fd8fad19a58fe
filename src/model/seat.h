// Seats limit how many tries a node runs at once. Each try takes a seat of its kind, and a task that finds none waits
// (waits_for: limit). The types here say what people are shown of that.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/time.h"
#include "model/workflow.h"

namespace pawl {

enum class Seat : std::uint8_t { process, http };
constexpr std::size_t seat_kinds = 2;

inline Seat seat_of(const Task& task) { return is_http(task) ? Seat::http : Seat::process; }

// The name of the option that sets their number.
inline std::string_view limit_name(Seat seat) {
  switch (seat) {
    case Seat::process: return "max-processes";
    case Seat::http: return "max-http-calls";
  }
  return {};
}

// A try that holds a seat.
struct SeatHolder {
  RunId run;
  std::string workflow;
  std::int64_t number = 0;  // of the run
  std::string job, task;
  Instant since{};
};

// The seats of one kind. `taken`, `waiting` and `oldest` are kept up only while runs wait for such a seat.
struct SeatCount {
  int size = 0, taken = 0;
  std::size_t waiting = 0;  // runs
  std::optional<SeatHolder> oldest;  // the try that has held one longest
};
using SeatCounts = std::array<SeatCount, seat_kinds>;

}  // namespace pawl
