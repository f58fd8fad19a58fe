// The processes below a process, as /proc shows them. For guard and keepers: they are subreapers, so that whatever is
// started below them stays below them, however it detaches itself.
// Threads: one; nothing here keeps state.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pawl::runner {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  char state = '?';           // as /proc shows it: R, S, Z …
  std::uint64_t started = 0;  // ticks since boot: tells it from a later process of the same number
  std::int64_t threads = 0;
  std::int64_t resident_pages = 0;
};

// All processes below `root`, zombies too, parents before children; without `except` and what is below those.
// Empty if /proc cannot be read.
std::vector<Process> processes_below(pid_t root, std::span<const pid_t> except = {});

// All processes that /proc shows.
std::vector<Process> all_processes();

// Nothing if it is gone.
std::optional<pid_t> parent_of(pid_t pid);

// Signals exactly this process; never another one that got its number. One that is gone, or not ours to signal, is
// no error.
void send_signal(const Process& process, int signal);

// One pass of killing all below `root`: whole process groups first, which no fork escapes; then stops what is left, so
// that none can fork away between being found and being killed. They die soon after; whoever waits for them calls it
// again while any is left. The caller's own group is spared, its processes below `root` are not.
void kill_below(pid_t root, std::span<const pid_t> except = {});

}  // namespace pawl::runner
