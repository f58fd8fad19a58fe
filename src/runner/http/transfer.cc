#include "runner/http/transfer.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>

#include "base/check.h"
#include "base/utf8.h"

namespace pawl::runner {
namespace {

constexpr int max_redirects = 10;
// Idle for longer, a connection is not used again: servers that close idle ones do so from two seconds on (gunicorn;
// Node, uvicorn and Apache wait five), and a request that meets the close is a failed try.
constexpr long max_idle_seconds = 1;
// Memory of a call that waits is mostly this; most answers are smaller.
constexpr long read_buffer = 8 << 10;
// What a handle keeps of its buffers between two calls.
constexpr std::size_t max_kept_buffer = 64 << 10;

// All bytes of a character that begins within the preview are kept, so that it is cut between characters.
constexpr std::size_t preview_keep = preview_bytes + 3;

std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

Transfer::Transfer(CallContext& context) : context_(context), handle_(context.curl.easy_init()) {
  if (!handle_) return;
  void* const self = this;
  set(CURLOPT_PRIVATE, self);
  set(CURLOPT_ERRORBUFFER, error_);
  set(CURLOPT_NOSIGNAL, 1L);
  // Or the end of a call whose host name is still looked up would wait for the look-up, and all other calls with it.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  // Hops are made here: libcurl repeats a PUT after a 303, without its body.
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");  // not what the environment says
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
  set(CURLOPT_MAXAGE_CONN, max_idle_seconds);
  set(CURLOPT_BUFFERSIZE, read_buffer);
  const auto in_ms = [](Duration d) { return std::chrono::ceil<std::chrono::milliseconds>(d).count(); };
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::clamp<std::int64_t>(in_ms(context.options.connect_timeout), 1, INT_MAX)));
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, self);
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, self);
  set(CURLOPT_XFERINFOFUNCTION, &on_progress);
  set(CURLOPT_XFERINFODATA, self);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_PREREQFUNCTION, &before_request);
  set(CURLOPT_PREREQDATA, self);
  set(CURLOPT_OPENSOCKETFUNCTION, &open_socket);
  set(CURLOPT_OPENSOCKETDATA, self);
  set(CURLOPT_CLOSESOCKETFUNCTION, &Connections::close);
  set(CURLOPT_CLOSESOCKETDATA, static_cast<void*>(&context.connections));
}

Transfer::~Transfer() {
  if (handle_) context_.curl.easy_cleanup(handle_);
  context_.curl.slist_free_all(headers_);
}

Transfer* Transfer::of(const Curl& curl, CURL* handle) {
  char* self = nullptr;
  curl.easy_getinfo(handle, CURLINFO_PRIVATE, &self);
  return reinterpret_cast<Transfer*>(self);
}

Result<void> Transfer::prepare(StartTask command) {
  command_ = std::move(command);
  started_ = std::chrono::steady_clock::now();
  timeout_ = command_.timeout.value_or(context_.options.default_timeout);
  auto request = make_request(command_, input(), context_.options.user_agent);
  if (!request) return std::unexpected(request.error());
  request_ = std::move(*request);
  keep_ = input().want_text || input().want_json ? context_.options.max_body : preview_keep;
  set_trust();
  set_up(false);
  return {};
}

void Transfer::set_up(bool new_connection) {
  context_.curl.slist_free_all(headers_);
  headers_ = nullptr;
  for (const std::string& line : request_.headers) {
    curl_slist* const longer = context_.curl.slist_append(headers_, line.c_str());
    check(longer, "memory for a header");
    headers_ = longer;
  }
  set(CURLOPT_URL, request_.url.c_str());
  set_method();
  set(CURLOPT_HTTPHEADER, headers_);
  set(CURLOPT_FRESH_CONNECT, new_connection ? 1L : 0L);
  set(CURLOPT_FORBID_REUSE, 0L);
  // One time for all hops; 0 would mean none.
  const auto left = timeout_ - (std::chrono::steady_clock::now() - started_);
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::clamp<std::int64_t>(ms, 1, INT_MAX)));
}

