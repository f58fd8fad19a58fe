// What a cron expression means and when it fires: `pawl cron` for those who have no command line.
#include "api/routes.h"
#include "calendar/explain.h"
#include "zones/zones.h"

namespace pawl::api {
namespace {

constexpr std::int64_t most_times = 1'000, usual_times = 10;

Outcome<std::shared_ptr<const calendar::Zone>> zone_of(Service& service, std::string name) {
  if (name.empty()) name = service.timezone();
  if (name.empty()) {
    auto local = zones::local_name();
    if (!local) return refuse("timezone_unknown", local.error().message, 422);
    name = std::move(*local);
  }
  auto zone = zones::load(name);
  if (!zone && zone.error().code == Code::not_found) return refuse("timezone_unknown", zone.error().message, 422);
  if (!zone) return refuse(zone.error());
  return std::move(*zone);
}

}  // namespace

Looked explain_cron(Service& service, store::Reader&, const Call& call) {
  constexpr std::string_view members[] = {"cron", "timezone", "after", "count", "language"};
  const auto body = read_body(call.request, members);
  if (!body) return std::unexpected(body.error());
  if (!find(*body, "cron")) return refuse("bad_request", "'cron' is missing: the expression");
  const auto cron = string_member(*body, "cron"), timezone = string_member(*body, "timezone"),
             word = string_member(*body, "language");
  for (const auto* given : {&cron, &timezone, &word})
    if (!*given) return std::unexpected(given->error());
  const auto after = time_member(*body, "after");
  if (!after) return std::unexpected(after.error());
  const auto number = number_member(*body, "count");
  if (!number) return std::unexpected(number.error());
  const auto count = count_value(*number, most_times, usual_times);
  if (!count) return std::unexpected(count.error());
  const auto language = word->empty() ? calendar::Language::english : calendar::language_of(*word);
  if (!language) return refuse("bad_parameter", "language must be en or ko");

  auto parsed = calendar::Cron::parse(*cron);
  if (!parsed) {
    json::object more = calendar::to_json(parsed.error());
    more.erase("message");
    return std::unexpected(net::problem(422, "cron_invalid", calendar::to_text(parsed.error()), std::move(more)));
  }
  auto zone = zone_of(service, *timezone);
  if (!zone) return std::unexpected(std::move(zone.error()));
  const Instant from = after->value_or(service.now());
  const calendar::Slots slots(std::move(*parsed), std::move(*zone), from);
  return json_response(200, calendar::explain(slots, calendar::next_slots(slots, from, *count), *language));
}

}  // namespace pawl::api
