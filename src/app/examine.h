// What `pawl doctor` asks the wiring: the store of a data folder, and how tasks would be held.
#pragma once

#include <string>
#include <vector>

#include "cli/cli.h"

namespace pawl::app {

// See cli::Hooks::examine.
std::vector<cli::Finding> examine(const std::string& data, const std::string& run_as);

}  // namespace pawl::app
