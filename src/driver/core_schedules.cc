// What the core does about schedules: what their decisions are given, and whose turn it is.
#include <fmt/format.h>

#include "base/log.h"
#include "base/planted.h"
#include "definition/schedule_fields.h"
#include "driver/core.h"
#include "zones/zones.h"

namespace pawl::driver {
namespace {

constexpr std::size_t woken_at_once = 256;
// How long entries of the ledger are kept, how often that is looked at, and how many go in one commit.
constexpr auto ledger_is_kept = std::chrono::days(90);
constexpr auto look_every = std::chrono::hours(1);
constexpr int pruned_at_once = 1'000;

Result<ScheduleRule> read_rule(const Json& fields, const ScheduleRule& base, const Workflow& workflow) {
  auto rule = definition::read_schedule_fields(fields, base, &workflow, {.zone_problem = zones::problem_of});
  if (rule) return std::move(*rule);
  std::string text;
  for (const auto& problem : rule.error()) text += (text.empty() ? "" : "; ") + problem.message;
  return fail(Code::invalid, std::move(text), "schedule_invalid");
}

}  // namespace

Result<std::string> Core::workflow_changed_by(const Event& event) {
  const engine::Needs needs = engine::needs(event);
  if (!needs.workflow.empty()) return needs.workflow;
  if (needs.backfill) {
    const auto backfill = reader_.backfill(*needs.backfill);
    if (!backfill) return std::unexpected(backfill.error());
    return *backfill ? (*backfill)->workflow : std::string();
  }
  const auto known = schedules_.know(*needs.schedule);
  if (!known) return std::unexpected(known.error());
  return *known ? (*known)->row.workflow : std::string();
}

// Fills in what is asked about schedules, and which workflow that is about.
Result<void> Core::prepare_schedules(const Event& event, const engine::Needs& needs, engine::View& view,
                                     Event& prepared, std::string& workflow) {
  std::optional<ScheduleId> id = needs.schedule;
  if (needs.backfill) {
    auto backfill = reader_.backfill(*needs.backfill);
    if (!backfill) return std::unexpected(backfill.error());
    if (!*backfill) return {};
    id = (*backfill)->schedule;
    view.backfill = std::move(**backfill);
  }
  if (id) {
    const auto known = schedules_.know(*id);
    if (!known) return std::unexpected(known.error());
    if (!*known) return {};
    view.schedule = (*known)->row;
    view.timetable = (*known)->slots;
    workflow = view.schedule->workflow;
  }
  if (view.backfill && view.schedule) {
    if (const auto slot = view.timetable->next(view.backfill->cursor)) {
      auto entries = reader_.ledger(view.schedule->id, {.since = *slot, .until = *slot}, 1);
      if (!entries) return std::unexpected(entries.error());
      if (!entries->empty()) view.covering = std::move(entries->front());
    }
    return {};
  }
  if (std::holds_alternative<ScheduleDue>(event)) {
    const auto& late = view.schedule->progress.late;
    if (!late || !late->run) return {};
    if (const auto found = runs_.find(*late->run); found != runs_.end()) {
      view.row = found->second.state->run;
      return {};
    }
    auto row = reader_.run(*late->run);
    if (!row) return std::unexpected(row.error());
    view.row = std::move(*row);
    return {};
  }
  if (const auto* submitted = std::get_if<WorkflowSubmitted>(&event)) return carry_schedules(*submitted, view);
  if (auto* added = std::get_if<ScheduleAdded>(&prepared); added && view.workflow && view.plan) {
    auto rule = read_rule(added->fields, ScheduleRule{}, *view.plan->workflow);
    if (!rule) return std::unexpected(rule.error());
    added->rule = std::move(*rule);
    if (added->rule.timezone.empty()) added->rule.timezone = schedules_.timezone();
    auto slots = schedules_.timetable(added->rule, {}, Instant{});
    if (!slots) return std::unexpected(slots.error());
    view.timetable = std::move(*slots);
    auto any = reader_.schedules({.workflow = workflow}, {}, 1);
    if (!any) return std::unexpected(any.error());
    view.has_schedules = !any->empty();
    auto named = reader_.schedule(workflow, added->name.empty() ? "main" : added->name);
    if (!named) return std::unexpected(named.error());
    view.same_name = std::move(*named);
    auto same = reader_.same_schedule(workflow, calendar::rule_key(added->rule));
    if (!same) return std::unexpected(same.error());
    view.same = std::move(*same);
  }
  if (auto* changed = std::get_if<ScheduleChanged>(&prepared); changed && view.schedule) {
    const auto known = know(workflow);
    if (!known) return std::unexpected(known.error());
    changed->rule = view.schedule->rule;
    if (const auto* fields = changed->fields.if_object(); fields && !fields->empty() && (*known)->plan) {
      auto rule = read_rule(changed->fields, view.schedule->rule, *(*known)->plan->workflow);
      if (!rule) return std::unexpected(rule.error());
      changed->rule = std::move(*rule);
    }
    if (changed->rule.timezone.empty()) changed->rule.timezone = schedules_.timezone();
    auto slots = schedules_.timetable(changed->rule, view.schedule->id, view.schedule->created_at);
    if (!slots) return std::unexpected(slots.error());
    view.new_timetable = std::move(*slots);
    auto same = reader_.same_schedule(workflow, calendar::rule_key(changed->rule));
    if (!same) return std::unexpected(same.error());
    view.same = std::move(*same);
  }
  return {};
}

Result<void> Core::carry_schedules(const WorkflowSubmitted& event, engine::View& view) {
  const std::string& workflow = event.workflow->name;
  auto defined = reader_.defined_schedules(workflow);
  if (!defined) return std::unexpected(defined.error());
  for (ScheduleRow& row : *defined) view.defined.push_back(schedules_.newest(std::move(row)));
  for (const DefinedSchedule& schedule : event.workflow->schedules) {
    engine::View::Carried carried;
    ScheduleRule rule = schedule.rule;
    carried.timezone = rule.timezone.empty() ? schedules_.timezone() : rule.timezone;
    rule.timezone = carried.timezone;
    auto row = reader_.schedule(workflow, schedule.name);
    if (!row) return std::unexpected(row.error());
    if (*row) {
      carried.row = schedules_.newest(std::move(**row));
      auto old = schedules_.timetable(carried.row->rule, carried.row->id, carried.row->created_at);
      if (!old) return std::unexpected(old.error());
      carried.old_slots = std::move(*old);
    }
    auto slots = schedules_.timetable(rule, carried.row ? carried.row->id : ScheduleId{},
                                      carried.row ? carried.row->created_at : Instant{});
    if (!slots)
      return fail(Code::invalid, fmt::format("schedule '{}': {}", schedule.name, slots.error().message),
                  slots.error().name);
    carried.slots = std::move(*slots);
    auto same = reader_.same_schedule(workflow, calendar::rule_key(rule));
    if (!same) return std::unexpected(same.error());
    carried.same = std::move(*same);
    view.carried.push_back(std::move(carried));
  }
  return {};
}

void Core::let_go_on(const std::string& workflow) {
  busy_.erase(workflow);
  const auto found = put_back_.find(workflow);
  if (found == put_back_.end()) return;
  auto waiting = std::move(found->second);
  put_back_.erase(found);
  queue_.insert(queue_.begin(), std::make_move_iterator(waiting.begin()), std::make_move_iterator(waiting.end()));
}

// Schedules that were parked because their workflow was disabled, and backfills that waited for it.
void Core::wake_some(Instant now) {
  if (!wants_to_wake(now)) return;
  Waking& waking = waking_.front();
  const auto again = [&](const Error& error) {
    log::warning("what waited for its workflow cannot be read", {{"why", error.message}});
    look_not_before_ = now + pause;
  };
  auto rows = reader_.parked_schedules(waking.workflow, waking.after, woken_at_once);
  if (!rows) return again(rows.error());
  if (!planted(Planted::lost_park))
    for (const ScheduleRow& row : *rows) push(ScheduleDue{row.id});
  if (!rows->empty()) waking.after = rows->back().id;
  if (rows->size() == woken_at_once) return;
  if (!waking.workflow.empty()) {
    const auto backfills = reader_.running_backfills();
    if (!backfills) return again(backfills.error());
    for (const BackfillRow& backfill : *backfills)
      if (backfill.workflow == waking.workflow) push(BackfillGoesOn{backfill.id});
  }
  waking_.pop_front();
}

// Beside slots that are written, so that nothing wakes up for it.
void Core::prune_ledger(Batch& batch, Instant now) {
  const Instant before = now - ledger_is_kept;
  const auto oldest = reader_.oldest_ledger();
  prune_at_ = now + look_every;
  if (!oldest || !*oldest || **oldest >= before) return;
  ScheduleChanges changes;
  changes.pruned = ScheduleChanges::Pruned{before, pruned_at_once};
  batch.changes.push_back(Changeset{.schedules = std::make_shared<const ScheduleChanges>(std::move(changes))});
  prune_at_ = now + std::chrono::seconds(1);  // perhaps there are more
}

void Core::look_for_slots(Instant now) {
  if (!fires()) return;
  if (queue_.empty()) wake_some(now);
  look_ahead(now);
}

void Core::look_ahead(Instant now) {
  if (!wants_look(now)) return;
  const auto looked = schedules_.look_ahead(now);
  if (looked) return;
  log::warning("it cannot be seen which schedules are due", {{"why", looked.error().message}});
  look_not_before_ = now + pause;
}

}  // namespace pawl::driver
