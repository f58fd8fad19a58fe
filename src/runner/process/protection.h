// How the server is protected from its tasks: decided once, at its start.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runner/process/guard_wire.h"
#include "runner/process/process_runner.h"
#include "runner/process/task_user.h"

namespace pawl::runner {

struct Protection {
  std::optional<TaskUser> user;  // that tasks run as; nothing: our own
  bool no_new_privileges = false;
  Fence fence = Fence::none;
  bool isolated = false;          // tasks are kept to themselves: make_isolation(), fence.h
  bool calls_filtered = false;    // call_filter.h
  bool signals_filtered = false;
  std::string closed_folders;     // above the data folder, in which Landlock keeps tasks from making files
  std::vector<std::string> failed;  // what was tried and does not work here, with the reason
  std::vector<std::string>
      hidden;  // the server's folder, if it is to be kept from tasks, and the workspace; free of links

  // Arguments that tell the guard what to do at its start.
  std::vector<std::string> guard_arguments() const;
  const Identity* identity() const { return user ? &user->identity : nullptr; }
};

// Makes the folders of `options` (whose paths are absolute) ready and decides. Errors as make_process_runner() has them.
Result<Protection> protect(const ProcessOptions& options);

// Logs how tasks are held, and what authors of workflows can do all the same.
void tell(const Protection& protection, const ProcessOptions& options, int cgroup_version, bool memory_is_held);

}  // namespace pawl::runner
