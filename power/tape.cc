#include "power/tape.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>

namespace pawl::power {
namespace {

class Recorder final : public FileCalls {
 public:
  void start(const std::string& folder, FileCalls* below) {
    const std::lock_guard lock(mutex_);
    put_before(below);
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

  int open(const char* path, int flags, mode_t mode) override {
    const auto place = inside(std::string_view(path));
    const bool fresh = place && (flags & O_CREAT) != 0 && ::access(path, F_OK) != 0;
    const int descriptor = FileCalls::open(path, flags, mode);
    if (descriptor >= 0 && fresh && records(*place)) made(*place);
    return descriptor;
  }
  ssize_t write(int descriptor, const void* bytes, std::size_t size, off_t offset) override {
    const ssize_t written = FileCalls::write(descriptor, bytes, size, offset);
    if (written <= 0) return written;
    if (const auto path = inside(descriptor); path && records(*path))
      add_of(*path, {.kind = Op::Kind::write,
                     .offset = static_cast<std::uint64_t>(offset),
                     .bytes = std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(written))});
    return written;
  }
  int cut(int descriptor, off_t size) override {
    const int result = FileCalls::cut(descriptor, size);
    if (result != 0) return result;
    if (const auto path = inside(descriptor); path && records(*path))
      add_of(*path, {.kind = Op::Kind::cut, .offset = static_cast<std::uint64_t>(size)});
    return result;
  }
  int sync(int descriptor, bool data_only) override {
    const int result = FileCalls::sync(descriptor, data_only);
    const int error = errno;
    const auto path = inside(descriptor);
    struct stat status{};
    if (path && records(*path) && ::fstat(descriptor, &status) == 0) {
      const bool folder = S_ISDIR(status.st_mode);
      if (folder && result == 0) of_folder({.kind = Op::Kind::sync_folder, .path = *path});
      if (!folder) add_of(*path, {.kind = result == 0 ? Op::Kind::sync : Op::Kind::lose});
    }
    errno = error;
    return result;
  }
  int make_folder(const char* path, mode_t mode) override {
    const int result = FileCalls::make_folder(path, mode);
    if (const auto place = inside(std::string_view(path)); place && result == 0)
      of_folder({.kind = Op::Kind::make_folder, .path = *place});
    return result;
  }
  int rename(const char* from, const char* to) override {
    const int result = FileCalls::rename(from, to);
    const auto before = inside(std::string_view(from)), after = inside(std::string_view(to));
    if (result == 0 && before && after) of_folder({.kind = Op::Kind::rename, .path = *before, .to = *after});
    return result;
  }
  int remove(const char* path) override {
    const int result = FileCalls::remove(path);
    if (const auto place = inside(std::string_view(path)); place && result == 0 && records(*place))
      of_folder({.kind = Op::Kind::remove, .path = *place});
    return result;
  }

 private:
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

}  // namespace

FileCalls& start_tape(const std::string& folder, FileCalls* below) {
  recorder().start(folder, below);
  watch_files(&recorder());
  return recorder();
}
std::size_t tape_length() { return recorder().length(); }
Tape stop_tape() {
  watch_files(nullptr);
  return recorder().stop();
}

}  // namespace pawl::power
