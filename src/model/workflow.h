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

enum class OnCrash : std::uint8_t { rerun, fail };  // `hold` comes with approvals
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
  std::variant<ProcessAction, HttpAction> action;
};

struct Job {
  std::string id;
  std::string name;
  std::vector<int> needs;  // positions in Workflow::jobs
  std::string condition;
  TextMap env;
  ResumeAt resume = ResumeAt::task;
  std::vector<Task> tasks;  // at least one
};

struct Recover {
  int max = 3;
  Duration window = std::chrono::minutes(10);
};

struct Workflow {
  std::string name;
  std::string description;
  TextMap labels;
  Json schedules;  // `on.schedule` as written, checked in shape: a list, or null
  Json webhook;    // `on.webhook` as written, or null
  std::vector<Input> inputs;
  TextMap vars;  // templates
  TextMap env;   // templates
  Duration timeout = std::chrono::hours(24);  // of the time a run spends running
  Recover recover;
  std::vector<Job> jobs;  // in the file's order; needs hold no cycle
};

inline bool is_http(const Task& task) { return std::holds_alternative<HttpAction>(task.action); }

// What people read: the name, or the id.
inline const std::string& title(const Task& task) { return task.name.empty() ? task.id : task.name; }
inline const std::string& title(const Job& job) { return job.name.empty() ? job.id : job.name; }

}  // namespace pawl
