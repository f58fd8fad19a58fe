// A definition, compiled: its expressions parsed once, its graph turned round, and what has to be kept of each result
// worked out. Immutable; shared by all runs of a version.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "expression/expression.h"
#include "expression/shell.h"
#include "model/workflow.h"

namespace pawl::engine {

using NamedTemplates = std::vector<std::pair<std::string, expression::Template>>;

struct Condition {
  std::optional<expression::Expression> expression;  // none: success()
  bool has_status = false;      // uses a status function, so success() is not implied
  bool asks_cleanup = false;    // always() or cancelled(): may run after a cancel
  bool asks_failure = false;    // always() or failure(): may run after a failure
};

struct ProcessPlan {
  expression::ShellScript script;  // of `run`
  std::vector<expression::Template> command;
  expression::Template working_directory;
};

struct HttpPlan {
  expression::Template method, url;
  expression::Tree headers, query;
  expression::Tree body;            // json, form
  expression::Template text;        // text
  std::optional<expression::Expression> success_when;
};

// Which implicit outputs an expression names. `keep` ones become values that are stored; the runner is asked for those
// and for what the task's own outputs and success-when read.
struct Implicit {
  bool text = false, json = false, headers = false;  // text: stdout of a process
};

struct WaitPlan {
  expression::Template duration, until;  // one of them
};

struct ApprovalPlan {
  expression::Template message;
};

struct TaskPlan {
  const Task* task = nullptr;
  Condition condition;
  NamedTemplates env;
  std::vector<std::pair<std::string, expression::Template>> outputs;
  std::variant<ProcessPlan, HttpPlan, WaitPlan, ApprovalPlan> action;
  Implicit keep, want;
};

struct JobPlan {
  const Job* job = nullptr;
  Condition condition;
  NamedTemplates env;
  std::optional<expression::Expression> matrix;  // gives its list
  std::vector<TaskPlan> tasks;
  std::map<std::string, int, std::less<>> task_index;
  std::vector<int> dependents;  // jobs that need this one
};

struct Plan {
  std::shared_ptr<const Workflow> workflow;
  int version = 0;
  NamedTemplates vars, env;
  std::optional<expression::Template> group;   // of concurrency
  bool has_reserved = false;                   // `on-failure` or `always`, which follow a verdict
  bool has_processes = false;                  // a task that runs one
  std::vector<std::string> environment;  // names of `env.*` that are read anywhere
  bool whole_environment = false;        // some are read by a computed name
  std::vector<JobPlan> jobs;
  std::map<std::string, int, std::less<>> job_index;
};

// Error: invalid, if an expression does not parse, which a checked definition rules out.
Result<std::shared_ptr<const Plan>> compile(std::shared_ptr<const Workflow> workflow, int version);

}  // namespace pawl::engine
