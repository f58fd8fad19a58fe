#include "runner/http/request.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "runner/trace.h"

namespace pawl::runner {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

// libcurl gives up at 8 MB of URL and 1 MB of header, with words that do not help; servers do so far earlier.
constexpr std::size_t max_url = 64 << 10;
constexpr std::size_t max_headers = 256 << 10;
constexpr std::size_t max_method = 64;

// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string name_of(char c) {
  switch (c) {
    case '\r': return "a carriage return";
    case '\n': return "a line feed";
    case '\0': return "a NUL byte";
    case ' ': return "a space";
    default: return fmt::format("the control character 0x{:02x}", static_cast<unsigned char>(c));
  }
}

// For messages: what may have come from an expression is shown short and without control characters.
std::string shown(std::string_view text) {
  std::string result = to_utf8_lossy(cut_utf8(text, 100));
  std::ranges::replace_if(result, is_control, '?');
  return result;
}

std::unexpected<Error> invalid(std::string message) { return fail(Code::invalid, std::move(message)); }

struct UrlParts {
  std::string_view scheme, user_info, host, rest;  // host with its port
};

UrlParts split(std::string_view url) {
  UrlParts parts;
  if (const std::size_t colon = url.find("://"); colon != std::string_view::npos) {
    parts.scheme = url.substr(0, colon);
    url.remove_prefix(colon + 3);
  }
  const std::size_t end = std::min(url.find_first_of("/?#"), url.size());
  parts.host = url.substr(0, end);
  parts.rest = url.substr(end);
  if (const std::size_t at = parts.host.rfind('@'); at != std::string_view::npos) {
    parts.user_info = parts.host.substr(0, at);
    parts.host.remove_prefix(at + 1);
  }
  return parts;
}

Result<std::string> checked_url(std::string_view url) {
  if (url.empty()) return invalid("the URL is empty");
  if (url.size() > max_url) return invalid(fmt::format("the URL is longer than {} bytes", max_url));
  if (const auto bad = std::ranges::find_if(url, [](char c) { return c == ' ' || is_control(c); }); bad != url.end()) {
    return invalid(
        fmt::format("the URL has {} at position {}; it must be percent-encoded", name_of(*bad), bad - url.begin() + 1));
  }
  const UrlParts parts = split(url);
  if (parts.scheme.empty()) {
    return invalid(fmt::format("the URL must begin with http:// or https://: {}", shown(public_url(url))));
  }
  if (!same_name(parts.scheme, "http") && !same_name(parts.scheme, "https")) {
    return invalid(fmt::format("the URL's scheme is {}: only http and https are allowed", shown(parts.scheme)));
  }
  if (parts.host.empty() || parts.host.front() == ':') {
    return invalid(fmt::format("the URL names no host: {}", shown(public_url(url))));
  }
  // A host outside ASCII is libcurl's to translate; in path and query such bytes stand percent-encoded (RFC 3986).
  std::string result(url.substr(0, url.size() - parts.rest.size()));
  for (const char c : parts.rest) {
    if (static_cast<unsigned char>(c) < 0x80) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

Result<std::string> header_line(std::string_view name, std::string_view value) {
  if (!is_token(name)) return invalid(fmt::format("\"{}\" is no name for a header", shown(name)));
  // The length of a body is what is sent; a header that says otherwise would let one request end inside another.
  if (same_name(name, "Content-Length") || same_name(name, "Transfer-Encoding")) {
    return invalid(fmt::format("the header {} follows from the body and cannot be set", name));
  }
  const auto bad = std::ranges::find_if(value, [](char c) { return is_control(c) && c != '\t'; });
  if (bad != value.end()) return invalid(fmt::format("the value of the header {} has {}", name, name_of(*bad)));
  if (value.find_first_not_of(" \t") == std::string_view::npos) return fmt::format("{};", name);
  return fmt::format("{}: {}", name, value);
}

}  // namespace

Result<HttpRequest> make_request(const StartTask& command, const HttpInput& input, std::string_view user_agent) {
  if (!is_token(input.method) || input.method.size() > max_method) {
    return invalid(fmt::format("\"{}\" is no HTTP method", shown(input.method)));
  }
  if (input.method == "CONNECT") return invalid("the method CONNECT is for proxies and not supported");
  if (input.method == "HEAD" && input.has_body) return invalid("a HEAD request cannot have a body");

  auto url = checked_url(input.url);
  if (!url) return std::unexpected(url.error());
  HttpRequest request{.url = std::move(*url), .headers = {}};
  request.headers.reserve(input.headers.size() + 6);
  std::size_t size = 0;
  for (const auto& [name, value] : input.headers) {
    size += name.size() + value.size();
    if (size > max_headers) return invalid(fmt::format("the headers are longer than {} bytes", max_headers));
    auto line = header_line(name, value);
    if (!line) return std::unexpected(line.error());
    request.headers.push_back(std::move(*line));
  }

  Result<void> added;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!added || std::ranges::any_of(input.headers, [&](const auto& h) { return same_name(h.first, name); })) return;
    auto line = header_line(name, value);
    if (line) {
      request.headers.push_back(std::move(*line));
    } else {
      added = std::unexpected(line.error());
    }
  };
  // Without a name for its type none is sent; left alone, libcurl calls every body a form.
  if (input.has_body && !input.content_type.empty()) {
    add("Content-Type", input.content_type);
  } else if (std::ranges::none_of(input.headers, [](const auto& h) { return same_name(h.first, "Content-Type"); })) {
    request.headers.emplace_back("Content-Type:");
  }
  // Waiting for a 100 would delay every larger body by a second at servers that never send one.
  if (std::ranges::none_of(input.headers, [](const auto& h) { return same_name(h.first, "Expect"); })) {
    request.headers.emplace_back("Expect:");
  }
  add("User-Agent", user_agent);
  if (!command.trace_id.empty()) add("X-Request-ID", command.trace_id);
  if (!command.idempotency_key.empty()) {
    add("Idempotency-Key", command.idempotency_key);
    if (!command.trace_id.empty()) add("traceparent", traceparent(command));
  }
  if (!added) return std::unexpected(added.error());
  return request;
}

