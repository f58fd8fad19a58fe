#include "app/admin_token.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "app/system_ports.h"
#include "base/log.h"
#include "base/own_file.h"
#include "base/system_error.h"

namespace pawl::app {
namespace {

constexpr std::size_t shortest = 32, longest = 4096;

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

AdminToken::AdminToken(std::string path, OwnFile folder)
    : path_(std::move(path)),
      folder_(std::move(folder)),
      file_(fmt::format("/proc/self/fd/{}/{}", folder_.get(), name_of(path_))) {}

Result<std::unique_ptr<AdminToken>> AdminToken::open(std::string path) {
  auto folder = OwnFile::open_folder(folder_of(path));
  if (!folder) return std::unexpected(folder.error());
  // Says what is wrong with the file, or mends it, by the name that people know.
  if (const auto fine = check_own_file(path); !fine) return std::unexpected(fine.error());
  std::unique_ptr<AdminToken> token(new AdminToken(std::move(path), std::move(*folder)));
  auto value = token->read();
  if (!value && value.error().code == Code::not_found) value = token->make();
  if (!value) return std::unexpected(value.error());
  token->set(std::move(*value));
  token->seen_ = token->stamp();
  return token;
}

std::string AdminToken::current() const {
  const MutexLock lock(mutex_);
  return value_;
}

void AdminToken::set(std::string value) {
  const MutexLock lock(mutex_);
  value_ = std::move(value);
}

void AdminToken::look() {
  const Stamp now = stamp();
  if (now == seen_ && told_.empty()) return;
  auto value = read();
  const bool removed = !value && value.error().code == Code::not_found;
  if (removed) value = make();
  // A new file gets its stamp after it was made. A change between the two steps is seen at the next look.
  seen_ = value && !removed ? now : stamp();
  if (!value) {
    set({});
    if (value.error().message != std::exchange(told_, value.error().message))
      log::error("the admin token cannot be used: no token is accepted until it can", {{"why", told_}});
    return;
  }
  told_.clear();
  if (*value == current()) return;
  set(std::move(*value));
  log::info(removed ? "the admin token was removed: the old one is no longer valid, and a new one was made"
                    : "the admin token was replaced: the old one is no longer valid",
            {{"file", path_}});
}

AdminToken::Stamp AdminToken::stamp() const {
  struct stat info{};
  if (::lstat(file_.c_str(), &info) != 0) return {};
  const auto ns = [](const timespec& at) { return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec; };
  return {info.st_dev, info.st_ino, info.st_size, ns(info.st_mtim), ns(info.st_ctim)};
}

Result<std::string> AdminToken::read() const {
  const auto file = OwnFile::open(file_, O_RDONLY);
  if (!file) return std::unexpected(by_its_name(file.error()));
  std::array<char, longest> bytes{};
  ssize_t size = 0;
  do size = ::pread(file->get(), bytes.data(), bytes.size(), 0);
  while (size < 0 && errno == EINTR);
  if (size < 0) return system_error(errno, "read", path_);
  std::string token(bytes.data(), static_cast<std::size_t>(size));
  token = token.substr(0, token.find('\n'));
  while (!token.empty() && (token.back() == ' ' || token.back() == '\r' || token.back() == '\t')) token.pop_back();
  const bool printable = std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7F; });
  if (token.size() < shortest || !printable || static_cast<std::size_t>(size) == longest)
    return fail(
        Code::refused,
        fmt::format("{} holds no usable token: write one of {} or more characters without blanks, or remove the file "
                    "to get a new one",
                    path_, shortest));
  return token;
}

Error AdminToken::by_its_name(Error error) const {
  if (const auto at = error.message.find(file_); at != std::string::npos)
    error.message.replace(at, file_.size(), path_);
  return error;
}

Result<std::string> AdminToken::make() const {
  SystemRng random;
  std::string token = "pawl_";
  for (int i = 0; i < 4; ++i) token += fmt::format("{:016x}", random.next());
  const std::string fresh = file_ + ".new";
  ::unlink(fresh.c_str());
  const auto file = OwnFile::open(fresh, O_WRONLY | O_CREAT | O_EXCL);
  if (!file) return std::unexpected(by_its_name(file.error()));
  const std::string line = token + "\n";
  errno = 0;
  const ssize_t written = ::write(file->get(), line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size()) || ::fsync(file->get()) != 0 ||
      std::rename(fresh.c_str(), file_.c_str()) != 0) {
    const int why = errno == 0 ? ENOSPC : errno;  // a write that was cut short
    ::unlink(fresh.c_str());
    return system_error(why, "write", path_);
  }
  return token;
}

}  // namespace pawl::app
