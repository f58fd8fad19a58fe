// A server for tests that does what it is told, however wrong: a thread a connection, raw bytes both ways.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"

namespace pawl::runner::test {

struct SeenRequest {
  std::string line;                                             // GET /path HTTP/1.1
  std::vector<std::pair<std::string, std::string>> headers;     // names in lower case
  std::string body;
  int count(std::string_view name) const {
    int n = 0;
    for (const auto& [key, value] : headers) n += key == name;
    return n;
  }
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
};

// What a server has seen, for the test's thread to look at.
class Seen {
 public:
  void add(SeenRequest request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
  }
  // All of them so far; the next look begins behind them.
  std::vector<SeenRequest> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(requests_, {});
  }
  SeenRequest take_one() {
    std::vector<SeenRequest> all = take();
    check(all.size() == 1, "one request");
    return std::move(all.front());
  }

 private:
  std::mutex mutex_;
  std::vector<SeenRequest> requests_;
};

class Connection {
 public:
  Connection(int fd, int nth) : number(nth), fd_(fd) {}

  const int number;  // from 1

  // Nothing once the peer has closed.
  std::optional<SeenRequest> read() {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return {};
    }
    SeenRequest request;
    std::string_view head(buffer_.data(), end);
    request.line = std::string(head.substr(0, head.find("\r\n")));
    std::size_t length = 0;
    for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;) {
      head.remove_prefix(at + 2);
      at = head.find("\r\n");
      const std::string_view line = head.substr(0, at);
      const std::size_t colon = line.find(':');
      std::string name(line.substr(0, colon));
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      std::string_view value = line.substr(colon + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      if (name == "content-length") std::from_chars(value.data(), value.data() + value.size(), length);
      request.headers.emplace_back(std::move(name), value);
    }
    while (buffer_.size() < end + 4 + length) {
      if (!fill()) return {};
    }
    request.body = buffer_.substr(end + 4, length);
    buffer_.erase(0, end + 4 + length);
    return request;
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool answer(std::string_view body, std::string_view headers = "", std::string_view status = "200 OK") {
    return send("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                std::string(headers) + "\r\n" + std::string(body));
  }
  // Ends it with RST.
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  // Sends the end of what it has to say.
  void close() { ::shutdown(fd_, SHUT_WR); }
  // Until the peer closes.
  void drain() {
    while (fill()) buffer_.clear();
  }

 private:
  bool fill() {
    char bytes[16384];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(n));
    return true;
  }

  const int fd_;
  std::string buffer_;
};

// The connection is closed when the handler returns.
class TestServer {
 public:
  using Handler = std::function<void(Connection&)>;

  explicit TestServer(Handler handler) : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    check(listen(listener_, 1024) == 0, "listen");
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TestServer() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  int port() const { return port_; }
  std::string url(std::string_view path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  int connections() const { return connections_; }

 private:
  void accept_all() {
    for (;;) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd, number = ++connections_] {
        Connection connection(fd, number);
        handler_(connection);
        const std::lock_guard closing(mutex_);
        open_.remove(fd);
        ::close(fd);
      });
    }
  }

  const Handler handler_;
  const int listener_;
  int port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread acceptor_;
  std::mutex mutex_;
  std::list<int> open_;               // with mutex_
  std::vector<std::thread> threads_;  // with mutex_, until the acceptor has ended
};

}  // namespace pawl::runner::test
