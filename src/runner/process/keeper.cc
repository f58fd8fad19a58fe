#include "runner/process/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <set>
#include <utility>

#include "runner/process/call_filter.h"
#include "runner/process/cgroups.h"
#include "runner/process/guard_link.h"
#include "runner/process/killing.h"
#include "runner/process/process_tree.h"
#include "runner/process/task_start.h"
#include "runner/process/usage.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;

// Between two looks for refused forks: only version 2 of cgroups wakes those who wait for them.
constexpr std::chrono::milliseconds refusals_pause = 100ms;

class Keeper {
 public:
  Keeper(const StartMessage& message, const Request& request, KeeperDescriptors descriptors, KeeperFilter filter)
      : message_(message),
        request_(request),
        filter_(filter.filter),
        judge_(filter.server, ::getppid()),
        out_(std::move(descriptors.out)),
        err_(std::move(descriptors.err)),
        control_(std::move(descriptors.control)),
        usage_(request.groups.processes.empty() ? message.limits.processes : 0,
               request.groups.memory.empty() ? message.limits.memory_bytes : 0) {}

  void run() {
    ::prctl(PR_SET_NAME, "pawl-keeper");
    // Nobody of our user may look into us, or trace us.
    ::prctl(PR_SET_DUMPABLE, 0);
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
    kill_group(request_.groups);
    kill_all(
        signals_, [this](pid_t pid, int status) { ended(pid, status); },
        [this, since = elapsed()] {
          if (elapsed() - since < give_up_after || reported_) return;
          report_.left = static_cast<std::int32_t>(processes_below(::getpid()).size());
          report();
        });
    // It may have ended before we looked. What took too much memory may have been ended by the kernel, and something
    // better done in its place.
    if (report_.why == KeeperReport::Why::exited) {
      if (refused_forks_.valid() && forks_were_refused(refused_forks_)) {
        report_.why = KeeperReport::Why::processes;
      } else if (report_.wait_status != 0 && memory_ran_out(request_.groups)) {
        report_.why = KeeperReport::Why::memory;
      }
    }
    // Here, too, not only in the server: that may be dead.
    remove_groups(request_.groups);
    report();
  }

 private:
  enum class Phase { running, ending, killing };

  bool start() {
    refused_forks_ = refused_forks(request_.groups);
    pause_ = static_cast<int>(usage_.counts()          ? Usage::pause.count()
                              : refused_forks_.valid() ? refusals_pause.count()
                                                       : -1);
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) return false;
    failures_ = Descriptor{pipe[0]};
    const Descriptor failures_end{pipe[1]};
    Descriptor listener_end;
    if (message_.calls_filtered) {
      auto sockets = make_sockets();
      if (!sockets) return false;
      listener_box_ = std::move(sockets->ours);
      listener_end = std::move(sockets->theirs);
    }
    const pid_t keeper = ::getpid();
    // A TERM that comes before the program runs waits for it; we ignore TERM, and the child begins as we are.
    sigset_t all, before;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    main_ = ::fork();
    if (main_ == 0) {
      become_task(
          message_, request_,
          {.out = out_.get(), .err = err_.get(), .failures = failures_end.get(), .listener_box = listener_end.get()},
          filter_, keeper);
    }
    if (main_ < 0) report_.error = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    // The server has to see the end of both when the last process of the task has gone.
    out_.reset();
    err_.reset();
    return main_ > 0;
  }

  // Until the rest is to be killed, or nothing is left.
  void watch() {
    // One without a descriptor is passed over.
    std::array<pollfd, 5> waits{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = timer_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = control_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = refused_forks_.get(), .events = POLLPRI, .revents = 0},
                                 {.fd = listener_box_.get(), .events = POLLIN, .revents = 0}}};
    while (true) {
      clear(signals_);
      if (!reap([this](pid_t pid, int status) { ended(pid, status); })) return;
      if (phase_ == Phase::killing || (phase_ == Phase::running && report_.ended)) return;
      // While a tree is being ended, all of it has until the deadline: main processes often go first. What they forked
      // in the very moment of the first TERM gets it now, or nobody would tell it.
      if (report_.ended && !std::exchange(told_orphans_, true)) terminate();
      ::poll(waits.data(), waits.size(), pause_);
      if (waits[1].revents != 0) on_timer();
      if (waits[2].revents != 0) on_control();
      if (waits[4].revents != 0) waits[4].fd = on_calls();
      if (refused_forks_.valid() && forks_were_refused(refused_forks_)) passed(KeeperReport::Why::processes);
      if (!usage_.counts()) continue;
      switch (usage_.look(elapsed())) {
        case Usage::Passed::nothing: break;
        case Usage::Passed::processes: passed(KeeperReport::Why::processes); break;
        case Usage::Passed::memory: passed(KeeperReport::Why::memory); break;
      }
    }
  }

  // What takes too much gets no grace, in which it could go on.
  void passed(KeeperReport::Why limit) {
    if (phase_ == Phase::killing) return;
    if (phase_ == Phase::running) report_.why = limit;
    phase_ = Phase::killing;
  }

  // Receives the listener, which the task sends before it runs its program; later answers its calls. Returns what to
  // wait for next.
  int on_calls() {
    if (listener_box_.valid()) {
      listener_ = receive_descriptor(listener_box_);
      listener_box_.reset();
      return listener_.get();
    }
    pollfd call{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    ::poll(&call, 1, 0);
    if ((call.revents & POLLIN) != 0) {
      judge_.answer(listener_);
    } else if (call.revents != 0) {
      listener_.reset();  // no process is left behind the filter
    }
    return listener_.get();
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

  const StartMessage& message_;
  const Request& request_;
  const std::vector<sock_filter>& filter_;
  CallJudge judge_;
  Descriptor listener_box_, listener_;
  Descriptor out_, err_, control_;
  Usage usage_;
  int pause_ = -1;  // milliseconds between two looks; negative: there is nothing to look for
  Descriptor signals_, timer_, failures_, refused_forks_;
  pid_t main_ = -1;
  Phase phase_ = Phase::running;
  std::set<std::pair<pid_t, std::uint64_t>> terminated_;  // got their TERM
  bool told_orphans_ = false;
  Duration deadline_ = Duration::max();
  KeeperReport report_;
  bool reported_ = false;
};

}  // namespace

void keep(const StartMessage& message, const Request& request, KeeperDescriptors descriptors, KeeperFilter filter) {
  Keeper{message, request, std::move(descriptors), filter}.run();
}

}  // namespace pawl::runner
