#include "cli/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "base/id.h"
#include "base/own_file.h"
#include "cli/cli.h"
#include "cli/render.h"
#include "net/url.h"

namespace pawl::cli {
namespace {

constexpr const char* default_server = "http://127.0.0.1:7295";
constexpr auto patience = std::chrono::seconds(30);
constexpr auto pause_between = std::chrono::milliseconds(200);
constexpr std::size_t longest_token = 4'096;
constexpr std::int64_t page_limit = 200;

struct Token {
  std::string value;
  std::string why_not;
};

std::string trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  std::size_t begin = 0;
  while (begin < text.size() && blank(text[begin])) ++begin;
  return text.substr(begin);
}

Token find_token(const Common& common, const ServerAddress& address) {
  if (std::string token = trimmed(environment("PAWL_TOKEN")); !token.empty()) return {std::move(token), ""};
  // The token of this machine's server is for nobody else, unless somebody says that it is.
  if (!address.loopback && common.data.empty())
    return {"", "set PAWL_TOKEN; the local admin token is sent to a server elsewhere only with --data"};
  const std::string folder = data_folder(common);
  if (folder.empty()) return {"", "set PAWL_TOKEN, or name the server's data folder with --data"};
  const std::string path = folder + '/' + token_file;
  const auto file =
      OwnFile::open(path, O_RDONLY, {.any_owner = true, .more_names = true, .follow = true, .open_to_others = true});
  std::string text(longest_token, '\0');
  const ssize_t size = file ? ::pread(file->get(), text.data(), text.size(), 0) : 0;
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  text = trimmed(text);
  if (text.empty())
    return {"", fmt::format("{} cannot be read; set PAWL_TOKEN, or name the server's data folder with --data", path)};
  return {std::move(text), ""};
}

int exit_of(int status) {
  switch (status) {
    case 401:
    case 403:
    case 409: return Exit::refused;
    case 429: return Exit::unreachable_server;
    default: return status >= 500 ? Exit::unreachable_server : Exit::failed;
  }
}

}  // namespace

std::string encoded(std::string_view part) { return net::percent_encode(part); }

Outcome<RunName> parse_run(std::string_view text) {
  if (const auto uuid = parse_uuid(text)) return RunName{to_string(*uuid), "", 0};
  const std::size_t hash = text.rfind('#');
  if (hash != std::string_view::npos && hash > 0) {
    const std::string_view digits = text.substr(hash + 1);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc{} && end == digits.data() + digits.size() && number > 0)
      return RunName{"", std::string(text.substr(0, hash)), number};
  }
  return give_up(Exit::failed, "run_unknown",
                 fmt::format("there is no run '{}': a run is named by its id or as NAME#42", text));
}

Trouble problem_of(const HttpAnswer& answer) {
  const auto body = parse_json(answer.body);
  std::string code, message;
  json::object more{{"status", answer.status}};
  if (body && body->is_object()) {
    code = find_string(*body, "code");
    message = find_string(*body, "detail");
    if (const Json* errors = find(*body, "errors")) more["errors"] = *errors;
  }
  if (code.empty()) {
    code = "no_pawl_server";
    message = fmt::format("the answer is none of a Pawl server (HTTP {})", answer.status);
    return {Exit::unreachable_server, std::move(code), std::move(message), std::move(more)};
  }
  return {exit_of(answer.status), std::move(code), std::move(message), std::move(more)};
}

Outcome<Server> Server::open(const Common& common) {
  std::string text = common.server.empty() ? environment("PAWL_SERVER") : common.server;
  if (text.empty()) text = default_server;
  auto address = parse_server(text);
  if (!address) return give_up(Exit::wrong_usage, "usage", address.error().message);
  Token token = find_token(common, *address);
  for (const char c : token.value)
    if (c <= ' ' || c == 0x7F)
      return give_up(Exit::wrong_usage, "usage", "the token holds a blank or a control character");
  std::string base = address->base;
  auto client = make_http_client(std::move(*address));
  if (!client) return give_up(Exit::unreachable_server, "unreachable", client.error().message);
  return Server(std::move(*client), std::move(base), std::move(token.value), std::move(token.why_not));
}

Outcome<Json> Server::send(HttpRequest request) {
  request.target.insert(0, "/api/v1/");
  if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_);
  const auto answer = client_->send(request);
  if (!answer)
    return give_up(Exit::unreachable_server, "unreachable",
                   fmt::format("no server answers at {}: {}", address_, answer.error().message));
  if (answer->status < 200 || answer->status > 299) {
    Trouble trouble = problem_of(*answer);
    if (answer->status == 401)
      trouble.message += token_.empty() ? "; " + no_token_ : std::string("; the token sent is none of this server's");
    return std::unexpected(std::move(trouble));
  }
  if (answer->status == 204) return Json(json::object());
  auto body = parse_json(answer->body);
  if (!body)
    return give_up(Exit::unreachable_server, "no_pawl_server",
                   fmt::format("the answer of {} is none of a Pawl server", address_));
  return std::move(*body);
}

Outcome<Json> Server::get(const std::string& path) { return send({.target = path}); }

Outcome<Json> Server::get_patiently(const std::string& path) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto answer = get(path);
    const bool away = !answer && answer.error().exit == Exit::unreachable_server;
    if (!away || std::chrono::steady_clock::now() >= until) return answer;
    std::this_thread::sleep_for(pause_between);
  }
}

Outcome<Json> Server::post(const std::string& path, const Json& body,
                           const std::vector<std::pair<std::string, std::string>>& headers) {
  HttpRequest request{.method = "POST", .target = path, .headers = headers, .body = to_text(body)};
  request.headers.emplace_back("Content-Type", "application/json");
  return send(std::move(request));
}

Outcome<Json> Server::put(const std::string& path, std::string text, const std::string& content_type) {
  return send({.method = "PUT", .target = path, .headers = {{"Content-Type", content_type}}, .body = std::move(text)});
}

Outcome<Json> Server::patch(const std::string& path, const Json& body) {
  return send(
      {.method = "PATCH", .target = path, .headers = {{"Content-Type", "application/json"}}, .body = to_text(body)});
}

Outcome<Json> Server::remove(const std::string& path) { return send({.method = "DELETE", .target = path}); }

Outcome<json::object> Server::list(const std::string& path, const std::string& query, std::int64_t most) {
  json::array items;
  Json cursor = nullptr;
  do {
    const auto left = std::min(most - static_cast<std::int64_t>(items.size()), page_limit);
    std::string target = fmt::format("{}?limit={}{}", path, left, query);
    if (cursor.is_string()) target += "&cursor=" + encoded(as_view(cursor));
    const auto page = get(target);
    if (!page) return std::unexpected(page.error());
    for (const Json& item : elements(*page, "items")) items.push_back(item);
    const Json* const next = find(*page, "next_cursor");
    cursor = next ? *next : Json(nullptr);
  } while (cursor.is_string() && static_cast<std::int64_t>(items.size()) < most);
  return json::object{{"items", std::move(items)}, {"next_cursor", std::move(cursor)}};
}

Outcome<Json> Server::run(const std::string& name) {
  const auto run = parse_run(name);
  if (!run) return std::unexpected(run.error());
  if (!run->id.empty()) return get("runs/" + run->id);
  return get(fmt::format("workflows/{}/runs/{}", encoded(run->workflow), run->number));
}

}  // namespace pawl::cli
