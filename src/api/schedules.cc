// Routes of schedules: make, change, delete and look, with what comes next and what became of each slot.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ranges>

#include "api/routes.h"
#include "api/schedule_json.h"
#include "base/utf8.h"
#include "zones/zones.h"

namespace pawl::api {
namespace {

constexpr std::int64_t most_next = 1'000, usual_next = 10;

Outcome<WorkflowRow> workflow_of(store::Reader& reader, const ScheduleRow& row) {
  auto workflow = reader.workflow(row.workflow);
  if (!workflow) return refuse(workflow.error());
  if (!*workflow) return refuse({Code::corrupt, fmt::format("table workflows has no '{}'", row.workflow)});
  return std::move(**workflow);
}

Outcome<std::optional<LedgerRow>> newest_entry(store::Reader& reader, ScheduleId id) {
  auto entries = reader.ledger(id, {}, 1);
  if (!entries) return refuse(entries.error());
  if (entries->empty()) return std::nullopt;
  return std::move(entries->front());
}

// One schedule with all that is to be said of it.
Looked answer_with(Service& service, store::Reader& reader, const ScheduleRow& row, int status) {
  const auto workflow = workflow_of(reader, row);
  if (!workflow) return std::unexpected(workflow.error());
  const auto last = newest_entry(reader, row.id);
  if (!last) return std::unexpected(last.error());
  const auto definition = newest_definition(reader, *workflow);
  if (!definition) return std::unexpected(definition.error());
  auto response = json_response(
      status, schedule_to_json(row, *workflow, *last, *definition ? &**definition : nullptr, service.now()));
  if (status == 201) response.headers.emplace_back("Location", "/api/v1/schedules/" + to_string(row.id));
  return response;
}

// What is asked of the engine, which answers with the schedule.
void ask_for_schedule(Service& service, Call call, Event event, int status) {
  service.ask(std::move(event), std::move(call),
              [status](Service& service_, store::Reader& reader, const Call& call_, const Result<Answer>& answer) {
                if (!answer) return call_.respond(to_response(answer.error()));
                const auto* accepted = std::get_if<ScheduleAccepted>(&*answer);
                if (!accepted) return;
                const auto row = reader.schedule(accepted->schedule);
                if (!row) return call_.respond(to_response(row.error()));
                if (!*row) return call_.respond(unknown("such schedule").error());
                const auto shown = answer_with(service_, reader, **row, status);
                call_.respond(shown ? *shown : shown.error());
              });
}

// The body of a request that makes or changes a schedule.
struct Sent {
  json::object fields;  // as read_schedule_fields() has them
  std::optional<bool> enabled;
  std::string name;
};

Outcome<Sent> read_sent(const net::Request& request, bool with_name) {
  const auto fields = definition::schedule_fields();
  std::vector<std::string_view> members(fields.begin(), fields.end());
  members.emplace_back("enabled");
  if (with_name) members.emplace_back("name");
  auto body = read_body(request, members);
  if (!body) return std::unexpected(std::move(body.error()));
  auto name = string_member(*body, "name");
  if (!name) return std::unexpected(std::move(name.error()));
  const auto enabled = flag(*body, "enabled");
  if (!enabled) return std::unexpected(enabled.error());
  Sent sent;
  if (find(*body, "enabled")) sent.enabled = *enabled;
  sent.name = std::move(*name);
  sent.fields = std::move(body->get_object());
  sent.fields.erase("enabled");
  sent.fields.erase("name");
  return sent;
}

// Everything that is wrong with the fields, member by member; the engine would say it in one sentence.
Outcome<void> check_fields(store::Reader& reader, const WorkflowRow& workflow, const json::object& fields,
                           const ScheduleRule& base) {
  const auto definition = newest_definition(reader, workflow);
  if (!definition) return std::unexpected(definition.error());
  const auto rule = definition::read_schedule_fields(fields, base, *definition ? &**definition : nullptr,
                                                     {.zone_problem = zones::problem_of});
  if (rule) return {};
  const auto& problems = rule.error();
  const std::string detail =
      problems.size() == 1 ? problems.front().message : fmt::format("the schedule has {} problems", problems.size());
  return std::unexpected(net::problem(422, "schedule_invalid", detail, {{"errors", to_json(problems)}}));
}

// One page behind the request's cursor.
Looked list_page(Service& service, store::Reader& reader, const Call& call, const store::ScheduleFilter& filter) {
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  const auto cursor = cursor_parameter(call.request);
  if (!cursor) return std::unexpected(cursor.error());
  std::optional<std::pair<std::string, std::string>> after;
  if (!cursor->empty()) {
    const std::size_t end = cursor->rfind('\n');
    if (end == std::string::npos) return refuse("bad_parameter", "cursor is none that a page of this server gave");
    after = std::pair(cursor->substr(0, end), cursor->substr(end + 1));
  }
  auto rows = reader.schedules(filter, after, *limit + 1);
  if (!rows) return refuse(rows.error());
  const bool more = rows->size() > *limit;
  if (more) rows->pop_back();

  std::map<std::string, WorkflowRow> workflows;
  json::array items;
  for (const ScheduleRow& row : *rows) {
    auto workflow = workflows.find(row.workflow);
    if (workflow == workflows.end()) {
      auto found = workflow_of(reader, row);
      if (!found) return std::unexpected(std::move(found.error()));
      workflow = workflows.emplace(row.workflow, std::move(*found)).first;
    }
    const auto last = newest_entry(reader, row.id);
    if (!last) return std::unexpected(last.error());
    items.push_back(schedule_to_json(row, workflow->second, *last, nullptr, service.now()));
  }
  return json_response(
      200, list(std::move(items), more ? make_cursor(rows->back().workflow + '\n' + rows->back().name) : ""));
}

}  // namespace

Outcome<ScheduleRow> find_schedule(store::Reader& reader, const std::string& name, bool deleted_too) {
  Result<std::optional<ScheduleRow>> row = std::nullopt;
  const std::size_t slash = name.rfind('/');
  if (const auto uuid = parse_uuid(name))
    row = reader.schedule(ScheduleId{*uuid});
  else if (slash != std::string::npos)
    row = reader.schedule(name.substr(0, slash), name.substr(slash + 1));
  if (!row) return refuse(row.error());
  if (!*row || ((*row)->deleted_at && !deleted_too))
    return refuse(
        "schedule_unknown",
        fmt::format("there is no schedule '{}': one is named by its id, or as WORKFLOW/NAME", cut_utf8(name, 200)),
        404);
  return std::move(**row);
}

Looked list_schedules(Service& service, store::Reader& reader, const Call& call) {
  store::ScheduleFilter filter{.workflow = std::string(call.request.parameter("workflow"))};
  const std::string_view enabled = call.request.parameter("enabled");
  if (enabled != "" && enabled != "true" && enabled != "false")
    return refuse("bad_parameter", "enabled must be true or false");
  if (!enabled.empty()) filter.enabled = enabled == "true";
  return list_page(service, reader, call, filter);
}

Looked list_workflow_schedules(Service& service, store::Reader& reader, const Call& call) {
  if (const auto workflow = find_workflow(reader, call.path[0]); !workflow) return std::unexpected(workflow.error());
  return list_page(service, reader, call, {.workflow = call.path[0]});
}

Looked show_schedule(Service& service, store::Reader& reader, const Call& call) {
  const auto row = find_schedule(reader, call.path[0]);
  if (!row) return std::unexpected(row.error());
  return answer_with(service, reader, *row, 200);
}

Looked show_next(Service& service, store::Reader& reader, const Call& call) {
  const auto given = number_parameter(call.request, "count");
  if (!given) return std::unexpected(given.error());
  const auto count = count_value(*given, most_next, usual_next);
  if (!count) return std::unexpected(count.error());
  const auto after = time_value("after", std::string(call.request.parameter("after")));
  if (!after) return std::unexpected(after.error());
  const auto row = find_schedule(reader, call.path[0]);
  if (!row) return std::unexpected(row.error());
  const auto workflow = workflow_of(reader, *row);
  if (!workflow) return std::unexpected(workflow.error());
  const auto slots = timetable_of(*row);
  if (!slots) return refuse(slots.error());
  json::array items;
  auto slot = slots->next(after->value_or(still_to_come(*row, *workflow, *slots, service.now())));
  for (; slot && static_cast<std::int64_t>(items.size()) < *count; slot = slots->next(*slot))
    items.push_back(slot_to_json(*slot, *slots));
  return json_response(200, list(std::move(items), ""));
}

Looked show_ledger(Service& service, store::Reader& reader, const Call& call) {
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  const auto cursor = cursor_parameter(call.request);
  if (!cursor) return std::unexpected(cursor.error());
  store::Reader::LedgerRange range;
  for (const auto& [name, bound] : {std::pair("since", &range.since), std::pair("until", &range.until)}) {
    const auto value = time_value(name, std::string(call.request.parameter(name)));
    if (!value) return std::unexpected(value.error());
    *bound = *value;
  }
  if (!cursor->empty()) {
    const auto before = parse_json(*cursor);
    if (!before || !before->is_int64())
      return refuse("bad_parameter", "cursor is none that a page of this server gave");
    range.before = from_us(before->get_int64());
  }
  const auto row = find_schedule(reader, call.path[0], true);
  if (!row) return std::unexpected(row.error());

  json::array items;
  std::optional<Instant> shown;  // the first slot of the last entry
  const auto show = [&](const LedgerRow& entry, bool decided) {
    items.push_back(ledger_to_json(entry, decided));
    shown = entry.from;
  };
  if (cursor->empty() && !row->deleted_at) {
    const auto workflow = workflow_of(reader, *row);
    if (!workflow) return std::unexpected(workflow.error());
    // Where its times cannot be computed there is nothing that would have passed.
    if (const auto slots = timetable_of(*row))
      if (const auto entry = undecided(*row, *workflow, *slots, service.now()))
        if ((!range.since || *range.since <= entry->to) && (!range.until || *range.until >= entry->from))
          show(*entry, false);
  }
  const std::size_t room = *limit - items.size();
  const auto entries = reader.ledger(row->id, range, room + 1);
  if (!entries) return refuse(entries.error());
  for (const LedgerRow& entry : *entries | std::views::take(room)) show(entry, true);
  const bool more = entries->size() > room;
  return json_response(200, list(std::move(items), more ? make_cursor(std::to_string(to_us(*shown))) : ""));
}

void add_schedule(Service& service, store::Reader& reader, Call call) {
  const auto workflow = find_workflow(reader, call.path[0]);
  if (!workflow) return call.respond(workflow.error());
  auto sent = read_sent(call.request, true);
  if (!sent) return call.respond(std::move(sent.error()));
  if (const auto fine = check_fields(reader, *workflow, sent->fields, {}); !fine) return call.respond(fine.error());
  ScheduleAdded event{workflow->name, std::move(sent->name), std::move(sent->fields), sent->enabled.value_or(true), {},
                      call.who()};
  ask_for_schedule(service, std::move(call), std::move(event), 201);
}

void change_schedule(Service& service, store::Reader& reader, Call call) {
  const auto row = find_schedule(reader, call.path[0]);
  if (!row) return call.respond(row.error());
  auto sent = read_sent(call.request, false);
  if (!sent) return call.respond(std::move(sent.error()));
  if (!sent->fields.empty()) {
    const auto workflow = workflow_of(reader, *row);
    if (!workflow) return call.respond(workflow.error());
    if (const auto fine = check_fields(reader, *workflow, sent->fields, row->rule); !fine)
      return call.respond(fine.error());
  }
  ScheduleChanged event{row->id, std::move(sent->fields), sent->enabled, {}, call.who()};
  ask_for_schedule(service, std::move(call), std::move(event), 200);
}

void delete_schedule(Service& service, store::Reader& reader, Call call) {
  const auto row = find_schedule(reader, call.path[0]);
  if (!row) return call.respond(row.error());
  ScheduleDeleted event{row->id, call.who()};
  service.ask(std::move(event), std::move(call),
              [](Service&, store::Reader&, const Call& call_, const Result<Answer>& answer) {
                call_.respond(answer ? no_content() : to_response(answer.error()));
              });
}

}  // namespace pawl::api
