#include "api/service.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <atomic>

#include "base/hash.h"
#include "base/log.h"
#include "base/utf8.h"

namespace pawl::api {
namespace {

// A schedule is named by its id, or by its workflow and its own name: in one segment with an encoded slash, or in two.
// Moves `i` over all of its segments; empty: it is none.
std::string schedule_name(const std::vector<std::string>& segments, std::size_t& i) {
  const std::string& first = segments[i];
  if (first.empty() || parse_uuid(first) || first.find('/') != std::string::npos || i + 1 == segments.size())
    return first;
  const std::string& second = segments[++i];
  return second.empty() ? second : first + '/' + second;
}

// Whether the segments are the pattern's; fills `values` with what stands for its {…}.
bool matches(std::string_view pattern, const std::vector<std::string>& segments, std::vector<std::string>& values) {
  values.clear();
  pattern.remove_prefix(1);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::size_t slash = std::min(pattern.find('/'), pattern.size());
    const std::string_view expected = pattern.substr(0, slash);
    if (expected.starts_with('{')) {
      values.push_back(expected == "{schedule}" ? schedule_name(segments, i) : segments[i]);
      if (values.back().empty()) return false;
    } else if (expected != segments[i]) {
      return false;
    }
    const bool last = slash == pattern.size();
    if (last) return i + 1 == segments.size();
    pattern.remove_prefix(slash + 1);
  }
  return false;
}

struct Found {
  const Route* route = nullptr;
  std::vector<std::string> path;
  std::string allowed;  // methods of the path, for Allow
  bool open = false;
};

Found find_route(const net::Request& request) {
  // HEAD asks for what GET gives; the server leaves the body out.
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  Found found;
  std::vector<std::string> values;
  for (const Route& route : routes()) {
    if (!matches(route.pattern, request.segments, values)) continue;
    found.open = route.role == Role::open;
    for (const std::string_view name :
         {route.method, route.method == "GET" ? std::string_view("HEAD") : std::string_view()})
      if (!name.empty()) found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(name);
    if (!found.route && route.method == method) {
      found.route = &route;
      found.path = values;
    }
  }
  return found;
}

std::optional<net::Response> unexpected_parameter(const Route& route, const net::Request& request) {
  for (std::size_t i = 0; i < request.query.size(); ++i) {
    const std::string& name = request.query[i].first;
    if (std::ranges::find(route.parameters, name) == route.parameters.end())
      return net::problem(400, "unknown_parameter", fmt::format("unknown parameter '{}'", cut_utf8(name, 100)));
    for (std::size_t j = 0; j < i; ++j)
      if (request.query[j].first == name)
        return net::problem(400, "bad_parameter", fmt::format("{} is given twice", name));
  }
  return std::nullopt;
}

}  // namespace

Service::Service(ApiOptions options, driver::Inbox& inbox, driver::Histories& histories, Readers readers,
                 store::LogStore& logs)
    : options_(std::move(options)),
      inbox_(inbox),
      histories_(histories),
      logs_(logs),
      pool_(std::make_shared<Pool>(options_.threads, options_.queue, std::move(readers))) {}

