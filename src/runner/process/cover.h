// The cover over the server's folder, where this process may mount: tasks see an empty folder in its place, with nothing
// but the workspace in it. Unlike Landlock it forbids nothing else; but a task that may mount itself, root, can lift it.
#pragma once

#include <string>

namespace pawl::runner {

// This process has the right to it.
bool may_cover();

// Moves this process, and all that it starts, to a mount namespace of its own and covers `data` there. The workspace stays
// visible, if it lies in it. The paths are absolute and free of links. Returns an errno, or 0.
int cover(const std::string& data, const std::string& workspace);

}  // namespace pawl::runner
