// Schedules, the ledger and backfills as the API shows them (docs/api.md).
#pragma once

#include <optional>
#include <string>

#include "api/call.h"
#include "calendar/timetable.h"
#include "definition/schedule_fields.h"
#include "model/changeset.h"
#include "model/schedule.h"

namespace pawl::api {

// Error: invalid, if its zone or expression cannot be read on this machine.
Result<calendar::Timetable> timetable_of(const ScheduleRow& row);
// Slots later than this are still to come. With jitter, the first of them may be earlier than `now`.
Instant still_to_come(const ScheduleRow& row, const WorkflowRow& workflow, const calendar::Timetable& slots,
                      Instant now);
// When it fires next, with its jitter; nothing, if it does not as things are.
std::optional<Instant> next_fire(const ScheduleRow& row, const WorkflowRow& workflow, Instant now);

// What passes while a schedule is not active stands in no ledger before it is active again: the entry that its slots would
// have now. Nothing, if it is active, or there are none.
std::optional<LedgerRow> undecided(const ScheduleRow& row, const WorkflowRow& workflow,
                                   const calendar::Timetable& slots, Instant now);

// `last` is the newest entry of its ledger. Without a definition there are no warnings that hang on one.
json::object schedule_to_json(const ScheduleRow& row, const WorkflowRow& workflow, const std::optional<LedgerRow>& last,
                              const Workflow* definition, Instant now);
// `decided`: it stands in the ledger.
json::object ledger_to_json(const LedgerRow& entry, bool decided = true);
json::object slot_to_json(Instant slot, const calendar::Timetable& slots);
json::object backfill_to_json(const BackfillRow& backfill);

json::array to_json(const std::vector<definition::FieldProblem>& problems);

}  // namespace pawl::api
