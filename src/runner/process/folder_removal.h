// Removes the folder of a run with all that its tasks have left in it. Whoever wrote that may have meant harm: any depth,
// any number of entries, any rights, links to anywhere. No link is followed, no other file system is entered, nothing
// outside the folder is touched, and a handful of descriptors and no recursion are enough.
#pragma once

#include <stop_token>
#include <string>

#include "base/result.h"
#include "runner/process/task_user.h"

namespace pawl::runner {

// Removes `name` in the folder `parent`; that there is none is no error, and neither is it if `name` is a link or a file,
// which is removed itself. What is in it is removed as `user`, to whom it belongs (null: ourselves), itself as ourselves.
// It ends early, and with an error, once `stop` is requested; what is left is removed by the next call.
// Errors: overloaded   descriptors or memory are short, or the stop came: later
//         unavailable  something in it cannot be removed; the message names the folder and why
Result<void> remove_folder(const std::string& parent, const std::string& name, const Identity* user,
                           const std::stop_token& stop);

}  // namespace pawl::runner
