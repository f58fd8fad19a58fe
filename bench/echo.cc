#include "bench/echo.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string_view>
#include <vector>

#include "bench/measure.h"

namespace pawl::bench {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void watch(int poll, int socket) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = socket;
  must(::epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) == 0, "epoll_ctl");
}

void no_delay(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// The length of the first whole message in `text`; 0: there is none yet.
std::size_t message_length(std::string_view text) {
  const auto head = text.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  std::size_t body = 0;
  for (const std::string_view name : {"\r\nContent-Length:", "\r\ncontent-length:"})
    if (const auto at = text.substr(0, head).find(name); at != std::string_view::npos)
      body = static_cast<std::size_t>(std::atol(text.data() + at + name.size()));
  const std::size_t whole = head + 4 + body;
  return text.size() >= whole ? whole : 0;
}

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

}  // namespace

int serve_echo(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = loopback(port);
  socklen_t length = sizeof address;
  must(::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(listener, 4096) == 0,
       fmt::format("cannot listen on port {}", port));
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(poll, listener);
  watch(poll, STDIN_FILENO);
  fmt::print("listening {}\n", ntohs(address.sin_port));
  std::fflush(stdout);

  std::map<int, std::string> unread;  // by connection: the beginning of a request
  std::vector<epoll_event> events(256);
  char bytes[65536];
  for (;;) {
    const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int socket = events[static_cast<std::size_t>(i)].data.fd;
      if (socket == STDIN_FILENO) {
        if (::read(STDIN_FILENO, bytes, sizeof bytes) <= 0) return 0;
      } else if (socket == listener) {
        for (int client; (client = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
          no_delay(client);
          watch(poll, client);
        }
      } else {
        const ssize_t got = ::read(socket, bytes, sizeof bytes);
        if (got <= 0) {
          unread.erase(socket);
          ::close(socket);
          continue;
        }
        std::string& text = unread[socket];
        text.append(bytes, static_cast<std::size_t>(got));
        std::string out;
        for (std::size_t whole; (whole = message_length(text)) > 0;) {
          text.erase(0, whole);
          out += answer;
        }
        // An answer is far smaller than a socket's buffer.
        if (!out.empty() && ::write(socket, out.data(), out.size()) != static_cast<ssize_t>(out.size())) {
          unread.erase(socket);
          ::close(socket);
        }
      }
    }
  }
}

double drive_echo(int port, int connections, double seconds) {
  constexpr std::string_view request =
      "POST /step HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
      "12\r\n\r\n{\"step\":123}";
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> sockets;
  for (int i = 0; i < connections; ++i) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    must(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
         "cannot connect to the echo server");
    no_delay(socket);
    watch(poll, socket);
    must(::write(socket, request.data(), request.size()) > 0, "write to the echo server");
    sockets.push_back(socket);
  }
  long answers = 0;
  std::vector<epoll_event> events(256);
  char bytes[4096];
  const auto begin = Steady::now();
  while (seconds_since(begin) < seconds) {
    const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 1000);
    for (int i = 0; i < count; ++i) {
      const int socket = events[static_cast<std::size_t>(i)].data.fd;
      must(::read(socket, bytes, sizeof bytes) > 0, "the echo server closed a connection");  // an answer is one segment
      ++answers;
      must(::write(socket, request.data(), request.size()) > 0, "write to the echo server");
    }
  }
  const double rate = static_cast<double>(answers) / seconds_since(begin);
  for (const int socket : sockets) ::close(socket);
  ::close(poll);
  return rate;
}

}  // namespace pawl::bench