bool Transfer::goes_on(CURLcode code) {
  if (trouble_ == Trouble::kept_connection_used_up) {
    forget_answer();
    set_up(true);
    return true;
  }
  if (code != CURLE_OK || !input().follow_redirects || !header_ended_) return false;
  const long hop = status();
  if (hop != 301 && hop != 302 && hop != 303 && hop != 307 && hop != 308) return false;
  char* target = nullptr;
  context_.curl.easy_getinfo(handle_, CURLINFO_REDIRECT_URL, &target);
  if (!target) return false;
  if (redirects_ == max_redirects) {
    trouble_ = Trouble::too_many_redirects;
    return false;
  }
  ++redirects_;
  HttpInput next = input();
  follow_redirect(next, static_cast<int>(hop), target);
  auto request = make_request(command_, next, context_.options.user_agent);
  if (!request) {
    trouble_ = Trouble::bad_redirect;
    bad_redirect_ = request.error().message;
    return false;
  }
  forget_answer();
  input() = std::move(next);
  request_ = std::move(*request);
  set_up(false);
  return true;
}

void Transfer::set_method() {
  const std::string& method = input().method;
  // These announce a body even if they have none (RFC 9110, 8.6): Content-Length: 0.
  const bool with_body = input().has_body || method == "POST" || method == "PUT" || method == "PATCH";
  const char* plain = "GET";
  // Undo what the call before had set; in this order, for each of them names a method.
  set(CURLOPT_POSTFIELDS, static_cast<char*>(nullptr));
  set(CURLOPT_HTTPGET, 1L);
  if (with_body) {
    plain = "POST";
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(input().body.size()));
    set(CURLOPT_POSTFIELDS, input().body.data());  // not copied
  } else if (method == "HEAD") {
    plain = "HEAD";
    set(CURLOPT_NOBODY, 1L);  // or it would wait for the body that Content-Length names
  }
  set(CURLOPT_CUSTOMREQUEST, method == plain ? nullptr : method.c_str());
}

void Transfer::set_trust() {
  std::pair trust(input().tls_verify, input().tls_ca_file);
  if (trust_ == trust) return;
  const auto or_null = [](const std::string& text) { return text.empty() ? nullptr : text.c_str(); };
  set(CURLOPT_SSL_VERIFYPEER, trust.first ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, trust.first ? 2L : 0L);
  // A task's own file stands for all others: it trusts that authority and no public one.
  set(CURLOPT_CAINFO, or_null(trust.second.empty() ? context_.trusted_file : trust.second));
  set(CURLOPT_CAPATH, trust.second.empty() ? or_null(context_.trusted_folder) : nullptr);
  trust_ = std::move(trust);
}

std::size_t Transfer::on_body(char* bytes, std::size_t one, std::size_t count, void* self) noexcept {
  Transfer& t = *static_cast<Transfer*>(self);
  const std::size_t size = one * count;
  t.received_ += size;
  if (t.received_ > t.context_.options.max_body) {
    t.trouble_ = Trouble::body_too_large;
    return size + 1;  // anything but `size` ends the call
  }
  if (t.body_.size() < t.keep_) t.body_.append(bytes, std::min(size, t.keep_ - t.body_.size()));
  return size;
}

std::size_t Transfer::on_header(char* bytes, std::size_t one, std::size_t count, void* self) noexcept {
  Transfer& t = *static_cast<Transfer*>(self);
  const std::size_t size = one * count;
  t.header_received_ += size;
  if (t.header_received_ > t.context_.options.max_header) {
    t.trouble_ = Trouble::header_too_large;
    return size + 1;
  }
  return t.take_header({bytes, size}) ? size : size + 1;
}

