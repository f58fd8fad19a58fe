#include "runner/fake/fake_runner.h"

namespace pawl::runner {

void FakeRunner::start(StartTask command) {
  if (on_start) on_start(command);
  const Key key{command.run, command.ref, command.try_number};
  running_.insert_or_assign(key, std::move(command));
}

void FakeRunner::stop(StopTask command) {
  if (on_stop) on_stop(command);
}

std::optional<StartTask> FakeRunner::take(const Key& key) {
  const auto found = running_.find(key);
  if (found == running_.end()) return std::nullopt;
  StartTask command = std::move(found->second);
  running_.erase(found);
  return command;
}

}  // namespace pawl::runner
