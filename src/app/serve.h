// `pawl serve`: the server, from its first line to the last.
#pragma once

#include "cli/cli.h"

namespace pawl::app {

// Returns the exit code: 0 stopped on request, 1 the database is damaged, 2 a wrong address, 3 it cannot start now, or
// its store failed or was taken away, 4 another process holds the data folder, or something in it is not ours alone.
int serve(const cli::ServeOptions& options);

// An engine for `pawl run` and `pawl resume`; see cli::Hooks::local.
Result<std::unique_ptr<cli::LocalEngine>> open_local(const std::string& folder, driver::Observer* observer,
                                                     const cli::TakesUp& takes_up, const cli::TaskRules& rules);

}  // namespace pawl::app
