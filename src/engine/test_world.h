// A node without a world for tests of the engine: it hands events to decide(), keeps what would be committed, and after
// every decision compares the live run with the one folded from its records.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "definition/definition.h"
#include "engine/engine.h"
#include "engine/fold.h"

namespace pawl::engine {

using namespace std::chrono_literals;

// Everything that follows from the records of a run, as text.
inline std::string describe(const RunState& state) {
  const auto when = [](const std::optional<Instant>& at) { return at ? fmt::format("{}", to_us(*at)) : "-"; };
  const auto why = [](const FailurePtr& error) {
    return error ? fmt::format("{} ({}) {}", error->code, error->message, to_text(error->cause)) : "-";
  };
  const auto value = [](const std::shared_ptr<const Json>& json) { return json ? to_text(*json) : "-"; };
  const Attempt& a = state.attempt;
  std::string text = fmt::format(
      "seq {} at {} run {} {} {} attempt {} {} started {} finished {} expires {}\nstop {} {} {} {} noted {} done {} "
      "recoveries {} "
      "ran {} "
      "since {}\nattempt {} version {} {} {} due {} by {} {} {} cancel {} {} {} {}\n",
      state.seq, to_us(state.last_at), to_string(state.run.status), to_string(state.run.waits_for), when(state.run.due),
      state.run.attempt, why(state.run.error), when(state.run.started_at), when(state.run.finished_at),
      when(state.run.expires_at), state.stop_asked, state.stop_hard, why(state.stop_error), when(state.stop_at),
      state.stop_noted, state.finished_task, state.counted_recoveries, state.ran.count(), when(state.running_since),
      a.number, a.version, to_string(a.status), to_string(a.waits_for), when(a.due), to_string(a.who.trigger),
      a.who.client, why(a.error), a.cancel_requested, when(a.created_at), when(a.started_at), when(a.finished_at));
  for (std::size_t j = 0; j < a.jobs.size(); ++j) {
    const JobRun& job = a.jobs[j];
    const JobProgress& progress = state.progress[j];
    text += fmt::format("job {} {} {} {} {} {} {} needs {} {}{}{}{}{}\n", j, to_string(job.status),
                        to_string(job.reason), job.done_in_attempt, why(job.error), when(job.started_at),
                        when(job.finished_at), progress.open_needs, progress.condition_held, progress.needs_failed,
                        progress.ancestor_failed, progress.task_failed, progress.task_cancelled);
    text += fmt::format("  of {} [{}] {} expanded {} {} stopping {} running {} open {} failed {}\n", job.of, job.key,
                        value(job.matrix), job.expanded, fmt::join(job.instances, ","), progress.stopping,
                        progress.instances_running, progress.instances_open, progress.instance_failed);
    for (const TaskRun& task : job.tasks) {
      text += fmt::format("  {} {} {} {} {} generation {} {} {} failed {} last {} {} {} {} {} {}\n",
                          to_string(task.status), to_string(task.reason), to_string(task.waits_for), when(task.due),
                          task.done_in_attempt, task.generation, when(task.generation_started), task.was_done,
                          task.failed_tries, task.last_try, value(task.outputs), value(task.preview), why(task.error),
                          when(task.started_at), when(task.finished_at));
      if (!task.message.empty() || task.response)
        text += fmt::format("    asks {} answer {}\n", task.message,
                            task.response ? to_string(task.response->answer) : "-");
      for (const Try& t : task.tries)
        text += fmt::format("    {} {} {} {} {}\n", t.number, to_string(t.status), when(t.started_at),
                            when(t.finished_at), why(t.error));
    }
  }
  const auto refs = [&](std::string_view name, const std::set<TaskRef>& set) {
    text += name;
    for (const TaskRef ref : set) text += fmt::format(" {}/{}", ref.job, ref.task);
    text += '\n';
  };
  refs("in flight", state.in_flight);
  refs("limited", state.limited);
  refs("cut off", state.cut_off);
  refs("asking", state.asking);
  text +=
      fmt::format("verdict {} {} reserved {} group {} {} {}\n", state.verdict ? to_string(state.verdict->status) : "-",
                  state.verdict ? why(state.verdict->error) : "-", state.open_reserved, state.run.group,
                  when(state.run.group_since), state.run.group_held);
  for (const auto& [due, ref] : state.timers) text += fmt::format("timer {} {}/{}\n", to_us(due), ref.job, ref.task);
  return text + fmt::format("seats {} {} open jobs {}\n", state.seats_held[0], state.seats_held[1], state.open_jobs);
}

inline Outcome exits(int code, std::string out = {}, std::string err = {}) {
  Outcome outcome;
  outcome.process = ProcessExit{.exit_code = code, .stdout_text = std::move(out), .stderr_tail = std::move(err)};
  return outcome;
}
inline Outcome replies(int status, Json body = nullptr) {
  Outcome outcome;
  outcome.reply = HttpReply{.status = status, .text = to_text(body), .json = body};
  return outcome;
}
inline Outcome times_out() {
  Outcome outcome;
  outcome.end = Outcome::End::timed_out;
  outcome.failure = {"timeout", "no end after 1s", nullptr};
  return outcome;
}
inline Outcome is_interrupted() {
  Outcome outcome;
  outcome.end = Outcome::End::interrupted;
  outcome.failure = {"interrupted", "interrupted by system stop", nullptr};
  return outcome;
}
inline Outcome is_stopped() {
  Outcome outcome;
  outcome.end = Outcome::End::stopped;
  return outcome;
}

class TestWorld {
 public:
  explicit TestWorld(std::string_view yaml) { change(yaml); }

