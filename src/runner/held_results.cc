#include "runner/held_results.h"

#include <algorithm>
#include <utility>

namespace pawl::runner {
namespace {

TaskFinished interrupted(TaskFinished result) {
  Outcome outcome;
  outcome.end = Outcome::End::interrupted;
  outcome.failure = {.code = "interrupted", .message = "interrupted by system stop", .cause = nullptr};
  result.outcome = std::move(outcome);
  return result;
}

}  // namespace

bool ended_as_by_stop(const Outcome& outcome) {
  if (outcome.end != Outcome::End::completed || !outcome.process) return false;
  // If a signal ended the process, the code is 128 + signal.
  const int code = outcome.process->exit_code;
  return code == 129 || code == 130 || code == 143;
}

std::optional<TaskFinished> HeldResults::take(TaskFinished result, Duration now) {
  if (stopping_) return interrupted(std::move(result));
  held_.push_back({std::move(result), now + longest});
  return std::nullopt;
}

std::vector<TaskFinished> HeldResults::server_stops(Duration now) {
  stopping_ = true;
  // A result that was due before the stop stays a failure, even if nobody has asked for it since.
  std::vector<TaskFinished> results = due(now);
  for (Held& held : std::exchange(held_, {})) results.push_back(interrupted(std::move(held.result)));
  return results;
}

std::vector<TaskFinished> HeldResults::due(Duration now) {
  std::vector<TaskFinished> results;
  while (!held_.empty() && held_.front().until < now) {
    results.push_back(std::move(held_.front().result));
    held_.pop_front();
  }
  return results;
}

std::optional<TaskFinished> HeldResults::release(const StopTask& stop) {
  const auto found = std::ranges::find_if(held_, [&](const Held& held) {
    return held.result.run == stop.run && held.result.ref == stop.ref && held.result.try_number == stop.try_number;
  });
  if (found == held_.end()) return std::nullopt;
  TaskFinished result = std::move(found->result);
  held_.erase(found);
  return result;
}

std::optional<Duration> HeldResults::next() const {
  // Just after the time, so that a stop at its very end still counts.
  return held_.empty() ? std::nullopt : std::optional(held_.front().until + Duration{1});
}

}  // namespace pawl::runner
