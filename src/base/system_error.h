// Errors of the system as errors of ours.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace pawl {

// The system's words for an errno, and where the limit comes from if a file may not grow.
std::string system_words(int error);

// "cannot `what` `path`: …" of an errno: overloaded where room (its name is no_room) or descriptors are short,
// otherwise unavailable.
std::unexpected<Error> system_error(int error, std::string_view what, const std::string& path);

}  // namespace pawl
