// Checks of `pawl doctor` that need the wiring: the store of a data folder, the fence of tasks, and how many tasks
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
