// How the server starts its own binary again: for the guard, and for trials before there is one.
#pragma once

#include <sys/types.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace pawl::runner {

// Runs `PROGRAM __guard ARGUMENTS…` in a session of its own. All signals have their defaults; those that stop a server
// are blocked. Its standard descriptors are /dev/null, `descriptors` (each above 9) become 3, 4 …, and no others are
// open. Its environment is only what loading the binary may need, because tasks could read the rest. Sets `pid`.
// Returns an errno, or 0. Threads: any.
int spawn_program(pid_t& pid, const std::string& program, const std::vector<std::string>& arguments,
                  std::initializer_list<int> descriptors);

}  // namespace pawl::runner
