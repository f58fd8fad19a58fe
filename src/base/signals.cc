#include "base/signals.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

namespace pawl {

std::string signal_name(int number) {
  if (number >= SIGRTMIN && number <= SIGRTMAX) return fmt::format("SIGRTMIN+{}", number - SIGRTMIN);
  const char* const name = ::sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : std::string("SIG") + name;
}

bool is_ignored(int number) {
  struct sigaction now{};
  return ::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

std::vector<int> stray_signals() {
  std::vector<int> all{SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGXCPU};
#ifdef SIGSTKFLT
  all.push_back(SIGSTKFLT);
#endif
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) all.push_back(number);
  return all;
}

void ignore_signals_of_writing() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  // glibc's sigaction() refuses these two. The library sets its own handlers when it needs them.
  struct {
    void (*handler)(int);
    std::uint64_t flags, restorer, mask;
  } const ignore{SIG_IGN, 0, 0, 0};
  for (int number = 32; number < SIGRTMIN; ++number) {
    std::array<std::uint64_t, 4> before{};
    ::syscall(SYS_rt_sigaction, number, nullptr, before.data(), sizeof(std::uint64_t));
    if (before[0] == 0) ::syscall(SYS_rt_sigaction, number, &ignore, nullptr, sizeof(std::uint64_t));
  }
}

}  // namespace pawl
