// The guard process, which forks a keeper for each try (docs/adr/0005-guard-process.md). It has one thread and does
// little, so that fork is cheap and safe here, as it is not in the server.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/signals.h"
#include "base/time.h"
#include "runner/process/call_filter.h"
#include "runner/process/cover.h"
#include "runner/process/descriptor.h"
#include "runner/process/guard_link.h"
#include "runner/process/guard_wire.h"
#include "runner/process/keeper.h"
#include "runner/process/killing.h"
#include "runner/process/process_runner.h"
#include "runner/process/process_tree.h"
#include "runner/process/task_start.h"
#include "runner/process/trial.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

class Guard {
 public:
  Guard(Descriptor socket, int cover_error) : socket_(std::move(socket)), cover_error_(cover_error) {}

  int run() {
    ::prctl(PR_SET_NAME, "pawl-guard");
    // Nobody of our user may look into us, or trace us.
    ::prctl(PR_SET_DUMPABLE, 0);
    // The last chance to be told of a fault of ours is the exit code: nobody reads our standard error.
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || ::chdir("/") != 0) return 1;
    // Whatever stops the server, or is sent about by a task, must not stop the one who cleans up after both.
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT, SIGTSTP, SIGXFSZ}) ::signal(number, SIG_IGN);
    for (const int number : stray_signals()) ::signal(number, SIG_IGN);
    signals_ = child_signals();
    if (!signals_.valid()) return 1;

    std::array<pollfd, 2> waits{{{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = signals_.get(), .events = POLLIN, .revents = 0}}};
    while (true) {
      clear(signals_);
      // A keeper that a task has stopped would heed no timeout. Strays that are stopped are killed in a moment.
      reap([this](pid_t pid, int status) { ended(pid, status); }, Stopped::wake);
      if (strays_) sweep();
      ::poll(waits.data(), waits.size(), strays_ ? static_cast<int>(pause_.count()) : -1);
      if (waits[0].revents != 0 && !receive()) break;
    }
    // The server is dead. The lock goes with us, so none of its processes may be left.
    kill_all(signals_, [](pid_t, int) {}, [] {});
    for (const Child& child : children_) remove_groups(child.groups);
    return 0;
  }

 private:
  struct Child {
    pid_t pid = 0;
    std::uint64_t serial = 0;
    TryGroups groups;
  };

  // False: the server is gone.
  bool receive() {
    StartMessage message;
    iovec part{.iov_base = &message, .iov_len = sizeof message};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * start_descriptors)> space{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = space.data();
    header.msg_controllen = space.size();
    const ssize_t size = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;

    std::vector<Descriptor> passed;
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
      if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
        passed.emplace_back(fd);
      }
    }
    // Fewer arrive when this process may open no more.
    if (passed.size() != start_descriptors) {
      tell({.serial = message.serial, .kind = GuardMessage::Kind::not_started, .error = EMFILE});
      return true;
    }
    start(message, passed);
    return true;
  }

  void start(const StartMessage& message, std::vector<Descriptor>& passed) {
    const auto request = read_request(passed[0], message);
    passed[0].reset();
    const auto give_up = [&](KeeperReport::Step step, int error) {
      tell({.serial = message.serial, .kind = GuardMessage::Kind::not_started, .step = step, .error = error});
    };
    if (!request) return give_up(KeeperReport::Step::process, errno);
    if (message.fence == Fence::cover && cover_error_ != 0) return give_up(KeeperReport::Step::fence, cover_error_);
    // Made once: the policy is the same in all messages, and making a filter takes longer than starting a process.
    if (message.calls_filtered && filter_.empty()) {
      auto filter = make_call_filter(message.signals_filtered);
      if (!filter) return give_up(KeeperReport::Step::fence, ENOSYS);
      filter_ = std::move(*filter);
    }
    const pid_t pid = ::fork();
    if (pid < 0) return give_up(KeeperReport::Step::process, errno);
    if (pid > 0) {
      children_.push_back({.pid = pid, .serial = message.serial, .groups = request->groups});
      return;
    }
    // The keeper keeps the lock, so that it also speaks for the processes of a guard that was killed; not the socket,
    // whose end is how the server sees that.
    socket_.reset();
    signals_.reset();
    keep(message, *request, {.out = std::move(passed[1]), .err = std::move(passed[2]), .control = std::move(passed[3])},
         {.filter = filter_, .server = server_});
    ::_exit(0);
  }

  void ended(pid_t pid, int status) {
    const auto child = std::ranges::find(children_, pid, &Child::pid);
    if (child == children_.end()) return;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      // It was killed, so its processes are ours now.
      lost_.push_back(child->serial);
      if (!strays_) {
        strays_since_ = elapsed();
        pause_ = 1ms;
      }
      strays_ = true;
    }
    children_.erase(child);
  }

  void sweep() {
    std::vector<pid_t> keepers;
    for (const Child& child : children_) keepers.push_back(child.pid);
    strays_ = !processes_below(::getpid(), keepers).empty();
    if (strays_) {
      kill_below(::getpid(), keepers);
      pause_ = std::min(2 * pause_, longest_pause);
    }
    if (strays_ && elapsed() - strays_since_ < give_up_after) return;
    for (const std::uint64_t serial : lost_) tell({.serial = serial, .kind = GuardMessage::Kind::swept});
    lost_.clear();
  }

  void tell(const GuardMessage& message) { ::send(socket_.get(), &message, sizeof message, MSG_NOSIGNAL); }

  Descriptor socket_, signals_;
  const int cover_error_;  // an errno; 0 if the cover is in place or none was wanted
  const pid_t server_ = ::getppid();
  std::vector<sock_filter> filter_;  // empty: not needed yet
  std::vector<Child> children_;
  std::vector<std::uint64_t> lost_;  // tries whose keeper was killed, until the rest of them is dead
  bool strays_ = false;  // processes of theirs may be left
  Duration strays_since_{};
  milliseconds pause_ = 1ms;
};

}  // namespace

int guard_main(std::span<char* const> arguments) {
  using namespace std::string_view_literals;
  if (!arguments.empty() && arguments[0] == "try"sv) return run_trial(arguments.subspan(1));
  // Neither may reach a task. The lock is never closed: the kernel gives it up when the last holder is gone.
  ::fcntl(guard_socket, F_SETFD, FD_CLOEXEC);
  ::fcntl(guard_lock, F_SETFD, FD_CLOEXEC);
  // Before anything else: once it is not dumpable, a process cannot write its own user map.
  const bool covers = arguments.size() == 3 && arguments[0] == "cover"sv;
  return Guard{Descriptor{guard_socket}, covers ? raise_cover(arguments[1], arguments[2]) : 0}.run();
}

}  // namespace pawl::runner
