// The commands, one function each. Each prints its answer and returns the exit code, or says why it did not do it.
#pragma once

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
Outcome<int> cancel(Console& console, const Common& common, const std::string& run);
Outcome<int> resume_on_server(Console& console, const Common& common, const std::string& run);

// --- in this process: local.cc ---

Outcome<int> run_file(Console& console, const Common& common, const RunOptions& options, const Hooks& hooks);
// In this process if the run is one of `pawl run` in the same place, else on the server.
Outcome<int> resume(Console& console, const Common& common, const ResumeOptions& options, const Hooks& hooks);

// --- this machine: doctor.cc ---

// Whether a server could run here with this folder, line by line; failed if something would keep it from it.
Outcome<int> doctor(Console& console, const Common& common, const DoctorOptions& options, const Hooks& hooks);

// As cli::run(), printing to `console`.
int run_on(Console& console, const std::vector<std::string>& arguments, const Hooks& hooks);

}  // namespace pawl::cli
