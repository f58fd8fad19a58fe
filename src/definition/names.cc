#include "definition/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/utf8.h"
#include "definition/graph.h"
#include "expression/expression.h"
#include "expression/shell.h"

namespace pawl::definition {
namespace {

using Wrong = std::optional<expression::Problem>;
using expression::Reference;
using Names = std::vector<std::string>;

// What may be named where. Contexts of tasks and jobs depend on the graph as well.
bool has_tasks(Place place) { return place >= Place::task_if && place <= Place::outputs; }
bool has_jobs(Place place) { return place >= Place::job_if && place <= Place::outputs; }
// Secrets go where their values are never stored.
bool takes_null(Place place) {
  return place == Place::job_if || place == Place::task_if || place == Place::success_when;
}
bool takes_secrets(Place place) {
  return place == Place::workflow_env || place == Place::job_env || place == Place::task_env ||
         place == Place::http_request || place == Place::trigger;
}

const std::map<std::string_view, Names>& fields_of_contexts() {
  static const std::map<std::string_view, Names> fields{
      {"run", {"id", "number", "attempt", "trace_id", "trigger", "outcome", "error"}},
      {"workflow", {"name", "version"}},
      {"task", {"id", "name"}},
      {"response", {"status", "headers", "json", "text"}},
      {"approval", {"approved_by", "comment"}},
      {"instance", {"key", "matrix", "status", "tasks"}},
      {"schedule", {"id", "name", "slot"}},
  };
  return fields;
}

std::string cut(std::string_view text) { return std::string(cut_utf8(text, 100)); }

class Checker {
 public:
  Checker(Reader& reader, const Workflow& workflow)
      : reader_(reader), workflow_(workflow), ancestors_(workflow), tasks_(workflow.jobs.size()) {
    for (std::size_t job = 0; job < workflow.jobs.size(); ++job) {
      // No job can name those that follow the verdict.
      if (workflow.jobs[job].role == Role::normal) job_ids_.push_back(workflow.jobs[job].id);
      jobs_.emplace(workflow.jobs[job].id, static_cast<int>(job));
      const std::vector<Task>& tasks = workflow.jobs[job].tasks;
      for (std::size_t task = 0; task < tasks.size(); ++task)
        tasks_[job].emplace(tasks[task].id, static_cast<int>(task));
    }
    for (const Input& input : workflow.inputs) inputs_.push_back(input.name);
    for (const auto& [name, value] : workflow.vars) vars_.push_back(name);
  }

  void check(const Site& site) {
    site_ = &site;
    const std::string_view text = site.node->text;
    switch (site.form) {
      case Form::script: return check_script(text);
      case Form::text: return check_template(text);
      case Form::output: return expression::has_expression(text) ? check_template(text) : check_bare(text);
      case Form::expression:
        if (!expression::has_expression(text)) return check_bare(text);
        check_template(text);
        if (const auto parsed = expression::Template::parse(trimmed(text)); parsed && !parsed->is_expression())
          report(0, {0, "one expression is wanted here, and nothing beside it",
                     "write it bare, or all of it inside of one ${{ }}"});
    }
  }

 private:
  void report(std::size_t base, expression::Problem problem) {
    reader_.problem_at(reader_.document.offset_in(*site_->node, base + problem.offset), std::move(problem.message),
                       std::move(problem.hint));
  }

  void check_bare(std::string_view text) {
    if (trimmed(text).empty()) return report(0, {0, "an expression is wanted here", {}});
    const auto parsed = expression::Expression::parse(text);
    if (!parsed) return report(0, parsed.error());
    check_one(*parsed, 0);
  }

  void check_template(std::string_view text) {
    const auto parsed = expression::Template::parse(text);
    if (!parsed) return report(0, parsed.error());
    check_parts(*parsed);
  }

  void check_parts(const expression::Template& parsed) {
    for (const expression::Template::Part& part : parsed.parts()) {
      if (reader_.full()) return;
      if (part.expression) check_one(*part.expression, part.offset);
    }
  }

  void check_script(std::string_view text) {
    const auto parsed = expression::Template::parse(text);
    if (!parsed) return report(0, parsed.error());
    const Task& task = job_of_site().tasks[static_cast<std::size_t>(site_->task)];
    const auto* action = std::get_if<ProcessAction>(&task.action);
    shell_ = action ? std::string_view(action->shell) : "bash";
    if (const auto script = expression::shell_script(*parsed, shell_); !script)
      for (const expression::Problem& problem : script.error()) report(0, problem);
    check_parts(*parsed);
  }

