// A definition as data: what the file says, checked and with its defaults filled in. Text that may hold `${{ … }}` is
// kept as written; engine/plan.h compiles it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "model/schedule.h"

namespace pawl {

// In the file's order.
using TextMap = std::vector<std::pair<std::string, std::string>>;

enum class InputType : std::uint8_t { string, integer, number, boolean, choice, list, object, date };

struct Input {
  std::string name;
  InputType type = InputType::string;
  bool required = false;
  std::optional<Json> fallback;    // `default`
  std::vector<Json> options;       // of a choice
  std::string pattern;             // RE2, the whole text must match; empty: any
  std::optional<double> min, max;  // numbers: value; strings and lists: length
  std::string description;
};

struct Retry {
  int max = 0;  // more tries after the first
  Duration delay = std::chrono::seconds(1);
  double backoff = 1;                   // delay of try n+1 = delay of try n times this
  std::optional<Duration> max_delay;    // cap
  double jitter = 0;                    // 0 … 1: up to this share is added or taken away
  bool operator==(const Retry&) const = default;
};

enum class OnCrash : std::uint8_t { rerun, fail, hold };
enum class ResumeAt : std::uint8_t { task, job };

struct ProcessAction {
  std::string script;                // `run`; template, filled by generated variables and never by pasting
  std::string shell = "bash";        // of the script
  std::vector<std::string> command;  // in place of a script: program and arguments, each a template
  std::string working_directory;     // template; empty: the job's folder in the workspace
  Duration grace = std::chrono::seconds(10);  // from TERM to KILL
};

enum class BodyKind : std::uint8_t { none, json, form, text };

struct HttpAction {
  std::string method;  // template; empty: GET, or POST with a body
  std::string url;     // template
  Json headers;        // object of templates, or null
  Json query;          // object of templates, or null
  BodyKind body_kind = BodyKind::none;
  Json body;           // json: any value with templates; form: object of templates; text: a template
  std::optional<Duration> timeout;  // of the request; the smaller of this and the task's wins
  bool follow_redirects = false;
  bool tls_verify = true;
  std::string tls_ca_file;   // PEM; empty: the system's
  std::string success_when;  // template of one expression; empty: status 2xx
};

// Either is set; both are templates, read when the task is reached.
struct WaitAction {
  std::string duration;  // 10m
  std::string until;     // an instant: RFC 3339 or Unix seconds; one that has passed is no wait
};

struct ApprovalAction {
  std::string message;               // template; empty: none
  std::optional<Duration> expires;   // after which the task fails with approval_expired
};

struct Task {
  std::string id;
  bool explicit_id = false;
  std::string name;       // for people; empty: the id
  std::string condition;  // `if`; empty: success()
  TextMap env;            // templates
  Retry retry;            // own or the workflow's default
  std::optional<Duration> timeout;  // of one try
  TextMap outputs;        // name -> template or bare expression
  OnCrash on_crash = OnCrash::rerun;
  bool continue_on_error = false;  // its failure does not count
  std::variant<ProcessAction, HttpAction, WaitAction, ApprovalAction> action;
};

struct Axis {
  std::string name;
  std::vector<Json> values;  // a number that would lose its spelling (3.10) is a string
};

// Instances of a job: every combination of the axes in the file's order, the last axis fastest, without the excluded
// ones; or what an expression gives.
struct Matrix {
  std::vector<Axis> axes;
  std::vector<Json> exclude;  // objects; a combination that has all members of one is left out
  std::string expression;     // in place of axes: gives a list of objects
};

// Jobs of the file, those that follow the run's verdict, and the one that is all there is to a run with the trigger `late`
// (docs/semantics.md).
enum class Role : std::uint8_t { normal, on_failure, always, on_late };

struct Job {
  std::string id;
  std::string name;
  std::vector<int> needs;  // positions in Workflow::jobs
  std::string condition;
  TextMap env;
  ResumeAt resume = ResumeAt::task;
  bool keep_going = false;  // its own or the workflow's: what follows a failure runs as if it had been none
  std::optional<Matrix> matrix;
  int max_parallel = 10;  // instances at once
  bool fail_fast = true;  // an instance that fails stops the others
  Role role = Role::normal;
  std::vector<Task> tasks;  // at least one
};

struct Recover {
  int max = 3;
  Duration window = std::chrono::minutes(10);
  bool then_hold = false;  // past max: wait for a person's release instead of failing
};

// Runs whose group has the same text share its places.
struct Concurrency {
  std::string group;  // template
  int limit = 1;  // places
  bool cancel_running = false;  // on-conflict: the runs that hold a place are cancelled; else a new one queues
};

struct Workflow {
  std::string name;
  std::string description;
  TextMap labels;
  std::vector<DefinedSchedule> schedules;  // in the file's order, names are unique
  Json webhook;  // `on.webhook` as written, or null
  std::vector<Input> inputs;
  TextMap vars;  // templates
  TextMap env;  // templates
  Duration timeout = std::chrono::hours(24);  // of the time a run spends running
  Duration cleanup_timeout = std::chrono::minutes(5);  // of what may still run after a stop
  std::optional<Concurrency> concurrency;
  std::optional<Duration> retention;  // a final run is deleted so long after its end; absent: never
  Recover recover;
  std::vector<Job> jobs;  // in the file's order, needs hold no cycle; then `on-failure`, `always` and `on-late`, if any
};

inline bool is_http(const Task& task) { return std::holds_alternative<HttpAction>(task.action); }
// Whether it is carried out by a runner, in tries; the others only wait.
inline bool has_tries(const Task& task) { return is_http(task) || std::holds_alternative<ProcessAction>(task.action); }

// What people read: the name, or the id.
inline const std::string& title(const Task& task) { return task.name.empty() ? task.id : task.name; }
inline const std::string& title(const Job& job) { return job.name.empty() ? job.id : job.name; }

}  // namespace pawl
