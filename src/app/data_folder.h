// The data folder, before anything in it is opened.
#pragma once

#include <string>

#include "base/result.h"

namespace pawl::app {

// Makes the folder with its parents, for this user alone. An existing one must be a folder of ours; rights of others on
// it are taken away, with a line in the log. Checks `logs`, `workspace` and `guard.lock` in it, too; the store checks
// its own files. With `passable`, tasks of another user may pass through the folder to their workspace, but not list
// it.
// Errors: refused, one of them belongs to another user or is of the wrong kind, or others may enter a folder that also
// holds other things, so that its mode must not be changed · unavailable.
Result<void> make_data_folder(const std::string& path, bool passable);

}  // namespace pawl::app
