// What jobs and runs must come to, worked out from the verdicts below them: from the definition and from what was
// recorded of tasks, never from what the engine has counted.
#pragma once

#include <optional>
#include <string>

#include "engine/state.h"
#include "model/record.h"

namespace pawl::sim {

// Who stopped a run first, if anybody did.
enum class Stopped : std::uint8_t { no, by_person, by_time };

// What is wrong with a job that starts, or is passed over, now; nullopt: nothing. `state` is that before the change.
std::optional<std::string> wrong_start(const engine::RunState& state, const JobStarted& change);
std::optional<std::string> wrong_skip(const engine::RunState& state, const JobEnded& change);
// … with a job or an instance that ends so. `stopped`: the run or the instance was told to stop.
std::optional<std::string> wrong_end(const engine::RunState& state, const JobEnded& change, bool stopped);
// How the run must end.
RunStatus end_of_run(const engine::RunState& state, Stopped stopped);

}  // namespace pawl::sim