  void check_one(const expression::Expression& expression, std::size_t base) {
    expression::Names names;
    names.reference = [this](const Reference& reference) {
      Wrong wrong = check_name(reference);
      if (wrong) wrong->offset = reference.offset;
      return wrong;
    };
    names.status_functions = site_->place == Place::job_if || site_->place == Place::task_if;
    text_ = expression.text();
    base_ = base;
    for (expression::Problem& problem : expression::check(expression, names)) report(base, std::move(problem));
  }

  static Wrong wrong(std::string message, std::string hint = {}) {
    return expression::Problem{0, std::move(message), std::move(hint)};
  }

  Wrong unknown(std::string_view what, std::string_view name, const Names& known) {
    return wrong(fmt::format("{} `{}`", what, cut(name)), reader_.did_you_mean(name, known));
  }

  Wrong check_name(const Reference& reference) {
    const std::string& root = reference.path[0];
    const Place place = site_->place;
    if (place == Place::trigger || place == Place::schedule_inputs) return check_trigger(reference);
    if (place == Place::concurrency) {
      if (auto refused = refuse_in_group(root)) return refused;
    }
    if (root == "inputs") return member(reference, "there is no input", inputs_);
    if (root == "vars") return check_var(reference);
    if (root == "env") return named(reference, "env.NAME: what the server was told to pass on");
    if (root == "secrets") return check_secret(reference);
    if (root == "schedule") return check_schedule(reference);
    if (root == "trigger") return std::nullopt;
    if (root == "run") return check_run(reference);
    if (root == "workflow" || (root == "task" && has_tasks(place))) return check_fields(reference);
    if (root == "tasks" && has_tasks(place)) return check_own_task(reference);
    if (root == "jobs" && has_jobs(place)) return check_other_job(reference);
    if (root == "matrix") return check_matrix(reference);
    const bool http = is_http_site();
    if (root == "response" && http && (place == Place::success_when || place == Place::outputs))
      return check_fields(reference);
    if ((root == "stdout" || root == "exit_code") && !http && place == Place::outputs) return std::nullopt;
    return refuse_root(reference);
  }

  bool is_http_site() const {
    return site_->task >= 0 && is_http(job_of_site().tasks[static_cast<std::size_t>(site_->task)]);
  }

  const Job& job_of_site() const { return workflow_.jobs[static_cast<std::size_t>(site_->job)]; }

  // What a group's name may be made of is known before there is a run.
  Wrong refuse_in_group(std::string_view root) {
    if (root != "run" && root != "schedule" && root != "secrets") return std::nullopt;
    return wrong(fmt::format("`{}` is not known in `concurrency`", root),
                 "a group sees inputs, vars, env, workflow and trigger");
  }

  // The values of the instance.
  Wrong check_matrix(const Reference& reference) {
    if (site_->job < 0) return wrong("`matrix` is known inside of jobs only");
    const Job& job = job_of_site();
    if (site_->place == Place::matrix) return wrong("a `matrix` cannot read itself");
    if (!job.matrix)
      return job.role == Role::normal ? wrong(fmt::format("the job `{}` has no `matrix`", cut(job.id)))
                                      : wrong(fmt::format("`matrix` has no meaning in `{}`", job.id));
    if (site_->place == Place::job_if)
      return wrong("`matrix` is not known in the `if` of its job, which is looked at once, before there are instances",
                   "write the `if` on the tasks");
    if (!job.matrix->expression.empty()) return std::nullopt;
    Names axes;
    for (const Axis& axis : job.matrix->axes) axes.push_back(axis.name);
    return member(reference, "the matrix has no axis", axes);
  }

