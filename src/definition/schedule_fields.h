// What a schedule made by API says: the members of a JSON object, under the rules that the workflow file has for
// `on.schedule` (docs/definition.md). Pure, as definition.h.
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "definition/definition.h"
#include "model/schedule.h"

namespace pawl::definition {

// What is wrong, or odd, with a schedule.
struct FieldProblem {
  std::string field;            // the member it is about; empty: none of them
  std::string message;          // with what to write instead
  std::optional<int> position;  // in a cron expression: of the character it begins with, from 1
};

// The members that read_schedule_fields() takes: cron, timezone, misfire, misfire_threshold, misfire_window, max_catch_up,
// overlap, inputs, start, end, jitter, late_after.
std::span<const std::string_view> schedule_fields();

// `base` with what `fields`, an object, says otherwise: a member that is absent stays, null brings its default back.
// `start` and `end` may be Unix seconds; `inputs` replace those of `base` as a whole and hold templates as in a file,
// which are checked here and not evaluated. They are checked against the inputs of `workflow` if it is given; its
// defaults are not filled in, and whether all that is required is there schedule_warnings() says.
// A rule that comes out fires at some time, as far as that can be known without its zone. An empty `timezone` means the
// server's; others are checked by options.zone_problem.
// Errors: everything that is wrong, in the order of the members; never empty. Unknown members are among it.
std::expected<ScheduleRule, std::vector<FieldProblem>> read_schedule_fields(const Json& fields,
                                                                            const ScheduleRule& base,
                                                                            const Workflow* workflow,
                                                                            const ParseOptions& options = {});

// All members of a rule under those names: durations as text, instants as RFC 3339 or null, `timezone` null where it is
// empty. read_schedule_fields() gives the same rule again.
Json schedule_to_json(const ScheduleRule& rule);

// What is allowed and yet may not be meant: habits of its expression, a required input that it does not give, late slots
// that start nothing. Fields are spelled as in the API. The rule is one that was read without errors.
std::vector<FieldProblem> schedule_warnings(const ScheduleRule& rule, const Workflow* workflow);

}  // namespace pawl::definition
