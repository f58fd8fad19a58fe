#include "runner/process/folder_removal.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "runner/process/descriptor.h"

namespace pawl::runner {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

// Opens the folder `name` in `parent` itself, be it a link or a mount of something else.
int open_here(int parent, const char* name, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const auto opened = static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how));
  // Kernels before 5.6, and sandboxes that have not heard of it. Other file systems are then refused by remove_entries().
  if (opened < 0 && (errno == ENOSYS || errno == EPERM))
    return ::openat(parent, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return opened;
}

// For reading its entries; a task may have taken the rights to that from its owner.
Descriptor open_to_empty(int parent, const char* name) {
  Descriptor folder{open_here(parent, name, O_RDONLY)};
  struct stat status{};
  const bool full_rights = folder.valid() && ::fstat(folder.get(), &status) == 0 && (status.st_mode & 0700) == 0700;
  if (full_rights || (!folder.valid() && errno != EACCES)) return folder;
  const Descriptor place{open_here(parent, name, O_PATH)};
  if (!place.valid()) return Descriptor{-1};
  // By its descriptor: the name could be a link by now.
  ::chmod(fmt::format("/proc/self/fd/{}", place.get()).c_str(), 0700);
  return Descriptor{open_here(parent, name, O_RDONLY)};
}

class Removal {
 public:
  Removal(int top, dev_t device, const std::stop_token& stop) : top_(top), device_(device), stop_(stop) {}

  // Leaves the top folder empty. Folders deeper than one level are moved up to the top before they are looked into, so
  // that no depth is too deep.
  bool run() { return empty(top_, true); }
  // Why it is not.
  int error() const { return error_; }

 private:
  static bool is_dots(std::string_view name) { return name == "." || name == ".."; }

  // Passes over a folder until one finds it empty; entries that are added or moved while it is read may be missed by one.
  bool empty(int folder, bool is_top) {
    for (;;) {
      error_ = 0;
      const int again = open_here(folder, ".", O_RDONLY);
      if (again < 0) return error_ = errno, false;
      const Folder entries(::fdopendir(again));
      if (!entries) {
        error_ = errno;
        ::close(again);
        return false;
      }
      bool some = false, removed = false;
      for (;;) {
        if (stop_.stop_requested()) return error_ = ECANCELED, false;
        errno = 0;
        const dirent* const entry = ::readdir(entries.get());
        if (!entry) {
          if (errno != 0) return error_ = errno, false;
          break;
        }
        if (is_dots(entry->d_name)) continue;
        some = true;
        removed |= is_top ? remove(entry->d_name) : take_out(folder, entry->d_name);
        if (error_ == EMFILE || error_ == ENFILE || error_ == ENOMEM) return false;
      }
      if (!some) return error_ = 0, true;
      if (!removed) return false;
    }
  }

  // An entry of the top folder.
  bool remove(const char* name) {
    if (remove_plain(top_, name)) return true;
    if (error_ != ENOTEMPTY && error_ != EEXIST && error_ != EACCES && error_ != EPERM) return false;
    const Descriptor folder = open_to_empty(top_, name);
    if (!folder.valid()) return keep(errno);
    struct stat status{};
    if (::fstat(folder.get(), &status) != 0) return keep(errno);
    if (status.st_dev != device_) return keep(EXDEV);
    if (!empty(folder.get(), false)) return false;
    return ::unlinkat(top_, name, AT_REMOVEDIR) == 0 || keep(errno);
  }

  // An entry of a folder in the top folder: gone, or moved up.
  bool take_out(int folder, const char* name) {
    if (remove_plain(folder, name)) return true;
    if (error_ != ENOTEMPTY && error_ != EEXIST) return false;
    bool allowed = false;
    for (int tries = 0; tries < 1000; ++tries) {
      const std::string moved = fmt::format("removed-{}", ++moved_);
      if (::renameat(folder, name, top_, moved.c_str()) == 0) return true;
      const int why = errno;
      if (why == ENOTEMPTY || why == EEXIST || why == ENOTDIR) continue;  // a task has called something so
      if (why != EACCES || std::exchange(allowed, true)) return keep(why);
      // To give it another parent takes the right to write to it.
      const Descriptor writable = open_to_empty(folder, name);
    }
    return keep(EEXIST);
  }

  // What is no folder, or an empty one.
  bool remove_plain(int folder, const char* name) {
    if (::unlinkat(folder, name, 0) == 0) return true;
    const int why = errno;
    if (why != EISDIR && why != EPERM) return keep(why);
    return ::unlinkat(folder, name, AT_REMOVEDIR) == 0 || keep(errno == ENOTDIR ? why : errno);
  }

  bool keep(int error) {
    error_ = error;
    return error == ENOENT;  // somebody else was faster
  }

  const int top_;
  const dev_t device_;
  const std::stop_token& stop_;
  long moved_ = 0;
  int error_ = 0;
};

}  // namespace

Result<void> remove_folder(const std::string& parent, const std::string& name, const Identity* user,
                           const std::stop_token& stop) {
  const std::string path = parent + "/" + name;
  const auto failed = [&path](int error) {
    if (error == ECANCELED) return fail(Code::overloaded, "stopped while removing " + path);
    const bool may_pass = error == EMFILE || error == ENFILE || error == ENOMEM;
    return fail(may_pass ? Code::overloaded : Code::unavailable,
                fmt::format("cannot remove {}: {}", path, std::strerror(error)));
  };
  const Descriptor above{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!above.valid()) {
    if (errno == ENOENT) return {};
    return failed(errno);
  }
  if (::unlinkat(above.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  {
    const ActingAs acting(user);
    const Descriptor top = open_to_empty(above.get(), name.c_str());
    if (!top.valid()) return failed(errno);
    struct stat status{};
    if (::fstat(top.get(), &status) != 0) return failed(errno);
    Removal removal(top.get(), status.st_dev, stop);
    if (!removal.run()) return failed(removal.error());
  }
  if (::unlinkat(above.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return failed(errno);
}

}  // namespace pawl::runner
