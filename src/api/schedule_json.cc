#include "api/schedule_json.h"

#include <fmt/format.h>

#include "base/check.h"
#include "calendar/words.h"
#include "zones/zones.h"

namespace pawl::api {
namespace {

constexpr auto instant_before = Duration(1);

Json text_or_null(std::string_view value) { return value.empty() ? Json(nullptr) : text(value); }

template <class Id>
Json id_or_null(const std::optional<Id>& id) {
  return id ? text(to_string(*id)) : Json(nullptr);
}

std::string_view managed_by(const ScheduleRow& row, const WorkflowRow& workflow) {
  if (!row.defined) return "api";
  return workflow.file.empty() ? "definition" : "file";
}

// 2026-11-23T08:00:00+09:00. Offsets have whole minutes there, as all have that are in use since 1972.
std::string local_text(Instant slot, const calendar::Zone& zone) {
  const auto at = std::chrono::floor<std::chrono::seconds>(slot);
  const calendar::Stretch& here = zone.at(at);
  const auto minutes = std::chrono::abs(std::chrono::duration_cast<std::chrono::minutes>(here.offset)).count();
  return fmt::format("{}{}{:02}:{:02}", to_rfc3339(Instant{here.local(at).time_since_epoch()}).substr(0, 19),
                     here.offset.count() < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

Json shift_to_json(calendar::Slots::Shift shift) {
  using Shift = calendar::Slots::Shift;
  switch (shift) {
    case Shift::none: return nullptr;
    case Shift::moved: return "moved";
    case Shift::first_of_two: return "first_of_two";
    case Shift::second_of_two: return "second_of_two";
  }
  unreachable();
}

std::optional<Instant> next_fire(const ScheduleRow& row, const WorkflowRow& workflow, const calendar::Timetable& slots,
                                 Instant now) {
  if (!is_active(row, workflow)) return std::nullopt;
  const auto slot = slots.next(still_to_come(row, workflow, slots, now));
  return slot ? std::optional(slots.due(*slot)) : std::nullopt;
}

}  // namespace

Result<calendar::Timetable> timetable_of(const ScheduleRow& row) {
  auto zone = zones::load(row.rule.timezone);
  if (!zone) return fail(Code::invalid, zone.error().message, zone.error().name);
  return calendar::Timetable::make(row.rule, std::move(*zone), row.id, row.created_at);
}

Instant still_to_come(const ScheduleRow& row, const WorkflowRow& workflow, const calendar::Timetable& slots,
                      Instant now) {
  if (!is_active(row, workflow)) return now;
  const Instant cursor = row.progress.cursor;
  const auto next = slots.next(cursor);
  return next && slots.due(*next) > now ? cursor : now;
}

std::optional<Instant> next_fire(const ScheduleRow& row, const WorkflowRow& workflow, Instant now) {
  if (!is_active(row, workflow)) return std::nullopt;
  const auto slots = timetable_of(row);
  return slots ? next_fire(row, workflow, *slots, now) : std::nullopt;
}

std::optional<LedgerRow> undecided(const ScheduleRow& row, const WorkflowRow& workflow,
                                   const calendar::Timetable& slots, Instant now) {
  if (row.deleted_at || is_active(row, workflow)) return std::nullopt;
  const auto first = slots.next(row.progress.cursor);
  const auto last = slots.previous(now + instant_before);
  if (!first || !last || *first > *last) return std::nullopt;
  return LedgerRow{.schedule = row.id,
                   .from = *first,
                   .to = *last,
                   .count = slots.count(*first - instant_before, *last),
                   .outcome = SlotOutcome::skipped,
                   .reason = SlotReason::disabled};
}

json::object schedule_to_json(const ScheduleRow& row, const WorkflowRow& workflow, const std::optional<LedgerRow>& last,
                              const Workflow* definition, Instant now) {
  const auto slots = timetable_of(row);
  json::object object{
      {"id", text(to_string(row.id))},
      {"workflow", text(row.workflow)},
      {"name", text(row.name)},
      {"enabled", row.enabled},
      {"active", is_active(row, workflow)},
      {"managed_by", managed_by(row, workflow)},
      {"description",
       slots ? text(calendar::describe(slots->slots().cron(), calendar::Language::english)) : Json(nullptr)},
      {"next_fire_at", slots ? time(next_fire(row, workflow, *slots, now)) : Json(nullptr)},
      {"last_slot", last ? time(last->to) : Json(nullptr)}};
  const Json rule = definition::schedule_to_json(row.rule);
  for (const auto& member : rule.get_object()) object.emplace(member.key(), member.value());
  auto problems = definition::schedule_warnings(row.rule, definition);
  // Whoever looks for the reason why it does not fire finds it here, too.
  if (!slots) problems.push_back({"", "it cannot fire on this machine: " + slots.error().message, std::nullopt});
  if (!problems.empty()) object["warnings"] = to_json(problems);
  object["created_at"] = time(row.created_at);
  object["updated_at"] = time(row.updated_at);
  return object;
}

json::object ledger_to_json(const LedgerRow& entry, bool decided) {
  const bool fired = entry.outcome == SlotOutcome::fired;
  return {{"slot", entry.count == 1 ? time(entry.from) : Json(nullptr)},
          {"from", time(entry.from)},
          {"to", time(entry.to)},
          {"count", entry.count},
          {"outcome", text(to_string(entry.outcome))},
          {"reason", text_or_null(to_string(entry.reason))},
          {"message", text_or_null(entry.message)},
          {"run", id_or_null(entry.run)},
          {"run_number", entry.run ? Json(entry.run_number) : Json(nullptr)},
          {"lateness_ms",
           fired ? Json(std::chrono::floor<std::chrono::milliseconds>(entry.lateness).count()) : Json(nullptr)},
          {"decided_at", decided ? time(entry.at) : Json(nullptr)},
          {"backfill", id_or_null(entry.backfill)}};
}

json::object slot_to_json(Instant slot, const calendar::Timetable& slots) {
  return {{"slot", time(slot)},
          {"local", text(local_text(slot, slots.slots().zone()))},
          {"due", time(slots.due(slot))},
          {"clock", shift_to_json(slots.slots().shift(slot))}};
}

json::object backfill_to_json(const BackfillRow& backfill) {
  return {{"id", text(to_string(backfill.id))},
          {"schedule", text(to_string(backfill.schedule))},
          {"workflow", text(backfill.workflow)},
          {"status", text(to_string(backfill.status))},
          {"from", time(backfill.from)},
          {"to", time(backfill.to)},
          // It begins just before the first instant of the range.
          {"cursor", backfill.cursor >= backfill.from ? time(backfill.cursor) : Json(nullptr)},
          {"limit", backfill.limit},
          {"started", backfill.started},
          {"passed_over", backfill.passed_over},
          {"user", text(backfill.user)},
          {"created_at", time(backfill.created_at)},
          {"finished_at", time(backfill.finished_at)}};
}

json::array to_json(const std::vector<definition::FieldProblem>& problems) {
  json::array items;
  for (const definition::FieldProblem& problem : problems)
    items.push_back(json::object{{"field", text_or_null(problem.field)},
                                 {"message", text(problem.message)},
                                 {"position", problem.position ? Json(*problem.position) : Json(nullptr)}});
  return items;
}

}  // namespace pawl::api
