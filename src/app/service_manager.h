// What a service manager with systemd's protocol (sd_notify(3)) is told of the server: that it starts, is ready, lives,
// stops, and how long that may take. Without NOTIFY_SOCKET nothing of this does anything.
//
// A few lines of our own and not libsystemd: that would load seven more libraries (3.5 MB) into each process that runs this
// binary, guard and command line too, for one datagram.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"

namespace pawl::app {

// Variables by which a service manager speaks to its service alone: no task sees them.
bool is_of_service_manager(std::string_view variable);

class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so before any thread is
  // started; they count for this process alone. From here on more time is asked for while the start takes long.
  static std::unique_ptr<ServiceManager> from_environment();
  virtual ~ServiceManager() = default;

  // Both are called from a thread of its own until end().
  struct Server {
    std::function<bool()> ready;
    // Asks the engine for a sign of life, as driver::Driver::knock(): only what it answers is passed on to the watchdog.
    std::function<void(std::function<void()>)> knock;
    std::string address;  // for people
  };
  // The engine runs: READY=1 follows as soon as it is ready.
  virtual void running(Server server) = 0;
  // A stop has begun, which may take so long. Told when this returns.
  virtual void stopping(Duration longest) = 0;
  // Joins. Safe twice; the destructor does it, too.
  virtual void end() = 0;
};

}  // namespace pawl::app
