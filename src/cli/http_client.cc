#include "cli/http_client.h"

#include <algorithm>
#include <array>
#include <new>

#include "base/curl.h"

namespace pawl::cli {
namespace {

constexpr long connect_timeout_ms = 5'000;
constexpr long timeout_ms = 120'000;
constexpr std::size_t longest_answer = std::size_t{1} << 30;

std::size_t take_body(char* bytes, std::size_t, std::size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  if (body.size() + count > longest_answer) return 0;
  try {
    body.append(bytes, count);
  } catch (const std::bad_alloc&) {
    return 0;  // curl then gives up with a write error
  }
  return count;
}

class CurlClient final : public HttpClient {
 public:
  CurlClient(const Curl& curl, CURL* handle, ServerAddress address)
      : curl_(curl), handle_(handle), address_(std::move(address)) {}
  ~CurlClient() override { curl_.easy_cleanup(handle_); }

  Result<HttpAnswer> send(const HttpRequest& request) override {
    HttpAnswer answer;
    std::array<char, CURL_ERROR_SIZE> why{};
    const std::string url = address_.base + request.target;
    curl_slist* headers = nullptr;
    const auto add = [&](const std::string& line) { headers = curl_.slist_append(headers, line.c_str()); };
    add("Expect:");  // a definition is sent at once, without asking first
    add("User-Agent: pawl-cli/" PAWL_VERSION);
    add("Accept: application/json");
    for (const auto& [name, value] : request.headers) add(name + ": " + value);

    // Keeps the connection, forgets everything else.
    curl_.easy_reset(handle_);
    const auto set = [&](CURLoption option, auto value) { curl_.easy_setopt(handle_, option, value); };
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
    set(CURLOPT_TIMEOUT_MS, timeout_ms);
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_ERRORBUFFER, why.data());
    set(CURLOPT_WRITEFUNCTION, &take_body);
    set(CURLOPT_WRITEDATA, &answer.body);
    set(CURLOPT_HTTPHEADER, headers);
    if (address_.loopback) set(CURLOPT_PROXY, "");
    if (request.method != "GET") {
      set(CURLOPT_POSTFIELDS, request.body.data());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }

    const CURLcode code = curl_.easy_perform(handle_);
    curl_.slist_free_all(headers);
    if (code != CURLE_OK) {
      const std::string_view reason = why[0] != '\0' ? why.data() : curl_.easy_strerror(code);
      return fail(Code::unavailable, std::string(reason), "unreachable");
    }
    long status = 0;
    curl_.easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    const char* type = nullptr;
    curl_.easy_getinfo(handle_, CURLINFO_CONTENT_TYPE, &type);
    if (type) answer.content_type = type;
    return answer;
  }

 private:
  const Curl& curl_;
  CURL* const handle_;
  const ServerAddress address_;
};

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

}  // namespace

Result<ServerAddress> parse_server(std::string_view text) {
  std::string base(text);
  if (base.find("://") == std::string::npos) base.insert(0, "http://");
  while (base.ends_with('/')) base.pop_back();
  const auto wrong = [&](std::string_view why) {
    return fail(Code::invalid, "'" + std::string(text) + "' is no address of a server (" + std::string(why) +
                                   "): write it as http://127.0.0.1:7295");
  };
  std::string_view rest(base);
  if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else if (rest.starts_with("https://"))
    rest.remove_prefix(8);
  else
    return wrong("not http or https");
  if (std::ranges::any_of(rest, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F; }))
    return wrong("a blank or control character in it");
  if (rest.find_first_of("?#@\\") != std::string_view::npos) return wrong("a user, query or fragment in it");
  const std::string_view authority = rest.substr(0, rest.find('/'));
  const std::size_t colon = authority.starts_with('[') ? authority.find(':', authority.find(']')) : authority.find(':');
  const std::string_view host = authority.substr(0, colon);
  if (host.empty()) return wrong("no host");
  const bool loopback = is_loopback(host);
  return ServerAddress{std::move(base), loopback};
}

Result<std::unique_ptr<HttpClient>> make_http_client(ServerAddress address) {
  const auto curl = load_curl();
  if (!curl) return std::unexpected(curl.error());
  CURL* const handle = (*curl)->easy_init();
  if (!handle) return fail(Code::unavailable, "libcurl cannot be used: out of memory");
  return std::make_unique<CurlClient>(**curl, handle, std::move(address));
}

}  // namespace pawl::cli
