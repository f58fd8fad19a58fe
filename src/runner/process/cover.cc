#include "runner/process/cover.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runner/process/descriptor.h"

namespace pawl::runner {

bool may_cover() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  return ::syscall(SYS_capget, &header, sets.data()) == 0 && (sets[0].effective & (1U << CAP_SYS_ADMIN)) != 0;
}

int cover(const std::string& data, const std::string& workspace) {
  // What is mounted elsewhere later comes to us, too; what is mounted here goes nowhere.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return errno;
  const bool inside = workspace.starts_with(data + "/");
  Descriptor kept;
  if (inside) {
    kept = Descriptor{::open_tree(AT_FDCWD, workspace.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)};
    if (!kept.valid()) return errno;
  }
  if (::mount("pawl", data.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k") != 0) return errno;
  if (inside) {
    for (auto end = workspace.find('/', data.size() + 1); end != std::string::npos;
         end = workspace.find('/', end + 1)) {
      if (::mkdir(workspace.substr(0, end).c_str(), 0755) != 0) return errno;
    }
    if (::mkdir(workspace.c_str(), 0755) != 0) return errno;
    if (::move_mount(kept.get(), "", AT_FDCWD, workspace.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return errno;
  }
  // What were written there would be lost.
  constexpr unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
  return ::mount(nullptr, data.c_str(), nullptr, flags, nullptr) == 0 ? 0 : errno;
}

}  // namespace pawl::runner
