#include "app/signals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/signals.h"
#include "base/system_error.h"

namespace pawl::app {
namespace {

// A flood of signals must not flood the log.
constexpr auto told_again_after = std::chrono::seconds(1);

// Asked at the start, because the process has no terminal any more once it is gone.
bool has_terminal() {
  const int terminal = ::open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (terminal >= 0) ::close(terminal);
  return terminal >= 0;
}

std::string sender_of(const signalfd_siginfo& signal) {
  const bool by_process = signal.ssi_code == SI_USER || signal.ssi_code == SI_QUEUE || signal.ssi_code == SI_TKILL;
  if (!by_process) return "the system";  // a terminal, a timer, a limit
  if (signal.ssi_pid == 0) return fmt::format("a process outside this namespace, of user {}", signal.ssi_uid);
  return fmt::format("process {} of user {}", signal.ssi_pid, signal.ssi_uid);
}

}  // namespace

Result<std::unique_ptr<Signals>> Signals::take() {
  sigset_t set;
  sigemptyset(&set);
  // A blocked signal is queued even if it is ignored, so ignored ones are not blocked.
  const auto add = [&set](int number) {
    if (!is_ignored(number)) sigaddset(&set, number);
  };
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) add(number);
  for (const int number : stray_signals()) add(number);
  ignore_signals_of_writing();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const int signals = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  const int bell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (signals < 0 || bell < 0) {
    const int why = errno;
    if (signals >= 0) ::close(signals);
    return system_error(why, "open", "a descriptor for signals");
  }
  return std::unique_ptr<Signals>(new Signals(signals, bell, has_terminal()));
}

Signals::~Signals() {
  ::close(signals_);
  ::close(bell_);
}

Signals::News Signals::wait(std::chrono::milliseconds tick) {
  for (;;) {
    if (store_failed_.exchange(false)) return {.kind = Kind::store_failed};
    if (released_) return {.kind = Kind::released};
    const auto now = Clock::now();
    if (now - last_tick_ >= tick) {
      last_tick_ = now;
      return {.kind = Kind::tick};
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(last_tick_ + tick - now);
    std::array<pollfd, 2> descriptors{{{signals_, POLLIN, 0}, {bell_, POLLIN, 0}}};
    ::poll(descriptors.data(), descriptors.size(), static_cast<int>(left.count()));
    std::uint64_t rung = 0;
    [[maybe_unused]] const auto heard = ::read(bell_, &rung, sizeof rung);
    signalfd_siginfo signal{};
    if (::read(signals_, &signal, sizeof signal) != sizeof signal) continue;
    const int number = static_cast<int>(signal.ssi_signo);
    const bool hangup = number == SIGHUP;
    if (number == SIGTERM || number == SIGINT || number == SIGQUIT || (hangup && hangup_stops_))
      return {.kind = Kind::stop, .signal = signal_name(number), .sender = sender_of(signal)};
    if (hangup) return {.kind = Kind::reload, .signal = signal_name(number), .sender = sender_of(signal)};
    ignore(signal);
  }
}

std::string Signals::pending_stop() const {
  sigset_t pending;
  if (sigpending(&pending) != 0) return {};
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) {
    if ((number != SIGHUP || hangup_stops_) && sigismember(&pending, number) == 1) return signal_name(number);
  }
  return {};
}

void Signals::ignore(const signalfd_siginfo& signal) {
  Ignored& before = ignored_[signal.ssi_signo];
  ++before.since_then;
  const auto now = Clock::now();
  if (before.told != Clock::time_point{} && now - before.told < told_again_after) return;
  const std::string name = signal_name(static_cast<int>(signal.ssi_signo));
  const std::string times = std::to_string(before.since_then);
  if (signal.ssi_signo == SIGXCPU)
    log::warning(
        "the soft limit of processor time is reached, and the system kills at the hard one: see ulimit -t, LimitCPU=",
        {{"signal", name}, {"from", sender_of(signal)}, {"times", times}});
  else
    log::warning("a signal without a meaning here was ignored",
                 {{"signal", name}, {"from", sender_of(signal)}, {"times", times}});
  before = {.told = now, .since_then = 0};
}

void Signals::report_store_failure() {
  store_failed_ = true;
  ring();
}

void Signals::release() {
  released_ = true;
  ring();
}

void Signals::ring() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(bell_, &one, sizeof one);
}

}  // namespace pawl::app
