#include "store/descriptor.h"

#include <fcntl.h>

#include <cerrno>

namespace pawl::store {

Result<void> sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return system_error(errno, "sync", path);
  return {};
}

}  // namespace pawl::store
