#include "base/own_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/log.h"
#include "base/system_error.h"

namespace pawl {
namespace {

constexpr mode_t of_others = 077;

std::string_view kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "a plain file";
    case S_IFDIR: return "a folder";
    case S_IFLNK: return "a link";
    case S_IFIFO: return "a pipe";
    case S_IFSOCK: return "a socket";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    default: return "of an unknown kind";
  }
}

std::unexpected<Error> wrong_kind(const std::string& path, mode_t mode, std::string_view wanted) {
  return fail(Code::refused, fmt::format("{} is {}, not {}: move it away", path, kind_of(mode), wanted));
}

std::unexpected<Error> wrong_owner(const std::string& path, uid_t owner) {
  return fail(Code::refused, fmt::format("{0} belongs to user {1}, and this process runs as user {2}: run it as user "
                                         "{1}, or give {0} to user {2} with chown",
                                         path, owner, ::geteuid()));
}

void tell_of_mended(const std::string& path, mode_t before, mode_t now) {
  log::warning(
      "others had access to this: their rights were taken away",
      {{"path", path}, {"was", fmt::format("{:o}", before & 07777)}, {"is", fmt::format("{:o}", now & 07777)}});
}

Result<void> check_open(int descriptor, const std::string& path, const OwnFileRules& rules) {
  struct stat info{};
  if (::fstat(descriptor, &info) != 0) return system_error(errno, "open", path);
  if (!S_ISREG(info.st_mode)) return wrong_kind(path, info.st_mode, "a plain file");
  if (!rules.any_owner && info.st_uid != ::geteuid()) return wrong_owner(path, info.st_uid);
  if (!rules.more_names && info.st_nlink > 1)
    return fail(Code::refused,
                fmt::format("{} has {} names (hard links), so it could be changed under another one: remove "
                            "the others, or put a copy in its place",
                            path, info.st_nlink));
  if (rules.any_owner || rules.open_to_others || (info.st_mode & of_others) == 0) return {};
  const mode_t before = info.st_mode, mended = info.st_mode & 07777 & ~of_others;
  if (::fchmod(descriptor, mended) != 0 || ::fstat(descriptor, &info) != 0 || (info.st_mode & of_others) != 0)
    return fail(Code::refused, fmt::format("{} can be read by others, and its mode cannot be changed: put it on a file "
                                           "system that knows owners and rights",
                                           path));
  tell_of_mended(path, before, mended);
  return {};
}

}  // namespace

OwnFile::~OwnFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<OwnFile> OwnFile::open(const std::string& path, int flags, const OwnFileRules& rules) {
  int descriptor = -1;
  const int link = rules.follow ? 0 : O_NOFOLLOW;
  do descriptor = ::open(path.c_str(), flags | link | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  while (descriptor < 0 && errno == EINTR);
  const int why = errno;
  if (descriptor < 0) {
    // The system says "No such device or address" for a pipe without a reader. Naming the pipe says more.
    struct stat info{};
    const bool there = (rules.follow ? ::stat(path.c_str(), &info) : ::lstat(path.c_str(), &info)) == 0;
    if (there && !S_ISREG(info.st_mode)) return wrong_kind(path, info.st_mode, "a plain file");
    if (there && !rules.any_owner && info.st_uid != ::geteuid()) return wrong_owner(path, info.st_uid);
    if (why == ENOENT && (flags & O_CREAT) == 0) return fail(Code::not_found, path + " does not exist");
    return system_error(why, (flags & O_EXCL) != 0 ? "create" : "open", path);
  }
  OwnFile file(descriptor);
  if (auto fine = check_open(descriptor, path, rules); !fine) return std::unexpected(fine.error());
  return file;
}

Result<OwnFile> OwnFile::open_folder(const std::string& path) {
  const int descriptor = ::open(path.empty() ? "/" : path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return system_error(errno, "open", path);
  return OwnFile(descriptor);
}

Result<void> check_own_file(const std::string& path, const OwnFileRules& rules) {
  const auto file = OwnFile::open(path, O_RDONLY, rules);
  if (!file && file.error().code != Code::not_found) return std::unexpected(file.error());
  return {};
}

Result<void> check_own_folder(const std::string& path, mode_t allowed) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    const int why = errno;
    if (why == ENOTDIR)
      return fail(Code::refused, fmt::format("{} cannot be a folder: a part of that path is a file", path));
    if (why != ENOENT && why != ELOOP) return system_error(why, "open", path);
    if (::lstat(path.c_str(), &info) != 0) return {};
    return fail(Code::unavailable, path + " is a link that leads nowhere: is its disk mounted?");
  }
  if (!S_ISDIR(info.st_mode)) return wrong_kind(path, info.st_mode, "a folder");
  if (info.st_uid != ::geteuid()) return wrong_owner(path, info.st_uid);
  const mode_t open = info.st_mode & of_others & ~allowed;
  if (open == 0) return {};
  const mode_t before = info.st_mode, mended = info.st_mode & 07777 & ~open;
  if (::chmod(path.c_str(), mended) != 0 || ::stat(path.c_str(), &info) != 0 || (info.st_mode & open) != 0)
    return fail(Code::refused,
                fmt::format("{} is open to others, and its mode cannot be changed: use a folder on a file "
                            "system that knows owners and rights",
                            path));
  tell_of_mended(path, before, mended);
  return {};
}

Result<std::optional<FileId>> file_id(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) return FileId{info.st_dev, info.st_ino};
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  return system_error(errno, "look at", path);
}

}  // namespace pawl
