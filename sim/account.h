// What is counted over the records of one run: tries and their delays, verdicts, answers, crashes in a row, and what a
// stop owes to the work that it ends. Kept apart from the engine's own counts.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/state.h"
#include "model/record.h"
#include "sim/roll_up.h"

namespace pawl::sim {

// `job/task` or `job[key]/task`: the name that stays when positions change with the version.
std::string work_name(const engine::RunState& state, TaskRef ref);
// … and its generation: `job/task#1`.
std::string generation_name(const engine::RunState& state, TaskRef ref);

class Account {
 public:
  // What was found to be wrong: the promise, and how.
  using Say = std::function<void(std::string_view, const std::string&)>;

  // Before and after the change is applied to `state`, and after the last one of its record.
  void before(const engine::RunState& state, const Change& change, Instant at, const Say& say);
  void after(const engine::RunState& state, const Change& change, Instant at, const Say& say);
  void end_of_record(const engine::RunState& state, const Say& say);
  // The server died.
  void crashed() { suspect_ = false; }

  // What the success of a generation has brought; empty: it has none.
  std::string_view token(const std::string& generation) const;
  Stopped stopped() const { return stopped_; }
  // It works although it was in flight at several crashes in a row: no other such run may.
  bool is_suspect() const { return suspect_; }
  // Tries that have to be told to stop, and by which promise.
  struct Owed {
    TaskRef ref;
    int try_number = 0;
    std::string_view promise;
  };
  std::vector<Owed> take_owed() { return std::exchange(owed_, {}); }

 private:
  void change_version(const engine::RunState& state);
  void attempt_begins(const engine::RunState& state, const AttemptStarted& change, Instant at);
  void is_interrupted(const engine::RunState& state, const AttemptInterrupted& change, const Say& say);
  void task_starts(const engine::RunState& state, TaskRef ref, Instant at, const Say& say);
  void task_waits(const engine::RunState& state, const TaskWaits& change, Instant at, const Say& say);
  void try_ends(const engine::RunState& state, const TryEnded& change);
  void task_ends(const engine::RunState& state, const TaskEnded& change, const Say& say);
  void job_begins(const engine::RunState& state, const JobStarted& change, const Say& say);
  void job_ends(const engine::RunState& state, const JobEnded& change, const Say& say);
  void is_stopped(const engine::RunState& state, const StopAsked& change);
  void done(const engine::RunState& state, TaskRef ref, const std::shared_ptr<const Json>& outputs);
  bool is_stopping(const engine::RunState& state, int job) const;

  // In this era, which a person's resume or rerun ends.
  std::map<std::string, int> failures_;  // of a generation
  std::map<std::string, Instant> retry_due_;
  std::set<std::string> settled_, settled_jobs_;  // tasks and jobs that have their verdict
  std::set<std::string> begun_jobs_;
  Stopped stopped_ = Stopped::no;
  bool stopped_hard_ = false;

  std::map<std::string, std::string> tokens_;  // of a generation
  std::set<std::string> known_done_;  // in any generation
  std::set<int> stopped_instances_;  // in this attempt
  // Crashes in a row.
  int crashes_ = 0;
  bool progress_ = false;  // something was done for the first time in this attempt
  bool noted_ = false;  // the server was asked to stop, and nothing has started since
  bool spent_ = false;  // there were more than recover.max
  bool suspect_ = false;
  std::optional<Instant> not_before_;  // this attempt may not start anything

  // Of the record that is being read.
  std::optional<TaskRef> failed_;  // a try of it has
  std::vector<TaskRef> must_end_;  // it waited when the stop came
  std::vector<std::pair<TaskRef, Answered>> answers_;
  std::vector<std::string> early_;  // what has started too soon after a crash
  bool goes_on_ = false;  // a hold has ended
  std::vector<Owed> owed_;
};

}  // namespace pawl::sim
