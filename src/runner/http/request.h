// What goes on the wire for a try: its input checked, and the headers that Pawl adds. No I/O.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/command.h"

namespace pawl::runner {

struct HttpRequest {
  std::string url;                   // bytes outside ASCII percent-encoded
  std::vector<std::string> headers;  // lines in libcurl's notation: `Name: value`, `Name;` if empty, `Name:` for none
};

// Error: invalid, what is wrong with method, URL, a header or the body. Anything that could end a header line early
// is refused here, before it reaches libcurl.
Result<HttpRequest> make_request(const StartTask& command, const HttpInput& input, std::string_view user_agent);

// Turns the input into that of the next hop, `url`, after a redirect with this status. GET without a body follows a 303
// (but HEAD stays), and a POST answered 301 or 302 (WHATWG Fetch, 4.4, step 12). To another scheme, host or port go
// none of the definition's headers but those that describe the exchange: the others may hold secrets.
void follow_redirect(HttpInput& input, int status, std::string url);

// Without user info, query and fragment, which may hold secrets; at most 500 bytes. For messages.
std::string public_url(std::string_view url);
// host:port of a URL, for messages.
std::string peer_of(std::string_view url);

}  // namespace pawl::runner
