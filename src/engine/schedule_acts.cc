// What persons do with schedules: make, change, enable, disable and delete them.
#include <fmt/format.h>

#include <algorithm>

#include "engine/schedule_rules.h"
#include "engine/start.h"

namespace pawl::engine {
namespace {

constexpr std::size_t longest_name = 100;

// As ids are written in definitions.
bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto other = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= longest_name && letter(text[0]) && std::ranges::all_of(text, other);
}

Decision unknown(std::string_view what) {
  return refuse(Code::not_found, fmt::format("there is no such {}", what), "schedule_unknown");
}

std::optional<Decision> managed(const View& view) {
  if (!view.schedule->defined || view.workflow->file.empty()) return std::nullopt;
  return refuse(Code::conflict,
                fmt::format("schedule '{}' of workflow '{}' is managed by the file {}: change it there",
                            view.schedule->name, view.schedule->workflow, view.workflow->file),
                "managed_by_file");
}

bool is_there(const View& view) {
  return view.schedule && !view.schedule->deleted_at && view.workflow && !view.workflow->deleted_at;
}

Decision with(ScheduleRow row, ScheduleChanges changes) {
  Decision decision;
  decision.answer = ScheduleAccepted{row.id};
  changes.put.push_back(std::move(row));
  decision.changes.schedules = std::make_shared<const ScheduleChanges>(std::move(changes));
  return decision;
}

Decision duplicate(const ScheduleRow& other) {
  return refuse(Code::conflict,
                fmt::format("schedule '{}' of the workflow has the same expression, zone and inputs", other.name),
                "schedule_duplicate");
}

}  // namespace

Decision add_schedule(const View& view, const ScheduleAdded& event, Instant now, std::uint64_t seed) {
  if (!view.workflow || view.workflow->deleted_at)
    return refuse(Code::not_found, fmt::format("there is no workflow '{}'", event.workflow), "workflow_unknown");
  ScheduleRow row;
  row.name = event.name;
  if (row.name.empty()) {
    if (view.has_schedules)
      return refuse(Code::invalid, "the workflow has a schedule already: this one needs a `name`", "name_required");
    row.name = "main";
  }
  if (!is_name(row.name))
    return refuse(
        Code::invalid,
        fmt::format("a name has 1 to {} letters, digits, _ and -, and begins with a letter or _", longest_name),
        "name_invalid");
  if (view.same_name)
    return refuse(Code::conflict, fmt::format("workflow '{}' has a schedule '{}' already", event.workflow, row.name),
                  "schedule_exists");
  row.rule = event.rule;
  row.same = calendar::rule_key(row.rule);
  if (view.same) return duplicate(*view.same);
  SplitMix random(seed);
  row.id = ScheduleId{uuid_v7(now, random.next(), random.next())};
  const calendar::Timetable slots = view.timetable->of(row.id, now);
  if (auto fires = check_fires(slots, now); !fires)
    return refuse(fires.error().code, fires.error().message, fires.error().name);
  row.workflow = event.workflow;
  row.enabled = event.enabled;
  row.created_at = row.updated_at = now;
  row.progress.cursor = now;
  row.progress.parked = row.enabled && !view.workflow->active();
  row.progress.next_at = next_look(row, slots, *view.workflow);
  return with(std::move(row), {});
}

Decision change_schedule(const View& view, const ScheduleChanged& event, Instant now) {
  if (!is_there(view)) return unknown("schedule");
  const bool changes_rule = event.rule != view.schedule->rule;
  if (const auto* fields = event.fields.if_object(); fields && !fields->empty())
    if (auto no = managed(view)) return std::move(*no);
  ScheduleRow row = *view.schedule;
  ScheduleChanges changes;
  if (changes_rule) {
    row.rule = event.rule;
    row.same = calendar::rule_key(row.rule);
    if (view.same && view.same->id != row.id) return duplicate(*view.same);
    if (auto fires = check_fires(*view.new_timetable, now); !fires)
      return refuse(fires.error().code, fires.error().message, fires.error().name);
    // Where the times stay the same, so does what is still to be decided of them.
    const ScheduleRule& old = view.schedule->rule;
    if (row.rule.cron != old.cron || row.rule.timezone != old.timezone || row.rule.start != old.start ||
        row.rule.end != old.end || row.rule.jitter != old.jitter)
      close_slots(row, *view.timetable, row.enabled ? SlotReason::misfired : SlotReason::disabled, now, changes);
    if (auto& late = row.progress.late; late && row.rule.late_after)
      late->due = view.new_timetable->due(late->slot) + *row.rule.late_after;
    else
      late.reset();
  }
  if (event.enabled && *event.enabled != row.enabled) {
    if (*event.enabled)
      close_slots(row, *view.new_timetable, SlotReason::disabled, now, changes);
    else
      row.progress.late.reset();
    row.enabled = *event.enabled;
  }
  row.progress.parked = row.enabled && !view.workflow->active();
  row.progress.next_at = next_look(row, *view.new_timetable, *view.workflow);
  if (!changes_rule && row.enabled == view.schedule->enabled) {
    Decision same;
    same.answer = ScheduleAccepted{row.id};
    return same;
  }
  row.updated_at = now;
  return with(std::move(row), std::move(changes));
}

Decision delete_schedule(const View& view, const ScheduleDeleted&, Instant now) {
  if (!is_there(view)) return unknown("schedule");
  if (auto no = managed(view)) return std::move(*no);
  ScheduleRow row = *view.schedule;
  row.deleted_at = now;
  row.progress = {.cursor = row.progress.cursor};
  Decision decision = with(std::move(row), {});
  decision.wakes = view.schedule->workflow;
  return decision;
}

}  // namespace pawl::engine
