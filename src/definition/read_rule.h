// A schedule's rule from a map: of a workflow file, or of a request to the API as JSON text. One set of rules for both.
// Inside of the room.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "definition/reader.h"
#include "model/schedule.h"

namespace pawl::definition {

// How the members are spelled.
struct RuleKeys {
  std::string_view cron = "cron", timezone = "timezone", misfire = "misfire", misfire_threshold = "misfire-threshold",
                   misfire_window = "misfire-window", max_catch_up = "max-catch-up", overlap = "overlap",
                   inputs = "inputs", start = "start", end = "end", jitter = "jitter", late_after = "late-after";
};

struct RuleReading {
  RuleKeys keys;
  // A member that is null has its default again; otherwise it is a value of the wrong type.
  bool null_resets = false;
  const Workflow* workflow = nullptr;  // whose inputs are given; nullptr: not known
};

// `base` with what the map says otherwise. What is wrong is in the reader; `cron_position` then receives where in the
// expression, if it is about that.
ScheduleRule read_rule(Reader& reader, const Fields& fields, const ScheduleRule& base, const RuleReading& reading,
                       std::optional<int>* cron_position = nullptr);

// Values given to inputs: names and types are checked where the workflow is known and the value is no template.
Json read_given(Reader& reader, const Node& node, const Workflow* workflow, Place place);

// Where the character `position`, from 1, of a scalar's text begins, as an offset in the source.
std::size_t offset_of_position(const Reader& reader, const Node& scalar, int position);

}  // namespace pawl::definition
