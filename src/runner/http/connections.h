// The sockets that libcurl has open, by their two ends, so that a kept one can be looked at before it is used again.
// libcurl 7.88 reuses a connection on which bytes wait that nobody asked for, and takes them for the next answer.
// Belongs to the runner's thread.
#pragma once

#include <span>
#include <string>
#include <unordered_map>

#include "base/curl.h"

namespace pawl::runner {

class Connections {
 public:
  // A request is about to go out on the connection between these ends; `opened` are the sockets opened for it. False:
  // it was used before, and since then bytes have come, or its end. Nothing may be sent on it then.
  bool may_send(const std::string& ends, std::span<const int> opened);

  // For CURLOPT_CLOSESOCKETFUNCTION, with a Connections: closes the socket, and forgets it.
  static int close(void* self, curl_socket_t socket) noexcept;

  // Ends in the form that may_send() takes.
  static std::string ends_of(const char* local, int local_port, const char* peer, int peer_port);

 private:
  std::unordered_map<std::string, int> by_ends_;
  std::unordered_map<int, std::string> by_socket_;
};

}  // namespace pawl::runner
