// One request on its way through the API, and what routes are made of.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/api.h"
#include "base/json.h"
#include "net/problem.h"

namespace pawl::api {

// What a caller may do; each includes those before it. `open`: no token asked for.
enum class Role : std::uint8_t { open, viewer, operator_, editor, admin };
std::string_view to_string(Role role);

// A value, or the answer that says why there is none.
template <class T>
using Outcome = std::expected<T, net::Response>;

// 503 with Retry-After, 500 with an id of the logged error, and so on: what the code and name of an error ask for.
net::Response to_response(const Error& error);
std::unexpected<net::Response> refuse(const Error& error);
// A request that is not what the route takes: 400 unless said otherwise.
std::unexpected<net::Response> refuse(std::string_view code, std::string_view detail, int status = 400);
std::unexpected<net::Response> unknown(std::string_view what);  // 404 not_found

net::Response json_response(int status, const Json& body);
net::Response no_content();  // 204

struct Call {
  net::Request request;
  net::Responder respond;
  std::vector<std::string> path;  // what stands for {…} in the route, in order
  std::string user;               // name of the caller or of the token

  Who who() const;
};

class Service;

// Runs on a thread of the pool; answers now or later.
using Act = void (*)(Service& service, store::Reader& reader, Call call);

struct Route {
  std::string_view method;
  std::string_view pattern;  // {name} stands for one segment, {schedule} also for two: workflow/name
  Role role;
  Act act;  // null: answered at once, on the sockets' thread (api.cc)
  std::string_view summary;
  std::span<const std::string_view> parameters = {};  // of the query; others are refused
  std::string_view body = {};                         // kinds of body taken: json, definition or none
};

std::span<const Route> routes();
// OpenAPI 3.1 of all routes.
Json openapi();

// For routes that answer at once.
template <Outcome<net::Response> (*function)(Service&, store::Reader&, const Call&)>
void now(Service& service, store::Reader& reader, Call call) {
  const Call mine = std::move(call);
  auto response = function(service, reader, mine);
  mine.respond(response ? std::move(*response) : std::move(response.error()));
}

// Strict JSON object with no other members than these; an absent body is an empty object. 400 or 415 otherwise.
Outcome<Json> read_body(const net::Request& request, std::span<const std::string_view> members);
Outcome<bool> flag(const Json& body, std::string_view member);  // absent: false
Outcome<std::string> string_member(const Json& body, std::string_view member);  // absent: empty
// Absent and null are the same.
Outcome<std::optional<std::int64_t>> number_member(const Json& body, std::string_view member);
Outcome<std::optional<Instant>> time_member(const Json& body, std::string_view member);

// `application/json; charset=utf-8` is application/json.
std::string media_type(const net::Request& request);

Outcome<RunId> run_id(std::string_view text);                                             // else 404
Outcome<std::optional<std::int64_t>> number_parameter(const net::Request& request, std::string_view name);  // from 0 on
Outcome<std::size_t> limit_parameter(const net::Request& request);  // 1 … 200, default 50
// `count`, from 1 to `most`; `fallback`, if it is not given.
Outcome<std::int64_t> count_value(const std::optional<std::int64_t>& given, std::int64_t most, std::int64_t fallback);
// Unix seconds or RFC 3339; empty: absent.
Outcome<std::optional<Instant>> time_value(std::string_view name, std::string given);

// A place in a list, made so that nobody takes it for anything else; empty is the beginning.
std::string make_cursor(std::string_view place);
Outcome<std::string> cursor_parameter(const net::Request& request);

Json text(std::string_view value);
Json time(const std::optional<Instant>& instant);  // RFC 3339 or null
Json list(json::array items, const std::string& next_cursor);

}  // namespace pawl::api
