// A person asks for more of a final run: resume, where all that is not success runs again, or rerun from some point on.
#include <fmt/format.h>

#include <algorithm>

#include "engine/carry.h"
#include "engine/step.h"

namespace pawl::engine {
namespace {

Result<void> must_be_final(const RunState& s, std::string_view what) {
  if (is_final(s.attempt.status)) return {};
  return fail(
      Code::conflict,
      fmt::format("run {} is {}: only a final run can be {}", to_string(s.run.id), to_string(s.attempt.status), what),
      "run_open");
}

Result<Answer> begin(Step& step, AttemptStarted started, const std::shared_ptr<const Plan>& plan) {
  RunState& s = step.s;
  started.attempt = s.attempt.number + 1;
  started.version = plan->version;
  started.who.at = step.now;
  step.emit(std::move(started), plan);
  if (!step.broken() && admit(step)) begin_attempt(step);
  return RunAccepted{s.run.id, s.run.number, s.run.workflow, false};
}

// `job`, `job/task`, `job[key=value]`, `job[key=value]/task`; task -1: the whole job.
Result<TaskRef> find_start(const RunState& s, std::string_view from) {
  const auto unknown = [&] {
    return fail(Code::not_found, fmt::format("the run has no job or task '{}'", from), "task_unknown");
  };
  // The values of an instance may hold slashes.
  const std::size_t bracket = from.rfind(']');
  const std::size_t slash = from.find('/', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view job = from.substr(0, slash);
  for (std::size_t j = 0; j < s.attempt.jobs.size(); ++j) {
    const JobRun& run = s.attempt.jobs[j];
    const int position = static_cast<int>(j);
    if (s.job_name(position) != job || s.job_plan(position).job->role != working_role(s)) continue;
    // An instance that the list holds no more would be begun by nobody.
    if (run.of >= 0) {
      const auto& listed = s.attempt.jobs[static_cast<std::size_t>(run.of)].instances;
      if (std::ranges::find(listed, position) == listed.end()) continue;
    }
    if (slash == std::string_view::npos) return TaskRef{position, -1};
    if (run.of < 0 && s.job_plan(position).job->matrix) return unknown();
    const auto& index = s.job_plan(position).task_index;
    const auto found = index.find(from.substr(slash + 1));
    if (found == index.end()) return unknown();
    return TaskRef{position, found->second};
  }
  return unknown();
}

}  // namespace

Result<Answer> resume(Step& step, const ResumeRequested& event, const View& view) {
  RunState& s = step.s;
  if (const auto may = must_be_final(s, "resumed"); !may) return std::unexpected(may.error());
  if (s.attempt.status == RunStatus::success)
    return fail(Code::conflict, fmt::format("run {} succeeded: there is nothing left to resume", to_string(s.run.id)),
                "run_final");
  AttemptStarted started;
  started.who = event.who;
  started.who.trigger = Trigger::resume;
  if (!event.with_current) return begin(step, std::move(started), s.plan);

  if (!view.plan)
    return fail(Code::conflict, fmt::format("workflow '{}' is no more: there is no current version", s.run.workflow),
                "workflow_unknown");
  if (const auto names = unmatched(s, *view.plan); !names.empty() && !event.force)
    return fail(
        Code::invalid,
        fmt::format("done tasks without an id of their own cannot be found in version {}: {}; give them ids, or "
                    "run them again with force",
                    view.plan->version, fmt::join(names, ", ")),
        "tasks_unmatched");
  auto values = resolve_values(*view.plan, s.run, event.inputs, view.environment, step.now);
  if (!values) return std::unexpected(values.error());
  started.inputs = std::make_shared<const Json>(event.inputs);
  started.vars = std::make_shared<const Json>(std::move(values->vars));
  started.env = std::make_shared<const Json>(std::move(values->env));
  return begin(step, std::move(started), view.plan);
}

Result<Answer> rerun(Step& step, const RerunRequested& event) {
  RunState& s = step.s;
  if (const auto may = must_be_final(s, "run again"); !may) return std::unexpected(may.error());
  const auto from = find_start(s, event.from);
  if (!from) return std::unexpected(from.error());
  AttemptStarted started;
  started.who = event.who;
  started.who.trigger = Trigger::rerun;
  started.from = *from;
  return begin(step, std::move(started), s.plan);
}

}  // namespace pawl::engine
