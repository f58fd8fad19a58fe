#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "definition/graph.h"
#include "definition/inputs.h"
#include "definition/parts.h"
#include "expression/expression.h"

namespace pawl::definition {
namespace {

constexpr std::size_t longest_name = 100;
constexpr std::size_t longest_title = 200;

constexpr auto workflow_keys = std::to_array<Key>({
    {"name"},
    {"description"},
    {"labels"},
    {"on"},
    {"inputs"},
    {"vars"},
    {"env"},
    {"defaults"},
    {"timeout"},
    {"recover"},
    {"jobs"},
    {"concurrency"},
    {"keep-going"},
    {"on-failure"},
    {"always"},
    {"on-late"},
    {"retention"},
    {"cleanup-timeout"},
    foreign("tasks", "tasks belong into a job: jobs: {main: {tasks: […]}}"),
    foreign("steps", "tasks belong into a job: jobs: {main: {tasks: […]}}"),
    foreign("run-name", "runs are numbered and have no name"),
    foreign("permissions", "leave it out"),
    foreign("timeout-minutes", "write `timeout: 5m`"),
    foreign("retry", "it belongs into `defaults`, or beside a task"),
    foreign("schedule", "it belongs into `on`"),
    foreign("webhook", "it belongs into `on`"),
    foreign("cron", "write on: {schedule: {cron: \"…\"}}"),
    foreign("variables", "did you mean `vars`?"),
    foreign("parameters", "did you mean `inputs`?"),
    foreign("version", "versions are counted by the server"),
    foreign("matrix", "`matrix` belongs to a job"),
    foreign("on-crash", "`on-crash` belongs to a task"),
    foreign("resume", "`resume` belongs to a job"),
    foreign("finally", "did you mean `always`?"),
    foreign("on-error", "did you mean `on-failure`?"),
    foreign("continue-on-error", "`continue-on-error` belongs to a task; a workflow has `keep-going`"),
});

constexpr auto job_keys = std::to_array<Key>({
    {"name"},
    {"needs"},
    {"if"},
    {"env"},
    {"resume"},
    {"tasks"},
    {"matrix"},
    {"max-parallel"},
    {"fail-fast"},
    {"keep-going"},
    foreign("concurrency", "`concurrency` belongs to the workflow; the instances of a matrix have `max-parallel`"),
    foreign("continue-on-error", "`continue-on-error` belongs to a task; a job has `keep-going`"),
    foreign("on-failure", "`on-failure` belongs to the workflow"),
    foreign("always", "`always` belongs to the workflow; a job has `if: always()`"),
    foreign("on-crash", "`on-crash` belongs to a task"),
    foreign("wait", "it belongs into `tasks`: - wait: …"),
    foreign("approval", "it belongs into `tasks`: - approval: …"),
    foreign("steps", "Pawl calls them `tasks`"),
    foreign("runs-on", "leave it out: tasks run where Pawl runs"),
    foreign("strategy", "`matrix`, `max-parallel` and `fail-fast` stand on the job itself"),
    foreign("uses", "there are no actions: use tasks with `run` or `http`"),
    foreign("with", "there are no actions: use tasks with `run` or `http`"),
    foreign("timeout-minutes", "write `timeout: 5m` on the tasks or the workflow"),
    foreign("timeout", "`timeout` belongs to the tasks or the workflow"),
    foreign("retry", "`retry` belongs to the tasks, or into `defaults` of the workflow"),
    foreign("defaults", "`defaults` belongs to the workflow"),
    foreign("vars", "`vars` belongs to the workflow"),
    foreign("outputs", "`outputs` belongs to the tasks; others read jobs.JOB.tasks.TASK.outputs.NAME"),
    foreign("run", "it belongs into `tasks`: - run: …"),
    foreign("http", "it belongs into `tasks`: - http: …"),
    foreign("depends-on", "did you mean `needs`?"),
    foreign("depends_on", "did you mean `needs`?"),
    foreign("container", "leave it out: tasks run where Pawl runs"),
    foreign("services", "leave it out"),
    foreign("permissions", "leave it out"),
    foreign("environment", "did you mean `env`?"),
});

constexpr auto defaults_keys = std::to_array<Key>({{"retry"},
                                                   {"timeout"},
                                                   foreign("run", "`defaults` takes `retry` and `timeout`"),
                                                   foreign("env", "`env` belongs to the workflow"),
                                                   later("shell"),
                                                   later("working-directory")});
constexpr auto recover_keys = std::to_array<Key>({{"max"}, {"window"}, {"then"}});
constexpr auto concurrency_keys =
    std::to_array<Key>({{"group"},
                        {"limit"},
                        {"on-conflict"},
                        foreign("cancel-in-progress", "write `on-conflict: cancel-running`"),
                        foreign("max", "did you mean `limit`?"),
                        foreign("name", "did you mean `group`?")});

constexpr auto tables = std::to_array<KeyTable>({{"workflow", workflow_keys},
                                                 {"job", job_keys},
                                                 {"defaults", defaults_keys},
                                                 {"recover", recover_keys},
                                                 {"concurrency", concurrency_keys}});

// Jobs with these ids follow the run's verdict.
constexpr std::string_view on_failure = "on-failure";
constexpr std::string_view always = "always";
// And this one is all there is to a run for a late slot.
constexpr std::string_view on_late = "on-late";

void read_name(Reader& reader, const Node& root, const Fields& fields, Workflow& workflow) {
  const Node* node = fields.value("name");
  if (!node) return reader.problem(root, "the workflow has no `name`");
  auto name = reader.plain(*node, "`name`", longest_name);
  if (!name) return;
  // Marks belong to the letters of many scripts.
  static const RE2 allowed("[\\p{L}\\p{M}\\p{Nd} _-]+");
  if (!RE2::FullMatch(*name, allowed)) {
    reader.problem(*node, fmt::format("`{}` is no name for a workflow", cut_utf8(*name, 100)),
                   "letters of any script, digits, space, _ and -");
  } else if (name->front() == ' ' || name->back() == ' ') {
    reader.problem(*node, "`name` begins or ends with a space");
  }
  workflow.name = std::move(*name);
}

void read_labels(Reader& reader, const Node& node, Workflow& workflow) {
  if (node.kind == Node::Kind::null || !reader.is_map(node, "`labels`")) return;
  for (const auto& [key, value] : node.entries) {
    const std::string what = fmt::format("the label `{}`", cut_utf8(key->text, 100));
    if (key->text.empty() || key->text.size() > longest_name)
      reader.problem(*key, "the name of a label has 1 to 100 bytes");
    if (auto text = reader.plain(*value, what, longest_title))
      workflow.labels.emplace_back(key->text, std::move(*text));
  }
}

// A literal keeps its type: `3` is the number, as ${{ 3 }} would be.
void read_vars(Reader& reader, const Node& node, Workflow& workflow) {
  workflow.vars = reader.templates(node, "`vars`", Place::vars, Form::text, false);
  for (auto& [name, value] : workflow.vars) {
    const auto entry =
        std::ranges::find(node.entries, name, [](const Entry& e) -> const std::string& { return e.key->text; });
    if (entry->value->kind != Node::Kind::string)
      value = fmt::format("${{{{ {} }}}}", pawl::to_text(reader.json(*entry->value, nullptr)));
  }
}

Defaults read_defaults(Reader& reader, const Node& node) {
  Defaults defaults;
  if (node.kind == Node::Kind::null || !reader.is_map(node, "`defaults`")) return defaults;
  const Fields fields(reader, node, "`defaults`", defaults_keys);
  if (const Node* retry = fields.value("retry")) defaults.retry = read_retry(reader, *retry);
  if (const Node* timeout = fields.value("timeout")) defaults.timeout = reader.duration(*timeout, "`timeout`");
  return defaults;
}

void read_recover(Reader& reader, const Node& node, Workflow& workflow) {
  if (node.kind == Node::Kind::null || !reader.is_map(node, "`recover`")) return;
  const Fields fields(reader, node, "`recover`", recover_keys);
  Recover& recover = workflow.recover;
  if (const Node* max = fields.value("max"))
    recover.max = static_cast<int>(reader.integer(*max, "`max`", 0, 1000).value_or(recover.max));
  if (const Node* window = fields.value("window"))
    recover.window = reader.duration(*window, "`window`").value_or(recover.window);
  if (const Node* then = fields.value("then")) {
    constexpr auto words = std::to_array<std::string_view>({"fail", "hold"});
    recover.then_hold = reader.word(*then, "`then`", words) == 1;
  }
}

void read_concurrency(Reader& reader, const Node& node, Workflow& workflow) {
  if (node.misread) return;
  if (node.is_scalar() && node.kind != Node::Kind::null)
    return reader.problem(node, fmt::format("`concurrency` must be a map, not {}", type_name(node)),
                          fmt::format("write concurrency: {{group: \"{}\"}}", cut_utf8(node.text, 100)));
  if (!reader.is_map(node, "`concurrency`")) return;
  const Fields fields(reader, node, "`concurrency`", concurrency_keys);
  Concurrency concurrency;
  if (const Node* group = fields.value("group")) {
    concurrency.group = reader.templated(*group, "`group`", Place::concurrency);
    if (group->kind == Node::Kind::string && trimmed(concurrency.group).empty() && !group->misread)
      reader.problem(*group, "`group` is empty");
  } else {
    reader.problem(node, "`concurrency` needs a `group`", "runs whose group has the same text share its places");
  }
  if (const Node* limit = fields.value("limit"))
    concurrency.limit = static_cast<int>(reader.integer(*limit, "`limit`", 1, 10'000).value_or(1));
  if (const Node* conflict = fields.value("on-conflict")) {
    constexpr auto words = std::to_array<std::string_view>({"queue", "cancel-running"});
    concurrency.cancel_running = reader.word(*conflict, "`on-conflict`", words) == 1;
  }
  workflow.concurrency = std::move(concurrency);
}

std::vector<Need> read_needs(Reader& reader, const Node& node) {
  std::vector<Need> needs;
  const bool list = node.kind == Node::Kind::list;
  const auto all = list ? std::span<const Node* const>(node.items) : std::span<const Node* const>();
  const auto add = [&](const Node& name) {
    if (name.is_scalar() && name.kind != Node::Kind::null)
      needs.push_back({name.text, &name});
    else
      reader.wrong_type(name, "`needs`", "the id of a job or a list of them");
  };
  if (list) {
    for (const Node* one : all) add(*one);
  } else {
    add(node);
  }
  return needs;
}

// How many instances of a job there may be at once, and what a failure of one does.
void read_instances(Reader& reader, const Fields& fields, Job& job) {
  if (const Node* matrix = fields.value("matrix")) {
    job.matrix = read_matrix(reader, *matrix);
  } else {
    for (const std::string_view name : {"max-parallel", "fail-fast"})
      if (const Node* key = fields.key(name))
        reader.problem(*key, fmt::format("`{}` belongs to a job with a `matrix`", name));
    return;
  }
  if (const Node* most = fields.value("max-parallel"))
    job.max_parallel = static_cast<int>(reader.integer(*most, "`max-parallel`", 1, 10'000).value_or(job.max_parallel));
  if (const Node* fail_fast = fields.value("fail-fast"))
    job.fail_fast = reader.boolean(*fail_fast, "`fail-fast`").value_or(job.fail_fast);
}

Job read_job(Reader& reader, const Node& key, const Node& node, const Defaults& defaults, std::vector<Need>& needs) {
  Job job;
  job.id = key.text;
  if (job.id == on_failure || job.id == always || job.id == on_late)
    reader.problem(key, fmt::format("`{}` is no id for a job: it is a key of the workflow", job.id),
                   fmt::format("write its tasks beside `jobs`, as {}: [- …]", job.id));
  else if (!is_id(job.id))
    reader.problem(key, fmt::format("`{}` is no id for a job", cut_utf8(job.id, 100)),
                   "letters, digits, _ and -; a letter or _ at first; names for people go into `name`");
  const std::string what = fmt::format("the job `{}`", cut_utf8(job.id, 100));
  if (node.kind == Node::Kind::null) {
    reader.problem(key, fmt::format("{} has no `tasks`", what));
    return job;
  }
  if (node.kind == Node::Kind::list) {
    reader.problem(node, fmt::format("{} must be a map, not a list", what), "its tasks belong into `tasks`");
    return job;
  }
  if (!reader.is_map(node, what)) return job;
  const Fields fields(reader, node, "a job", job_keys);
  if (const Node* name = fields.value("name")) job.name = reader.plain(*name, "`name`", longest_title).value_or("");
  if (const Node* given = fields.value("needs")) needs = read_needs(reader, *given);
  if (const Node* condition = fields.value("if"))
    job.condition = reader.templated(*condition, "`if`", Place::job_if, Form::expression);
  if (const Node* env = fields.value("env"))
    job.env = reader.templates(*env, "`env`", Place::job_env, Form::text, true);
  if (const Node* resume = fields.value("resume")) {
    constexpr auto words = std::to_array<std::string_view>({"task", "job"});
    if (const auto word = reader.word(*resume, "`resume`", words))
      job.resume = *word == 0 ? ResumeAt::task : ResumeAt::job;
  }
  job.keep_going = defaults.keep_going;
  if (const Node* go_on = fields.value("keep-going"))
    job.keep_going = reader.boolean(*go_on, "`keep-going`").value_or(job.keep_going);
  read_instances(reader, fields, job);
  if (const Node* tasks = fields.value("tasks")) {
    job.tasks = read_tasks(reader, *tasks, "`tasks`", defaults);
  } else if (std::ranges::none_of(std::to_array<std::string_view>({"steps", "uses", "run", "http", "wait", "approval"}),
                                  [&](std::string_view name) { return has_key(node, name); })) {
    reader.problem(key, fmt::format("{} has no `tasks`", what));
  }
  return job;
}

// False: there are too many tasks, and what was read is of no use.
bool within_limits(Reader& reader, const Node& at, Workflow& workflow, std::size_t tasks, std::size_t task_runs) {
  if (tasks > max_tasks)
    reader.problem(at, fmt::format("more than {} tasks in one workflow", max_tasks), "split it into several workflows");
  else if (task_runs > max_task_runs)
    reader.problem(at, fmt::format("more than {} tasks in one run, with all instances", max_task_runs),
                   "split it into several workflows, or the matrix into several runs");
  else
    return true;
  workflow.jobs.clear();
  std::erase_if(reader.sites, [](const Site& site) { return site.job >= 0; });
  return false;
}

void read_jobs(Reader& reader, const Node& key, const Node& node, const Defaults& defaults, Workflow& workflow) {
  if (node.kind == Node::Kind::list)
    return reader.problem(node, "`jobs` must be a map, not a list", "write each job as its id, then `tasks`");
  if (node.kind == Node::Kind::null) return reader.problem(key, "`jobs` is empty", "a workflow has at least one job");
  if (!reader.is_map(node, "`jobs`")) return;
  if (node.entries.empty()) return reader.problem(node, "`jobs` is empty", "a workflow has at least one job");
  std::vector<std::vector<Need>> needs(node.entries.size());
  std::size_t tasks = 0;
  std::size_t task_runs = 0;
  for (const auto& [id, value] : node.entries) {
    reader.job = static_cast<int>(workflow.jobs.size());
    workflow.jobs.push_back(read_job(reader, *id, *value, defaults, needs[workflow.jobs.size()]));
    // A job without tasks is a problem of its own; it counts so that their number is bounded too.
    const Job& job = workflow.jobs.back();
    const std::size_t count = std::max<std::size_t>(job.tasks.size(), 1);
    tasks += count;
    task_runs += count * (job.matrix ? combinations(*job.matrix) : 1);
    if (!within_limits(reader, *id, workflow, tasks, task_runs)) return;
  }
  reader.job = -1;
  connect_jobs(reader, workflow, needs);
}

// The tasks that follow the verdict, or answer a late slot, as a job behind all others.
void read_reserved(Reader& reader, const Fields& fields, std::string_view id, Role role, const Defaults& defaults,
                   Workflow& workflow) {
  const Node* node = fields.value(id);
  if (!node) return;
  Job job;
  job.id = id;
  job.role = role;
  job.keep_going = defaults.keep_going;
  reader.job = static_cast<int>(workflow.jobs.size());
  if (node->kind == Node::Kind::map && has_key(*node, "tasks"))
    reader.problem(*node, fmt::format("`{}` is no job but a list of tasks", id), "leave `tasks` out");
  else
    job.tasks = read_tasks(reader, *node, fmt::format("`{}`", id), defaults);
  workflow.jobs.push_back(std::move(job));
  reader.job = -1;
  std::size_t tasks = 0;
  for (const Job& one : workflow.jobs) tasks += one.tasks.size();
  within_limits(reader, *fields.key(id), workflow, tasks, 0);
}

}  // namespace

std::span<const KeyTable> workflow_key_tables() { return tables; }

Workflow read_workflow(Reader& reader, const Node& root) {
  Workflow workflow;
  if (root.kind == Node::Kind::null) {
    reader.problem(root, "the file is empty", "a workflow has a `name` and `jobs`");
    return workflow;
  }
  if (!reader.is_map(root, "a workflow")) return workflow;
  const Fields fields(reader, root, "the workflow", workflow_keys);
  read_name(reader, root, fields, workflow);
  if (const Node* description = fields.value("description"); description && description->kind != Node::Kind::null)
    workflow.description = reader.scalar(*description, "`description`").value_or("");
  if (const Node* labels = fields.value("labels")) read_labels(reader, *labels, workflow);
  if (const Node* inputs = fields.value("inputs")) workflow.inputs = read_inputs(reader, *inputs);
  if (const Node* vars = fields.value("vars")) read_vars(reader, *vars, workflow);
  if (const Node* env = fields.value("env"))
    workflow.env = reader.templates(*env, "`env`", Place::workflow_env, Form::text, true);
  if (const Node* timeout = fields.value("timeout"))
    workflow.timeout = reader.duration(*timeout, "`timeout`").value_or(workflow.timeout);
  if (const Node* timeout = fields.value("cleanup-timeout"))
    workflow.cleanup_timeout = reader.duration(*timeout, "`cleanup-timeout`").value_or(workflow.cleanup_timeout);
  if (const Node* retention = fields.value("retention"))
    workflow.retention = reader.duration(*retention, "`retention`");
  if (const Node* recover = fields.value("recover")) read_recover(reader, *recover, workflow);
  if (const Node* concurrency = fields.value("concurrency")) read_concurrency(reader, *concurrency, workflow);
  Defaults defaults = fields.value("defaults") ? read_defaults(reader, *fields.value("defaults")) : Defaults{};
  if (const Node* go_on = fields.value("keep-going"))
    defaults.keep_going = reader.boolean(*go_on, "`keep-going`").value_or(false);
  if (const Node* jobs = fields.value("jobs"))
    read_jobs(reader, *fields.key("jobs"), *jobs, defaults, workflow);
  else if (!has_key(root, "tasks") && !has_key(root, "steps"))
    reader.problem(root, "the workflow has no `jobs`");
  read_reserved(reader, fields, on_failure, Role::on_failure, defaults, workflow);
  read_reserved(reader, fields, always, Role::always, defaults, workflow);
  read_reserved(reader, fields, on_late, Role::on_late, defaults, workflow);
  // Last: what a schedule says is compared with the inputs, and with what there is to start.
  if (const Node* on = fields.value("on")) read_triggers(reader, *on, workflow);
  if (const Node* late = fields.key(on_late);
      late && std::ranges::none_of(workflow.schedules, [](const auto& one) { return one.rule.late_after.has_value(); }))
    reader.warn(*late, "no schedule of this file has `late-after`, so none of them starts `on-late`",
                "a schedule that is made by API may");
  return workflow;
}

}  // namespace pawl::definition
