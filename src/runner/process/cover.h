// The cover over the server's folder: tasks see an empty folder in its place, with nothing but the workspace in it. Unlike
// Landlock it forbids nothing else.
//
// Root covers in a mount namespace; a task that may mount itself, root, can lift it. An ordinary user needs a user namespace
// for it, where the kernel grants one (user_namespaces(7)): only its own user and group exist there, so files of others are
// shown as those of nobody (docs/tasks.md).
#pragma once

#include <string>

namespace pawl::runner {

// This process may mount as it is.
bool may_mount();

// Moves this process, and all that it starts, to a mount namespace of its own, and to a user namespace where it may not
// mount as it is; covers `data` there. The workspace stays visible, if it lies in it. The paths are absolute and free of
// links. Call it in a process with one thread that is still dumpable: else the kernel does not let it write its user map.
// An ordinary user keeps no capability. Returns an errno, or 0.
int raise_cover(const std::string& data, const std::string& workspace);

}  // namespace pawl::runner
