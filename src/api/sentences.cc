#include "api/sentences.h"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::api {
namespace {

std::string because(const FailurePtr& failure) {
  return failure ? fmt::format(" ({}: {})", failure->code, failure->message) : std::string();
}

std::string until(const std::optional<Instant>& due) { return due ? " until " + to_rfc3339(*due) : std::string(); }

std::string asker(const Who& who) {
  std::string name = who.user.empty() ? who.client : who.user;
  if (!who.user.empty() && !who.client.empty()) name += " at " + who.client;
  return name.empty() ? std::string(to_string(who.trigger)) : name;
}

// How something ended, with the reason why it did not even begin.
std::string ending(WorkStatus status, SkipReason reason, const FailurePtr& error) {
  std::string words = status == WorkStatus::success ? "succeeded" : std::string(to_string(status));
  if (reason == SkipReason::condition) words += ", its condition does not hold";
  if (reason == SkipReason::upstream) words += ", something it needs failed";
  if (reason == SkipReason::interrupted) words += ", the attempt was cut off before it began";
  if (reason == SkipReason::done) words += ", it is done already";
  return words + because(error);
}

// Tells the changes of a run in order; knows which attempt it is in.
class Teller {
 public:
  // A history has an attempt at least.
  explicit Teller(const RunHistory& history) : history_(history), names_(history, history.attempts.front()) {}

  json::array tell(const Record& record) {
    entries_.clear();
    for (const Change& change : record.changes) std::visit(*this, change);
    return std::move(entries_);
  }

  void operator()(const AttemptStarted& c) {
    attempt_ = c.attempt;
    add("attempt_started", fmt::format("attempt {} of version {} begins: {}, asked by {}", c.attempt, c.version,
                                       to_string(c.who.trigger), asker(c.who)));
    const auto found = std::ranges::find(history_.attempts, c.attempt, &Attempt::number);
    if (found == history_.attempts.end()) return;
    names_ = Names(history_, *found);
    for (std::size_t j = 0; j < found->jobs.size(); ++j) {
      for (std::size_t t = 0; t < found->jobs[j].tasks.size(); ++t) {
        const TaskRun& task = found->jobs[j].tasks[t];
        if (task.reason != SkipReason::done) continue;
        const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
        task_entry("task_skipped", ref,
                   fmt::format("{} is skipped: attempt {} has done it", names_.path(ref), task.done_in_attempt));
      }
    }
  }
  void operator()(const AttemptInterrupted& c) {
    add("attempt_interrupted", fmt::format("attempt {} was cut off: {}{}", attempt_, c.message,
                                           c.counted ? ", counted towards recover.max" : ""));
  }
  void operator()(const AttemptHeld& c) {
    add("attempt_held", c.waits_for == WaitsFor::none
                            ? fmt::format("attempt {} may go on", attempt_)
                            : fmt::format("attempt {} waits for {}{}", attempt_, to_string(c.waits_for), until(c.due)));
  }
  void operator()(const AttemptEnded& c) {
    add("attempt_ended", fmt::format("attempt {} ended: {}{}", attempt_, to_string(c.status), because(c.error)));
  }
  void operator()(const StopAsked& c) {
    add("stop_asked", c.error  ? fmt::format("the run is stopped: {}", c.error->message)
                      : c.hard ? fmt::format("cancel was asked for again by {}: clean-up stops too", asker(c.who))
                               : fmt::format("cancel was asked for by {}", asker(c.who)));
  }
  void operator()(const StopNoted&) {
    add("stop_noted", "the server was asked to stop while tasks of the run were running");
  }
  void operator()(const VerdictReached& c) {
    add("verdict_reached", fmt::format("the run's verdict: {}{}", to_string(c.status), because(c.error)));
  }
  void operator()(const LineLeft&) { add("line_left", "no earlier run of the schedule is open any more"); }
  void operator()(const GroupTaken&) {
    add("group_taken", fmt::format("the run took its place in the group '{}'", history_.run.group));
  }
  void operator()(const JobExpanded& c) {
    job_entry(
        "job_expanded", c.job,
        fmt::format("job {} has {} instance{}", names_.job(c.job), c.values.size(), c.values.size() == 1 ? "" : "s"));
  }
  void operator()(const InstanceStopped& c) {
    job_entry("instance_stopped", c.job, fmt::format("{} is stopped: another instance failed", names_.job(c.job)));
  }
  void operator()(const TaskAnswered& c) {
    task_entry("task_answered", c.ref,
               fmt::format("{} was answered by {}: {}{}", names_.path(c.ref), asker(c.response.who),
                           to_string(c.response.answer),
                           c.response.comment.empty() ? "" : fmt::format(" ({})", c.response.comment)));
  }
  void operator()(const JobStarted& c) {
    job_entry("job_started", c.job, fmt::format("job {} begins", names_.job(c.job)));
  }
  void operator()(const JobEnded& c) {
    job_entry("job_ended", c.job, fmt::format("job {}: {}", names_.job(c.job), ending(c.status, c.reason, c.error)));
  }
  void operator()(const TaskStarted& c) {
    task_entry("task_started", c.ref, fmt::format("try {} of {} begins", c.try_number, names_.path(c.ref)),
               c.try_number);
  }
  void operator()(const TaskWaits& c) {
    task_entry("task_waits", c.ref,
               fmt::format("{} waits for {}{}{}", names_.path(c.ref), to_string(c.waits_for), until(c.due),
                           c.message.empty() ? "" : ": " + c.message));
  }
  void operator()(const TryEnded& c) {
    task_entry(
        "try_ended", c.ref,
        fmt::format("try {} of {}: {}{}", c.try_number, names_.path(c.ref), to_string(c.status), because(c.error)),
        c.try_number);
  }
  void operator()(const TaskEnded& c) {
    task_entry("task_ended", c.ref, fmt::format("{}: {}", names_.path(c.ref), ending(c.status, c.reason, c.error)));
  }

 private:
  json::object& add(std::string_view type, const std::string& sentence) {
    entries_.push_back(json::object{{"type", text(type)}, {"text", text(sentence)}, {"attempt", attempt_}});
    return entries_.back().get_object();
  }
  void job_entry(std::string_view type, int job, const std::string& sentence) {
    add(type, sentence)["job"] = text(names_.job(job));
  }
  void task_entry(std::string_view type, TaskRef ref, const std::string& sentence, int try_number = 0) {
    json::object& entry = add(type, sentence);
    entry["job"] = text(names_.job(ref.job));
    entry["task"] = text(names_.task(ref));
    if (try_number > 0) entry["try"] = try_number;
  }

  const RunHistory& history_;
  Names names_;
  int attempt_ = 0;
  json::array entries_;
};

}  // namespace

json::array sentences(const RunHistory& history, const std::vector<Record>& records, std::int64_t after,
                      std::size_t limit) {
  Teller teller(history);
  json::array items;
  for (const Record& record : records) {
    json::array entries = teller.tell(record);
    if (record.seq <= after) continue;
    if (items.size() == limit) break;
    items.push_back(json::object{{"seq", record.seq}, {"at", time(record.at)}, {"entries", std::move(entries)}});
  }
  return items;
}

}  // namespace pawl::api
