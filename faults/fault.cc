#include "faults/fault.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace pawl::faults {
namespace {

int armed = 0;
Injector* of_memory = nullptr;

std::string path_of(int descriptor) {
  const Paused pause;
  char target[4096];
  const auto size = ::readlink(fmt::format("/proc/self/fd/{}", descriptor).c_str(), target, sizeof target);
  return size <= 0 ? "" : std::string(target, static_cast<std::size_t>(size));
}

}  // namespace

Armed::Armed() { ++armed; }
Armed::~Armed() { --armed; }
Paused::Paused() : before_(std::exchange(armed, 0)) {}
Paused::~Paused() { armed = before_; }

void Injector::begin(const Fault& fault, const std::string& folder) {
  fault_ = fault;
  folder_ = folder;
  calls_ = hits_ = 0;
  torn_now_ = failed_sync_ = false;
  of_memory = fault.what == What::memory ? this : nullptr;
}

void Injector::lift() {
  fault_.what = What::none;
  of_memory = nullptr;
}

bool Injector::fails(What what) {
  if (armed == 0 || what != fault_.what) return false;
  ++calls_;
  const bool fails = fault_.lasting ? calls_ >= fault_.at : calls_ == fault_.at;
  if (fails) ++hits_;
  return fails;
}

bool Injector::fails(What what, const char* path) {
  if (armed == 0 || what != fault_.what) return false;
  bool inside = false;
  {
    const Paused pause;
    inside = is_inside(path);
  }
  return inside && fails(what);
}

bool Injector::fails(What what, int descriptor) {
  return armed > 0 && what == fault_.what && fails(what, path_of(descriptor).c_str());
}

bool Injector::memory_fails() { return fails(What::memory); }

int Injector::refuse() const {
  errno = fault_.error;
  return -1;
}

int Injector::open(const char* path, int flags, mode_t mode) {
  return fails(What::entry, path) ? refuse() : FileCalls::open(path, flags, mode);
}

ssize_t Injector::read(int descriptor, void* bytes, std::size_t size, off_t offset) {
  return fails(What::read, descriptor) ? refuse() : FileCalls::read(descriptor, bytes, size, offset);
}

ssize_t Injector::write(int descriptor, const void* bytes, std::size_t size, off_t offset) {
  if (std::exchange(torn_now_, false)) return refuse();
  if (!fails(What::write, descriptor)) return FileCalls::write(descriptor, bytes, size, offset);
  if (!fault_.torn || hits_ > 1 || size < 2) return refuse();
  torn_now_ = true;
  return FileCalls::write(descriptor, bytes, size / 2, offset);
}

int Injector::cut(int descriptor, off_t size) {
  return fails(What::entry, descriptor) ? refuse() : FileCalls::cut(descriptor, size);
}

int Injector::sync(int descriptor, bool data_only) {
  if (!fails(What::sync, descriptor)) return FileCalls::sync(descriptor, data_only);
  const std::string path = path_of(descriptor);
  if (path.ends_with("/pawl.db") || path.ends_with("/pawl.db-wal")) failed_sync_ = true;
  return refuse();
}

int Injector::make_folder(const char* path, mode_t mode) {
  return fails(What::entry, path) ? refuse() : FileCalls::make_folder(path, mode);
}

int Injector::rename(const char* from, const char* to) {
  return fails(What::entry, from) ? refuse() : FileCalls::rename(from, to);
}

int Injector::remove(const char* path) { return fails(What::entry, path) ? refuse() : FileCalls::remove(path); }

}  // namespace pawl::faults

// --- before the C library's ---

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,cert-dcl50-cpp)
extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);

static bool no_memory() {
  pawl::faults::Injector* const injector = pawl::faults::of_memory;
  if (!injector || !injector->memory_fails()) return false;
  errno = ENOMEM;
  return true;
}

void* malloc(size_t size) { return no_memory() ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return no_memory() ? nullptr : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return no_memory() ? nullptr : __libc_realloc(old, size); }

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,cert-dcl50-cpp)
