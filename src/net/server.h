// An HTTP/1.1 server on Asio: accepts, parses, hands requests to a handler, writes answers. Knows no routes.
// Strict where leniency lets a request be read in two ways (RFC 9112 §11.2): what is doubtful gets 400 and a closed
// connection. Requests of one connection are handled one at a time, in order.
// Threads: one of its own for all sockets. The handler is called there and must not block; an answer may be given from
// any thread, at once or later.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace pawl::net {

struct Request {
  std::string method;  // as sent; methods are case-sensitive
  std::string target;  // as sent: path and query
  std::string path;    // percent-decoded, without the query; UTF-8, no NUL, always begins with /
  // The path cut at each slash as sent, then decoded, so that %2F stays inside its segment: /a/b%2Fc is {a, b/c}, and
  // / is one empty segment.
  std::vector<std::string> segments;
  std::vector<std::pair<std::string, std::string>> query;  // decoded; + is a space
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string client;  // address of the peer, without port
  // First value, or empty.
  std::string_view header(std::string_view lower_case_name) const;
  std::string_view parameter(std::string_view name) const;
};

// Every answer carries Content-Length and Date, and, unless its own headers say otherwise, Cache-Control: no-store,
// Content-Security-Policy: default-src 'none'; frame-ancestors 'none', Referrer-Policy: no-referrer and
// X-Content-Type-Options: nosniff. An answer to HEAD is sent without its body, which the handler may leave in.
struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// Gives the one answer to one request; the second call is ignored. If all copies go away unanswered, the client gets
// 500. May outlive the server; the answer is then dropped.
using Responder = std::function<void(Response)>;
using Handler = std::function<void(Request, Responder)>;

struct ServerOptions {
  std::string address = "127.0.0.1";  // IPv4 or IPv6, or localhost
  std::uint16_t port = 7295;  // 0: any free one
  std::size_t max_body = 4 << 20;  // more: 413
  std::size_t max_header = 64 << 10;  // more, or more than 100 fields: 431; a longer request line: 414
  std::size_t max_connections = 10'000;  // more are not accepted until some close
  std::size_t max_buffered = 256 << 20;  // bodies being read, of all connections together; more: 503
  Duration header_timeout = std::chrono::seconds(10);  // from the first byte of a request to the end of its headers
  Duration body_timeout = std::chrono::seconds(60);  // of reading a body; of writing, since the last byte went out
  Duration idle_timeout = std::chrono::seconds(75);
  // What `Host` may say, without port; anything else gets 421, so that no web page can reach the server through a name
  // of its own that resolves here. Empty: on loopback localhost, 127.0.0.1, [::1] and `address`; elsewhere anything.
  std::vector<std::string> allowed_hosts;
};

class Server {
 public:
  virtual ~Server() = default;
  // Binds and listens, with SO_REUSEADDR so that the port can be taken again at once after a kill. Called once. Errors:
  // unavailable (the address is taken, and by whom it may be; or no descriptor is free), invalid (no such address),
  // refused (not allowed to take the port).
  virtual Result<void> start() = 0;
  virtual std::uint16_t port() const = 0;  // that is listened on
  // Accepts nothing more, lets answers under way be written for up to `patience`, closes all, joins. Safe twice and
  // before start(). Not to be called from the handler.
  virtual void stop(Duration patience) = 0;
};

std::unique_ptr<Server> make_server(ServerOptions options, Handler handler);

}  // namespace pawl::net
