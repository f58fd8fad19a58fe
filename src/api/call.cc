#include "api/call.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"

namespace pawl::api {
namespace {

constexpr std::size_t longest_user_agent = 256;
constexpr std::size_t default_limit = 50;
constexpr std::size_t page_limit = 200;
constexpr JsonLimits body_limits{.depth = 100};

int status_of(const Error& error) {
  switch (error.code) {
    case Code::invalid: return 422;
    case Code::not_found: return 404;
    case Code::conflict: return 409;
    case Code::refused: return error.name == "not_supported" ? 422 : 403;
    case Code::overloaded:
    case Code::unavailable: return 503;
    case Code::corrupt:
    case Code::internal: return 500;
  }
  unreachable();
}

std::optional<std::int64_t> whole_number(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::open: return "open";
    case Role::viewer: return "viewer";
    case Role::operator_: return "operator";
    case Role::editor: return "editor";
    case Role::admin: return "admin";
  }
  unreachable();
}

net::Response to_response(const Error& error) {
  const int status = status_of(error);
  const std::string_view code = error.name.empty() ? pawl::to_string(error.code) : error.name;
  if (status == 500) {
    // Details may tell of files and rows: they are for the log alone.
    const std::string id = fmt::format("{:08x}", randombytes_random());
    log::error("a request failed", {{"error", id}, {"code", std::string(code)}, {"why", error.message}});
    return net::problem(status, code, fmt::format("the server could not do this; its log knows more under {}", id));
  }
  auto response = net::problem(status, code, error.message);
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

std::unexpected<net::Response> refuse(const Error& error) { return std::unexpected(to_response(error)); }

std::unexpected<net::Response> refuse(std::string_view code, std::string_view detail, int status) {
  return std::unexpected(net::problem(status, code, detail));
}

std::unexpected<net::Response> unknown(std::string_view what) {
  return refuse("not_found", fmt::format("there is no {}", what), 404);
}

net::Response json_response(int status, const Json& body) {
  net::Response response;
  response.status = status;
  append_json(response.body, body);
  return response;
}

net::Response no_content() { return {.status = 204, .content_type = {}}; }

Who Call::who() const {
  const std::string agent = to_utf8_lossy(request.header("user-agent"));
  const Trigger trigger = agent.starts_with("pawl-cli/") ? Trigger::manual : Trigger::api;
  return {trigger, user, request.client, std::string(cut_utf8(agent, longest_user_agent)), {}};
}

std::string media_type(const net::Request& request) {
  std::string_view type = request.header("content-type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  std::string lower(type);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

Outcome<Json> read_body(const net::Request& request, std::span<const std::string_view> members) {
  if (request.body.empty()) return Json(json::object());
  if (media_type(request) != "application/json")
    return refuse("unsupported_media_type", "the body must be sent as application/json", 415);
  auto body = parse_json(request.body, body_limits);
  if (!body) return refuse("bad_request", body.error().message);
  const auto* object = body->if_object();
  if (!object) return refuse("bad_request", fmt::format("the body must be an object, not a {}", type_name(*body)));
  for (const auto& member : *object) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::ranges::find(members, key) == members.end())
      return refuse("unknown_field", fmt::format("unknown field '{}'", cut_utf8(key, 100)));
  }
  return std::move(*body);
}

Outcome<bool> flag(const Json& body, std::string_view member) {
  const Json* value = find(body, member);
  if (!value) return false;
  if (!value->is_bool()) return refuse("bad_request", fmt::format("'{}' must be true or false", member));
  return value->get_bool();
}

Outcome<std::string> string_member(const Json& body, std::string_view member) {
  const Json* value = find(body, member);
  if (!value) return std::string();
  if (!value->is_string()) return refuse("bad_request", fmt::format("'{}' must be a text", member));
  return std::string(as_view(*value));
}

Outcome<std::optional<std::int64_t>> number_member(const Json& body, std::string_view member) {
  const Json* value = find(body, member);
  if (!value || value->is_null()) return std::nullopt;
  if (!value->is_int64()) return refuse("bad_request", fmt::format("'{}' must be a whole number", member));
  return value->get_int64();
}

Outcome<std::optional<Instant>> time_member(const Json& body, std::string_view member) {
  const Json* value = find(body, member);
  if (!value || value->is_null()) return std::nullopt;
  return time_value(member, value->is_string() ? std::string(as_view(*value)) : to_text(*value));
}

Outcome<RunId> run_id(std::string_view text) {
  const auto uuid = parse_uuid(text);
  if (!uuid) return unknown("such run");
  return RunId{*uuid};
}

Outcome<std::optional<std::int64_t>> number_parameter(const net::Request& request, std::string_view name) {
  const std::string_view given = request.parameter(name);
  if (given.empty()) return std::nullopt;
  const auto value = whole_number(given);
  if (!value || *value < 0) return refuse("bad_parameter", fmt::format("{} must be a whole number", name));
  return value;
}

Outcome<std::size_t> limit_parameter(const net::Request& request) {
  const auto given = number_parameter(request, "limit");
  if (!given) return std::unexpected(given.error());
  const std::int64_t limit = given->value_or(default_limit);
  if (limit < 1 || limit > static_cast<std::int64_t>(page_limit))
    return refuse("bad_parameter", fmt::format("limit must be 1 to {}", page_limit));
  return static_cast<std::size_t>(limit);
}

Outcome<std::int64_t> count_value(const std::optional<std::int64_t>& given, std::int64_t most, std::int64_t fallback) {
  const std::int64_t count = given.value_or(fallback);
  if (count < 1 || count > most) return refuse("bad_parameter", fmt::format("count must be 1 to {}", most));
  return count;
}

Outcome<std::optional<Instant>> time_value(std::string_view name, std::string given) {
  if (given.empty()) return std::nullopt;
  constexpr std::int64_t last_second = 253'402'300'799;  // of the year 9999
  if (const auto seconds = whole_number(given); seconds && *seconds >= 0 && *seconds <= last_second)
    return from_us(*seconds * 1'000'000);
  // In a query + is a space, and who writes an offset by hand forgets that.
  if (given.size() > 6 && given[given.size() - 6] == ' ') given[given.size() - 6] = '+';
  const auto instant = parse_rfc3339(given);
  if (!instant)
    return refuse("bad_parameter",
                  fmt::format("{} must be Unix seconds or RFC 3339, such as 2026-11-23T08:00:00Z", name));
  return *instant;
}

std::string make_cursor(std::string_view place) {
  constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string cursor(sodium_base64_ENCODED_LEN(place.size(), variant), '\0');
  sodium_bin2base64(cursor.data(), cursor.size(), reinterpret_cast<const unsigned char*>(place.data()), place.size(),
                    variant);
  cursor.pop_back();  // the NUL
  return cursor;
}

Outcome<std::string> cursor_parameter(const net::Request& request) {
  const std::string_view given = request.parameter("cursor");
  std::string place(given.size(), '\0');
  std::size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(place.data()), place.size(), given.data(), given.size(),
                        nullptr, &size, nullptr, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
    return refuse("bad_parameter", "cursor is none that a page of this server gave");
  place.resize(size);
  return place;
}

Json text(std::string_view value) { return json::string(value.data(), value.size()); }

Json time(const std::optional<Instant>& instant) { return instant ? text(to_rfc3339(*instant)) : Json(nullptr); }

Json list(json::array items, const std::string& next_cursor) {
  json::object page;
  page["items"] = std::move(items);
  page["next_cursor"] = next_cursor.empty() ? Json(nullptr) : text(next_cursor);
  return page;
}

}  // namespace pawl::api
