// Reports the server's state to a service manager by systemd's protocol (sd_notify(3)): starting, ready, alive,
// stopping, and how long that may take. Does nothing without NOTIFY_SOCKET.
//
// A few lines of our own instead of libsystemd, which would load seven more libraries (3.5 MB) into each process of
// this binary, including guard and command line, to send a datagram.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"

namespace pawl::app {

// Variables that a service manager sets for its service alone: no task gets them.
bool is_of_service_manager(std::string_view variable);

class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment. Call it before any
  // thread is started. From here on, a long start asks for more time.
  static std::unique_ptr<ServiceManager> from_environment();
  virtual ~ServiceManager() = default;

  // Both are called from a thread of its own until end().
  struct Server {
    std::function<bool()> ready;
    // Asks the engine for a sign of life, as driver::Driver::knock() does. Only an answer feeds the watchdog.
    std::function<void(std::function<void()>)> knock;
    std::string address;  // for people
  };
  // The engine runs: READY=1 follows as soon as it is ready.
  virtual void running(Server server) = 0;
  // A stop has begun and may take that long. The message is sent when this returns.
  virtual void stopping(Duration longest) = 0;
  // Joins. Safe twice; the destructor does it, too.
  virtual void end() = 0;
};

}  // namespace pawl::app
