#include "engine/plan.h"

#include <fmt/format.h>

#include <set>

#include "base/check.h"

namespace pawl::engine {
namespace {

using expression::Expression;
using expression::Problem;
using expression::Reference;
using expression::StatusFunction;
using expression::Template;
using expression::Tree;

// Compiles text after text; the first that does not parse ends it.
class Compiler {
 public:
  explicit Compiler(Plan& plan) : plan_(plan) {}

  Result<void> run() {
    const Workflow& workflow = *plan_.workflow;
    plan_.vars = named(workflow.vars, "vars");
    plan_.env = named(workflow.env, "env");
    if (workflow.concurrency) plan_.group = text(workflow.concurrency->group, "concurrency.group");
    plan_.jobs.resize(workflow.jobs.size());
    for (std::size_t j = 0; j < workflow.jobs.size(); ++j) {
      plan_.jobs[j].job = &workflow.jobs[j];
      plan_.job_index[workflow.jobs[j].id] = static_cast<int>(j);
      plan_.has_reserved |= workflow.jobs[j].role == Role::on_failure || workflow.jobs[j].role == Role::always;
      for (std::size_t t = 0; t < workflow.jobs[j].tasks.size(); ++t)
        plan_.jobs[j].task_index[workflow.jobs[j].tasks[t].id] = static_cast<int>(t);
      for (const int need : workflow.jobs[j].needs)
        plan_.jobs[static_cast<std::size_t>(need)].dependents.push_back(static_cast<int>(j));
      plan_.jobs[j].tasks.resize(workflow.jobs[j].tasks.size());
    }
    for (std::size_t j = 0; j < workflow.jobs.size(); ++j) job(static_cast<int>(j));
    plan_.environment.assign(environment_.begin(), environment_.end());
    if (!problem_.empty()) return fail(Code::invalid, problem_);
    return {};
  }

 private:
  void job(int position) {
    job_ = position;
    own_ = nullptr;
    JobPlan& plan = plan_.jobs[static_cast<std::size_t>(position)];
    plan.condition = condition(plan.job->condition);
    plan.env = named(plan.job->env, "env");
    if (plan.job->matrix && !plan.job->matrix->expression.empty())
      plan.matrix = bare(plan.job->matrix->expression, "matrix");
    for (std::size_t t = 0; t < plan.tasks.size(); ++t) task(plan.tasks[t], plan.job->tasks[t]);
  }

  void task(TaskPlan& plan, const Task& task) {
    plan.task = &task;
    own_ = nullptr;
    plan.condition = condition(task.condition);
    plan.env = named(task.env, "env");
    if (const auto* action = std::get_if<ProcessAction>(&task.action)) {
      plan_.has_processes = true;
      ProcessPlan process;
      for (const std::string& word : action->command) process.command.push_back(text(word, "command"));
      process.working_directory = text(action->working_directory, "working-directory");
      if (action->command.empty()) process.script = script(*action);
      plan.action = std::move(process);
      own_ = &plan.want;
    } else if (const auto* call = std::get_if<HttpAction>(&task.action)) {
      HttpPlan http;
      http.method = text(call->method, "method");
      http.url = text(call->url, "url");
      http.headers = tree(call->headers, "headers");
      http.query = tree(call->query, "query");
      if (call->body_kind == BodyKind::text)
        http.text = text(as_view(call->body), "body");
      else
        http.body = tree(call->body, "body");
      own_ = &plan.want;
      if (!call->success_when.empty()) http.success_when = bare(call->success_when, "success-when");
      plan.action = std::move(http);
    } else if (const auto* wait = std::get_if<WaitAction>(&task.action)) {
      plan.action = WaitPlan{text(wait->duration, "wait"), text(wait->until, "wait")};
    } else {
      plan.action = ApprovalPlan{text(std::get<ApprovalAction>(task.action).message, "approval")};
    }
    for (const auto& [name, value] : task.outputs) {
      if (expression::has_expression(value))
        plan.outputs.emplace_back(name, text(value, "outputs"));
      else
        plan.outputs.emplace_back(name, text("${{ " + value + " }}", "outputs"));
    }
    own_ = nullptr;
  }

  Condition condition(const std::string& source) {
    Condition condition;
    if (source.empty()) return condition;
    condition.expression = bare(source, "if");
    if (!condition.expression) return condition;
    for (const StatusFunction function : condition.expression->status_functions()) {
      condition.has_status = true;
      condition.asks_cleanup |= function == StatusFunction::always || function == StatusFunction::cancelled;
      condition.asks_failure |= function == StatusFunction::always || function == StatusFunction::failure;
    }
    return condition;
  }

  // An expression that may stand with or without `${{ }}` around it.
  std::optional<Expression> bare(std::string_view source, std::string_view where) {
    if (!expression::has_expression(source)) {
      auto parsed = Expression::parse(source);
      if (!parsed) return wrong(where, parsed.error()), std::nullopt;
      note(parsed->references());
      return std::move(*parsed);
    }
    Template whole = text(source, where);
    for (const Template::Part& part : whole.parts())
      if (part.expression) return part.expression;
    return std::nullopt;
  }

