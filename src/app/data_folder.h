// The data folder, before anything in it is opened.
#pragma once

#include <string>

#include "base/result.h"

namespace pawl::app {

// Makes it with its parents, for this user alone, or looks at the one that is there: that it is a folder of ours which
// others may not enter (rights are taken away, with a line in the log), and that `logs`, `workspace` and `guard.lock` in
// it are what they should be. The store looks at its own files. With `passable` tasks of another user go through it to
// their workspace; they still may not list it.
// Errors: refused, one of them is not ours, no folder or no file; or others may enter a folder that also holds something
// else, whose rights are not for us to change · unavailable.
Result<void> make_data_folder(const std::string& path, bool passable);

}  // namespace pawl::app
