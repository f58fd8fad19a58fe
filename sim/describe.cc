#include "sim/describe.h"

#include <fmt/format.h>

namespace pawl::sim {
namespace {

std::string when(const std::optional<Instant>& instant) { return instant ? fmt::format("{}", to_us(*instant)) : "-"; }
std::string why(const FailurePtr& error) { return error ? error->code + ": " + error->message : "-"; }
std::string value(const std::shared_ptr<const Json>& json) { return json ? to_text(*json) : "-"; }

}  // namespace

std::string describe(const Attempt& attempt) {
  std::string text = fmt::format("attempt {} v{} {} {} {} {} {} {} {} {}\n", attempt.number, attempt.version,
                                 to_string(attempt.status), to_string(attempt.waits_for), when(attempt.due),
                                 to_string(attempt.who.trigger), why(attempt.error), attempt.cancel_requested,
                                 when(attempt.started_at), when(attempt.finished_at));
  for (std::size_t j = 0; j < attempt.jobs.size(); ++j) {
    const JobRun& job = attempt.jobs[j];
    text +=
        fmt::format(" job {} {} {} {} {} of {} [{}] list {} {}\n", j, to_string(job.status), to_string(job.reason),
                    job.done_in_attempt, why(job.error), job.of, job.key, job.expanded, fmt::join(job.instances, ","));
    for (std::size_t t = 0; t < job.tasks.size(); ++t) {
      const TaskRun& task = job.tasks[t];
      text += fmt::format("  task {} {} {} {} {} done in {} generation {} ({}) failed {} last {} outputs {} {}\n", t,
                          to_string(task.status), to_string(task.reason), to_string(task.waits_for), when(task.due),
                          task.done_in_attempt, task.generation, when(task.generation_started), task.failed_tries,
                          task.last_try, value(task.outputs), why(task.error));
      if (!task.message.empty() || task.response)
        text += fmt::format("   asks '{}' answer {}\n", task.message,
                            task.response ? to_string(task.response->answer) : "-");
      for (const Try& t_run : task.tries)
        text += fmt::format("   try {} {} {} {} {}\n", t_run.number, to_string(t_run.status), when(t_run.started_at),
                            when(t_run.finished_at), why(t_run.error));
    }
  }
  return text;
}

std::string describe(const engine::RunState& state) {
  std::string text = fmt::format("run {} {} seq {} stop {} {} {} noted {} recoveries {} finished {} ran {} since {}\n",
                                 to_string(state.run.id), to_string(state.run.status), state.seq, state.stop_asked,
                                 state.stop_hard, why(state.stop_error), state.stop_noted, state.counted_recoveries,
                                 state.finished_task, state.ran.count(), when(state.running_since));
  text += describe(state.attempt);
  text += fmt::format(" open jobs {}, in flight", state.open_jobs);
  for (const TaskRef ref : state.in_flight) text += fmt::format(" {}/{}", ref.job, ref.task);
  text += ", timers";
  for (const auto& [due, ref] : state.timers) text += fmt::format(" {}@{}/{}", to_us(due), ref.job, ref.task);
  text += ", limited";
  for (const TaskRef ref : state.limited) text += fmt::format(" {}/{}", ref.job, ref.task);
  text += ", cut off";
  for (const TaskRef ref : state.cut_off) text += fmt::format(" {}/{}", ref.job, ref.task);
  text += ", asking";
  for (const TaskRef ref : state.asking) text += fmt::format(" {}/{}", ref.job, ref.task);
  text += ", needs";
  for (const engine::JobProgress& p : state.progress)
    text += fmt::format(" {}{}{}{}{}{}{}:{}/{}", p.open_needs, p.needs_failed ? "f" : "", p.ancestor_failed ? "a" : "",
                        p.task_failed ? "t" : "", p.condition_held ? "h" : "", p.stopping ? "s" : "",
                        p.instance_failed ? "i" : "", p.instances_running, p.instances_open);
  text += fmt::format(", verdict {} {} reserved {}, group '{}' {} {}",
                      state.verdict ? to_string(state.verdict->status) : "-",
                      state.verdict ? why(state.verdict->error) : "-", state.open_reserved, state.run.group,
                      when(state.run.group_since), state.run.group_held);
  return text + "\n";
}

}  // namespace pawl::sim
