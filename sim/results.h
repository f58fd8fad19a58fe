// How tries end, as a runner would say it.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "model/command.h"
#include "model/event.h"

namespace pawl::sim {

enum class End : std::uint8_t { good, bad, timed_out, stopped, by_term };

// Only processes end by TERM. Outputs carry a token that names the run, the task and the try.
TaskFinished result_of(const StartTask& command, SplitMix& how, End end);
// ` well`, ` by its timeout`.
std::string word_of(const pawl::Outcome& outcome);

}  // namespace pawl::sim