void follow_redirect(HttpInput& input, int status, std::string url) {
  const UrlParts from = split(input.url);
  const UrlParts to = split(url);
  const auto is_about_body = [](const auto& header) { return same_name(header.first.substr(0, 8), "Content-"); };
  const auto is_harmless = [&](const auto& header) {
    return is_about_body(header) || same_name(header.first.substr(0, 6), "Accept") ||
           same_name(header.first, "User-Agent");
  };

  const bool to_get =
      status == 303 ? input.method != "HEAD" : (status == 301 || status == 302) && input.method == "POST";
  if (to_get) {
    input.method = "GET";
    input.body.clear();
    input.has_body = false;
    std::erase_if(input.headers, is_about_body);
  }
  if (!same_name(from.scheme, to.scheme) || !same_name(peer_of(input.url), peer_of(url))) {
    std::erase_if(input.headers, [&](const auto& header) { return !is_harmless(header); });
  } else if (!from.user_info.empty() && to.user_info.empty()) {
    url.insert(to.scheme.size() + 3, std::string(from.user_info) + "@");
  }
  input.url = std::move(url);
}

std::string public_url(std::string_view url) {
  const UrlParts parts = split(url);
  const std::string_view path = parts.rest.substr(0, std::min(parts.rest.find_first_of("?#"), parts.rest.size()));
  std::string result;
  if (!parts.scheme.empty()) result = fmt::format("{}://", parts.scheme);
  result.append(parts.host).append(path);
  result = to_utf8_lossy(result);
  return std::string(cut_utf8(result, 500));
}

std::string peer_of(std::string_view url) {
  const UrlParts parts = split(url);
  const std::size_t after_brackets = parts.host.find(']') == std::string_view::npos ? 0 : parts.host.find(']');
  std::string peer = shown(parts.host);
  if (parts.host.find(':', after_brackets) == std::string_view::npos) {
    peer += same_name(parts.scheme, "https") ? ":443" : ":80";
  }
  return peer;
}

}  // namespace pawl::runner