// False: the header is wrong, `trouble_` says how.
bool Transfer::take_header(std::string_view line) {
  if (line.starts_with("HTTP/")) {  // of an informational response or of the answer: the last one counts
    header_ended_ = false;
    answer_headers_.clear();
    last_header_.clear();
    length_.clear();
    chunked_ = false;
    return true;
  }
  // What comes after the body is a trailer, and no header.
  if (header_ended_) return true;
  const std::string_view text = trimmed(line);
  if (text.empty()) {
    header_ended_ = true;
    return true;
  }
  if ((line.front() == ' ' || line.front() == '\t') && !last_header_.empty()) {  // the old folding of long lines
    if (input().want_headers) answer_headers_[last_header_].as_string().append(" ").append(to_utf8_lossy(text));
    return true;
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return true;
  const std::string_view value = trimmed(text.substr(colon + 1));
  last_header_ = to_utf8_lossy(trimmed(text.substr(0, colon)));
  std::ranges::transform(last_header_, last_header_.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  // Two lengths leave open where the answer ends (RFC 9112, 6.3); libcurl takes the last one.
  if (last_header_ == "content-length") {
    if (!length_.empty() && length_ != value) {
      trouble_ = Trouble::two_lengths;
      return false;
    }
    length_ = value;
  }
  chunked_ |= last_header_ == "transfer-encoding";
  // Chunks count then (RFC 9112, 6.3); where such an answer ends is not to be trusted for the next call.
  if (chunked_ && !length_.empty()) set(CURLOPT_FORBID_REUSE, 1L);
  if (!input().want_headers) return true;
  const auto [place, is_new] = answer_headers_.emplace(last_header_, to_utf8_lossy(value));
  if (!is_new) place->value().as_string().append(", ").append(to_utf8_lossy(value));
  return true;
}

int Transfer::on_progress(void* self, curl_off_t, curl_off_t now, curl_off_t, curl_off_t) noexcept {
  Transfer& t = *static_cast<Transfer*>(self);
  if (std::cmp_less_equal(now, t.context_.options.max_body)) return 0;
  t.trouble_ = Trouble::body_too_large;
  return 1;
}

bool Transfer::may_call(const std::optional<Endpoint>& peer, const std::optional<IpAddress>& local) {
  if (!context_.options.egress) return true;
  const auto allowed = peer ? context_.options.egress->allows(*peer, local)
                            : fail(Code::refused, "its address is neither IPv4 nor IPv6", "unknown");
  if (allowed) return true;
  denied_ = peer ? to_string(peer->address) : "unknown";
  denial_ = allowed.error();
  return false;
}

int Transfer::before_request(void* self, char* peer, char* local, int peer_port, int local_port) noexcept {
  Transfer& t = *static_cast<Transfer*>(self);
  // libcurl sends again when a reused connection closes without an answer. Whether the peer had taken the request
  // cannot be seen from here, so the try ends, and the task's retry policy says what follows.
  if (t.sent_) {
    t.trouble_ = Trouble::resend_refused;
    return CURL_PREREQFUNC_ABORT;
  }
  if (!t.context_.connections.may_send(Connections::ends_of(local, local_port, peer, peer_port), t.opened_)) {
    t.trouble_ = Trouble::kept_connection_used_up;
    return CURL_PREREQFUNC_ABORT;
  }
  std::optional<Endpoint> to;
  if (const auto address = parse_ip(peer)) to = {*address, static_cast<std::uint16_t>(peer_port)};
  if (!t.may_call(to, parse_ip(local))) {
    t.trouble_ = Trouble::egress_denied;
    return CURL_PREREQFUNC_ABORT;
  }
  t.sent_ = true;
  return CURL_PREREQFUNC_OK;
}

curl_socket_t Transfer::open_socket(void* self, curlsocktype, curl_sockaddr* address) noexcept {
  Transfer& t = *static_cast<Transfer*>(self);
  // Refused, libcurl tries the name's next address.
  if (!t.may_call(to_endpoint(address->addr), {})) return CURL_SOCKET_BAD;
  // Not inherited by the processes of `run` tasks.
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) {
    t.socket_error_ = errno;
    return CURL_SOCKET_BAD;
  }
  t.opened_.push_back(fd);
  return fd;
}

long Transfer::status() const {
  long status = 0;
  context_.curl.easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

HttpReply Transfer::reply() {
  HttpReply reply;
  reply.status = static_cast<int>(status());
  if (input().want_headers) reply.headers = std::move(answer_headers_);
  if (input().want_json) {
    std::string_view text = body_;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // which RFC 8259 lets a reader pass over
    if (auto value = parse_json(text)) {
      reply.json = std::move(*value);
    } else {
      reply.json_error = text.empty() ? "the body is empty" : value.error().message;
    }
  }
  if (input().want_text) {
    reply.text = is_utf8(body_) ? std::move(body_) : to_utf8_lossy(body_);
  } else {
    const std::string text = to_utf8_lossy(std::string_view(body_).substr(0, preview_keep));
    reply.text = cut_utf8(text, preview_bytes);
    reply.text_cut = received_ > preview_bytes || text.size() > preview_bytes;
  }
  return reply;
}

Outcome Transfer::failed(CURLcode code) {
  const std::string peer = peer_of(request_.url);
  const std::string detail =
      to_utf8_lossy(error_[0] ? std::string_view(error_) : std::string_view(context_.curl.easy_strerror(code)));
  const long got = status();

  Outcome outcome;
  outcome.end = Outcome::End::failed;
  Failure& failure = outcome.failure;
  json::object cause{{"url", public_url(request_.url)}};
  if (code != CURLE_OK) cause["curl"] = detail;
  if (got > 0) cause["status"] = got;
  if (received_ > 0) cause["received_bytes"] = static_cast<std::int64_t>(received_);
  failure.cause = std::move(cause);
  const auto say = [&](std::string_view what, std::string message) {
    failure.code = what;
    failure.message = std::move(message);
  };
  const auto say_unreadable = [&](std::string_view why) {
    say("invalid_response", fmt::format("the answer of {} cannot be read: {}", peer, why));
  };
  const auto say_denied = [&] {
    say("egress_denied", fmt::format("{} may not be called: {}", peer, denial_.message));
    failure.cause =
        json::object{{"url", public_url(request_.url)}, {"address", denied_}, {"rule", to_utf8_lossy(denial_.name)}};
  };
  const auto say_unconnected = [&](std::string_view what) {
    long os_error = 0;
    context_.curl.easy_getinfo(handle_, CURLINFO_OS_ERRNO, &os_error);
    if (socket_error_ != 0) os_error = socket_error_;
    say("connection_failed",
        fmt::format("{} {}: {}", what, peer,
                    os_error != 0 ? std::generic_category().message(static_cast<int>(os_error)) : detail));
  };

  switch (trouble_) {
    case Trouble::none:
    case Trouble::kept_connection_used_up: break;
    case Trouble::resend_refused:
      say("connection_failed",
          fmt::format("{} closed a connection kept from an earlier call without an answer; the request was not sent "
                      "again, because it may have been taken",
                      peer));
      return outcome;
    case Trouble::egress_denied: say_denied(); return outcome;
    case Trouble::body_too_large:
      say("response_too_large",
          fmt::format("the answer of {} is longer than {} bytes", peer, context_.options.max_body));
      return outcome;
    case Trouble::header_too_large:
      say("response_too_large",
          fmt::format("the header of the answer of {} is longer than {} bytes", peer, context_.options.max_header));
      return outcome;
    case Trouble::two_lengths: say_unreadable("it names two lengths"); return outcome;
    case Trouble::too_many_redirects:
      say("too_many_redirects", fmt::format("more than {} redirects, the last one by {}", max_redirects, peer));
      return outcome;
    case Trouble::bad_redirect:
      say("invalid_response", fmt::format("the redirect by {} cannot be followed: {}", peer, bad_redirect_));
      return outcome;
  }

  switch (code) {
    case CURLE_OK: say_unreadable("its header broke off"); break;
    case CURLE_OPERATION_TIMEDOUT:
      // libcurl counts in milliseconds and may be one early.
      if (!sent_ && std::chrono::steady_clock::now() - started_ < timeout_ - std::chrono::milliseconds(2)) {
        say("timeout", fmt::format("no connection to {} after {}", peer, to_text(context_.options.connect_timeout)));
        break;
      }
      outcome.end = Outcome::End::timed_out;
      say("timeout", got == 0 ? fmt::format("no answer after {}", to_text(timeout_))
                              : fmt::format("no complete answer after {}, {} bytes of its body had come",
                                            to_text(timeout_), received_));
      break;
    case CURLE_COULDNT_RESOLVE_HOST:
      say("connection_failed", fmt::format("the host name of {} cannot be resolved", peer));
      break;
    case CURLE_COULDNT_CONNECT:
      // Where an allowed address was tried, that one says why there is no connection.
      if (!denied_.empty() && opened_.empty()) {
        say_denied();
      } else {
        say_unconnected("cannot connect to");
        if (!denied_.empty())
          failure.message += fmt::format(" (another address may not be called: {})", denial_.message);
      }
      break;
    case CURLE_GOT_NOTHING:
      say("connection_failed", fmt::format("{} closed the connection without an answer", peer));
      break;
    case CURLE_PARTIAL_FILE:
      say("connection_failed",
          fmt::format("{} closed the connection in the middle of the answer, after {} bytes of its body", peer,
                      received_));
      break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED: say("tls_failed", fmt::format("no secure connection to {}: {}", peer, detail)); break;
    case CURLE_URL_MALFORMAT:
      say(redirects_ == 0 ? "invalid_request" : "invalid_response",
          fmt::format("the URL {} is malformed: {}", public_url(request_.url), detail));
      break;
    case CURLE_UNSUPPORTED_PROTOCOL:  // an answer without a status line
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: say_unreadable(detail); break;
    default:
      // What libcurl has no code of its own for: a line of 100 KB, and chunks that make no sense.
      if (code == CURLE_OUT_OF_MEMORY && sent_ && !header_ended_) {
        say("response_too_large", fmt::format("a line in the header of the answer of {} is too long", peer));
      } else if (detail.find("hunk") != std::string::npos) {
        say_unreadable(detail);
      } else {
        say_unconnected("the connection broke to");
      }
  }
  return outcome;
}

TaskFinished Transfer::finish(CURLcode code) {
  // libcurl is content with a header that breaks off.
  if (code != CURLE_OK || trouble_ != Trouble::none || !header_ended_) return answer(failed(code));
  Outcome outcome;
  outcome.reply = reply();
  return answer(std::move(outcome));
}

TaskFinished Transfer::finish_stopped() {
  Outcome outcome;
  outcome.end = Outcome::End::stopped;
  outcome.failure = {"stopped", "the call was dropped on request", {}};
  return answer(std::move(outcome));
}

TaskFinished Transfer::finish_failed(std::string code, std::string message) {
  Outcome outcome;
  outcome.end = Outcome::End::failed;
  outcome.failure = {std::move(code), std::move(message), {}};
  return answer(std::move(outcome));
}

TaskFinished Transfer::answer(Outcome outcome) {
  TaskFinished finished{command_.run, command_.ref, command_.try_number, std::move(outcome), command_.attempt};
  forget_answer();
  command_ = {};
  request_ = {};
  redirects_ = 0;
  bad_redirect_.clear();
  return finished;
}

void Transfer::forget_answer() {
  error_[0] = '\0';
  received_ = header_received_ = 0;
  if (body_.capacity() > max_kept_buffer) {
    body_ = {};
  } else {
    body_.clear();
  }
  answer_headers_ = {};
  last_header_.clear();
  length_.clear();
  header_ended_ = sent_ = chunked_ = false;
  opened_.clear();
  denied_.clear();
  denial_ = {};
  socket_error_ = 0;
  trouble_ = Trouble::none;
}

}  // namespace pawl::runner
