#include "store/sqlite/lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/own_file.h"
#include "base/system_error.h"

namespace pawl::store {
namespace {

// Who wrote himself into the file; "another process" if nobody did.
std::string holder(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
  long pid = 0;
  if (size > 0 && std::from_chars(text.data(), text.data() + size, pid).ec == std::errc{} && pid > 0)
    return fmt::format("process {}", pid);
  return "another process";
}

}  // namespace

Result<LockFile> LockFile::take(const std::string& path, const std::string& what) {
  auto file = OwnFile::open(path, O_RDWR | O_CREAT);
  if (!file) return std::unexpected(file.error());
  const int descriptor = file->release();
  LockFile lock(descriptor, path);
  int locked = 0;
  do locked = ::flock(descriptor, LOCK_EX | LOCK_NB);
  while (locked != 0 && errno == EINTR);
  if (locked != 0) {
    if (errno == EWOULDBLOCK) return fail(Code::conflict, fmt::format("{} is in use by {}", what, holder(descriptor)));
    return system_error(errno, "lock", path);
  }
  if (!lock.stands()) return fail(Code::conflict, path + " has just been replaced: try again");
  // The lock holds without it: the number is only for the message above.
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor, 0) != 0 || ::pwrite(descriptor, pid.data(), pid.size(), 0) < 0) errno = 0;
  return lock;
}

bool LockFile::stands() const {
  struct stat held{};
  if (::fstat(descriptor_, &held) != 0) return true;
  const auto standing = file_id(path_);
  return !standing || *standing == FileId{held.st_dev, held.st_ino};
}

LockFile::LockFile(LockFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

LockFile::~LockFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace pawl::store