  // Why the first name is none, in the words of whoever wrote it.
  Wrong refuse_root(const Reference& reference) {
    const std::string& root = reference.path[0];
    const Place place = site_->place;
    const auto second = [&](std::string_view otherwise) {
      return reference.path.size() > 1 ? cut(reference.path[1]) : std::string(otherwise);
    };
    if (root == "steps") return wrong("there is no `steps`", fmt::format("write tasks.{}", second("ID")));
    if (root == "needs")
      return wrong("there is no `needs` in an expression",
                   fmt::format("write jobs.{}.tasks.TASK.outputs.NAME", second("JOB")));
    if (root == "github") {
      static const std::map<std::string_view, std::string_view> ours{{"run_id", "run.id"},
                                                                     {"run_number", "run.number"},
                                                                     {"run_attempt", "run.attempt"},
                                                                     {"workflow", "workflow.name"},
                                                                     {"event_name", "run.trigger"},
                                                                     {"event", "inputs.NAME"},
                                                                     {"job", "task.id"},
                                                                     {"workspace", "$PAWL_WORKSPACE in a script"}};
      const auto found = ours.find(second(""));
      return wrong("there is no `github`", found == ours.end() ? "run, workflow and trigger say what there is to know"
                                                               : fmt::format("write {}", found->second));
    }
    if (root == "job" && has_jobs(place))
      return wrong("there is no `job`", "`success()` and `failure()` look at what came before");
    if (root == "runner" || root == "strategy") return wrong(fmt::format("there is no `{}`", root));
    if (root == "request") return wrong("`request` is known in `on.webhook` only");
    if (root == "tasks" || root == "task")
      return wrong(fmt::format("`{}` is known inside of tasks only", root),
                   "a job reads jobs.JOB.tasks.TASK.outputs.NAME");
    if (root == "jobs") return wrong("`jobs` is known inside of jobs only");
    if (root == "response")
      return wrong("`response` is known in `success-when` and `outputs` of `http` tasks only",
                   "later tasks read tasks.ID.outputs.json");
    if (root == "stdout" || root == "exit_code")
      return wrong(fmt::format("`{}` is known in `outputs` of `run` tasks only", root),
                   is_http_site() ? "an `http` task has response.status, .headers, .json and .text"
                                  : fmt::format("later tasks read tasks.ID.outputs.{}", root));
    if (root == "stderr")
      return wrong("`stderr` is kept in the log only", "write 2>&1 in the script to have it in stdout");
    Names known{"inputs", "vars", "env", "run", "workflow", "trigger", "schedule"};
    if (takes_secrets(place)) known.emplace_back("secrets");
    if (has_tasks(place)) known.insert(known.end(), {"tasks", "task"});
    if (has_jobs(place)) known.emplace_back("jobs");
    if (has_jobs(place) && place > Place::matrix && job_of_site().matrix) known.emplace_back("matrix");
    if (place == Place::outputs) {
      if (is_http_site())
        known.emplace_back("response");
      else
        known.insert(known.end(), {"stdout", "exit_code"});
    }
    std::string hint = reader_.did_you_mean(root, known);
    if (hint.empty()) {
      if (std::ranges::find(inputs_, root) != inputs_.end())
        hint = fmt::format("write inputs.{}", cut(root));
      else if (std::ranges::find(vars_, root) != vars_.end())
        hint = fmt::format("write vars.{}", cut(root));
      else if (root == "always" || root == "success" || root == "failure" || root == "cancelled")
        hint = fmt::format("write {}()", root);
      else if (reference.path.size() == 1)
        hint = fmt::format("a text in an expression is written '{}'", cut(root));
    }
    return wrong(fmt::format("unknown name `{}`", cut(root)), std::move(hint));
  }

  // NAME.x with any x.
  Wrong named(const Reference& reference, std::string_view usage) {
    if (reference.path.size() > 1) return std::nullopt;
    return wrong(fmt::format("`{}` alone is no value", reference.path[0]), fmt::format("write {}", usage));
  }

  Wrong member(const Reference& reference, std::string_view what, const Names& known) {
    if (reference.path.size() == 1 || std::ranges::find(known, reference.path[1]) != known.end()) return std::nullopt;
    return unknown(what, reference.path[1], known);
  }

  Wrong check_var(const Reference& reference) {
    if (auto missing = member(reference, "there is no var", vars_)) return missing;
    if (site_->place != Place::vars) return std::nullopt;
    if (reference.path.size() == 1)
      return wrong("`vars` as a whole is not known among the vars", "name an earlier one");
    const auto found = std::ranges::find(vars_, reference.path[1]) - vars_.begin();
    if (found < site_->item) return std::nullopt;
    return wrong(fmt::format("the var `{}` is not there before this one", cut(reference.path[1])),
                 "a var reads those above it");
  }

