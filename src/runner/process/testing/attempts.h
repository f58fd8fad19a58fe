// What tasks try on other processes, for the tests of what keeps them from it.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace pawl::runner::testing {

// A script for Python that tries all ways to change the process by its id, and prints those that worked. `more` are further
// ones.
inline std::string attempts_on(const std::string& pid, std::string_view more = "") {
  return fmt::format(R"(
import ctypes, fcntl, os, resource, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0: raise OSError(ctypes.get_errno(), "")
it = {0}
nice, pri, group = os.nice(0), ctypes.c_int(0), os.getpgid(it)
read, write = os.pipe()
ways = dict(
    limits=lambda: resource.prlimit(it, resource.RLIMIT_CORE, (0, 0)),
    priority=lambda: os.setpriority(os.PRIO_PROCESS, it, 5),
    group_priority=lambda: os.setpriority(os.PRIO_PGRP, group, 5),
    user_priority=lambda: os.setpriority(os.PRIO_USER, 0, 5),
    processors=lambda: os.sched_setaffinity(it, os.sched_getaffinity(0)),
    scheduler=lambda: os.sched_setscheduler(it, os.SCHED_BATCH, os.sched_param(0)),
    parameters=lambda: os.sched_setparam(it, os.sched_param(0)),
    io=lambda: call(251, 1, it, 3 << 13),
    group_io=lambda: call(251, 2, group, 3 << 13),
    user_io=lambda: call(251, 3, os.getuid(), 3 << 13),
    signal=lambda: os.kill(it, 0),
    group_signal=lambda: os.killpg(group, 0),
    thread_signal=lambda: call(234, it, it, 0),
    one_thread_signal=lambda: call(200, it, 0),
    handle_signal=lambda: signal.pidfd_send_signal(os.pidfd_open(it), 0),
    folder_signal=lambda: signal.pidfd_send_signal(os.open(f"/proc/{{it}}", os.O_RDONLY), 0),
    {1}
)
went = []
for name, way in ways.items():
    try:
        way()
        went.append(name)
    except OSError as error:
        if error.errno != 1: print(name, error)
print(*went)
)",
                     pid, more);
}

// Where Landlock holds signals, an owner can be set and is never signalled.
inline constexpr std::string_view owner = "owner=lambda: fcntl.fcntl(read, fcntl.F_SETOWN, it),";

}  // namespace pawl::runner::testing
