// What the engine asks of the world. A command leaves only when the commit that justifies it is durable.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/json.h"
#include "base/time.h"
#include "model/run.h"

namespace pawl {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct ProcessInput {
  std::string script;                // with shell; generated variables stand where expressions were
  std::string shell;
  std::vector<std::string> command;  // in place of a script
  Pairs env;                         // the task's own, generated ones too; PAWL_* are the runner's to add
  std::string working_directory;     // absolute, or below the run's workspace; empty: the job's folder
  Duration grace{};
  bool want_stdout = false;          // keep all of it as a value; otherwise only the first bytes for looking at
};

struct HttpInput {
  std::string method;
  std::string url;  // with the query
  Pairs headers;    // the definition's; the runner adds X-Request-ID, traceparent, Idempotency-Key
  std::string body;
  bool has_body = false;
  std::string content_type;  // unless a header says otherwise
  bool follow_redirects = false;
  bool tls_verify = true;
  std::string tls_ca_file;
  bool want_text = false;  // keep the body as text, as JSON, the headers: what expressions of the definition name
  bool want_json = false;
  bool want_headers = false;
};

// Start one try. `timeout` counts elapsed time from its start, absent: none.
struct StartTask {
  RunId run;
  TaskRef ref;
  int attempt = 1;
  int try_number = 1;
  std::string workflow, job, task;  // names, for the environment of the task and its log
  std::int64_t run_number = 0;
  std::string trace_id;
  std::string idempotency_key;
  std::optional<Duration> timeout;
  std::variant<ProcessInput, HttpInput> input;
};

// End one try: HTTP calls are dropped at once; processes get TERM, after `grace` KILL, the whole tree. The try answers
// with a TaskFinished like any other. One that is not running is no error.
struct StopTask {
  RunId run;
  TaskRef ref;
  int try_number = 1;
  Duration grace{};
};

// The run is gone: remove what lies outside the store of it, and answer with a RemainsRemoved. The store's mark stays until
// then, so that a command lost in a crash is given again by the next process.
struct ForgetRun {
  RunId run;
};

using Command = std::variant<StartTask, StopTask, ForgetRun>;

}  // namespace pawl