  Template text(std::string_view source, std::string_view where) {
    auto parsed = Template::parse(source);
    if (!parsed) return wrong(where, parsed.error()), Template{};
    for (const Template::Part& part : parsed->parts())
      if (part.expression) note(part.expression->references());
    return std::move(*parsed);
  }

  Tree tree(const Json& source, std::string_view where) {
    auto parsed = Tree::parse(source);
    if (!parsed) return wrong(where, parsed.error()), Tree{};
    note(parsed->references());
    return std::move(*parsed);
  }

  expression::ShellScript script(const ProcessAction& action) {
    const auto parsed = Template::parse(action.script);
    if (!parsed) return wrong("run", parsed.error()), expression::ShellScript{};
    auto split = expression::shell_script(*parsed, action.shell);
    if (!split) return wrong("run", split.error().front()), expression::ShellScript{};
    for (const Expression& variable : split->variables) note(variable.references());
    return std::move(*split);
  }

  NamedTemplates named(const TextMap& map, std::string_view where) {
    NamedTemplates templates;
    for (const auto& [name, value] : map) templates.emplace_back(name, text(value, where));
    return templates;
  }

  // Remembers what an expression reads of results and of the environment.
  void note(const std::vector<Reference>& references) {
    for (const Reference& reference : references) {
      const auto& path = reference.path;
      if (path[0] == "env") {
        if (path.size() >= 2)
          environment_.insert(path[1]);
        else
          plan_.whole_environment = true;
      } else if (path[0] == "tasks" && job_ >= 0) {
        note_tasks(job_, path, 1);
      } else if (path[0] == "jobs") {
        note_jobs(reference);
      } else if (own_) {
        note_own(path);
      }
    }
  }
  void note_jobs(const Reference& reference) {
    const auto& path = reference.path;
    if (path.size() == 1) {
      for (std::size_t j = 0; j < plan_.jobs.size(); ++j) note_tasks(static_cast<int>(j), path, path.size());
      return;
    }
    const auto found = plan_.job_index.find(path[1]);
    if (found == plan_.job_index.end()) return;
    if (path.size() >= 3 && path[2] == "instances") {
      // jobs.test.instances.*.tasks.unit.outputs.x; one by a computed index may be asked for anything.
      const auto& names = reference.tail;
      if (names.empty()) return note_tasks(found->second, path, path.size());
      if (names[0] == "tasks") note_tasks(found->second, names, 1);
      return;
    }
    if (path.size() >= 3 && path[2] != "tasks") return;
    note_tasks(found->second, path, std::min<std::size_t>(3, path.size()));
  }
  // `at` is where the name of a task stands in the path.
  void note_tasks(int job, const std::vector<std::string>& path, std::size_t at) {
    JobPlan& plan = plan_.jobs[static_cast<std::size_t>(job)];
    if (path.size() <= at) {
      for (TaskPlan& task : plan.tasks) keep(task, "");
      return;
    }
    const auto found = plan.task_index.find(path[at]);
    if (found == plan.task_index.end()) return;
    if (path.size() > at + 1 && path[at + 1] != "outputs") return;
    keep(plan.tasks[static_cast<std::size_t>(found->second)], path.size() > at + 2 ? path[at + 2] : "");
  }
  // An empty name is all of them.
  static void mark(Implicit& implicit, std::string_view name) {
    if (name.empty()) implicit = {true, true, true};
    if (name == "text" || name == "stdout") implicit.text = true;
    if (name == "json") implicit.json = true;
    if (name == "headers") implicit.headers = true;
  }
  static void keep(TaskPlan& task, std::string_view name) {
    mark(task.keep, name);
    mark(task.want, name);
  }
  void note_own(const std::vector<std::string>& path) {
    if (path[0] == "stdout") own_->text = true;
    if (path[0] == "response") mark(*own_, path.size() > 1 ? std::string_view(path[1]) : std::string_view{});
  }

  void wrong(std::string_view where, const Problem& problem) {
    if (problem_.empty()) problem_ = fmt::format("{}: {}", where, problem.message);
  }

  Plan& plan_;
  int job_ = -1;
  Implicit* own_ = nullptr;  // of the task whose outputs are compiled
  std::set<std::string> environment_;
  std::string problem_;
};

}  // namespace

Result<std::shared_ptr<const Plan>> compile(std::shared_ptr<const Workflow> workflow, int version) {
  check(workflow != nullptr);
  auto plan = std::make_shared<Plan>();
  plan->workflow = std::move(workflow);
  plan->version = version;
  if (const auto compiled = Compiler(*plan).run(); !compiled) return std::unexpected(compiled.error());
  return plan;
}

}  // namespace pawl::engine