Instant Service::now() const {
  return options_.now ? options_.now() : std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

bool Service::authorized(const net::Request& request) const {
  const std::string token = options_.admin_token ? options_.admin_token() : std::string();
  if (token.empty()) return false;
  const auto is_authorization = [](const auto& header) { return header.first == "authorization"; };
  if (std::ranges::count_if(request.headers, is_authorization) != 1) return false;
  std::string_view given = request.header("authorization");
  constexpr std::string_view scheme = "bearer ";
  if (given.size() < scheme.size()) return false;
  for (std::size_t i = 0; i < scheme.size(); ++i)
    if ((given[i] | 0x20) != scheme[i]) return false;
  given.remove_prefix(scheme.size());
  while (given.starts_with(' ')) given.remove_prefix(1);
  // Hashes are of one length and tell nothing of what they are of: the time it takes says nothing about the token.
  const std::string ours = sha256_hex(token), theirs = sha256_hex(given);
  return sodium_memcmp(ours.data(), theirs.data(), ours.size()) == 0;
}

net::Response Service::answer_now(const Route& route) const {
  if (route.pattern == "/api/v1/openapi.json") return json_response(200, openapi());
  if (route.pattern == "/readyz" && options_.ready && !options_.ready()) {
    auto response = net::problem(503, "not_ready", "the server is not ready: it is starting or stopping");
    response.headers.emplace_back("Retry-After", "1");
    return response;
  }
  return json_response(200, json::object{{"status", "ok"}});
}

void Service::handle(net::Request request, const net::Responder& respond) {
  Found found = find_route(request);
  if (!found.open && !authorized(request)) {
    auto response = net::problem(401, "unauthorized", "a valid token is needed: Authorization: Bearer …");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return respond(std::move(response));
  }
  if (!found.route) {
    if (found.allowed.empty()) return respond(net::problem(404, "not_found", "there is nothing at this path"));
    auto response = net::problem(405, "method_not_allowed", fmt::format("this path knows {}", found.allowed));
    response.headers.emplace_back("Allow", found.allowed);
    return respond(std::move(response));
  }
  const Route& route = *found.route;
  if (auto response = unexpected_parameter(route, request)) return respond(std::move(*response));
  if (!route.act) return respond(answer_now(route));
  // The holder of the one token there is may do everything.
  auto call = std::make_unique<Call>(Call{std::move(request), respond, std::move(found.path), "admin"});
  const bool added = pool_->try_add([this, &route, call = std::move(call)](Result<store::Reader*> reader) {
    if (!reader) return call->respond(to_response(reader.error()));
    route.act(*this, **reader, std::move(*call));
  });
  if (!added) respond(to_response({Code::overloaded, "too many requests wait already; try again"}));
}

void Service::ask(Event event, Call call, Then then) {
  std::vector<Event> one;
  one.push_back(std::move(event));
  ask_all(std::move(one), std::move(call),
          [then = std::move(then)](Service& service, store::Reader& reader, Call call_,
                                   std::vector<Result<Answer>> answers) mutable {
            then(service, reader, std::move(call_), std::move(answers.front()));
          });
}

void Service::ask_all(std::vector<Event> events, Call call, ThenAll then) {
  struct Pending {
    Call call;
    ThenAll then;
    std::vector<Result<Answer>> answers;  // each written by one reply
    std::atomic<std::size_t> missing;
  };
  const std::size_t count = events.size();
  auto pending = std::make_shared<Pending>(std::move(call), std::move(then), std::vector<Result<Answer>>(count), count);
  // `this` is used by the pool's threads alone, which end before it does.
  const auto finish = [this, pool = pool_, pending] {
    pool->add([this, pending](Result<store::Reader*> reader) mutable {
      if (!reader) return pending->call.respond(to_response(reader.error()));
      pending->then(*this, **reader, std::move(pending->call), std::move(pending->answers));
    });
  };
  if (count == 0) return finish();
  for (std::size_t i = 0; i < count; ++i) {
    const auto reply = [pending, finish, i](Result<Answer> answer) {
      pending->answers[i] = std::move(answer);
      if (--pending->missing == 0) finish();
    };
    if (const auto posted = inbox_.post(std::move(events[i]), reply); !posted) reply(std::unexpected(posted.error()));
  }
}

void Service::warn_once(const std::string& workflow, const std::vector<std::string>& sentences) {
  if (sentences.empty()) return;
  {
    const MutexLock lock(mutex_);
    if (!warned_.insert(workflow).second) return;
  }
  for (const std::string& sentence : sentences) log::warning(sentence, {{"workflow", workflow}});
}

net::Handler make_api(ApiOptions options, driver::Inbox& inbox, driver::Histories& histories, Readers readers,
                      store::LogStore& logs) {
  auto service = std::make_shared<Service>(std::move(options), inbox, histories, std::move(readers), logs);
  return
      [service](net::Request request, const net::Responder& respond) { service->handle(std::move(request), respond); };
}

}  // namespace pawl::api
