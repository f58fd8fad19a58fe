// A workflow: a new version with the schedules that it carries, and whether it is there and may run at all.
#include <fmt/format.h>

#include <algorithm>

#include "engine/schedule_rules.h"
#include "engine/start.h"

namespace pawl::engine {
namespace {

Decision no_workflow(const std::string& name) {
  return refuse(Code::not_found, fmt::format("there is no workflow '{}'", name), "workflow_unknown");
}

bool is_known(const View& view) { return view.workflow && !view.workflow->deleted_at; }

// Within this time of being enabled a workflow that is disabled again counts as not having been enabled: slots of the time
// before may not be decided yet, and only one such time is remembered.
constexpr auto hardly_enabled = std::chrono::minutes(1);

// Writes down when it stopped being active, or began again; schedules that were parked are then to be looked at.
void note_switch(WorkflowRow& row, bool was_active, Instant now, Decision& decision) {
  if (row.active() == was_active) return;
  const bool was_disabled = row.disabled_from < row.switched_at && now - row.switched_at < hardly_enabled;
  row.switched_at = now;
  if (!was_active)
    decision.wakes = row.name;
  else if (!was_disabled)
    row.disabled_from = now;
}

// The schedules of the new version: those that are new, changed and gone, by name. What is not changed goes on untouched.
class Carried {
 public:
  Carried(const View& view, const WorkflowSubmitted& event, Instant now, SplitMix& random)
      : view_(view), event_(event), now_(now), random_(random) {}

  Result<ScheduleChanges> changes(const WorkflowRow& workflow) {
    const auto& defined = event_.workflow->schedules;
    for (std::size_t i = 0; i < defined.size(); ++i)
      if (auto done = carry(defined[i], view_.carried.at(i), workflow); !done) return std::unexpected(done.error());
    for (const ScheduleRow& row : view_.defined) {
      if (std::ranges::find(defined, row.name, &DefinedSchedule::name) != defined.end()) continue;
      ScheduleRow gone = row;
      gone.deleted_at = now_;
      gone.progress = {.cursor = gone.progress.cursor};
      changes_.put.insert(changes_.put.begin(), std::move(gone));
    }
    return std::move(changes_);
  }

 private:
  Result<void> carry(const DefinedSchedule& defined, const View::Carried& with, const WorkflowRow& workflow) {
    const auto wrong = [&](const Error& error) {
      return fail(error.code, fmt::format("schedule '{}': {}", defined.name, error.message), error.name);
    };
    ScheduleRule rule = defined.rule;
    rule.timezone = with.timezone;
    std::string same = calendar::rule_key(rule);
    // One that the definition carries too is replaced, or goes, with this very version.
    if (with.same && !with.same->defined && with.same->name != defined.name)
      return fail(
          Code::conflict,
          fmt::format("schedule '{}': '{}' has the same expression, zone and inputs", defined.name, with.same->name),
          "schedule_duplicate");
    if (!with.row) {
      ScheduleRow row;
      row.id = ScheduleId{uuid_v7(now_, random_.next(), random_.next())};
      const calendar::Timetable slots = with.slots->of(row.id, now_);
      if (auto fires = check_fires(slots, now_); !fires) return wrong(fires.error());
      row.workflow = workflow.name;
      row.name = defined.name;
      row.rule = std::move(rule);
      row.same = std::move(same);
      row.created_at = now_;
      row.progress.cursor = now_;
      return put(std::move(row), slots, workflow);
    }
    if (with.row->rule == rule && with.row->defined) return {};
    ScheduleRow row = *with.row;
    if (row.rule != rule) {
      if (auto fires = check_fires(*with.slots, now_); !fires) return wrong(fires.error());
      close_slots(row, *with.old_slots, SlotReason::misfired, now_, changes_);
      row.progress.late.reset();
    }
    row.rule = std::move(rule);
    row.same = std::move(same);
    return put(std::move(row), *with.slots, workflow);
  }

  Result<void> put(ScheduleRow row, const calendar::Timetable& slots, const WorkflowRow& workflow) {
    row.defined = true;
    row.updated_at = now_;
    row.progress.parked = row.enabled && !workflow.active();
    row.progress.next_at = next_look(row, slots, workflow);
    changes_.put.push_back(std::move(row));
    return {};
  }

