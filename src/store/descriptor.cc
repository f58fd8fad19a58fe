#include "store/descriptor.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace pawl::store {

std::unexpected<Error> system_error(int error, std::string_view what, const std::string& path) {
  const bool short_of = error == ENOSPC || error == EDQUOT || error == EFBIG || error == EMFILE || error == ENFILE;
  return fail(short_of ? Code::overloaded : Code::unavailable,
              fmt::format("cannot {} {}: {}", what, path, std::strerror(error)),
              error == ENOSPC || error == EDQUOT ? "no_room" : "");
}

Result<void> sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return system_error(errno, "sync", path);
  return {};
}

}  // namespace pawl::store
