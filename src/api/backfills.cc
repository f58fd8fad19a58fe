// Routes of backfills: runs for slots of a past range that have none.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/routes.h"
#include "api/schedule_json.h"

namespace pawl::api {
namespace {

// A range with more slots is to be asked for in parts: somebody who writes a year too many should be told, and what a dry
// run reads of the ledger has a bound.
constexpr std::int64_t most_slots = 100'000;
constexpr std::size_t entries_at_once = 1'000;
constexpr std::size_t shown_slots = 10;
constexpr auto instant_before = Duration(1);

std::unexpected<net::Response> too_large(std::string_view what) {
  return refuse("range_too_large", fmt::format("the range has more than {} {}: ask for it in parts", most_slots, what),
                422);
}

// The slots from `from` to `until` that have a run.
Outcome<std::set<Instant>> fired_slots(store::Reader& reader, ScheduleId id, Instant from, Instant until) {
  std::set<Instant> fired;
  store::Reader::LedgerRange range{.since = from, .until = until};
  for (std::int64_t read = 0; read <= most_slots;) {
    const auto entries = reader.ledger(id, range, entries_at_once);
    if (!entries) return refuse(entries.error());
    for (const LedgerRow& entry : *entries)
      if (entry.outcome == SlotOutcome::fired) fired.insert(entry.from);
    if (entries->size() < entries_at_once) return fired;
    range.before = entries->back().from;
    read += static_cast<std::int64_t>(entries->size());
  }
  return too_large("entries in the ledger");
}

// What a backfill of the range would do, its slots being `count` up to `until`.
Looked dry_run(store::Reader& reader, const BackfillRequested& event, const calendar::Timetable& slots, Instant until,
               std::int64_t count) {
  const auto fired = fired_slots(reader, event.schedule, event.from, until);
  if (!fired) return std::unexpected(fired.error());
  // One that fired by an earlier rule may be none of its slots any more.
  const auto already_run = std::ranges::count_if(
      *fired, [&](Instant slot) { return slots.next(slot - instant_before) == std::optional(slot); });
  json::array first;
  for (auto slot = slots.next(event.from - instant_before); slot && *slot <= until && first.size() < shown_slots;
       slot = slots.next(*slot))
    if (!fired->contains(*slot)) first.push_back(time(*slot));
  return json_response(200, json::object{{"dry_run", true},
                                         {"from", time(event.from)},
                                         {"to", time(event.to)},
                                         {"until", time(until)},
                                         {"slots", count},
                                         {"already_run", already_run},
                                         {"would_start", count - already_run},
                                         {"first", std::move(first)}});
}

// Whoever asked is answered with the backfill as it is then.
void ask_for_backfill(Service& service, Call call, Event event) {
  service.ask(std::move(event), std::move(call),
              [](Service&, store::Reader& reader, const Call& call_, const Result<Answer>& answer) {
                if (!answer) return call_.respond(to_response(answer.error()));
                const auto* accepted = std::get_if<BackfillAccepted>(&*answer);
                if (!accepted) return;
                const auto backfill = reader.backfill(accepted->backfill);
                if (!backfill) return call_.respond(to_response(backfill.error()));
                if (!*backfill) return call_.respond(unknown("such backfill").error());
                call_.respond(json_response(202, backfill_to_json(**backfill)));
              });
}

Outcome<BackfillRequested> read_request(const Json& body, ScheduleId id, Who who) {
  const auto from = time_member(body, "from"), to = time_member(body, "to");
  if (!from) return std::unexpected(from.error());
  if (!to) return std::unexpected(to.error());
  if (!*from || !*to)
    return refuse("bad_request", "'from' and 'to' are the first and the last instant of the range, both included");
  const auto limit = number_member(body, "limit");
  if (!limit) return std::unexpected(limit.error());
  const auto at_once = static_cast<int>(std::clamp<std::int64_t>(limit->value_or(1), 0, INT32_MAX));
  return BackfillRequested{id, **from, **to, at_once, std::move(who)};
}

}  // namespace

void begin_backfill(Service& service, store::Reader& reader, Call call) {
  const auto row = find_schedule(reader, call.path[0]);
  if (!row) return call.respond(row.error());
  constexpr std::string_view members[] = {"from", "to", "limit", "dry_run"};
  const auto body = read_body(call.request, members);
  if (!body) return call.respond(body.error());
  const auto only_looks = flag(*body, "dry_run");
  if (!only_looks) return call.respond(only_looks.error());
  auto event = read_request(*body, row->id, call.who());
  if (!event) return call.respond(std::move(event.error()));
  const Instant now = service.now();
  if (const auto fine = check_backfill(event->from, event->to, event->limit, now); !fine)
    return call.respond(to_response(fine.error()));
  const auto slots = timetable_of(*row);
  if (!slots) return call.respond(to_response(slots.error()));
  // Slots behind the cursor are the schedule's own to decide, unless it is disabled and nobody's.
  const Instant decided = row->enabled ? row->progress.cursor : std::max(row->progress.cursor, now);
  const Instant until = std::min(event->to, decided);
  const std::int64_t count = slots->count(event->from - instant_before, until);
  if (count > most_slots) return call.respond(too_large("slots").error());
  if (!*only_looks) return ask_for_backfill(service, std::move(call), std::move(*event));

  const auto workflow = find_workflow(reader, row->workflow);
  if (!workflow) return call.respond(workflow.error());
  // As it would be refused.
  if (!workflow->active())
    return call.respond(
        to_response({Code::conflict, fmt::format("workflow '{}' is disabled", workflow->name), "workflow_disabled"}));
  const auto told = dry_run(reader, *event, *slots, until, count);
  call.respond(told ? *told : told.error());
}

Looked list_backfills(Service&, store::Reader& reader, const Call& call) {
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  const auto row = find_schedule(reader, call.path[0], true);
  if (!row) return std::unexpected(row.error());
  const auto backfills = reader.backfills(row->id, *limit);
  if (!backfills) return refuse(backfills.error());
  json::array items;
  for (const BackfillRow& backfill : *backfills) items.push_back(backfill_to_json(backfill));
  return json_response(200, list(std::move(items), ""));
}

void cancel_backfill(Service& service, store::Reader& reader, Call call) {
  if (const auto body = read_body(call.request, {}); !body) return call.respond(body.error());
  const auto row = find_schedule(reader, call.path[0], true);
  if (!row) return call.respond(row.error());
  const auto uuid = parse_uuid(call.path[1]);
  const auto backfill = uuid ? reader.backfill(BackfillId{*uuid}) : Result<std::optional<BackfillRow>>(std::nullopt);
  if (!backfill) return call.respond(to_response(backfill.error()));
  if (!*backfill || (*backfill)->schedule != row->id)
    return call.respond(refuse("backfill_unknown", "the schedule has no such backfill", 404).error());
  BackfillCancelled event{(*backfill)->id, call.who()};
  ask_for_backfill(service, std::move(call), std::move(event));
}

}  // namespace pawl::api
