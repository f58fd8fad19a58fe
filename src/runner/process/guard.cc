// The guard process and the keepers it forks, one for each try (docs/adr/0005-guard-process.md). Both have one thread
// and do little, so that fork is cheap and safe here, as it is not in the server.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "runner/process/descriptor.h"
#include "runner/process/guard_wire.h"
#include "runner/process/process_runner.h"
#include "runner/process/process_tree.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// After this long, processes that do not die (setuid ones of another user, ones stuck in the kernel) are told of. They
// are tried again for as long as they live.
constexpr Duration give_up_after = 10s;
constexpr milliseconds longest_pause = 1s;

// Time since boot, also while the machine sleeps: what timeouts count.
Duration elapsed() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(now.tv_nsec));
}

// SIGCHLD is blocked and read from here. A forked process needs one of its own.
Descriptor child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return Descriptor{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
}

void clear(const Descriptor& signals) {
  signalfd_siginfo info;
  while (::read(signals.get(), &info, sizeof info) > 0) {
  }
}

// Calls `ended(pid, status)` for each child that has ended. False once no child is left.
template <class Ended>
bool reap(Ended ended) {
  while (true) {
    int status = 0;
    // __WALL: a process made by clone() with an odd exit signal is a child, too.
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (pid == 0) return true;
    if (pid < 0) return errno == EINTR;
    ended(pid, status);
  }
}

// Kills all below this process and waits until the last is gone. `still_there` is called now and then meanwhile.
template <class Ended, class StillThere>
void kill_all(const Descriptor& signals, Ended ended, StillThere still_there) {
  // Among thousands of processes that are to be killed, the killer's fair share of time would be next to nothing.
  // Where this is not allowed, it has to do without.
  ::setpriority(PRIO_PROCESS, 0, -20);
  for (milliseconds pause = 20ms;; pause = std::min(2 * pause, longest_pause)) {
    kill_below(::getpid());
    const Duration until = elapsed() + pause;
    while (true) {
      clear(signals);
      if (!reap(ended)) return;
      const auto rest = std::chrono::ceil<milliseconds>(until - elapsed());
      if (rest <= 0ms) break;
      pollfd wait{.fd = signals.get(), .events = POLLIN, .revents = 0};
      ::poll(&wait, 1, static_cast<int>(rest.count()));
    }
    still_there();
  }
}

struct Request {
  std::string bytes;
  std::vector<char*> arguments, variables;  // into `bytes`, ended by a null pointer
  const char* directory = "";
};

