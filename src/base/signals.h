// Kinds of signals, for processes that run for long.
#pragma once

#include <string>
#include <vector>

namespace pawl {

// "SIGTERM"; a realtime one is "SIGRTMIN+3".
std::string signal_name(int number);

// Whether the signal was ignored when this process started, as with nohup or for a shell's background jobs. Ask before
// any handler is set.
bool is_ignored(int number);

// The signals that have no meaning for us but would end the process: SIGUSR1 and 2, timers, limits, SIGIO, SIGPWR, all
// realtime signals. Faults of the program (SIGSEGV, SIGABRT, …) are not among them.
std::vector<int> stray_signals();

// Ignores the signals of a failed write, which also returns an error, EPIPE or EFBIG. Also ignores the signals that the
// C library uses itself, which would end the process if somebody else sent them.
void ignore_signals_of_writing();

}  // namespace pawl
