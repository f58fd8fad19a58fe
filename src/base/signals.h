// Signals by kind, for the programs of ours that run for long.
#pragma once

#include <string>
#include <vector>

namespace pawl {

// "SIGTERM"; a realtime one is "SIGRTMIN+3".
std::string signal_name(int number);

// Whether the starter of this process wants it to be ignored, as nohup does and a shell for its background jobs. To be
// asked before anything is set here.
bool is_ignored(int number);

// Those that mean nothing to us and would end the process all the same: SIGUSR1 and 2, timers, limits, SIGIO, SIGPWR, all
// realtime ones. Faults of the program (SIGSEGV, SIGABRT, …) are not among them.
std::vector<int> stray_signals();

// Ignores those that tell of a write that failed: it fails with an error of its own, EPIPE or EFBIG. And those that the
// C library keeps for itself, which would end the process if somebody else sent them.
void ignore_signals_of_writing();

}  // namespace pawl
