// What a task process is given: its program with arguments, and its environment.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/command.h"

namespace pawl::runner {

// What the server's own environment gives to tasks; nothing else of it reaches them.
struct ServerEnvironment {
  std::string path, home;  // of the user that tasks run as
};
// Reads PATH and HOME, with sane values where they are not set.
ServerEnvironment server_environment();

struct TaskPaths {
  std::string workspace;  // the run's folder
  std::string output;     // $PAWL_OUTPUT
  std::string script;     // file with the script, if there is one
};

// NAME=value, each name once: PATH, HOME and LANG, over them the task's own, over all what Pawl itself says.
// Error: invalid if a name is none or a value holds a NUL byte.
Result<std::vector<std::string>> task_environment(const StartTask& task, const ServerEnvironment& server,
                                                  const TaskPaths& paths);

// Error: invalid if there is no program or an argument holds a NUL byte.
Result<std::vector<std::string>> task_arguments(const ProcessInput& input, const TaskPaths& paths);

}  // namespace pawl::runner
