// The signals of a server, read by the one thread that waits for them.
//
//   TERM, INT, QUIT   ask it to stop; HUP too, if the process was started from a terminal
//   HUP               otherwise asks it to reload its files
//   PIPE, XFSZ        are ignored: the write that caused them fails with an error
//   USR1, USR2, ALRM, VTALRM, PROF, IO, PWR, STKFLT, XCPU, realtime   are logged and ignored
//   SEGV, BUS, ILL, FPE, ABRT, TRAP, SYS and KILL end it at once
//
// A signal that is ignored when the process starts stays ignored.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"

struct signalfd_siginfo;

namespace pawl::app {

class Signals {
 public:
  enum class Kind : std::uint8_t { stop, reload, store_failed, released, tick };
  struct News {
    Kind kind = Kind::tick;
    std::string signal, sender;  // of a stop or a reload: "SIGTERM", "process 17 of user 0"
  };

  // Blocks the signals in this thread and in those that it starts, so call it before the first thread is started.
  // Error: overloaded, no descriptor.
  static Result<std::unique_ptr<Signals>> take();
  ~Signals();

  // What comes next: a tick when `tick` has passed since the last one. Logs signals without a meaning. Threads: one.
  News wait(std::chrono::milliseconds tick);

  // The name of a signal that asks for a stop and that wait() has not returned yet; empty: none. Threads: any.
  std::string pending_stop() const;

  // Threads: any. Make wait() return store_failed once, or `released` from then on. These are not signals, because
  // other processes could send those.
  void report_store_failure();
  void release();

 private:
  Signals(int signals, int bell, bool hangup_stops) : signals_(signals), bell_(bell), hangup_stops_(hangup_stops) {}
  void ring();
  void ignore(const signalfd_siginfo& signal);

  using Clock = std::chrono::steady_clock;
  struct Ignored {
    Clock::time_point told{};
    std::uint64_t since_then = 0;
  };

  const int signals_, bell_;
  const bool hangup_stops_;
  std::atomic<bool> store_failed_ = false, released_ = false;
  Clock::time_point last_tick_ = Clock::now();
  std::map<std::uint32_t, Ignored> ignored_;
};

}  // namespace pawl::app
