// What a node does at once is counted in seats: each try of a task takes one of its kind, and a task that finds none
// waits (waits_for: limit). What stands here is what people are shown of it.
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

// As the option is called that sets how many there are.
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

// How one kind of seats stands. `taken`, `waiting` and `oldest` are kept up only while runs wait for such a seat.
struct SeatCount {
  int size = 0, taken = 0;
  std::size_t waiting = 0;  // runs
  std::optional<SeatHolder> oldest;  // who has held one longest
};
using SeatCounts = std::array<SeatCount, seat_kinds>;

}  // namespace pawl