  Wrong check_secret(const Reference& reference) {
    const Place place = site_->place;
    if (place == Place::run_script)
      return wrong("a secret reaches a script by `env` only", expression::env_hint(text_, shell_));
    if (place == Place::run_argument)
      return wrong("a secret reaches a command by `env` only, since its arguments can be seen by others");
    if (!takes_secrets(place))
      return wrong("a secret cannot be named here, where its value would be stored",
                   "`env` and the fields of `http` take secrets");
    return named(reference, "secrets.NAME");
  }

  Wrong check_fields(const Reference& reference) {
    const Names& known = fields_of_contexts().at(reference.path[0]);
    if (reference.path.size() == 1)
      return wrong(fmt::format("`{}` alone is no value", reference.path[0]),
                   fmt::format("it has {}", fmt::join(known, ", ")));
    return member(reference, fmt::format("`{}` has no", reference.path[0]), known);
  }

  Wrong check_run(const Reference& reference) {
    if (auto missing = check_fields(reference)) return missing;
    const std::vector<std::string>& path = reference.path;
    if ((path[1] == "outcome" || path[1] == "error") && (site_->job < 0 && site_->place != Place::workflow_env))
      return wrong(fmt::format("`run.{}` is known inside of jobs only", path[1]));
    if (path[1] == "error" && (path.size() < 3 || (path[2] != "message" && path[2] != "code")))
      return wrong("of the error there are `run.error.message` and `run.error.code`");
    if (path[1] != "error" && path.size() > 2) return wrong(fmt::format("`run.{}` has no members", path[1]));
    return std::nullopt;
  }

  Wrong check_trigger(const Reference& reference) {
    static const Names of_webhooks{"secrets", "request", "workflow", "env", "inputs", "schedule", "trigger", "run"};
    static const Names of_schedules{"schedule", "trigger", "workflow", "env"};
    const bool schedule = site_->place == Place::schedule_inputs;
    const Names& known = schedule ? of_schedules : of_webhooks;
    const std::string& root = reference.path[0];
    if (std::ranges::find(known, root) != known.end())
      return root == "schedule" ? check_schedule(reference) : std::nullopt;
    if (schedule && root == "secrets")
      return wrong("a secret cannot be named here, where its value would be stored", "a task reads it by itself");
    if (schedule && std::ranges::find(of_webhooks, root) != of_webhooks.end())
      return wrong(fmt::format("`{}` is not known in the `inputs` of a schedule", root),
                   "they see schedule, trigger, workflow and env");
    return unknown("unknown name", root, known);
  }

  // As a whole it may be asked for too: null tells that no schedule started the run.
  Wrong check_schedule(const Reference& reference) {
    const std::vector<std::string>& path = reference.path;
    if (auto missing = member(reference, "a schedule has no", fields_of_contexts().at("schedule"))) return missing;
    if (path.size() > 2) return wrong(fmt::format("`schedule.{}` has no members", path[1]));
    return std::nullopt;
  }

  Wrong check_own_task(const Reference& reference) {
    const auto job = static_cast<std::size_t>(site_->job);
    if (reference.path.size() == 1) return wrong("`tasks` alone is no value", "write tasks.ID.outputs.NAME");
    const std::string& id = reference.path[1];
    const auto found = tasks_[job].find(id);
    if (found != tasks_[job].end()) {
      if (found->second < site_->task)
        return check_task(reference, 2, workflow_.jobs[job].tasks[static_cast<std::size_t>(found->second)]);
      if (found->second > site_->task) return wrong(fmt::format("the task `{}` comes later in this job", cut(id)));
      const bool own = site_->place == Place::outputs || site_->place == Place::success_when;
      return wrong(fmt::format("the task `{}` cannot read its own result", cut(id)),
                   !own             ? ""
                   : is_http_site() ? "write response.json, response.status, …"
                                    : "write stdout or exit_code");
    }
    Names earlier;
    for (int task = 0; task < site_->task && earlier.size() <= 300; ++task)
      earlier.push_back(workflow_.jobs[job].tasks[static_cast<std::size_t>(task)].id);
    Wrong missing = unknown("there is no earlier task", id, earlier);
    if (missing->hint.empty() && !reader_.full()) {
      const auto other = std::ranges::find_if(tasks_, [&](const auto& tasks) { return tasks.contains(id); });
      if (other != tasks_.end())
        missing->hint = fmt::format("the task of another job is jobs.{}.tasks.{}",
                                    cut(workflow_.jobs[static_cast<std::size_t>(other - tasks_.begin())].id), cut(id));
    }
    return missing;
  }

