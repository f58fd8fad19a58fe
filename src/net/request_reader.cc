#include "net/request_reader.h"

#include <algorithm>
#include <boost/beast/http/error.hpp>

#include "base/check.h"
#include "net/url.h"

namespace pawl::net {
namespace {

namespace http = boost::beast::http;

// A line that opens a chunk, with its extensions, or all trailers.
constexpr std::size_t max_chunk_line = 8 << 10;

std::unexpected<Refusal> refuse(std::string detail) {
  return std::unexpected(Refusal{400, "bad_request", std::move(detail)});
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::size_t count(const Request& request, std::string_view name) {
  return static_cast<std::size_t>(
      std::ranges::count(request.headers, name, &std::pair<std::string, std::string>::first));
}

bool digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// `name`, `name:port`, `[::1]:port` to the name; nothing if it is not one of these.
std::optional<std::string> host_name(std::string_view authority) {
  const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == std::string_view::npos) return std::nullopt;
  const std::size_t colon = authority.find(':', bracket);
  const std::string_view name = authority.substr(0, colon);
  if (colon != std::string_view::npos && colon + 1 < authority.size() && !digits(authority.substr(colon + 1)))
    return std::nullopt;
  if (name.empty()) return std::nullopt;
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~[]:%").find(c) != std::string_view::npos;
  };
  std::string lower = to_lower(name);
  if (!std::ranges::all_of(lower, fine)) return std::nullopt;
  return lower;
}

}  // namespace

std::string_view Request::header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_case_name) return value;
  return {};
}

std::string_view Request::parameter(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return value;
  return {};
}

RequestReader::RequestReader(const ReadLimits& limits) : limits_(limits) {
  header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(limits.head + max_chunk_line, UINT32_MAX)));
  body_limit(limits.body);
}

bool RequestReader::keep_alive() const { return http::basic_parser<true>::keep_alive(); }

std::expected<RequestReader::Step, Refusal> RequestReader::read(std::string& in) {
  switch (phase_) {
    case Phase::head: return read_head(in);
    case Phase::body: return read_body(in);
    case Phase::done: return Step::done;
  }
  unreachable();
}

std::expected<RequestReader::Step, Refusal> RequestReader::read_head(std::string& in) {
  // An empty line before a request is forgiven: RFC 9112 §2.2.
  while (scanned_ == 0 && in.starts_with("\r\n")) in.erase(0, 2);
  if (scanned_ == 0 && in == "\r") return Step::more;
  begun_ = begun_ || !in.empty();

  std::size_t end = 0;
  for (; scanned_ < in.size() && end == 0; ++scanned_) {
    const auto c = static_cast<unsigned char>(in[scanned_]);
    if (scanned_ >= limits_.head) break;
    if (c >= 0x20 && c != 0x7f) [[likely]] {
      if (c == ' ' && scanned_ == line_start_)
        return refuse("a header line begins with a space: folded lines are not taken");
    } else if (c == '\n') {
      if (scanned_ == 0 || in[scanned_ - 1] != '\r') return refuse("a line ends without a carriage return");
      if (scanned_ - line_start_ == 1) {
        end = scanned_ + 1;
      } else {
        line_start_ = scanned_ + 1;
        // The first line is the request's.
        if (++lines_ > limits_.fields + 1)
          return std::unexpected(
              Refusal{431, "header_too_large", "more than " + std::to_string(limits_.fields) + " header fields"});
      }
    } else if (c == '\r') {
      if (scanned_ + 1 == in.size()) return Step::more;
      if (in[scanned_ + 1] != '\n') return refuse("a carriage return stands inside a line");
    } else if (c != '\t' || scanned_ == line_start_) {
      return refuse("a control character stands in the head of the request");
    }
  }
  if (end == 0) {
    if (scanned_ < limits_.head) return Step::more;
    if (lines_ == 0) return std::unexpected(Refusal{414, "uri_too_long", "the request line is too long"});
    return std::unexpected(Refusal{
        431, "header_too_large", "the head of the request is longer than " + std::to_string(limits_.head) + " bytes"});
  }

  Ec ec;
  const std::size_t used = put(asio::const_buffer(in.data(), end), ec);
  if (ec) return std::unexpected(refusal(ec));
  if (used != end || !is_header_done()) return refuse("the head of the request cannot be read");
  in.erase(0, end);
  if (auto fine = finish_head(); !fine) return std::unexpected(std::move(fine.error()));
  if (is_done()) {
    phase_ = Phase::done;
    expects_continue_ = false;
  } else {
    phase_ = Phase::body;
    eager(true);
    const auto length = content_length();
    if (length) request_.body.reserve(std::min<std::size_t>(*length, 64 << 10));
  }
  return Step::head;
}

