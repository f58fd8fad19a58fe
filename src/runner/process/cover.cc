#include "runner/process/cover.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "runner/process/descriptor.h"

namespace pawl::runner {
namespace {

namespace fs = std::filesystem;

constexpr unsigned long safe = MS_NOSUID | MS_NODEV;

int write_text(const char* path, const std::string& text) {
  const Descriptor file{::open(path, O_WRONLY | O_CLOEXEC)};
  if (!file.valid()) return errno;
  return ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

// Enters a user namespace with the same user and group, which gives the right to mount in it.
int enter_user_namespace() {
  const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return errno;
  // The kernel accepts a gid_map only after setgroups is denied (user_namespaces(7)).
  if (const int error = write_text("/proc/self/uid_map", user + " " + user + " 1")) return error;
  if (const int error = write_text("/proc/self/setgroups", "deny")) return error;
  return write_text("/proc/self/gid_map", group + " " + group + " 1");
}

int drop_capabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  return ::syscall(SYS_capset, &header, none.data()) == 0 ? 0 : errno;
}

// What a task wrote there would be lost.
int make_read_only(const std::string& folder) {
  return ::mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | safe, nullptr) == 0 ? 0 : errno;
}

int cover(const std::string& data, const std::string& workspace) {
  const bool inside = workspace.starts_with(data + "/");
  Descriptor kept;
  if (inside) {
    kept = Descriptor{::open_tree(AT_FDCWD, workspace.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)};
    if (!kept.valid()) return errno;
  }
  if (::mount("pawl", data.c_str(), "tmpfs", safe, "mode=0755,size=64k") != 0) return errno;
  if (inside) {
    for (auto end = workspace.find('/', data.size() + 1); end != std::string::npos;
         end = workspace.find('/', end + 1)) {
      if (::mkdir(workspace.substr(0, end).c_str(), 0755) != 0) return errno;
    }
    if (::mkdir(workspace.c_str(), 0755) != 0) return errno;
    if (::move_mount(kept.get(), "", AT_FDCWD, workspace.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return errno;
  }
  return make_read_only(data);
}

// ssh refuses included configuration that belongs neither to root nor to its user. In a user namespace root's files
// seem to belong to nobody, so ssh, and git over ssh, would end with "Bad owner or permissions". This shows copies that
// are ours. A failure here only affects ssh, so it does not keep tasks from running.
void show_as_our_own(const fs::path& folder) {
  std::error_code error;
  std::vector<std::pair<fs::path, std::string>> files;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::ifstream in(at->path(), std::ios::binary);
    if (!at->is_regular_file(error) || !in) continue;
    files.emplace_back(at->path(), std::string(std::istreambuf_iterator<char>(in), {}));
  }
  if (files.empty() || ::mount("pawl", folder.c_str(), "tmpfs", safe, "mode=0755,size=4m") != 0) return;
  for (const auto& [path, text] : files) {
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), 0644);
  }
  make_read_only(folder);
}

}  // namespace

bool may_mount() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  return ::syscall(SYS_capget, &header, sets.data()) == 0 && (sets[0].effective & (1U << CAP_SYS_ADMIN)) != 0;
}

int raise_cover(const std::string& data, const std::string& workspace) {
  const bool ordinary = ::geteuid() != 0;
  const bool mounts = may_mount();
  // In a user namespace, root would regain its capabilities with each program that it runs.
  if (!mounts && !ordinary) return EPERM;
  if (mounts) {
    if (::unshare(CLONE_NEWNS) != 0) return errno;
  } else if (const int error = enter_user_namespace()) {
    return error;
  }
  // Later mounts of the machine appear here, too; mounts made here do not appear outside.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return errno;
  if (const int error = cover(data, workspace)) return error;
  if (!mounts) {
    for (const char* folder : {"/etc/ssh/ssh_config.d", "/usr/lib/systemd/ssh_config.d", "/usr/etc/ssh/ssh_config.d",
                               "/etc/crypto-policies/back-ends"}) {
      show_as_our_own(folder);
    }
  }
  return ordinary ? drop_capabilities() : 0;
}

}  // namespace pawl::runner
