#include "bench/syncs.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace {

std::atomic<std::uint64_t> count = 0;

}  // namespace

// The program's own definitions stand before those of the C library for shared libraries, too.
extern "C" int fdatasync(int file) {
  count.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(::syscall(SYS_fdatasync, file));
}

extern "C" int fsync(int file) {
  count.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(::syscall(SYS_fsync, file));
}

namespace pawl::bench {

std::uint64_t syncs() { return count.load(std::memory_order_relaxed); }

}  // namespace pawl::bench