  const View& view_;
  const WorkflowSubmitted& event_;
  const Instant now_;
  SplitMix& random_;
  ScheduleChanges changes_;
};

}  // namespace

Decision submit(const View& view, const WorkflowSubmitted& event, Instant now, std::uint64_t seed) {
  const std::string& name = event.workflow->name;
  const bool known = is_known(view);
  if (known && event.file.empty() && !view.workflow->file.empty())
    return refuse(Code::conflict,
                  fmt::format("workflow '{}' is managed by the file {}: change it there", name, view.workflow->file),
                  "managed_by_file");
  if (known && event.mode == WorkflowSubmitted::Mode::create)
    return refuse(Code::conflict, fmt::format("workflow '{}' exists already; change it with PUT", name),
                  "workflow_exists");
  if (known && !view.workflow->file.empty() && view.workflow->file != event.file && !view.workflow->file_gone)
    return refuse(Code::conflict,
                  fmt::format("the workflow '{}' stands in {} too: one of them has to go", name, view.workflow->file),
                  "workflow_exists");
  SplitMix random(seed);
  Decision decision;
  WorkflowRow row = view.workflow.value_or(WorkflowRow{.name = name, .created_at = now});
  const bool was_active = known && row.active();
  if (!known) {
    row.enabled = true;
    row.created_at = now;
    row.deleted_at.reset();
  }
  row.file = event.file;
  row.file_gone = false;
  row.file_error.clear();
  if (known) note_switch(row, was_active, now, decision);
  const bool same_text = known && view.text && *view.text == event.text;
  const bool same_file =
      known && view.workflow->file == row.file && view.workflow->file_error.empty() && !view.workflow->file_gone;
  decision.answer = WorkflowAccepted{name, row.version + (same_text ? 0 : 1), !known, same_text};
  if (same_text && same_file) return decision;
  row.last_number = view.last_number;
  if (!same_text) {
    ++row.version;
    row.updated_at = now;
    auto changes = Carried(view, event, now, random).changes(row);
    if (!changes) return refuse(changes.error().code, changes.error().message, changes.error().name);
    if (std::ranges::any_of(changes->put, [](const ScheduleRow& one) { return one.deleted_at.has_value(); }))
      decision.wakes = name;
    if (!changes->put.empty() || !changes->ledger.empty())
      decision.changes.schedules = std::make_shared<const ScheduleChanges>(std::move(*changes));
    decision.changes.version = VersionRow{name, row.version, event.text, now, event.who.user};
  }
  decision.changes.workflow = std::move(row);
  return decision;
}

Decision switch_workflow(const View& view, const WorkflowSwitched& event, Instant now) {
  if (!is_known(view)) return no_workflow(event.workflow);
  Decision decision;
  decision.answer = WorkflowAccepted{event.workflow, view.workflow->version, false, true};
  WorkflowRow row = *view.workflow;
  const bool was_active = row.active();
  row.enabled = event.enabled;
  // Who enables it although its file has vanished wants it to go on as it was last.
  if (event.enabled) row.file_gone = false;
  if (row.enabled == view.workflow->enabled && row.file_gone == view.workflow->file_gone) return decision;
  note_switch(row, was_active, now, decision);
  row.last_number = view.last_number;
  decision.changes.workflow = std::move(row);
  return decision;
}

Decision delete_workflow(const View& view, const WorkflowDeleted& event, Instant now) {
  if (!is_known(view)) return no_workflow(event.workflow);
  if (!view.workflow->file.empty() && !view.workflow->file_gone)
    return refuse(
        Code::conflict,
        fmt::format("workflow '{}' is managed by the file {}: remove that", event.workflow, view.workflow->file),
        "managed_by_file");
  Decision decision;
  decision.answer = WorkflowAccepted{event.workflow, view.workflow->version, false, false};
  WorkflowRow row = *view.workflow;
  row.deleted_at = now;
  row.file.clear();
  row.file_error.clear();
  row.file_gone = false;
  row.last_number = view.last_number;
  ScheduleChanges changes;
  changes.dropped = ScheduleChanges::Dropped{event.workflow, now};
  decision.wakes = event.workflow;
  decision.changes.schedules = std::make_shared<const ScheduleChanges>(std::move(changes));
  decision.changes.workflow = std::move(row);
  return decision;
}

Decision lose_file(const View& view, const WorkflowFileLost& event, Instant now) {
  Decision decision;
  if (!is_known(view) || view.workflow->file != event.file) return decision;
  WorkflowRow row = *view.workflow;
  const bool was_active = row.active();
  row.file_gone = event.error.empty() && !event.released;
  row.file_error = event.error;
  if (event.released) row.file.clear();
  if (!event.released && row.file_gone == view.workflow->file_gone && row.file_error == view.workflow->file_error)
    return decision;
  note_switch(row, was_active, now, decision);
  row.last_number = view.last_number;
  decision.changes.workflow = std::move(row);
  return decision;
}

}  // namespace pawl::engine
