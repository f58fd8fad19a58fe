#include "power/file_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace pawl::power {
namespace {

// Files are opened before main(), too.
constinit std::atomic<FileCalls*> watching = nullptr;

template <class Ask, class Kernel>
auto ask_or(const Ask& ask, const Kernel& kernel) {
  FileCalls* const first = watching;
  return first ? ask(*first) : kernel();
}

namespace kernel {
int open(const char* path, int flags, mode_t mode) {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
ssize_t read(int descriptor, void* bytes, std::size_t size, off_t offset) {
  return ::syscall(SYS_pread64, descriptor, bytes, size, offset);
}
ssize_t write(int descriptor, const void* bytes, std::size_t size, off_t offset) {
  return ::syscall(SYS_pwrite64, descriptor, bytes, size, offset);
}
int cut(int descriptor, off_t size) { return static_cast<int>(::syscall(SYS_ftruncate, descriptor, size)); }
int sync(int descriptor, bool data_only) {
  return static_cast<int>(::syscall(data_only ? SYS_fdatasync : SYS_fsync, descriptor));
}
int make_folder(const char* path, mode_t mode) { return static_cast<int>(::syscall(SYS_mkdir, path, mode)); }
int rename(const char* from, const char* to) { return static_cast<int>(::syscall(SYS_rename, from, to)); }
int remove(const char* path) { return static_cast<int>(::syscall(SYS_unlink, path)); }
}  // namespace kernel

}  // namespace

int FileCalls::open(const char* path, int flags, mode_t mode) {
  return below_ ? below_->open(path, flags, mode) : kernel::open(path, flags, mode);
}
ssize_t FileCalls::read(int descriptor, void* bytes, std::size_t size, off_t offset) {
  return below_ ? below_->read(descriptor, bytes, size, offset) : kernel::read(descriptor, bytes, size, offset);
}
ssize_t FileCalls::write(int descriptor, const void* bytes, std::size_t size, off_t offset) {
  return below_ ? below_->write(descriptor, bytes, size, offset) : kernel::write(descriptor, bytes, size, offset);
}
int FileCalls::cut(int descriptor, off_t size) {
  return below_ ? below_->cut(descriptor, size) : kernel::cut(descriptor, size);
}
int FileCalls::sync(int descriptor, bool data_only) {
  return below_ ? below_->sync(descriptor, data_only) : kernel::sync(descriptor, data_only);
}
int FileCalls::make_folder(const char* path, mode_t mode) {
  return below_ ? below_->make_folder(path, mode) : kernel::make_folder(path, mode);
}
int FileCalls::rename(const char* from, const char* to) {
  return below_ ? below_->rename(from, to) : kernel::rename(from, to);
}
int FileCalls::remove(const char* path) { return below_ ? below_->remove(path) : kernel::remove(path); }

void watch_files(FileCalls* first) { watching = first; }

}  // namespace pawl::power

// --- before the C library's, for shared libraries too ---

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,cert-dcl50-cpp)
extern "C" {

using pawl::power::ask_or;
using pawl::power::FileCalls;
namespace kernel = pawl::power::kernel;

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return ask_or([&](FileCalls& first) { return first.open(path, flags, mode); },
                [&] { return kernel::open(path, flags, mode); });
}
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
ssize_t pread(int descriptor, void* bytes, size_t size, off_t offset) {
  return ask_or([&](FileCalls& first) { return first.read(descriptor, bytes, size, offset); },
                [&] { return kernel::read(descriptor, bytes, size, offset); });
}
ssize_t pread64(int descriptor, void* bytes, size_t size, off64_t offset) {
  return ask_or([&](FileCalls& first) { return first.read(descriptor, bytes, size, offset); },
                [&] { return kernel::read(descriptor, bytes, size, offset); });
}
ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  return ask_or([&](FileCalls& first) { return first.write(descriptor, bytes, size, offset); },
                [&] { return kernel::write(descriptor, bytes, size, offset); });
}
ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  return ask_or([&](FileCalls& first) { return first.write(descriptor, bytes, size, offset); },
                [&] { return kernel::write(descriptor, bytes, size, offset); });
}
int ftruncate(int descriptor, off_t size) noexcept {
  return ask_or([&](FileCalls& first) { return first.cut(descriptor, size); },
                [&] { return kernel::cut(descriptor, size); });
}
int ftruncate64(int descriptor, off64_t size) noexcept {
  return ask_or([&](FileCalls& first) { return first.cut(descriptor, size); },
                [&] { return kernel::cut(descriptor, size); });
}
int fsync(int descriptor) {
  return ask_or([&](FileCalls& first) { return first.sync(descriptor, false); },
                [&] { return kernel::sync(descriptor, false); });
}
int fdatasync(int descriptor) {
  return ask_or([&](FileCalls& first) { return first.sync(descriptor, true); },
                [&] { return kernel::sync(descriptor, true); });
}
int mkdir(const char* path, mode_t mode) noexcept {
  return ask_or([&](FileCalls& first) { return first.make_folder(path, mode); },
                [&] { return kernel::make_folder(path, mode); });
}
int rename(const char* from, const char* to) noexcept {
  return ask_or([&](FileCalls& first) { return first.rename(from, to); }, [&] { return kernel::rename(from, to); });
}
int unlink(const char* path) noexcept {
  return ask_or([&](FileCalls& first) { return first.remove(path); }, [&] { return kernel::remove(path); });
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name,cert-dcl50-cpp)
