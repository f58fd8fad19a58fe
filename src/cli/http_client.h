// A small blocking HTTP/1.1 client over libcurl, for talking to one server.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pawl::cli {

struct HttpRequest {
  std::string method = "GET";
  std::string target;  // percent-encoded path and query, begins with a slash
  std::vector<std::pair<std::string, std::string>> headers = {};  // values without control characters
  std::string body = {};
};

struct HttpAnswer {
  int status = 0;
  std::string content_type;
  std::string body;
};

// Where a server is.
struct ServerAddress {
  std::string base;       // as written, with a scheme, without the last slash
  bool loopback = false;  // the host is this machine
};
// Takes `host:port` as well. Error: invalid, if it is no http or https address or names a user, a query or a fragment.
Result<ServerAddress> parse_server(std::string_view text);

// One connection, used again as long as the server keeps it. Redirects are not followed; on loopback no proxy is asked.
// Threads: one at a time.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // Error: unavailable, if the server cannot be reached or breaks off; whether it did what was asked is then unknown.
  virtual Result<HttpAnswer> send(const HttpRequest& request) = 0;
};

// Error: unavailable, if there is no libcurl.
Result<std::unique_ptr<HttpClient>> make_http_client(ServerAddress address);

}  // namespace pawl::cli