  Wrong check_other_job(const Reference& reference) {
    const std::vector<std::string>& path = reference.path;
    if (path.size() == 1) return wrong("`jobs` alone is no value", "write jobs.JOB.tasks.TASK.outputs.NAME");
    const auto found = jobs_.find(path[1]);
    if (found == jobs_.end()) return unknown("there is no job", path[1], job_ids_);
    const Job& other = workflow_.jobs[static_cast<std::size_t>(found->second)];
    if (found->second != site_->job && other.role != Role::normal)
      return wrong(fmt::format("nobody reads `{}`, which {}", other.id,
                               other.role == Role::on_late ? "runs alone" : "comes after all jobs"));
    if (found->second == site_->job)
      return wrong("a job cannot read its own result",
                   has_tasks(site_->place) ? "tasks of the same job are tasks.ID" : "");
    const Job& job = job_of_site();
    if (job.role == Role::on_late) return wrong("no other job runs beside `on-late`, so there is nothing to read");
    if (job.role == Role::normal && !ancestors_.contains(site_->job, found->second)) {
      Names needs;
      for (const int need : job.needs)
        if (needs.size() < 10) needs.push_back(workflow_.jobs[static_cast<std::size_t>(need)].id);
      needs.push_back(other.id);
      const bool backwards = ancestors_.contains(found->second, site_->job);
      return wrong(fmt::format("the job `{}` need not have run before `{}`", cut(other.id), cut(job.id)),
                   backwards           ? "it needs this one"
                   : needs.size() == 1 ? fmt::format("add needs: {}", needs[0])
                                       : fmt::format("add needs: [{}]", fmt::join(needs, ", ")));
    }
    const std::string usage = fmt::format("write jobs.{0}.status or jobs.{0}{1}.tasks.TASK.outputs.NAME", cut(other.id),
                                          other.matrix ? ".instances.*" : "");
    if (path.size() == 2) return wrong(fmt::format("`jobs.{}` alone is no value", cut(other.id)), usage);
    if (path[2] == "status") return std::nullopt;
    if (path[2] == "instances") return check_instances(reference, other);
    if (path[2] != "tasks") return wrong(fmt::format("a job has no `{}`", cut(path[2])), usage);
    if (other.matrix)
      return wrong(
          fmt::format("the job `{}` has a `matrix`, and its tasks one result for each instance", cut(other.id)),
          fmt::format("write jobs.{}.instances.*.{}", cut(other.id),
                      cut(fmt::format("{}", fmt::join(path.begin() + 2, path.end(), ".")))));
    if (path.size() == 3) return wrong(fmt::format("`jobs.{}.tasks` alone is no value", cut(other.id)), usage);
    if (auto missing = check_task_of(reference, 3, other)) return missing;
    warn_of_skipping(reference, other);
    return std::nullopt;
  }

  // `at`: where the id of the task stands.
  Wrong check_task_of(const Reference& reference, std::size_t at, const Job& other) {
    const auto& tasks = tasks_[static_cast<std::size_t>(&other - workflow_.jobs.data())];
    const auto task = tasks.find(reference.path[at]);
    if (task != tasks.end()) return check_task(reference, at + 1, other.tasks[static_cast<std::size_t>(task->second)]);
    Names known;
    for (const Task& one : other.tasks)
      if (known.size() <= 300) known.push_back(one.id);
    return unknown(fmt::format("the job `{}` has no task", cut(other.id)), reference.path[at], known);
  }

  // jobs.JOB.instances, a list: what is fixed behind its `.*` is looked at as well.
  Wrong check_instances(const Reference& reference, const Job& other) {
    const std::string id = cut(other.id);
    if (!other.matrix)
      return wrong(fmt::format("the job `{}` has no `matrix`, and so no `instances`", id),
                   fmt::format("write jobs.{}.tasks.TASK.outputs.NAME", id));
    if (reference.path.size() > 3)
      return wrong(fmt::format("`jobs.{}.instances` is a list", id),
                   fmt::format("write jobs.{}.instances.*.{}", id, cut(reference.path[3])));
    warn_of_skipping(reference, other);
    if (reference.tail.empty()) return std::nullopt;
    Reference inside{reference.path, reference.offset, reference.whole, {}, false};
    inside.path.emplace_back("*");
    inside.path.insert(inside.path.end(), reference.tail.begin(), reference.tail.end());
    const Names& known = fields_of_contexts().at("instance");
    if (std::ranges::find(known, inside.path[4]) == known.end())
      return unknown("an instance has no", inside.path[4], known);
    if (inside.path[4] != "tasks" || inside.path.size() == 5) return std::nullopt;
    return check_task_of(inside, 5, other);
  }

