// Runs as the API shows them (docs/api.md).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/call.h"
#include "model/run.h"
#include "model/seat.h"

namespace pawl::api {

// The names that positions of an attempt mean. For a definition that is not there they are made up: job-1, task-1.
class Names {
 public:
  // `attempt` must be one of the history's, which must outlive it.
  Names(const RunHistory& history, const Attempt& attempt);
  std::string job(int position) const;
  std::string task(TaskRef ref) const;
  std::string path(TaskRef ref) const { return job(ref.job) + '/' + task(ref); }
  const Job* find_job(int position) const;
  const Task* find_task(TaskRef ref) const;
  // By name; instances are named test[db=x,os=a].
  std::optional<int> position_of_job(std::string_view name) const;
  std::optional<TaskRef> position_of_task(std::string_view job, std::string_view task) const;

 private:
  std::shared_ptr<const Workflow> workflow_;
  const Attempt* attempt_;
};

// The row alone, as lists show it.
json::object summary(const Run& run);

// The run with its inputs and all attempts. A job shows its first `task_page` tasks; if it has more, its `next_cursor`
// goes on in GET runs/{id}/tasks. Outputs that are large, or too many for one answer, are left to GET …/io: `outputs`
// is then null and `outputs_cut` true.
constexpr std::size_t task_page = 1'000;
// With `seats`, a run or task that waits for one shows its limit.
Json run_to_json(const RunHistory& history, const std::optional<SeatCounts>& seats = std::nullopt);

// How much of outputs an answer may still hold.
struct OutputRoom {
  std::size_t each = 64 << 10;
  std::size_t left = 8 << 20;
};
json::object task_to_json(const TaskRun& task, const Names& names, TaskRef ref, OutputRoom& room,
                          const std::optional<SeatCounts>& seats);

Json failure_to_json(const FailurePtr& failure);

// What a task is started with.
Json input_to_json(const std::variant<ProcessInput, HttpInput>& input);

}  // namespace pawl::api
