#include "power/tape.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>

namespace pawl::power {
namespace {

class Recorder {
 public:
  void start(const std::string& folder) {
    const std::lock_guard lock(mutex_);
    folder_ = folder;
    tape_ = {};
    files_.clear();
    on_ = true;
  }
  std::size_t length() {
    const std::lock_guard lock(mutex_);
    return tape_.ops.size();
  }
  Tape stop() {
    const std::lock_guard lock(mutex_);
    on_ = false;
    return std::move(tape_);
  }

  // The path below the folder, if it is there.
  std::optional<std::string> inside(std::string_view path) const {
    if (!on_ || !path.starts_with(folder_)) return std::nullopt;
    path.remove_prefix(folder_.size());
    if (path.empty()) return "";
    if (path.front() != '/') return std::nullopt;
    return std::string(path.substr(1));
  }
  std::optional<std::string> inside(int descriptor) const {
    if (!on_) return std::nullopt;
    char target[4096];
    const auto size = ::readlink(fmt::format("/proc/self/fd/{}", descriptor).c_str(), target, sizeof target);
    return size <= 0 ? std::nullopt : inside(std::string_view(target, static_cast<std::size_t>(size)));
  }

  void made(const std::string& path) {
    const std::lock_guard lock(mutex_);
    files_[path] = next_;
    add({.kind = Op::Kind::make, .file = next_++, .path = path});
  }
  void add_of(const std::string& path, Op op) {
    if (is_index(path)) return;
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(path);
    if (found == files_.end()) {
      // A way to make files that is not seen here would make all that follows worthless.
      fmt::print(stderr, "pawl_power: {} was changed and never seen to be made\n", path);
      std::abort();
    }
    op.file = found->second;
    add(std::move(op));
  }
  void of_folder(Op op) {
    const std::lock_guard lock(mutex_);
    if (op.kind == Op::Kind::rename) {
      files_[op.to] = files_.at(op.path);
      files_.erase(op.path);
    }
    if (op.kind == Op::Kind::remove) files_.erase(op.path);
    add(std::move(op));
  }
  static bool records(const std::string& path) { return !path.ends_with(".lock"); }
  static bool is_index(const std::string& path) { return path.ends_with("-shm"); }

 private:
  void add(Op op) {
    tape_.ops.push_back(std::move(op));
    for (const auto& [path, file] : files_) {
      if (!is_index(path)) continue;
      std::ifstream index(folder_ + '/' + path, std::ios::binary);
      std::string content{std::istreambuf_iterator<char>(index), {}};
      auto& seen = tape_.index[file];
      if (seen.empty() || seen.back().second != content) seen.emplace_back(tape_.ops.size(), std::move(content));
    }
  }

  std::mutex mutex_;
  std::string folder_;
  std::atomic<bool> on_ = false;
  Tape tape_;
  std::map<std::string, int> files_;
  int next_ = 0;
};

Recorder& recorder() {
  static Recorder one;
  return one;
}

int open_and_tell(const char* path, int flags, mode_t mode) {
  const auto inside = recorder().inside(std::string_view(path));
  const bool fresh = inside && (flags & O_CREAT) != 0 && ::access(path, F_OK) != 0;
  const long descriptor = ::syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (descriptor >= 0 && fresh && recorder().records(*inside)) recorder().made(*inside);
  return static_cast<int>(descriptor);
}

ssize_t write_and_tell(int descriptor, const void* bytes, std::size_t size, off_t offset) {
  const long written = ::syscall(SYS_pwrite64, descriptor, bytes, size, offset);
  if (written <= 0) return written;
  if (const auto path = recorder().inside(descriptor); path && recorder().records(*path))
    recorder().add_of(*path,
                      {.kind = Op::Kind::write,
                       .offset = static_cast<std::uint64_t>(offset),
                       .bytes = std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(written))});
  return written;
}

int cut_and_tell(int descriptor, off_t size) {
  const long result = ::syscall(SYS_ftruncate, descriptor, size);
  if (const auto path = recorder().inside(descriptor); path && recorder().records(*path) && result == 0)
    recorder().add_of(*path, {.kind = Op::Kind::cut, .offset = static_cast<std::uint64_t>(size)});
  return static_cast<int>(result);
}

int sync_and_tell(long call, int descriptor) {
  const long result = ::syscall(call, descriptor);
  const auto path = recorder().inside(descriptor);
  struct stat status{};
  if (result != 0 || !path || !recorder().records(*path) || ::fstat(descriptor, &status) != 0)
    return static_cast<int>(result);
  if (S_ISDIR(status.st_mode))
    recorder().of_folder({.kind = Op::Kind::sync_folder, .path = *path});
  else
    recorder().add_of(*path, {.kind = Op::Kind::sync});
  return 0;
}

}  // namespace

void start_tape(const std::string& folder) { recorder().start(folder); }
std::size_t tape_length() { return recorder().length(); }
Tape stop_tape() { return recorder().stop(); }

}  // namespace pawl::power

// --- before the C library's, for shared libraries too ---

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,cert-dcl50-cpp)
extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return pawl::power::open_and_tell(path, flags, mode);
}
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  return pawl::power::write_and_tell(descriptor, bytes, size, offset);
}
ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  return pawl::power::write_and_tell(descriptor, bytes, size, offset);
}
int ftruncate(int descriptor, off_t size) noexcept { return pawl::power::cut_and_tell(descriptor, size); }
int ftruncate64(int descriptor, off64_t size) noexcept { return pawl::power::cut_and_tell(descriptor, size); }
int fsync(int descriptor) { return pawl::power::sync_and_tell(SYS_fsync, descriptor); }
int fdatasync(int descriptor) { return pawl::power::sync_and_tell(SYS_fdatasync, descriptor); }

int mkdir(const char* path, mode_t mode) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_mkdir, path, mode));
  if (const auto inside = pawl::power::recorder().inside(std::string_view(path)); inside && result == 0)
    pawl::power::recorder().of_folder({.kind = pawl::power::Op::Kind::make_folder, .path = *inside});
  return result;
}
int rename(const char* from, const char* to) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_rename, from, to));
  auto& recorder = pawl::power::recorder();
  const auto before = recorder.inside(std::string_view(from)), after = recorder.inside(std::string_view(to));
  if (result == 0 && before && after)
    recorder.of_folder({.kind = pawl::power::Op::Kind::rename, .path = *before, .to = *after});
  return result;
}
int unlink(const char* path) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_unlink, path));
  auto& recorder = pawl::power::recorder();
  if (const auto inside = recorder.inside(std::string_view(path)); inside && result == 0 && recorder.records(*inside))
    recorder.of_folder({.kind = pawl::power::Op::Kind::remove, .path = *inside});
  return result;
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name,cert-dcl50-cpp)
