// The commands, one function each. Each prints its answer and returns the exit code, or says why it did not do it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/trouble.h"
#include "definition/definition.h"

namespace pawl::cli {

// --- files: definitions.cc ---

struct Definition {
  std::string file;  // as named on the command line
  std::string text;
  std::expected<definition::Parsed, std::vector<definition::Problem>> parsed;
};
// `-` is standard input. A file that cannot be read has one problem, at 1:1, that says so.
Definition read_definition(const std::string& file);
// `file:line:column: message; hint` of each problem, printable.
std::string problems_text(const Definition& definition);

// Of folders all definitions below them.
Outcome<int> validate(Console& console, const Common& common, const std::vector<std::string>& paths);
// The JSON Schema of definitions.
Outcome<int> schema(Console& console);
Outcome<int> apply(Console& console, const Common& common, const std::vector<std::string>& paths);

// The inputs as the workflow's declarations read them, or what is wrong with them, with the inputs there are.
Outcome<Json> read_inputs(const Workflow& workflow, const std::vector<std::string>& texts);

// --- on a server: remote.cc ---

Outcome<int> list(Console& console, const Common& common);
Outcome<int> start(Console& console, const Common& common, const StartOptions& options);
Outcome<int> runs(Console& console, const Common& common, const RunsOptions& options);
Outcome<int> show(Console& console, const Common& common, const std::string& run);
Outcome<int> logs(Console& console, const Common& common, const LogsOptions& options);
// The filter as members of a request: `workflow`, `status` and so on, those that are given.
Outcome<json::object> filter_members(const RunFilter& filter);

Outcome<int> switch_workflow(Console& console, const Common& common, const std::string& name, bool enabled);
Outcome<int> delete_workflow(Console& console, const Common& common, const std::string& name);

// --- schedules on a server: schedules.cc ---

Outcome<int> list_schedules(Console& console, const Common& common, const ScheduleOptions& options);
Outcome<int> add_schedule(Console& console, const Common& common, const ScheduleOptions& options);
Outcome<int> change_schedule(Console& console, const Common& common, const ScheduleOptions& options);
Outcome<int> switch_schedule(Console& console, const Common& common, const ScheduleOptions& options, bool enabled);
Outcome<int> delete_schedule(Console& console, const Common& common, const ScheduleOptions& options);
Outcome<int> next_slots(Console& console, const Common& common, const ScheduleOptions& options);
// What became of its slots, and why some have no run.
Outcome<int> ledger(Console& console, const Common& common, const ScheduleOptions& options);
Outcome<int> backfill(Console& console, const Common& common, const ScheduleOptions& options);
// Lists them, or cancels one.
Outcome<int> backfills(Console& console, const Common& common, const ScheduleOptions& options);

// --- in this process: local.cc ---

Outcome<int> run_file(Console& console, const Common& common, const RunOptions& options, const Hooks& hooks);
// What was asked of one run, and then the run to its end; nullopt if it is none of `pawl run` in this place.
Outcome<std::optional<int>> act_here(Console& console, const Common& common, const ActOptions& options,
                                     const Hooks& hooks);

// --- in either place: acts.cc ---

// What a person asks of a run: of one of `pawl run` in this process, else of the server, which can do it for many.
Outcome<int> act(Console& console, const Common& common, const ActOptions& options, const Hooks& hooks);
// Outputs that are given by hand, each read as JSON if it is that, else as text.
Outcome<Json> read_outputs(const std::vector<std::string>& texts);

// --- this machine: doctor.cc ---

// Whether a server could run here with this folder, line by line; failed if something would keep it from it.
Outcome<int> doctor(Console& console, const Common& common, const DoctorOptions& options, const Hooks& hooks);

// What an expression means and when it fires next: cron.cc.
Outcome<int> cron(Console& console, const Common& common, const CronOptions& options);

// As cli::run(), printing to `console`.
int run_on(Console& console, const std::vector<std::string>& arguments, const Hooks& hooks);

}  // namespace pawl::cli
