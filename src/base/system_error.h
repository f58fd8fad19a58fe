// The system's errors as Error values.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace pawl {

// The system's words for an errno; for EFBIG also which limits can be the cause.
std::string system_words(int error);

// "cannot `what` `path`: …" for an errno. The code is overloaded if room (its name is no_room) or descriptors are
// short, otherwise unavailable.
std::unexpected<Error> system_error(int error, std::string_view what, const std::string& path);

}  // namespace pawl
