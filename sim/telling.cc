#include "sim/telling.h"

#include <fmt/format.h>

namespace pawl::sim {
namespace {

struct Teller {
  const engine::RunState& state;

  std::string work(TaskRef ref) const { return work_name(state, ref); }
  static std::string because(const FailurePtr& error) { return error ? " (" + error->code + ")" : std::string(); }
  static std::string until(const std::optional<Instant>& due) {
    return due ? " until " + to_rfc3339(*due) : std::string();
  }
  static std::string reason(SkipReason why) {
    return why == SkipReason::none ? std::string() : fmt::format(" ({})", to_string(why));
  }

  std::string operator()(const AttemptStarted& c) const {
    return fmt::format("attempt {} of version {} begins, by {}", c.attempt, c.version, to_string(c.who.trigger));
  }
  std::string operator()(const AttemptInterrupted& c) const {
    return fmt::format("its attempt is interrupted{}", c.counted ? ", which counts" : "");
  }
  std::string operator()(const AttemptHeld& c) const {
    if (c.waits_for == WaitsFor::none) return "it may go on";
    return fmt::format("it waits as a whole for {}{}", to_string(c.waits_for), until(c.due));
  }
  std::string operator()(const AttemptEnded& c) const {
    return fmt::format("it ends: {}{}", to_string(c.status), because(c.error));
  }
  std::string operator()(const StopAsked& c) const {
    return fmt::format("it is asked to stop{}{}", c.hard ? " at once" : "", because(c.error));
  }
  std::string operator()(const StopNoted&) const { return "the stop of the server is noted"; }
  std::string operator()(const VerdictReached& c) const {
    return fmt::format("its verdict is {}", to_string(c.status));
  }
  std::string operator()(const LineLeft&) const { return "it need not wait for earlier runs of its schedule any more"; }
  std::string operator()(const GroupTaken&) const { return fmt::format("it takes a place in '{}'", state.run.group); }
  std::string operator()(const JobStarted& c) const { return state.job_name(c.job) + " begins"; }
  std::string operator()(const JobExpanded& c) const {
    return fmt::format("{} has {} instances", state.job_name(c.job), c.values.size());
  }
  std::string operator()(const InstanceStopped& c) const {
    return state.job_name(c.job) + " is stopped by another one";
  }
  std::string operator()(const JobEnded& c) const {
    return fmt::format("{} is {}{}{}", state.job_name(c.job), to_string(c.status), reason(c.reason), because(c.error));
  }
  std::string operator()(const TaskStarted& c) const {
    return fmt::format("{} begins its try {}", work(c.ref), c.try_number);
  }
  std::string operator()(const TaskWaits& c) const {
    return fmt::format("{} waits for {}{}", work(c.ref), to_string(c.waits_for), until(c.due));
  }
  std::string operator()(const TaskAnswered& c) const {
    return fmt::format("{} is answered: {}", work(c.ref), to_string(c.response.answer));
  }
  std::string operator()(const TryEnded& c) const {
    return fmt::format("try {} of {} is {}{}", c.try_number, work(c.ref), to_string(c.status), because(c.error));
  }
  std::string operator()(const TaskEnded& c) const {
    return fmt::format("{} is {}{}{}", work(c.ref), to_string(c.status), reason(c.reason), because(c.error));
  }
};

}  // namespace

std::string name_of_run(const Run& run) { return fmt::format("{} #{}", run.workflow, run.number); }

std::string with_names(std::string line, const Ledger& ledger) {
  constexpr std::size_t length = 36;
  for (std::size_t at = 0; at + length <= line.size(); ++at) {
    if (line[at + 8] != '-' || line[at + 13] != '-') continue;
    const auto id = parse_uuid(std::string_view(line).substr(at, length));
    const engine::RunState* state = id ? ledger.state(RunId{*id}) : nullptr;
    if (state) line.replace(at, length, name_of_run(state->run));
  }
  return line;
}

std::string tell(const engine::RunState& before, const Change& change) {
  return fmt::format("{}: {}", name_of_run(before.run), std::visit(Teller{before}, change));
}

}  // namespace pawl::sim
