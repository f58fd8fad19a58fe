// What the concept files of schedules share.
#pragma once

#include <memory>
#include <optional>

#include "calendar/timetable.h"
#include "engine/engine.h"

namespace pawl::engine {

// The inputs of a run for that slot: the rule's, with their templates evaluated, checked and complete.
Result<Json> schedule_inputs(const View& view, const Json& inputs, const Who& who, const SlotOrigin& origin,
                             Instant now);

// Slots from the first to the last that were passed over together; nothing, if there is none.
std::optional<LedgerRow> passed_over(const ScheduleRow& row, const calendar::Timetable& slots, Instant after,
                                     Instant until, SlotOutcome outcome, SlotReason reason, Instant now);
// When it has to be looked at next: its next slot, or a slot that is late; nothing while it is stopped.
std::optional<Instant> next_look(const ScheduleRow& row, const calendar::Timetable& slots, const WorkflowRow& workflow);
// Why a rule can be none of the workflow's, `slots` being its own: it never fires from now on.
Result<void> check_fires(const calendar::Timetable& slots, Instant now);
// Slots that a change of the rule, or the end of a time in which it was disabled, leaves behind are closed: `row` goes on
// from now.
void close_slots(ScheduleRow& row, const calendar::Timetable& slots, SlotReason reason, Instant now,
                 ScheduleChanges& changes);

}  // namespace pawl::engine
