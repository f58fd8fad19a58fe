// What the command line says, command by command.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::cli {

struct Common {
  std::string server;  // as given; empty: PAWL_SERVER, or the default
  std::string data;    // as given; empty: PAWL_DATA, or the default
  bool json = false;
};

// Values of --egress-allow and --egress-deny, as given: whom http tasks may call.
struct Egress {
  std::vector<std::string> allow, deny;
};

// What a try of a `run` task may take of the machine (docs/tasks.md); 0: no limit of ours.
struct TaskLimits {
  std::int64_t processes = 1024;
  std::int64_t memory_bytes = 0;
  std::int64_t open_files = 0;
  std::int64_t file_bytes = 0;
  bool operator==(const TaskLimits&) const = default;
};

// How many tasks run at once: --max-processes and --max-http-calls. Absent: the usual number, or fewer if the file
// descriptors allow no more; 0: as many as they allow.
struct AtOnce {
  static constexpr std::int64_t most = 1'000'000;  // the largest number for 0
  static constexpr std::int64_t most_asked = 1'000'000'000;
  std::optional<std::int64_t> processes, calls;
  bool operator==(const AtOnce&) const = default;
};

// What tasks are held to, whatever their workflow says.
struct TaskRules {
  Egress egress;
  TaskLimits limits;
  AtOnce at_once;
};

struct RunOptions {
  std::string file;
  std::vector<std::string> inputs;  // k=v
  bool plain = false;
  TaskRules rules;
};

struct StartOptions {
  std::string workflow;
  std::vector<std::string> inputs;  // k=v
  std::string key, like;
  bool wait = false, follow = false;
};

// Runs by what they are, as `pawl runs` and the parameters of GET runs have it; empty: any.
struct RunFilter {
  std::string workflow, status, trigger, since, until;
  bool operator==(const RunFilter&) const = default;
};

struct RunsOptions {
  RunFilter filter;
  std::int64_t limit = 50;
};

struct LogsOptions {
  std::string run, task;  // JOB/TASK; empty: all
  bool follow = false;
};

struct DoctorOptions {
  std::string listen = "127.0.0.1:7295";
  std::string run_as;  // user that tasks are to run as
  AtOnce at_once;
};

struct CronOptions {
  std::vector<std::string> expression;  // one, unless the quotes were forgotten
  std::string timezone;                 // empty: the machine's
  std::string after;                    // T; empty: now
  std::int64_t count = 10;
  std::string language;  // en or ko; empty: the environment's
};

// What a person asks of a run, or of all that a filter means.
struct ActOptions {
  enum class Kind : std::uint8_t { cancel, resume, rerun, approve, reject, release };
  Kind kind = Kind::cancel;
  std::string run;  // empty: by filter
  RunFilter filter;
  bool all = false, dry_run = false;  // by filter
  std::string from;  // rerun: JOB[/TASK]
  std::string task;  // JOB/TASK that is answered
  std::string answer;  // release: done, rerun or fail
  std::vector<std::string> outputs;  // release done: k=v
  std::string comment;
  bool with_current = false, force = false;  // resume
  bool plain = false;  // for a run in this process, with its rules
  TaskRules rules;
};

// What is said of a schedule, or asked of it.
struct ScheduleOptions {
  std::string id;  // or WORKFLOW/NAME
  std::string workflow, name;  // add; list: the workflow alone, or empty
  std::map<std::string, std::string> fields;  // by member of the API, as given
  std::optional<std::int64_t> max_catch_up;
  std::vector<std::string> inputs;  // k=v
  bool disabled = false, no_start = false, no_end = false, no_late_after = false;
  std::string after;  // next: T; empty: now
  std::int64_t count = 10;
  std::string since, until;  // ledger: T; empty: any
  std::int64_t shown = 50;  // ledger: so many entries
  std::string from, to;  // backfill: T
  std::int64_t at_once = 1;  // backfill: open runs
  bool dry_run = false, wait = false;
  std::string cancel;  // backfills: the one to cancel
};

// --data, else PAWL_DATA, else below XDG_DATA_HOME or HOME; empty if none of these is known.
std::string data_folder(const Common& common);

// Bytes: a whole number, with K, M, G or T for powers of 1,024 (also KB, KiB). Nothing, if it is none.
std::optional<std::int64_t> parse_size(std::string_view text);

// JOB and TASK of JOB/TASK; the key of a matrix instance may hold slashes. Nothing, if it is none.
std::optional<std::pair<std::string, std::string>> split_task(std::string_view text);

// name and value of each k=v, or what is wrong with one; `kind` is what they are called.
struct Inputs {
  std::vector<std::pair<std::string, std::string>> values;
  std::string problem;
};
Inputs split_inputs(const std::vector<std::string>& texts, std::string_view kind = "input");

}  // namespace pawl::cli
