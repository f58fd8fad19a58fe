// The server's end of the guard: starts one when it is needed and the lock is free, and passes messages.
// Threads: one.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runner/process/descriptor.h"
#include "runner/process/guard_wire.h"

namespace pawl::runner {

// How long is waited for processes that cannot be killed.
constexpr std::chrono::seconds shutdown_time{30};

// The descriptors that a guard gets.
constexpr int guard_socket = 3;
constexpr int guard_lock = 4;

struct SocketPair {
  Descriptor ours, theirs;
};
// Keeps messages apart, closed by exec. Error: unavailable.
Result<SocketPair> make_sockets();

class GuardLink {
 public:
  using Clock = std::chrono::steady_clock;

  // `lock_taken` is called with each lock that is got, before its guard begins: no process of an earlier guard is left.
  // `arguments` follow `PROGRAM __guard`.
  GuardLink(std::string program, std::vector<std::string> arguments, std::string lock_path,
            std::function<void()> lock_taken)
      : program_(std::move(program)),
        arguments_(std::move(arguments)),
        lock_path_(std::move(lock_path)),
        lock_taken_(std::move(lock_taken)) {}

  bool running() const { return guard_.has_value(); }
  // Readable when there is something to receive(), or the guard has ended.
  const Descriptor& socket() const { return guard_->socket; }

  // True: a guard has been started. False: others hold the lock still; ask again at next_try().
  // Error: unavailable, if a guard cannot be started.
  Result<bool> start();
  Clock::time_point next_try() const { return next_try_; }

  // Asks for a try. An errno, or 0; EAGAIN: later; EPIPE: the guard has ended.
  int send(StartMessage& message, const std::array<int, start_descriptors>& descriptors);
  // It has taken a start, so it was no guard that ends at once.
  bool has_worked() const { return worked_; }

  enum class Heard { message, nothing, end };
  Heard receive(GuardMessage& message);

  // Takes note of the end of a guard that was killed. Returns what waitpid() says of it.
  int bury();
  // Tells the guard to kill all below it, by closing its socket, and waits until it has, for the time above at most.
  void end();
  // Waits likewise until the lock is free: then the keepers of a guard that was killed are gone.
  void await_lock() const;

 private:
  struct Guard {
    pid_t pid = -1;
    Descriptor socket;
  };
  Result<Guard> spawn(const Descriptor& lock) const;

  const std::string program_;
  const std::vector<std::string> arguments_;
  const std::string lock_path_;
  const std::function<void()> lock_taken_;
  std::optional<Guard> guard_;
  bool worked_ = false;
  Clock::time_point next_try_{};
  std::optional<Clock::time_point> wanted_since_;
  Clock::time_point told_at_{};
};

}  // namespace pawl::runner
