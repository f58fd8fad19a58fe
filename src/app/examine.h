// What `pawl doctor` asks the wiring: the store of a data folder, how tasks would be held, and how many
// would run at once.
#pragma once

#include <string>
#include <vector>

#include "cli/cli.h"

namespace pawl::app {

// See cli::Hooks::examine.
std::vector<cli::Finding> examine(const std::string& data, const std::string& run_as);

// See cli::Hooks::at_once.
cli::Finding examine_at_once(const cli::AtOnce& asked);

}  // namespace pawl::app
