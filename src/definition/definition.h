// The workflow file (docs/definition.md): YAML 1.2 core schema or JSON, to a checked Workflow, or to everything that is
// wrong with it at once. Pure; bounded in time and memory for any input. Threads: all functions are reentrant.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "model/workflow.h"

namespace pawl::definition {

struct Problem {
  int line = 1;  // from 1
  int column = 1;  // from 1, in characters
  std::string message;
  std::string hint;  // what to write instead; may be empty
};

struct Parsed {
  Workflow workflow;
  std::vector<Problem> warnings;
};

// What a pure room cannot know by itself.
struct ParseOptions {
  // Empty for a time zone that exists, else what is wrong with the name and what may be meant, as one sentence.
  // Without the function names of zones are not looked up.
  std::function<std::string(std::string_view zone)> zone_problem;
  // False: `on.schedule` is passed over. For a version that was stored, maybe by a program that took what is refused now: its
  // runs need none of it, and must go on.
  bool schedules = true;
};

constexpr std::size_t max_text = 1 << 20;
constexpr std::size_t max_tasks = 10'000;
constexpr std::size_t max_schedules = 1'000;
constexpr std::size_t max_axes = 10;
constexpr std::size_t max_combinations = 10'000;  // of a matrix that the file spells out
constexpr std::size_t max_task_runs = 100'000;  // tasks of a run, those of all instances that the file spells out

// In order of line and column; never empty when it fails.
std::expected<Parsed, std::vector<Problem>> parse(std::string_view text, const ParseOptions& options = {});

// `file:line:column: message; hint`.
std::string to_text(const Problem& problem, std::string_view file);

// The inputs of a start: defaults filled in, types, options, patterns and bounds checked. Texts are read as the type
// wants them if `from_text` (the command line). Problems name the input.
std::expected<Json, std::vector<std::string>> check_inputs(const Workflow& workflow, const Json& given,
                                                           bool from_text = false);

// The definition with all defaults, as the API shows it. It is a definition of the same workflow again.
Json to_json(const Workflow& workflow);

// JSON Schema 2020-12 of the workflow file, for editors. What the schema cannot say (names in expressions, cycles, …)
// only parse() finds.
std::string_view schema();

}  // namespace pawl::definition
