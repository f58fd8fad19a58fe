#include "runner/process/guard_link.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/time.h"
#include "runner/process/process_runner.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// A dead server's guard is gone within milliseconds, as a rule.
constexpr milliseconds lock_pause = 20ms;

std::string error_text(int error) { return std::strerror(error); }

// The lock, or nothing while another holds it.
Result<std::optional<Descriptor>> try_lock(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!file.valid()) return fail(Code::unavailable, fmt::format("cannot open {}: {}", path, error_text(errno)));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
    return fail(Code::unavailable, fmt::format("cannot lock {}: {}", path, error_text(errno)));
  }
  // Locked is the file we opened; another may stand at its path by now.
  struct stat opened{}, standing{};
  if (::fstat(file.get(), &opened) != 0 || ::stat(path.c_str(), &standing) != 0 || opened.st_ino != standing.st_ino ||
      opened.st_dev != standing.st_dev) {
    return std::nullopt;
  }
  return file;
}

}  // namespace

Result<SocketPair> make_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail(Code::unavailable, "cannot make a socket: " + error_text(errno));
  }
  return SocketPair{.ours = Descriptor{ends[0]}, .theirs = Descriptor{ends[1]}};
}

Result<bool> GuardLink::start() {
  if (Clock::now() < next_try_) return false;
  auto lock = try_lock(lock_path_);
  if (!lock) return std::unexpected(lock.error());
  if (!*lock) {
    next_try_ = Clock::now() + lock_pause;
    if (!wanted_since_) wanted_since_ = told_at_ = Clock::now();
    if (Clock::now() - told_at_ >= 10s) {
      told_at_ = Clock::now();
      const auto waited = std::chrono::duration_cast<Duration>(Clock::now() - *wanted_since_);
      log::warning("processes of an earlier server are still alive; tasks wait for their end",
                   {{"lock", lock_path_}, {"waited", to_text(waited)}});
    }
    return false;
  }
  wanted_since_.reset();
  lock_taken_();
  auto guard = spawn(**lock);
  if (!guard) return std::unexpected(guard.error());
  guard_ = std::move(*guard);
  worked_ = false;
  return true;
}

Result<GuardLink::Guard> GuardLink::spawn(const Descriptor& lock) const {
  auto sockets = make_sockets();
  if (!sockets) return std::unexpected(sockets.error());
  ::fcntl(sockets->ours.get(), F_SETFL, O_NONBLOCK);
  // Out of the way of the numbers that the guard gets.
  const Descriptor socket_copy{::fcntl(sockets->theirs.get(), F_DUPFD_CLOEXEC, 10)};
  const Descriptor lock_copy{::fcntl(lock.get(), F_DUPFD_CLOEXEC, 10)};
  if (!socket_copy.valid() || !lock_copy.valid()) {
    return fail(Code::unavailable, "cannot start the guard: " + error_text(errno));
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_RDWR, 0);
  }
  ::posix_spawn_file_actions_adddup2(&actions, socket_copy.get(), guard_socket);
  ::posix_spawn_file_actions_adddup2(&actions, lock_copy.get(), guard_lock);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, guard_lock + 1);
  // What stops the server is not for the guard. It ignores that, but not in its first instants: blocked it cannot end it.
  sigset_t stops, all;
  sigemptyset(&stops);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&stops, number);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &stops);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string name = program_, word = "__guard";
  std::array<char*, 3> arguments{name.data(), word.data(), nullptr};
  // Tasks could read the guard's environment: it holds nothing but what the binary may need to load.
  std::string library_path;
  std::array<char*, 2> environment{nullptr, nullptr};
  if (const char* value = ::getenv("LD_LIBRARY_PATH"); value != nullptr) {
    library_path = std::string{"LD_LIBRARY_PATH="} + value;
    environment[0] = library_path.data();
  }
  Guard guard;
  const int error =
      ::posix_spawn(&guard.pid, program_.c_str(), &actions, &attributes, arguments.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(Code::unavailable, fmt::format("cannot start the guard {}: {}", program_, error_text(error)));
  }
  guard.socket = std::move(sockets->ours);
  return guard;
}

int GuardLink::send(StartMessage& message, const std::array<int, start_descriptors>& descriptors) {
  iovec part{.iov_base = &message, .iov_len = sizeof message};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof descriptors)> space{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = space.data();
  header.msg_controllen = space.size();
  cmsghdr* passed = CMSG_FIRSTHDR(&header);
  passed->cmsg_level = SOL_SOCKET;
  passed->cmsg_type = SCM_RIGHTS;
  passed->cmsg_len = CMSG_LEN(sizeof descriptors);
  std::memcpy(CMSG_DATA(passed), descriptors.data(), sizeof descriptors);
  // ETOOMANYREFS: too many descriptors on their way at once. It passes, like a full queue.
  if (::sendmsg(guard_->socket.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
    worked_ = true;
    return 0;
  }
  switch (errno) {
    case ETOOMANYREFS:
    case EINTR:
    case ENOBUFS: return EAGAIN;
    case ECONNRESET: return EPIPE;
    default: return errno;
  }
}

GuardLink::Heard GuardLink::receive(GuardMessage& message) {
  const ssize_t size = ::recv(guard_->socket.get(), &message, sizeof message, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return Heard::nothing;
  return size == sizeof message ? Heard::message : Heard::end;
}

int GuardLink::bury() {
  int status = 0;
  while (::waitpid(guard_->pid, &status, 0) < 0 && errno == EINTR) {
  }
  guard_.reset();
  return status;
}

void GuardLink::end() {
  const pid_t pid = guard_->pid;
  guard_.reset();
  const Descriptor handle{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  pollfd wait{.fd = handle.get(), .events = POLLIN, .revents = 0};
  if (handle.valid()) ::poll(&wait, 1, static_cast<int>(milliseconds(shutdown_time).count()));
  if (::waitpid(pid, nullptr, handle.valid() ? WNOHANG : 0) != 0) return;
  log::warning("processes that cannot be killed outlive this server", {{"guard", std::to_string(pid)}});
}

void GuardLink::await_lock() const {
  const auto until = Clock::now() + shutdown_time;
  for (auto lock = try_lock(lock_path_); lock && !*lock && Clock::now() < until; lock = try_lock(lock_path_)) {
    std::this_thread::sleep_for(lock_pause);
  }
}

}  // namespace pawl::runner
