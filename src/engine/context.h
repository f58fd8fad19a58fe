// Where the names of expressions get their values in a run.
#pragma once

#include <deque>
#include <optional>

#include "engine/state.h"
#include "expression/expression.h"
#include "model/event.h"

namespace pawl::engine {

// For vars at the start of a run, before it has a plan or state of its own.
struct StartContext {
  const Workflow* workflow = nullptr;
  const Run* run = nullptr;
};

class RunContext : public expression::Context {
 public:
  // `job` and `task` say from where it is looked; -1: from none. `state` must outlive the context and stay as it is.
  RunContext(const RunState& state, int job, int task, Instant now)
      : state_(&state), job_(job), task_(task), now_(now) {}
  explicit RunContext(StartContext start, Instant now) : start_(start), now_(now) {}

  // What a try has brought, for the outputs and success-when of its task.
  void set_outcome(const Outcome& outcome) { outcome_ = &outcome; }
  // What the status functions say; without it they mean nothing here.
  struct Status {
    bool success = true, failure = false, cancelled = false;
  };
  void set_status(Status status) { status_ = status; }

  Result<Found> lookup(std::span<const std::string> path) const override;
  std::optional<bool> status(expression::StatusFunction function) const override;
  Instant now() const override { return now_; }

 private:
  const Run& run() const { return state_ ? state_->run : *start_.run; }
  Found keep(Json value, std::size_t used) const;
  Found task_path(int job, std::span<const std::string> path, std::size_t used) const;
  Json task_object(const TaskRun& task) const;
  Json job_object(int job) const;
  Json instances(int job) const;
  Found job_path(std::span<const std::string> path) const;
  Found response(std::span<const std::string> path) const;
  Json run_object() const;

  const RunState* state_ = nullptr;
  StartContext start_;
  int job_ = -1;
  int task_ = -1;
  Instant now_;
  const Outcome* outcome_ = nullptr;
  std::optional<Status> status_;
  mutable std::deque<Json> made_;  // objects made for one evaluation; a deque, so that none moves
};

// Standard output as a value: without the line ends at its end.
std::string_view trimmed(std::string_view text);

}  // namespace pawl::engine
