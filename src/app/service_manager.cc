#include "app/service_manager.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/number.h"
#include "base/thread_name.h"

namespace pawl::app {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::steady_clock;

constexpr auto variables = std::to_array<std::string_view>({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"});
constexpr auto look_every = 50ms;  // whether it is ready
// How much more time a start asks for, and how often.
constexpr auto extend_by = 60s, extend_every = 10s;

class Nobody final : public ServiceManager {
 public:
  void running(Server) override {}
  void stopping(Duration) override {}
  void end() override {}
};

class Socket {
 public:
  // nullopt: `name` is not the address of a socket.
  static std::optional<Socket> at(const std::string& name) {
    Socket socket;
    if ((!name.starts_with('/') && !name.starts_with('@')) || name.size() < 2 ||
        name.size() >= sizeof socket.address_.sun_path)
      return std::nullopt;
    name.copy(socket.address_.sun_path, name.size());
    if (name.starts_with('@')) socket.address_.sun_path[0] = '\0';  // an abstract address
    socket.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    return socket;
  }

  // Whether the message was sent. A manager that does not read must not block the server.
  bool send(const std::string& message) const {
    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return false;
    ssize_t sent = -1;
    do {
      sent = ::sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                      reinterpret_cast<const sockaddr*>(&address_), size_);
    } while (sent < 0 && errno == EINTR);
    const int error = errno;
    ::close(descriptor);
    errno = error;
    return sent >= 0;
  }

 private:
  sockaddr_un address_{.sun_family = AF_UNIX, .sun_path = {}};
  socklen_t size_ = 0;
};

class Notified final : public ServiceManager {
 public:
  Notified(Socket socket, std::optional<Duration> watchdog) : socket_(socket), watchdog_(watchdog) {
    thread_ = std::jthread([this] {
      name_thread("pawl-notify");
      work();
    });
  }
  ~Notified() override { end(); }

  void running(Server server) override {
    const std::lock_guard lock(state_->mutex);
    server_ = std::move(server);
    state_->call();
  }

  void stopping(Duration longest) override {
    const std::lock_guard lock(state_->mutex);
    stopping_ = true;
    // Once is enough: the manager then waits that long, or its own timeout if that is longer.
    tell(fmt::format("STOPPING=1\nSTATUS=stopping: this may take up to {}\nEXTEND_TIMEOUT_USEC={}", to_text(longest),
                     longest.count()));
    state_->call();
  }

  void end() override {
    {
      const std::lock_guard lock(state_->mutex);
      ended_ = true;
      state_->call();
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  // Outlives this object if the engine still has to answer a knock.
  struct State {
    std::mutex mutex;
    std::condition_variable wake;
    bool called = false;  // there is something to look at
    bool alive = false;  // the engine has answered
    void call() {
      called = true;
      wake.notify_one();
    }
  };

  // Whether the message was sent. Only READY=1 is tried again; the manager has a timeout for the others.
  bool tell(const std::string& message) {
    if (socket_.send(message)) return true;
    if (!std::exchange(warned_, true))
      log::warning("cannot send a message to the service manager", {{"why", std::strerror(errno)}});
    return false;
  }

  void work() {
    std::unique_lock lock(state_->mutex);
    bool is_ready = false;
    Time::time_point extend_at = Time::now(), knock_at = Time::now();
    while (!ended_) {
      auto look_at = Time::time_point::max();
      if (!is_ready && !stopping_) {
        if (server_.ready && server_.ready()) is_ready = tell("READY=1\nSTATUS=ready on " + server_.address);
        look_at = Time::now() + look_every;
      }
      if (!is_ready && !stopping_ && Time::now() >= extend_at) {
        extend_at = Time::now() + extend_every;
        tell(fmt::format("STATUS=starting{}\nEXTEND_TIMEOUT_USEC={}", server_.ready ? ": taking up open runs" : "",
                         Duration(extend_by).count()));
      }
      if (std::exchange(state_->alive, false)) tell("WATCHDOG=1");
      if (watchdog_ && server_.knock) {
        if (Time::now() >= knock_at) {
          knock_at = Time::now() + *watchdog_ / 2;
          server_.knock([state = state_] {
            const std::lock_guard answer(state->mutex);
            state->alive = true;
            state->call();
          });
        }
        look_at = std::min(look_at, knock_at);
      }
      const auto called = [this] { return std::exchange(state_->called, false); };
      if (look_at == Time::time_point::max())
        state_->wake.wait(lock, called);
      else
        state_->wake.wait_until(lock, look_at, called);
    }
  }

  const Socket socket_;
  const std::optional<Duration> watchdog_;  // the manager's limit between two signs of life
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  // Guarded by the state's mutex.
  Server server_;
  bool stopping_ = false, ended_ = false, warned_ = false;
  std::jthread thread_;
};

std::string value_of(const char* variable) {
  const char* value = ::getenv(variable);
  return value ? value : "";
}

// How often this process must give a sign of life; nullopt: the watchdog is not for it.
std::optional<Duration> watchdog_of(const std::string& period, const std::string& pid) {
  std::int64_t microseconds = 0;
  pid_t whose = ::getpid();
  if (!pid.empty() && !parse_number(pid, whose)) return std::nullopt;
  if (whose != ::getpid() || !parse_number(period, microseconds) || microseconds <= 0) return std::nullopt;
  return Duration(microseconds);
}

}  // namespace

bool is_of_service_manager(std::string_view variable) {
  return std::ranges::find(variables, variable) != variables.end();
}

std::unique_ptr<ServiceManager> ServiceManager::from_environment() {
  const std::string name = value_of("NOTIFY_SOCKET");
  const auto watchdog = watchdog_of(value_of("WATCHDOG_USEC"), value_of("WATCHDOG_PID"));
  for (const std::string_view variable : variables) ::unsetenv(variable.data());
  if (name.empty()) return std::make_unique<Nobody>();
  const auto socket = Socket::at(name);
  if (!socket) {
    log::warning("NOTIFY_SOCKET must be the address of a socket, such as /run/notify or @notify", {{"value", name}});
    return std::make_unique<Nobody>();
  }
  return std::make_unique<Notified>(*socket, watchdog);
}

}  // namespace pawl::app
