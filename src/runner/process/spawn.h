// How the server starts its own binary again, for the guard and for what is tried before there is one.
#pragma once

#include <sys/types.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace pawl::runner {

// Runs `PROGRAM __guard ARGUMENTS…` in a session of its own, with default signals but those blocked that stop a server, /dev/null as its standard descriptors,
// `descriptors` (above 9) as 3, 4 …, and no other. Of the environment it gets what a binary may need to load: tasks could read
// the rest. Sets `pid`. Returns an errno, or 0. Threads: any.
int spawn_program(pid_t& pid, const std::string& program, const std::vector<std::string>& arguments,
                  std::initializer_list<int> descriptors);

}  // namespace pawl::runner
