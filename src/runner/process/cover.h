// The cover over the server's folder: in its place tasks see a folder with nothing but the workspace in it. Unlike
// Landlock, it restricts nothing else.
//
// Root makes the cover in a mount namespace; tasks of root can unmount it. An ordinary user also needs a user
// namespace, where the kernel grants one (user_namespaces(7)). Only its own user and group exist there, so files of
// others seem to belong to nobody (docs/tasks.md).
#pragma once

#include <string>

namespace pawl::runner {

// Whether this process may mount without a user namespace.
bool may_mount();

// Moves this process, and all that it starts, to a mount namespace of its own, and to a user namespace if it may not
// mount otherwise; covers `data` there. A workspace in `data` stays visible. The paths are absolute and free of links.
// Call it in a process with one thread that is still dumpable, else the kernel does not let it write its user map. An
// ordinary user keeps no capability. Returns an errno, or 0.
int raise_cover(const std::string& data, const std::string& workspace);

}  // namespace pawl::runner
