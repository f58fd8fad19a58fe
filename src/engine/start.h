// How a run comes to be: by request, for a slot of a schedule, or because a slot is late.
#pragma once

#include <optional>
#include <string>

#include "base/random.h"
#include "engine/engine.h"

namespace pawl::engine {

struct RunOrder {
  Json inputs;  // complete and checked
  Who who;
  std::optional<SlotOrigin> slot;
};

// Makes a run of the view's workflow and begins it, as far as it may begin now: the run, its first record and its commands
// are added to `decision`. Error: why there can be no such run (vars_invalid, group_invalid, run_broken); `decision` is then
// as it was.
Result<RunAccepted> begin_run(const View& view, RunOrder order, Instant now, SplitMix& random, Decision& decision);

Decision refuse(Code code, std::string message, std::string name);

// start.cc
Decision start(const View& view, const RunRequested& event, Instant now, std::uint64_t seed);

// workflow.cc
Decision submit(const View& view, const WorkflowSubmitted& event, Instant now, std::uint64_t seed);
Decision switch_workflow(const View& view, const WorkflowSwitched& event, Instant now);
Decision delete_workflow(const View& view, const WorkflowDeleted& event, Instant now);
Decision lose_file(const View& view, const WorkflowFileLost& event, Instant now);

// schedule.cc
Decision fire(const View& view, Instant now, std::uint64_t seed);

// schedule_acts.cc
Decision add_schedule(const View& view, const ScheduleAdded& event, Instant now, std::uint64_t seed);
Decision change_schedule(const View& view, const ScheduleChanged& event, Instant now);
Decision delete_schedule(const View& view, const ScheduleDeleted& event, Instant now);

// backfill.cc
Decision begin_backfill(const View& view, const BackfillRequested& event, Instant now, std::uint64_t seed);
Decision go_on_with_backfill(const View& view, Instant now, std::uint64_t seed);
Decision cancel_backfill(const View& view, Instant now);

}  // namespace pawl::engine
