#include "sim/keeper.h"

#include <fmt/format.h>

#include <array>

#include "sim/shapes.h"
#include "sim/ticks.h"

namespace pawl::sim {
namespace {

constexpr std::size_t most_schedules = 5;  // of all workflows, so that a play stays a short one

}  // namespace

void Keeper::expect(bool held, const std::string& what) {
  if (!held) machine_.checks().broken("P1: " + what + " was answered and is not in the store");
}

std::string Keeper::act() {
  const auto rows = machine_.checks().slots().schedules();
  const double dice = random_.fraction();
  if (dice < 0.25) return act_on_workflow();
  if (rows.empty() || (dice < 0.37 && rows.size() < most_schedules)) {
    add();
    return {};
  }
  const ScheduleRow& row = *rows[random_.below(rows.size())];
  const std::string name = row.workflow + "/" + row.name;
  if (dice < 0.6) {
    const bool enabled = random_.chance(0.1) ? row.enabled : !row.enabled;
    machine_.tell(fmt::format("kim {} schedule {}", enabled ? "enables" : "disables", name));
    machine_.core().push(ScheduleChanged{row.id, json::object{}, enabled, {}, {}});
  } else if (dice < 0.78) {
    change(row);
  } else if (dice < 0.86) {
    machine_.tell("kim deletes schedule " + name);
    machine_.core().push(ScheduleDeleted{row.id, {}}, [this, id = row.id](const Result<Answer>& answer) {
      const ScheduleRow* now = machine_.checks().slots().find(id);
      if (answer) expect(now && now->deleted_at, "that a schedule is deleted");
    });
  } else if (dice < 0.97 || machine_.disk().backfills().empty()) {
    fill_in(row);
  } else {
    machine_.tell("kim cancels a backfill");
    machine_.core().push(BackfillCancelled{machine_.disk().backfills().rbegin()->first, {}});
  }
  return {};
}

std::string Keeper::act_on_workflow() {
  const std::string name = fmt::format("w{}", random_.below(3));
  const auto found = machine_.disk().workflows().find(name);
  if (found == machine_.disk().workflows().end()) return {};
  if (random_.chance(0.15)) {
    machine_.tell("kim deletes workflow " + name);
    machine_.core().push(WorkflowDeleted{name, {}});
    return random_.chance(0.7) ? name : std::string();
  }
  const bool enabled = random_.chance(0.1) ? found->second.enabled : !found->second.enabled;
  machine_.tell(fmt::format("kim {} workflow {}", enabled ? "enables" : "disables", name));
  machine_.core().push(WorkflowSwitched{name, enabled, {}});
  // Now and then somebody changes his mind at once.
  if (!random_.chance(0.3)) return {};
  machine_.core().push(WorkflowSwitched{name, !enabled, {}});
  if (random_.chance(0.5)) machine_.core().push(WorkflowSwitched{name, enabled, {}});
  return {};
}

json::object Keeper::fields(bool is_new) {
  json::object fields;
  const auto some = [&](double probability) { return random_.chance(probability); };
  if (is_new || some(0.4)) fields["cron"] = std::string(drawn_crons()[random_.below(drawn_crons().size())]);
  if (some(0.3)) fields["misfire"] = std::array{"run-once", "run-all", "skip"}[random_.below(3)];
  if (some(0.3)) fields["overlap"] = std::array{"queue", "skip", "allow", "cancel-running"}[random_.below(4)];
  if (some(0.2)) fields["jitter"] = fmt::format("{}s", random_.below(90));
  if (some(0.2)) fields["late_after"] = fmt::format("{}s", 1 + random_.below(60));
  if (is_new || some(0.2)) fields["misfire_threshold"] = fmt::format("{}s", 1 + random_.below(40));
  if (some(0.2)) fields["misfire_window"] = fmt::format("{}m", 1 + random_.below(90));
  if (is_new) fields["max_catch_up"] = static_cast<std::int64_t>(1 + random_.below(5));
  if (is_new || some(0.1)) fields["inputs"] = json::object{{"n", static_cast<std::int64_t>(random_.below(4))}};
  return fields;
}

void Keeper::add() {
  const std::string workflow = fmt::format("w{}", random_.below(3));
  const std::string name = random_.chance(0.2) ? std::string() : fmt::format("a{}", random_.below(3));
  Json drawn = fields(true);
  machine_.tell(fmt::format("kim adds schedule {}/{}: {}", workflow, name, to_text(drawn)));
  machine_.core().push(ScheduleAdded{workflow, name, std::move(drawn), random_.chance(0.9), {}, {}},
                       [this](const Result<Answer>& answer) {
                         if (answer)
                           expect(machine_.disk().schedules().contains(std::get<ScheduleAccepted>(*answer).schedule),
                                  "that a schedule is added");
                       });
}

void Keeper::change(const ScheduleRow& row) {
  Json drawn = fields(false);
  machine_.tell(fmt::format("kim changes schedule {}/{}: {}", row.workflow, row.name, to_text(drawn)));
  const auto enabled = random_.chance(0.1) ? std::optional(random_.chance(0.5)) : std::nullopt;
  machine_.core().push(ScheduleChanged{row.id, std::move(drawn), enabled, {}, {}});
}

// Some of its slots, as a rule of the time in which it was there.
void Keeper::fill_in(const ScheduleRow& row) {
  const Ticks ticks(row.rule, row.created_at);
  Instant from = machine_.now - std::chrono::seconds(random_.below(random_.chance(0.8) ? 200 : 20'000));
  Instant to = from;
  for (std::uint64_t i = random_.below(9); i > 0; --i)
    if (const auto next = ticks.next(to)) to = *next;
  to = std::min(to, random_.chance(0.95) ? machine_.now : to);
  const int limit = 1 + static_cast<int>(random_.below(3));
  machine_.tell(fmt::format("kim has schedule {}/{} filled in from {} to {}, {} at once", row.workflow, row.name,
                            to_rfc3339(from), to_rfc3339(to), limit));
  machine_.core().push(BackfillRequested{row.id, from, to, limit, {}}, [this](const Result<Answer>& answer) {
    if (answer)
      expect(machine_.disk().backfills().contains(std::get<BackfillAccepted>(*answer).backfill),
             "that a schedule is filled in");
  });
}

bool stop_schedules(Machine& machine) {
  bool asked = false;
  for (const auto& [name, row] : machine.disk().workflows()) {
    if (row.deleted_at || row.enabled) continue;
    machine.core().push(WorkflowSwitched{name, true, {}});
    asked = true;
  }
  for (const auto& [id, row] : machine.disk().schedules()) {
    if (row.deleted_at || !row.enabled) continue;
    machine.core().push(ScheduleChanged{id, json::object{}, false, {}, {}});
    asked = true;
  }
  return asked;
}

std::uint64_t left_to_fill(const Machine& machine) {
  std::uint64_t count = 0;
  for (const auto& [id, row] : machine.disk().backfills()) {
    if (row.status != BackfillStatus::running) continue;
    const ScheduleRow& schedule = machine.disk().schedules().at(row.schedule);
    count += static_cast<std::uint64_t>(Ticks(schedule.rule, schedule.created_at).count(row.cursor, row.to));
  }
  return count;
}

}  // namespace pawl::sim