std::expected<RequestReader::Step, Refusal> RequestReader::read_body(std::string& in) {
  Ec ec;
  std::size_t used = 0;
  if (!in.empty()) {
    expects_continue_ = false;
    used = put(asio::const_buffer(in.data(), in.size()), ec);
    in.erase(0, used);
  }
  if (ec && ec != http::error::need_more) return std::unexpected(refusal(ec));
  if (is_done()) {
    phase_ = Phase::done;
    return Step::done;
  }
  if (in.size() > max_chunk_line) return refuse("the line that opens a chunk, or the trailers, are too long");
  return Step::more;
}

void RequestReader::on_request_impl(http::verb, View method, View target, int version, Ec&) {
  request_.method.assign(method.data(), method.size());
  request_.target.assign(target.data(), target.size());
  version_ = version;
}

void RequestReader::on_field_impl(http::field, View name, View value, Ec&) {
  // Trailers say nothing: whoever checked the head did not see them.
  if (phase_ != Phase::head) return;
  request_.headers.emplace_back(to_lower({name.data(), name.size()}), std::string(value.data(), value.size()));
}

std::size_t RequestReader::on_body_impl(View bytes, Ec& ec) {
  if (bytes.size() > limits_.body - request_.body.size()) {
    ec = http::error::body_limit;
    return 0;
  }
  request_.body.append(bytes.data(), bytes.size());
  return bytes.size();
}

std::expected<void, Refusal> RequestReader::finish_head() {
  const std::string_view encoding = request_.header("transfer-encoding");
  const std::size_t encodings = count(request_, "transfer-encoding"), lengths = count(request_, "content-length");
  if (lengths > 1) return refuse("Content-Length is given twice");
  if (lengths == 1 && !digits(request_.header("content-length"))) return refuse("Content-Length is not a number");
  if (encodings > 0) {
    if (lengths > 0) return refuse("both Transfer-Encoding and Content-Length are given");
    if (encodings > 1 || version_ < 11) return refuse("this Transfer-Encoding cannot be trusted");
    if (to_lower(encoding) != "chunked")
      return std::unexpected(Refusal{501, "not_implemented", "the only Transfer-Encoding taken is chunked"});
  }

  const std::size_t hosts = count(request_, "host");
  if (hosts > 1) return refuse("Host is given twice");
  if (hosts == 0 && version_ >= 11) return refuse("Host is missing");
  if (hosts == 1) {
    auto host = host_name(request_.header("host"));
    if (!host) return refuse("Host is not a host name");
    host_ = std::move(*host);
  }

  // The absolute form, in which proxies send: its authority stands above Host (RFC 9112 §3.2.2).
  constexpr std::string_view scheme = "http://";
  if (to_lower(std::string_view(request_.target).substr(0, scheme.size())) == scheme) {
    const std::size_t path = std::min(request_.target.find_first_of("/?", scheme.size()), request_.target.size());
    auto host = host_name(std::string_view(request_.target).substr(scheme.size(), path - scheme.size()));
    if (!host) return refuse("the request target names no host");
    host_ = std::move(*host);
    request_.target.erase(0, path);
    if (!request_.target.starts_with('/')) request_.target.insert(0, 1, '/');
  }
  const std::string_view target = request_.target;
  if (!target.starts_with('/')) return refuse("the request target must begin with /");
  if (std::ranges::any_of(target, [](char c) { return static_cast<unsigned char>(c) >= 0x80 || c == '#'; }))
    return refuse("the request target holds a character that must be percent-encoded");

  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string_view raw_path = target.substr(0, question);
  auto path = percent_decode(raw_path);
  if (!path) return refuse("the path is not percent-encoded UTF-8");
  request_.path = std::move(*path);
  for (std::size_t begin = 1; begin <= raw_path.size();) {
    const std::size_t slash = std::min(raw_path.find('/', begin), raw_path.size());
    auto segment = percent_decode(raw_path.substr(begin, slash - begin));
    // Halves of a character may meet only across a slash, where they are no character.
    if (!segment) return refuse("the path is not percent-encoded UTF-8");
    request_.segments.push_back(std::move(*segment));
    begin = slash + 1;
  }
  auto query = parse_query(target.substr(std::min(question + 1, target.size())));
  if (!query) return refuse("the query is not percent-encoded UTF-8");
  request_.query = std::move(*query);

  const std::string expect = to_lower(request_.header("expect"));
  if (!expect.empty()) {
    if (expect != "100-continue")
      return std::unexpected(Refusal{417, "expectation_failed", "the only expectation met is 100-continue"});
    expects_continue_ = version_ >= 11;
  }
  return {};
}

Refusal RequestReader::refusal(const Ec& ec) const {
  if (ec == http::error::bad_version)
    return {505, "http_version_not_supported", "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  if (ec == http::error::body_limit)
    return {413, "content_too_large", "the body is longer than " + std::to_string(limits_.body) + " bytes"};
  if (ec == http::error::header_limit) return {431, "header_too_large", "the head of the request is too long"};
  return {400, "bad_request", "the request cannot be read: " + ec.message()};
}

}  // namespace pawl::net
