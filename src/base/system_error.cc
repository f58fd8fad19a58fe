#include "base/system_error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace pawl {

std::string system_words(int error) {
  const std::string words = std::strerror(error);
  // SIGXFSZ is ignored, so only this message shows such a limit.
  return error == EFBIG ? words + ", by a limit of this process or of the file system (ulimit -f, LimitFSIZE=)" : words;
}

std::unexpected<Error> system_error(int error, std::string_view what, const std::string& path) {
  const bool no_room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const bool short_of = no_room || error == EMFILE || error == ENFILE;
  return fail(short_of ? Code::overloaded : Code::unavailable,
              fmt::format("cannot {} {}: {}", what, path, system_words(error)), no_room ? "no_room" : "");
}

}  // namespace pawl
