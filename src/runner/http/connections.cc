#include "runner/http/connections.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace pawl::runner {
namespace {

struct End {
  char address[INET6_ADDRSTRLEN] = "";
  int port = 0;
};

// `get` is getsockname or getpeername.
End end_of(int socket, int (*get)(int, sockaddr*, socklen_t*)) {
  End end;
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (get(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return end;
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, end.address, sizeof end.address);
    end.port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, end.address, sizeof end.address);
    end.port = ntohs(v6.sin6_port);
  }
  return end;
}

bool is_quiet(int socket) {
  char byte = 0;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace

bool Connections::may_send(const std::string& ends, std::span<const int> opened) {
  if (const auto known = by_ends_.find(ends); known != by_ends_.end()) return is_quiet(known->second);
  for (const int socket : opened) {
    const End local = end_of(socket, &::getsockname);
    const End peer = end_of(socket, &::getpeername);
    if (ends != ends_of(local.address, local.port, peer.address, peer.port)) continue;
    by_ends_.insert_or_assign(ends, socket);
    by_socket_.insert_or_assign(socket, ends);
  }
  return true;
}

int Connections::close(void* self, curl_socket_t socket) noexcept {
  Connections& all = *static_cast<Connections*>(self);
  if (const auto known = all.by_socket_.find(socket); known != all.by_socket_.end()) {
    all.by_ends_.erase(known->second);
    all.by_socket_.erase(known);
  }
  return ::close(socket);
}

std::string Connections::ends_of(const char* local, int local_port, const char* peer, int peer_port) {
  return fmt::format("{} {} {} {}", local, local_port, peer, peer_port);
}

}  // namespace pawl::runner
