// What guard and keepers share: waiting for children, and the end of all that is below them.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/time.h"
#include "runner/process/descriptor.h"
#include "runner/process/process_tree.h"

namespace pawl::runner {

// After this long, processes that do not die (setuid ones of another user, ones stuck in the kernel) are told of. They
// are tried again for as long as they live.
constexpr Duration give_up_after = std::chrono::seconds(10);
constexpr std::chrono::milliseconds longest_pause{1000};

// Time since boot, also while the machine sleeps: what timeouts count.
Duration elapsed();

// SIGCHLD is blocked and read from here. A forked process needs one of its own.
Descriptor child_signals();
void clear(const Descriptor& signals);

// Among thousands of processes that are to be killed, the killer's fair share of time would be next to nothing. Where more
// is not allowed, it has to do without.
void go_first();

enum class Stopped { let_be, wake };

// Calls `ended(pid, status)` for each child that has ended. False once no child is left.
template <class Ended>
bool reap(Ended ended, Stopped stopped = Stopped::let_be) {
  while (true) {
    int status = 0;
    // __WALL: a process made by clone() with an odd exit signal is a child, too.
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL | (stopped == Stopped::wake ? WUNTRACED : 0));
    if (pid == 0) return true;
    if (pid < 0) return errno == EINTR;
    if (WIFSTOPPED(status)) {
      ::kill(pid, SIGCONT);
      continue;
    }
    ended(pid, status);
  }
}

// Kills all below this process and waits until the last is gone. `still_there` is called now and then meanwhile.
template <class Ended, class StillThere>
void kill_all(const Descriptor& signals, Ended ended, StillThere still_there) {
  using std::chrono::milliseconds;
  go_first();
  for (milliseconds pause{20};; pause = std::min(2 * pause, longest_pause)) {
    kill_below(::getpid());
    const Duration until = elapsed() + pause;
    while (true) {
      clear(signals);
      if (!reap(ended)) return;
      const auto rest = std::chrono::ceil<milliseconds>(until - elapsed());
      if (rest <= milliseconds{0}) break;
      pollfd wait{.fd = signals.get(), .events = POLLIN, .revents = 0};
      ::poll(&wait, 1, static_cast<int>(rest.count()));
    }
    still_there();
  }
}

}  // namespace pawl::runner
