#include "runner/process/usage.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include "runner/process/process_tree.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;

// However little the machine has grown, a tree may have while others shrank.
constexpr Duration at_least_every = 2s;
// Memory grows without any process beginning.
constexpr Duration memory_every = 250ms;

std::int64_t threads_of_the_machine() {
  struct sysinfo info{};
  return ::sysinfo(&info) == 0 ? info.procs : 0;
}

}  // namespace

Usage::Passed Usage::look(Duration now) {
  const std::int64_t total = threads_of_the_machine();
  const bool grown = processes_ > 0 && total - total_then_ > processes_ / 4;
  const bool possible = memory_bytes_ > 0 || total > processes_;
  const bool due = !counted_at_ || now - *counted_at_ >= (memory_bytes_ > 0 ? memory_every : at_least_every);
  if (!possible || (!grown && !due)) return Passed::nothing;

  counted_at_ = now;
  total_then_ = total;
  std::int64_t threads = 0, pages = 0;
  for (const Process& process : processes_below(::getpid())) {
    if (process.state == 'Z') continue;
    threads += process.threads;
    pages += process.resident_pages;
  }
  if (processes_ > 0 && threads > processes_) return Passed::processes;
  if (memory_bytes_ > 0 && pages * ::sysconf(_SC_PAGESIZE) > memory_bytes_) return Passed::memory;
  return Passed::nothing;
}

}  // namespace pawl::runner
