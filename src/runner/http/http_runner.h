// Runs `http` tasks by libcurl's multi interface on one thread: thousands of calls at once, connections reused, TLS
// verified, every wait bounded. http and https only; redirects only where asked, at most 10, each hop checked again;
// no proxy, so that the address that is checked is the address that answers. A try sends its request once: libcurl's
// silent resend, when a reused connection closes without an answer, is refused and the try fails instead.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "runner/http/egress.h"
#include "runner/runner.h"

namespace pawl::runner {

struct HttpOptions {
  std::size_t max_body = 16 << 20;    // bytes read of a response, as sent and after decompression
  std::size_t max_header = 256 << 10;  // bytes read of its header, informational responses included
  Duration connect_timeout = std::chrono::seconds(10);
  Duration default_timeout = std::chrono::minutes(5);  // of a call that names none
  std::size_t max_connections = 4096;  // kept open for later calls; those of calls under way count, and are not closed
  std::string user_agent = "pawl/" PAWL_VERSION;
  // Asked for every address before a connection to it is opened and again before a request goes out on one, on every
  // hop; complete before the first start(). Null: every address is allowed.
  std::shared_ptr<const EgressPolicy> egress;
};

// Failure codes: invalid_request (nothing was sent) · egress_denied · connection_failed · tls_failed · timeout ·
// response_too_large · invalid_response · too_many_redirects · stopped · runner_unavailable. Only when the whole try's
// time is over the try is timed_out; a connection that took longer than connect_timeout is a failed try.
class HttpRunner : public Runner {
 public:
  // Drops every call and joins the thread; dropped calls give no result. Safe twice; what is started later is dropped.
  virtual void shutdown() = 0;
};

// libcurl is loaded at the first start(); where that fails, every task fails with `runner_unavailable` and says why.
std::unique_ptr<HttpRunner> make_http_runner(HttpOptions options, Results& results);

}  // namespace pawl::runner
