#include "sim/account.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "sim/tasks.h"

namespace pawl::sim {
namespace {

using namespace std::chrono_literals;

// How long a run stays away after its second, third … crash in a row.
constexpr auto absences = std::to_array<Duration>({1s, 10s, 60s});

bool is_normal(const engine::RunState& state, int job) {
  return engine::makes_verdict(state, state.job_plan(job).job->role);
}

// The shortest and the longest time between the n-th failed try and the next one.
std::pair<Duration, Duration> delays(const Retry& retry, int failed) {
  double delay = static_cast<double>(retry.delay.count());
  for (int i = 1; i < failed; ++i) delay *= retry.backoff;
  const double longest = retry.max_delay ? static_cast<double>(retry.max_delay->count()) : HUGE_VAL;
  delay = std::min(delay, longest);
  const double shortest = delay * (1 - retry.jitter);
  delay = std::min(delay * (1 + retry.jitter), longest);
  return {Duration{static_cast<std::int64_t>(shortest) - 1}, Duration{static_cast<std::int64_t>(delay) + 1}};
}

bool has_come_of(Answered said, const TaskRun& task) {
  switch (said) {
    case Answered::approved:
    case Answered::done: return task.status == WorkStatus::success;
    case Answered::rejected:
    case Answered::fail: return task.status == WorkStatus::failed;
    case Answered::rerun: return task.status != WorkStatus::success && task.status != WorkStatus::skipped;
  }
  return false;
}

}  // namespace

std::string work_name(const engine::RunState& state, TaskRef ref) {
  return state.job_name(ref.job) + "/" + state.plan_of(ref).task->id;
}

std::string generation_name(const engine::RunState& state, TaskRef ref) {
  return fmt::format("{}#{}", work_name(state, ref), state.task(ref).generation);
}

std::string_view Account::token(const std::string& generation) const {
  const auto found = tokens_.find(generation);
  return found == tokens_.end() ? std::string_view{} : found->second;
}

bool Account::is_stopping(const engine::RunState& state, int job) const {
  if (!is_normal(state, job)) return stopped_hard_;
  return stopped_ != Stopped::no || stopped_instances_.contains(job);
}

void Account::before(const engine::RunState& state, const Change& change, Instant at, const Say& say) {
  if (const auto* started = std::get_if<AttemptStarted>(&change)) {
    if (state.plan && started->version != state.attempt.version) change_version(state);
  } else if (const auto* interrupted = std::get_if<AttemptInterrupted>(&change)) {
    is_interrupted(state, *interrupted, say);
  } else if (const auto* held = std::get_if<AttemptHeld>(&change)) {
    goes_on_ |= held->waits_for == WaitsFor::none;
  } else if (const auto* begun = std::get_if<TaskStarted>(&change)) {
    task_starts(state, begun->ref, at, say);
  } else if (const auto* waits = std::get_if<TaskWaits>(&change)) {
    task_waits(state, *waits, at, say);
  } else if (const auto* answered = std::get_if<TaskAnswered>(&change)) {
    answers_.emplace_back(answered->ref, answered->response.answer);
    crashes_ = 0;
    spent_ = false;
    not_before_.reset();
  } else if (const auto* tried = std::get_if<TryEnded>(&change)) {
    try_ends(state, *tried);
  } else if (const auto* ended = std::get_if<TaskEnded>(&change)) {
    task_ends(state, *ended, say);
  } else if (const auto* began = std::get_if<JobStarted>(&change)) {
    job_begins(state, *began, say);
  } else if (const auto* end = std::get_if<JobEnded>(&change)) {
    job_ends(state, *end, say);
  } else if (const auto* instance = std::get_if<InstanceStopped>(&change)) {
    stopped_instances_.insert(instance->job);
    for (const TaskRef ref : state.in_flight)
      if (ref.job == instance->job) owed_.push_back({ref, state.task(ref).last_try, "fail-fast"});
  } else if (const auto* stop = std::get_if<StopAsked>(&change)) {
    is_stopped(state, *stop);
  } else if (std::holds_alternative<StopNoted>(change)) {
    noted_ = true;
  } else if (const auto* verdict = std::get_if<VerdictReached>(&change)) {
    const RunStatus right = end_of_run(state, stopped_);
    if (!spent_ && verdict->status != right)
      say("roll-up", fmt::format("its verdict is {} and not {}", to_string(verdict->status), to_string(right)));
  } else if (const auto* over = std::get_if<AttemptEnded>(&change)) {
    const bool limit = over->error && over->error->code == "recovery_limit";
    const RunStatus right = state.plan->has_reserved ? over->status : end_of_run(state, stopped_);
    if (!limit && over->status != right)
      say("roll-up", fmt::format("it ends {} and not {}", to_string(over->status), to_string(right)));
  }
}

void Account::after(const engine::RunState& state, const Change& change, Instant at, const Say& say) {
  const auto* started = std::get_if<AttemptStarted>(&change);
  if (!started) return;
  attempt_begins(state, *started, at);
  if (started->who.trigger != Trigger::recovery) return;
  // A failed try, or a wait, that is not over when the server dies goes on as it was.
  each_task(state.attempt, [&](TaskRef ref) {
    const auto due = retry_due_.find(generation_name(state, ref));
    const TaskRun& task = state.task(ref);
    if (due != retry_due_.end() && task.status == WorkStatus::waiting && task.due && *task.due != due->second)
      say("retry", work_name(state, ref) + " has another due time after a crash");
  });
}

void Account::end_of_record(const engine::RunState& state, const Say& say) {
  for (const TaskRef ref : std::exchange(must_end_, {}))
    if (state.task(ref).status == WorkStatus::waiting) say("P8", work_name(state, ref) + " waits on after a cancel");
  // A person who answers has looked at it, and it goes on.
  for (const std::string& what : std::exchange(early_, {}))
    if (answers_.empty()) say("P6", what);
  for (const auto& [ref, said] : std::exchange(answers_, {}))
    if (!has_come_of(said, state.task(ref)))
      say("answer", fmt::format("{} was answered `{}`, and is {}", work_name(state, ref), to_string(said),
                                to_string(state.task(ref).status)));
  failed_.reset();
  // What waits, for a person or for its time, kills nobody.
  const bool works = !state.in_flight.empty() || !state.limited.empty();
  const bool is_suspect = crashes_ >= 2 && !progress_ && stopped_ == Stopped::no && works;
  suspect_ = is_suspect && (suspect_ || std::exchange(goes_on_, false));
  goes_on_ = false;
}

// What the version before did not hold is other work, whatever it was called in versions before that.
void Account::change_version(const engine::RunState& state) {
  std::set<std::string> names;
  for (std::size_t j = 0; j < state.attempt.jobs.size(); ++j)
    for (std::size_t t = 0; t < state.attempt.jobs[j].tasks.size(); ++t)
      names.insert(work_name(state, {static_cast<int>(j), static_cast<int>(t)}));
  std::erase_if(known_done_, [&](const std::string& name) { return !names.contains(name); });
}

void Account::attempt_begins(const engine::RunState& state, const AttemptStarted& change, Instant at) {
  stopped_instances_.clear();
  progress_ = noted_ = spent_ = suspect_ = false;
  not_before_.reset();
  if (change.who.trigger == Trigger::recovery) {
    const int most = state.plan->workflow->recover.max;
    spent_ = crashes_ > most && !state.plan->workflow->recover.then_hold;
    const auto how_many = std::min(static_cast<std::size_t>(std::max(0, crashes_ - 2)), absences.size() - 1);
    if (crashes_ >= 2 && crashes_ <= most) not_before_ = at + absences[how_many];
    return;
  }
  crashes_ = 0;
  failures_.clear();
  retry_due_.clear();
  settled_.clear();
  settled_jobs_.clear();
  begun_jobs_.clear();
  stopped_ = Stopped::no;
  stopped_hard_ = false;
}

void Account::is_interrupted(const engine::RunState& state, const AttemptInterrupted& change, const Say& say) {
  if (noted_ && change.counted) say("P6", "a stop on request is counted as a crash");
  if (noted_ != (change.message == "interrupted by system stop"))
    say("stop",
        fmt::format("it was cut off by a {}, but its message is: {}", noted_ ? "stop" : "crash", change.message));
  if (progress_ || (!change.counted && !noted_)) crashes_ = 0;
  crashes_ += change.counted;
  suspect_ = false;
  // A job may say that it begins again.
  for (std::size_t j = 0; j < state.attempt.jobs.size(); ++j) {
    const int job = static_cast<int>(j);
    if (is_final(state.attempt.jobs[j].status) || state.job_plan(job).job->resume != ResumeAt::job) continue;
    for (std::size_t t = 0; t < state.attempt.jobs[j].tasks.size(); ++t)
      settled_.erase(work_name(state, {job, static_cast<int>(t)}));
  }
}

void Account::task_starts(const engine::RunState& state, TaskRef ref, Instant at, const Say& say) {
  noted_ = false;
  const std::string name = work_name(state, ref);
  const std::string generation = generation_name(state, ref);
  if (settled_.contains(name)) say("verdict", name + " starts, and has its verdict already");
  if (failures_[generation] > state.plan_of(ref).task->retry.max)
    say("retry", fmt::format("{} starts after {} failed tries", name, failures_[generation]));
  if (const auto due = retry_due_.find(generation); due != retry_due_.end() && at < due->second)
    say("retry", name + " is tried again before its time");
  retry_due_.erase(generation);
  const bool stopping = stopped_ != Stopped::no;
  if (not_before_ && at < *not_before_ && !stopping)
    early_.push_back(fmt::format("{} starts at once after {} crashes in a row", name, crashes_));
  if (spent_ && is_normal(state, ref.job))
    say("P6", fmt::format("{} starts after {} crashes in a row", name, crashes_));
}

void Account::task_waits(const engine::RunState& state, const TaskWaits& change, Instant at, const Say& say) {
  const std::string name = work_name(state, change.ref);
  const std::string generation = generation_name(state, change.ref);
  const Task& task = *state.plan_of(change.ref).task;
  if (settled_.contains(name)) say("verdict", name + " waits, and has its verdict already");
  if (change.waits_for == WaitsFor::retry) {
    const int failed = failures_[generation];
    if (failed > task.retry.max) say("retry", fmt::format("{} is to be tried again after {} failures", name, failed));
    const auto [shortest, longest] = delays(task.retry, failed);
    const Duration delay = change.due.value_or(Instant{}) - at;
    if (delay < shortest || delay > longest)
      say("retry", fmt::format("{} is to be tried again after {}, not {} to {}", name, to_text(delay),
                               to_text(shortest), to_text(longest)));
    retry_due_[generation] = change.due.value_or(at);
    failed_.reset();
  }
  if (const auto* approval = std::get_if<ApprovalAction>(&task.action);
      approval && change.waits_for == WaitsFor::approval) {
    const auto due = approval->expires ? std::optional(at + *approval->expires) : std::nullopt;
    if (change.due != due) say("answer", name + " does not expire when it should");
  }
}

void Account::done(const engine::RunState& state, TaskRef ref, const std::shared_ptr<const Json>& outputs) {
  const std::string name = work_name(state, ref);
  settled_.insert(name);
  progress_ |= known_done_.insert(name).second;
  if (outputs) tokens_[generation_name(state, ref)] = find_string(*outputs, "token");
}

void Account::try_ends(const engine::RunState& state, const TryEnded& change) {
  if (change.status == TryStatus::success) return done(state, change.ref, change.outputs);
  if (change.status != TryStatus::failed && change.status != TryStatus::timed_out) return;
  ++failures_[generation_name(state, change.ref)];
  failed_ = change.ref;
}

void Account::task_ends(const engine::RunState& state, const TaskEnded& change, const Say& say) {
  const std::string name = work_name(state, change.ref);
  if (settled_.contains(name)) say("verdict", name + " has its verdict already, and is given another one");
  if (change.status == WorkStatus::success) return done(state, change.ref, change.outputs);
  settled_.insert(name);
  const int most = state.plan_of(change.ref).task->retry.max;
  const int failed = failures_[generation_name(state, change.ref)];
  if (failed_ == change.ref && failed <= most && !is_stopping(state, change.ref.job))
    say("retry",
        fmt::format("{} gives up after {} failed tries, and {} more are allowed", name, failed, most + 1 - failed));
}

void Account::job_begins(const engine::RunState& state, const JobStarted& change, const Say& say) {
  const std::string name = state.job_name(change.job);
  if (settled_jobs_.contains(name)) say("verdict", name + " begins, and has its verdict already");
  begun_jobs_.insert(name);
  if (const auto wrong = wrong_start(state, change)) say("needs", *wrong);
}

void Account::job_ends(const engine::RunState& state, const JobEnded& change, const Say& say) {
  const std::string name = state.job_name(change.job);
  if (!settled_jobs_.insert(name).second) say("verdict", name + " has its verdict already, and is given another one");
  // Not so by the end of the job that holds it.
  if (change.status == WorkStatus::skipped && begun_jobs_.contains(name) && !spent_)
    say("verdict", name + " had begun, and is passed over now");
  if (const auto wrong = wrong_skip(state, change); wrong && !spent_) say("needs", *wrong);
  const int of = state.attempt.jobs[at_index(change.job)].of;
  bool stopped = stopped_ != Stopped::no || stopped_instances_.contains(change.job);
  const auto has_failed = [&](int instance) {
    return state.attempt.jobs[at_index(instance)].status == WorkStatus::failed;
  };
  for (const int instance : state.attempt.jobs[at_index(of < 0 ? change.job : of)].instances)
    stopped |= state.job_plan(instance).job->fail_fast && has_failed(instance);
  if (const auto wrong = wrong_end(state, change, stopped); wrong && !spent_) say("roll-up", *wrong);
}

void Account::is_stopped(const engine::RunState& state, const StopAsked& change) {
  if (stopped_ == Stopped::no) stopped_ = change.error ? Stopped::by_time : Stopped::by_person;
  stopped_hard_ |= change.hard;
  const auto is_meant = [&](int job) { return change.hard || is_normal(state, job); };
  for (const TaskRef ref : state.in_flight)
    if (is_meant(ref.job)) owed_.push_back({ref, state.task(ref).last_try, "P8"});
  each_task(state.attempt, [&](TaskRef ref) {
    if (is_meant(ref.job) && state.task(ref).status == WorkStatus::waiting) must_end_.push_back(ref);
  });
}

}  // namespace pawl::sim