std::optional<Request> read_request(const Descriptor& file, const StartMessage& message) {
  Request request;
  request.bytes.resize(message.request_bytes);
  for (std::size_t done = 0; done < request.bytes.size();) {
    const ssize_t got =
        ::pread(file.get(), request.bytes.data() + done, request.bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    done += static_cast<std::size_t>(got);
  }
  char* at = request.bytes.data();
  const auto next = [&at] { return std::exchange(at, at + std::strlen(at) + 1); };
  request.directory = next();
  for (std::uint32_t i = 0; i < message.arguments; ++i) request.arguments.push_back(next());
  for (std::uint32_t i = 0; i < message.variables; ++i) request.variables.push_back(next());
  request.arguments.push_back(nullptr);
  request.variables.push_back(nullptr);
  return request;
}

// Runs the program as execvpe() would, but looks it up in the task's PATH and hands nothing to a shell. Returns only
// if it cannot.
int run_program(const Request& request) {
  const std::string_view name = request.arguments.front();
  if (name.empty()) return ENOENT;
  if (name.find('/') != std::string_view::npos) {
    ::execve(request.arguments.front(), request.arguments.data(), request.variables.data());
    return errno;
  }
  std::string_view path;
  for (const char* variable : request.variables) {
    if (variable != nullptr && std::string_view{variable}.starts_with("PATH=")) path = variable + 5;
  }
  int error = ENOENT;
  while (true) {
    const auto colon = std::min(path.find(':'), path.size());
    const std::string_view folder = path.substr(0, colon);
    const std::string file = (folder.empty() ? "." : std::string{folder}) + "/" + std::string{name};
    ::execve(file.c_str(), request.arguments.data(), request.variables.data());
    // What is found but may not be run is worth more in the message than what is found nowhere.
    if (errno == EACCES) error = EACCES;
    if (errno != EACCES && errno != ENOENT && errno != ENOTDIR) return errno;
    if (colon == path.size()) return error;
    path.remove_prefix(colon + 1);
  }
}

struct StartFailure {
  KeeperReport::Step step = KeeperReport::Step::process;
  std::int32_t error = 0;
};

// In the new process: becomes the task, or writes to `failures` why it cannot.
[[noreturn]] void become_task(const Request& request, int out, int err, int failures, pid_t keeper) {
  const auto give_up = [failures](KeeperReport::Step step, int error) {
    const StartFailure failure{.step = step, .error = error};
    [[maybe_unused]] const ssize_t written = ::write(failures, &failure, sizeof failure);
    ::_exit(127);
  };
  ::setsid();
  // The keeper ends its tree in any case but its own death by KILL. For the main process that is covered, too.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != keeper) ::_exit(127);

  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0 || ::dup2(err, STDERR_FILENO) < 0) {
    give_up(KeeperReport::Step::process, errno);
  }
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  if (::chdir(request.directory) != 0) give_up(KeeperReport::Step::directory, errno);

  // The C library keeps 32 and 33 from its own sigaction(), but hands their state on. All zero is the default.
  const std::array<std::uint64_t, 4> default_action{};
  for (int number = 1; number < NSIG; ++number) {
    ::syscall(SYS_rt_sigaction, number, default_action.data(), nullptr, sizeof(std::uint64_t));
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  give_up(KeeperReport::Step::program, run_program(request));
  ::_exit(127);
}

// Starts one task, ends it when its time is over, when it is told to or when the server is dead, and leaves nothing
// of it behind.
class Keeper {
 public:
  Keeper(const StartMessage& message, Descriptor request, Descriptor out, Descriptor err, Descriptor control)
      : message_(message),
        request_(std::move(request)),
        out_(std::move(out)),
        err_(std::move(err)),
        control_(std::move(control)) {}

  void run() {
    ::prctl(PR_SET_NAME, "pawl-keeper");
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ::setpgid(0, 0);
    signals_ = child_signals();
    timer_ = Descriptor{::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)};
    // Without these nothing would wake us up: better not to begin.
    if (!signals_.valid() || !timer_.valid() || !start()) {
      report_.why = KeeperReport::Why::not_started;
      if (report_.error == 0) report_.error = errno;
      report();
      return;
    }
    if (message_.timeout_us >= 0) set_deadline(elapsed() + Duration{message_.timeout_us});
    watch();
    kill_all(
        signals_, [this](pid_t pid, int status) { ended(pid, status); },
        [this, since = elapsed()] {
          if (elapsed() - since < give_up_after || reported_) return;
          report_.left = static_cast<std::int32_t>(processes_below(::getpid()).size());
          report();
        });
    report();
  }

 private:
  enum class Phase { running, ending, killing };

  bool start() {
    const auto request = read_request(request_, message_);
    request_.reset();
    if (!request) return false;
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) return false;
    failures_ = Descriptor{pipe[0]};
    const Descriptor failures_end{pipe[1]};
    const pid_t keeper = ::getpid();
    // A TERM that comes before the program runs waits for it; we ignore TERM, and the child begins as we are.
    sigset_t all, before;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    main_ = ::fork();
    if (main_ == 0) become_task(*request, out_.get(), err_.get(), failures_end.get(), keeper);
    if (main_ < 0) report_.error = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    // The server has to see the end of both when the last process of the task has gone.
    out_.reset();
    err_.reset();
    return main_ > 0;
  }

  // Until the rest is to be killed, or nothing is left.
  void watch() {
    std::array<pollfd, 3> waits{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = timer_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = control_.get(), .events = POLLIN, .revents = 0}}};
    while (true) {
      clear(signals_);
      if (!reap([this](pid_t pid, int status) { ended(pid, status); })) return;
      if (phase_ == Phase::killing || (phase_ == Phase::running && report_.ended)) return;
      // While a tree is being ended, all of it has until the deadline: main processes often go first. What they forked
      // in the very moment of the first TERM gets it now, or nobody would tell it.
      if (report_.ended && !std::exchange(told_orphans_, true)) terminate();
      ::poll(waits.data(), waits.size(), -1);
      if (waits[1].revents != 0) on_timer();
      if (waits[2].revents != 0) on_control();
    }
  }

  void on_timer() {
    std::uint64_t count = 0;
    if (::read(timer_.get(), &count, sizeof count) != sizeof count) return;
    if (phase_ == Phase::running) {
      end(Duration{message_.grace_us}, KeeperReport::Why::timed_out);
    } else {
      phase_ = Phase::killing;
    }
  }

  void on_control() {
    StopMessage message;
    const ssize_t size = ::recv(control_.get(), &message, sizeof message, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // Its end: the server is dead, and the next one waits for us.
    if (size != sizeof message) message.grace_us = 0;
    end(Duration{message.grace_us}, KeeperReport::Why::stopped);
  }

  void end(Duration grace, KeeperReport::Why why) {
    if (phase_ == Phase::running) {
      phase_ = Phase::ending;
      report_.why = why;
      if (grace > 0s) terminate();
      deadline_ = Duration::max();
    }
    if (grace <= 0s) {
      phase_ = Phase::killing;
    } else if (elapsed() + grace < deadline_) {
      set_deadline(elapsed() + grace);
    }
  }

  // TERM for all that had none yet. Not again and again: what a dying process starts to clean up has to be let alone.
  void terminate() {
    for (const Process& process : processes_below(::getpid())) {
      if (!terminated_.emplace(process.pid, process.started).second) continue;
      send_signal(process, SIGTERM);
      // One that is stopped would sleep through its grace.
      send_signal(process, SIGCONT);
    }
  }

  void set_deadline(Duration deadline) {
    deadline_ = deadline;
    // An absolute zero would turn the timer off.
    const auto us = std::max<std::int64_t>(deadline.count(), 1);
    itimerspec at{};
    at.it_value.tv_sec = us / 1'000'000;
    at.it_value.tv_nsec = us % 1'000'000 * 1000;
    ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
  }

  void ended(pid_t pid, int status) {
    if (pid != main_) return;
    report_.ended = 1;
    report_.wait_status = status;
    StartFailure failure;
    if (::read(failures_.get(), &failure, sizeof failure) == sizeof failure) {
      report_.why = KeeperReport::Why::not_started;
      report_.step = failure.step;
      report_.error = failure.error;
    }
  }

  void report() {
    if (reported_) return;
    reported_ = true;
    ::send(control_.get(), &report_, sizeof report_, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  const StartMessage message_;
  Descriptor request_, out_, err_, control_;
  Descriptor signals_, timer_, failures_;
  pid_t main_ = -1;
  Phase phase_ = Phase::running;
  std::set<std::pair<pid_t, std::uint64_t>> terminated_;  // got their TERM
  bool told_orphans_ = false;
  Duration deadline_ = Duration::max();
  KeeperReport report_;
  bool reported_ = false;
};

class Guard {
 public:
  explicit Guard(Descriptor socket) : socket_(std::move(socket)) {}

  int run() {
    ::prctl(PR_SET_NAME, "pawl-guard");
    // The last chance to be told of a fault of ours is the exit code: nobody reads our standard error.
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || ::chdir("/") != 0) return 1;
    // Whatever stops the server, or is sent about by a task, must not stop the one who cleans up after both.
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP}) {
      ::signal(number, SIG_IGN);
    }
    signals_ = child_signals();
    if (!signals_.valid()) return 1;

    std::array<pollfd, 2> waits{{{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = signals_.get(), .events = POLLIN, .revents = 0}}};
    while (true) {
      clear(signals_);
      reap([this](pid_t pid, int status) { ended(pid, status); });
      if (strays_) sweep();
      ::poll(waits.data(), waits.size(), strays_ ? static_cast<int>(pause_.count()) : -1);
      if (waits[0].revents != 0 && !receive()) break;
    }
    // The server is dead. The lock goes with us, so none of its processes may be left.
    kill_all(signals_, [](pid_t, int) {}, [] {});
    return 0;
  }

 private:
  struct Child {
    pid_t pid = 0;
    std::uint64_t serial = 0;
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
    const pid_t pid = ::fork();
    if (pid < 0) {
      tell({.serial = message.serial, .kind = GuardMessage::Kind::not_started, .error = errno});
      return;
    }
    if (pid > 0) {
      children_.push_back({.pid = pid, .serial = message.serial});
      return;
    }
    // The keeper keeps the lock, so that it also speaks for the processes of a guard that was killed; not the socket,
    // whose end is how the server sees that.
    socket_.reset();
    signals_.reset();
    Keeper{message, std::move(passed[0]), std::move(passed[1]), std::move(passed[2]), std::move(passed[3])}.run();
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
  std::vector<Child> children_;
  std::vector<std::uint64_t> lost_;  // tries whose keeper was killed, until the rest of them is dead
  bool strays_ = false;  // processes of theirs may be left
  Duration strays_since_{};
  milliseconds pause_ = 1ms;
};

}  // namespace

int guard_main(int socket, int lock) {
  // Neither may reach a task. The lock is never closed: the kernel gives it up when the last holder is gone.
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  ::fcntl(lock, F_SETFD, FD_CLOEXEC);
  return Guard{Descriptor{socket}}.run();
}

}  // namespace pawl::runner