  // The outputs of a job that did not run are null, which most places do not take.
  void warn_of_skipping(const Reference& reference, const Job& other) {
    const Job& job = job_of_site();
    const bool verdict = job.role != Role::normal;
    if (reference.null_handled || takes_null(site_->place)) return;
    const bool outputs = reference.path.size() > 4 && reference.path[4] == "outputs";
    if (!outputs && reference.path[2] != "instances") return;
    const std::string condition = bare_expression(other.condition);
    if (!verdict && (condition.empty() || condition == "always()")) return;
    // Whoever asks for the job's status, or under the same condition, has thought of it.
    const std::string name = fmt::format("jobs.{}.", other.id);
    const auto mentions = [&](std::string_view text) { return text.find(name) != std::string_view::npos; };
    if (mentions(job.condition) || (!verdict && bare_expression(job.condition) == condition)) return;
    if (site_->task >= 0 && mentions(job.tasks[static_cast<std::size_t>(site_->task)].condition)) return;
    reader_.warn_at(
        reader_.document.offset_in(*site_->node, base_ + reference.offset),
        verdict ? fmt::format("the job `{}` need not have run, and its outputs are null then", cut(other.id))
                : fmt::format("the job `{}` has an `if`, and its outputs are null when it is skipped", cut(other.id)),
        "write `?? …` behind it");
  }

  // What follows the task's id.
  Wrong check_task(const Reference& reference, std::size_t at, const Task& task) {
    const std::vector<std::string>& path = reference.path;
    const std::string before =
        cut(fmt::format("{}", fmt::join(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(at), ".")));
    if (path.size() == at)
      return wrong(fmt::format("`{}` alone is no value", before),
                   fmt::format("write {0}.outputs.NAME or {0}.status", before));
    if (path[at] == "status") return std::nullopt;
    if (path[at] != "outputs")
      return wrong(fmt::format("a task has no `{}`", cut(path[at])),
                   fmt::format("write {}.outputs.{}", before, cut(path[at])));
    if (path.size() == at + 1) return std::nullopt;
    if (std::holds_alternative<WaitAction>(task.action))
      return wrong(fmt::format("the task `{}` is a wait, which has no outputs", cut(task.id)));
    // What a script writes to $PAWL_OUTPUT cannot be known.
    if (std::holds_alternative<ProcessAction>(task.action)) return std::nullopt;
    Names known = fields_of_contexts().at(is_http(task) ? "response" : "approval");
    for (const auto& [name, value] : task.outputs) known.push_back(name);
    if (std::ranges::find(known, path[at + 1]) != known.end()) return std::nullopt;
    return unknown(fmt::format("the task `{}` has no output", cut(task.id)), path[at + 1], known);
  }

  Reader& reader_;
  const Workflow& workflow_;
  Ancestors ancestors_;
  std::map<std::string_view, int> jobs_;
  std::vector<std::map<std::string_view, int>> tasks_;  // by job
  Names job_ids_, inputs_, vars_;
  const Site* site_ = nullptr;
  std::size_t base_ = 0;           // where the expression being checked begins in its text
  std::string_view text_, shell_;  // of the expression and the script being checked
};

}  // namespace

void check_expressions(Reader& reader, const Workflow& workflow) {
  Checker checker(reader, workflow);
  for (const Site& site : reader.sites) {
    if (reader.full()) return;
    checker.check(site);
  }
}

std::string bare_expression(std::string_view text) {
  text = trimmed(text);
  if (!expression::has_expression(text)) return std::string(text);
  const auto parsed = expression::Template::parse(text);
  if (!parsed || !parsed->is_expression()) return std::string(text);
  return std::string(trimmed(parsed->parts()[0].expression->text()));
}

}  // namespace pawl::definition