  // The workflow's next version; runs that are there keep theirs.
  void change(std::string_view yaml) {
    auto parsed = definition::parse(yaml);
    if (!parsed) {
      ADD_FAILURE() << definition::to_text(parsed.error().front(), "test");
      std::abort();
    }
    const int version = plan_ ? plan_->version + 1 : 1;
    auto compiled = compile(std::make_shared<const Workflow>(std::move(parsed->workflow)), version);
    EXPECT_TRUE(compiled);
    plan_ = *compiled;
    versions_[version] = plan_;
  }

  Instant now{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  Limits limits;
  std::vector<StartTask> started;  // all that ever were, oldest first
  std::vector<StopTask> stopped;
  std::vector<RunId> forgotten;
  Changeset last_changes;  // of the newest decision
  std::optional<Record> last;  // record of the newest decision, if it made one

  // Starts a run, which the calls below are about until another is started or chosen.
  RunId start(Json inputs = json::object{}) {
    auto answer = request(std::move(inputs));
    EXPECT_TRUE(answer) << answer.error().message;
    return id_;
  }
  Result<Answer> request(Json inputs, std::string key = {}) {
    return ask(RunRequested{plan_->workflow->name, std::move(inputs), std::move(key), {}});
  }
  void choose(RunId id) { id_ = id; }

  Result<Answer> ask(const Event& event) {
    const Needs need = needs(event);
    View view;
    view.limits = &limits;
    view.environment = &environment_;
    view.workflow = WorkflowRow{.name = plan_->workflow->name, .version = plan_->version};
    view.plan = plan_;
    view.last_number = static_cast<std::int64_t>(runs_.size());
    if (need.run) view.run = runs_.at(*need.run).live.get();
    if (need.row) view.run = runs_.at(*need.row).live.get();
    if (const auto found = keys_.find(need.start_key); !need.start_key.empty() && found != keys_.end())
      view.start_key = found->second;
    Decision decision = decide(view, event, now, ++seed_);
    EXPECT_EQ(decision.broken, "");
    if (decision.changes.start_key) keys_[need.start_key] = *decision.changes.start_key;
    if (decision.created) {
      id_ = decision.created->run.id;
      runs_[id_].created = *decision.changes.new_run;
      runs_[id_].live = std::move(decision.created);
    }
    last = decision.record;
    last_changes = decision.changes;
    if (decision.changes.record) {
      Kept& kept = runs_.at(decision.changes.record->run);
      kept.records.push_back(*decision.changes.record);
      EXPECT_EQ(describe(*kept.live), describe(folded(decision.changes.record->run)));
    }
    for (Command& command : decision.commands) {
      if (auto* start = std::get_if<StartTask>(&command))
        started.push_back(std::move(*start));
      else if (auto* stop = std::get_if<StopTask>(&command))
        stopped.push_back(std::move(*stop));
      else
        forgotten.push_back(std::get<ForgetRun>(command).run);
    }
    for (const Event& event_of_it : decision.follow_ups) EXPECT_TRUE(ask(event_of_it));
    return std::move(decision.answer);
  }

  // The newest try of the task that was started in the chosen run.
  StartTask newest(std::string_view task) const {
    for (auto at = started.rbegin(); at != started.rend(); ++at)
      if (at->run == id_ && at->task == task) return *at;
    ADD_FAILURE() << "task " << task << " was not started";
    return {};
  }
  int starts_of(std::string_view task) const {
    int count = 0;
    for (const StartTask& start : started) count += start.run == id_ && start.task == task;
    return count;
  }
  TaskFinished result(std::string_view task, Outcome outcome = exits(0)) const {
    const StartTask start = newest(task);
    return {start.run, start.ref, start.try_number, std::move(outcome)};
  }
  void finish(std::string_view task, Outcome outcome = exits(0)) { EXPECT_TRUE(ask(result(task, std::move(outcome)))); }
  // The newest try of the task in one instance: test[os=a].
  void finish_in(std::string_view job, std::string_view task, Outcome outcome = exits(0)) {
    for (auto at = started.rbegin(); at != started.rend(); ++at) {
      if (at->run != id_ || at->job != job || at->task != task) continue;
      EXPECT_TRUE(ask(TaskFinished{at->run, at->ref, at->try_number, std::move(outcome)}));
      return;
    }
    ADD_FAILURE() << "task " << job << "/" << task << " was not started";
  }
  // Names of jobs with a try in flight.
  std::vector<std::string> jobs_in_flight() const {
    std::vector<std::string> names;
    for (const TaskRef ref : live().in_flight) names.push_back(live().job_name(ref.job));
    return names;
  }
  Result<Answer> answer(std::string job, std::string task, Answered said, Json outputs = nullptr) {
    return ask(AnswerRequested{id_, std::move(job), std::move(task), Response{said, Who{.user = "kim"}, "because"},
                               std::move(outputs)});
  }
  Result<Answer> rerun(std::string from) { return ask(RerunRequested{id_, std::move(from), {}}); }
  // Runs that wait for a seat or for a place in a group are offered what is free.
  void offer() {
    const RunId chosen = id_;
    for (auto next = limits.next_waiting(); next; next = limits.next_waiting()) EXPECT_TRUE(ask(SeatFree{*next}));
    id_ = chosen;
  }
  Result<Answer> cancel() { return ask(CancelRequested{id_, {}}); }
  Result<Answer> resume() { return ask(ResumeRequested{id_, false, false, nullptr, {}}); }
  Result<Answer> resume_with_current(bool force = false) { return resume_with_current(force, run().inputs); }
  Result<Answer> resume_with_current(bool force, Json inputs) {
    return ask(ResumeRequested{id_, true, force, std::move(inputs), {}});
  }

  // Time goes by; whatever is due in it is looked at when it is.
  void pass(Duration time) {
    const Instant until = now + time;
    for (auto due = next_due(live()); due && *due <= until; due = next_due(live())) {
      now = std::max(now, *due);
      EXPECT_TRUE(ask(TimerDue{id_}));
    }
    now = until;
  }
  // The node dies now and is up again after `down`, with nothing but what was committed.
  void crash(Duration down = 1s) {
    const Instant last_life = now;
    now += down;
    const auto most = limits.most;
    limits = {};
    limits.most = most;
    for (auto& [id, kept] : runs_) {
      kept.live = std::make_unique<RunState>(folded(id));
      if (!is_final(kept.live->attempt.status)) limits.remember(*kept.live);
      limits.note_places(kept.live->run);
    }
    for (auto& [id, kept] : runs_) EXPECT_TRUE(ask(RunOrphaned{id, last_life}));
  }

  const RunState& live() const { return *runs_.at(id_).live; }
  const Run& run() const { return live().run; }
  const Attempt& attempt() const { return live().attempt; }
  const JobRun& job(std::string_view id) const { return live().attempt.jobs[position(id)]; }
  const TaskRun& task(std::string_view id) const {
    const auto& jobs = live().plan->jobs;
    for (std::size_t j = 0; j < jobs.size(); ++j)
      if (const auto found = jobs[j].task_index.find(id); found != jobs[j].task_index.end())
        return live().attempt.jobs[j].tasks[static_cast<std::size_t>(found->second)];
    ADD_FAILURE() << "no task " << id;
    std::abort();
  }
  // The run of a job or instance, `test[os=a]`; nullptr: there is none in this attempt.
  const JobRun* job_named(std::string_view name) const {
    for (std::size_t j = 0; j < attempt().jobs.size(); ++j)
      if (live().job_name(static_cast<int>(j)) == name) return &attempt().jobs[j];
    return nullptr;
  }
  std::size_t position(std::string_view job) const {
    return static_cast<std::size_t>(live().plan->job_index.find(job)->second);
  }
  std::size_t records() const { return runs_.at(id_).records.size(); }
  std::vector<RecordRow>& stored() { return runs_.at(id_).records; }
  const Run& created() const { return runs_.at(id_).created; }
  const std::shared_ptr<const Plan>& plan() const { return plan_; }
  // Of the chosen run, oldest first.
  std::vector<Attempt> attempts() const { return history(folded(id_, true)).attempts; }

  // Status of a job or task in one word, with the reason of a skip: `skipped/done`.
  template <class Work>
  static std::string word(const Work& work) {
    std::string text(to_string(work.status));
    if (work.reason != SkipReason::none) text += fmt::format("/{}", to_string(work.reason));
    return text;
  }
  std::string job_is(std::string_view id) const { return word(job(id)); }
  std::string task_is(std::string_view id) const { return word(task(id)); }

 private:
  struct Kept {
    Run created;
    std::unique_ptr<RunState> live;
    std::vector<RecordRow> records;
  };

  RunState folded(RunId id, bool keep_past = false) const {
    const Kept& kept = runs_.at(id);
    auto state = fold(
        kept.created, [&](int version) -> Result<std::shared_ptr<const Plan>> { return versions_.at(version); },
        kept.records, keep_past);
    if (!state) {
      ADD_FAILURE() << state.error().message;
      std::abort();
    }
    return std::move(*state);
  }

  std::shared_ptr<const Plan> plan_;  // of the newest version
  std::map<int, std::shared_ptr<const Plan>> versions_;
  Json environment_ = json::object{};
  std::map<RunId, Kept> runs_;
  std::map<std::string, StartKey> keys_;
  RunId id_;
  std::uint64_t seed_ = 0;
};

}  // namespace pawl::engine
