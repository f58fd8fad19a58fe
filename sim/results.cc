#include "sim/results.h"

#include <fmt/format.h>

#include <array>
#include <csignal>

namespace pawl::sim {
namespace {

// What a computed matrix may be given; sometimes nothing, and sometimes what is refused.
Json drawn_list(SplitMix& how) {
  json::array list;
  const std::uint64_t count = how.below(5);
  for (std::uint64_t i = 0; i < count; ++i)
    list.push_back(json::object{{"a", fmt::format("v{}", how.chance(0.95) ? i : 0)}});
  if (how.chance(0.03)) return "no list";
  return list;
}

}  // namespace

TaskFinished result_of(const StartTask& command, SplitMix& how, End end) {
  TaskFinished finished{command.run, command.ref, command.try_number, {}, command.attempt};
  pawl::Outcome& outcome = finished.outcome;
  if (end == End::timed_out) {
    outcome.end = pawl::Outcome::End::timed_out;
    outcome.failure = {"timeout", "no end in time", nullptr};
    return finished;
  }
  if (end == End::stopped) {
    outcome.end = pawl::Outcome::End::stopped;
    return finished;
  }
  if (end == End::by_term) {
    // The shell itself ends by the signal, or exits with the code for its program's signal.
    constexpr auto signals = std::to_array({SIGTERM, SIGTERM, SIGTERM, SIGINT, SIGHUP});
    const int signal = signals[how.below(signals.size())];
    outcome.process = ProcessExit{.exit_code = 128 + signal, .signal = how.chance(0.5) ? signal : 0};
    return finished;
  }
  const bool fails = end == End::bad;
  if (fails && how.chance(0.3)) {
    outcome.end = pawl::Outcome::End::failed;
    outcome.failure = {"connection_failed", "refused", nullptr};
    return finished;
  }
  const std::string token =
      fmt::format("{}|{}|{}|{}|{}", to_string(command.run), command.job, command.task, command.try_number, how.next());
  if (std::holds_alternative<HttpInput>(command.input)) {
    outcome.reply =
        HttpReply{.status = fails ? 500 : 200, .json = Json(json::object{{"token", token}, {"list", drawn_list(how)}})};
  } else {
    outcome.process = ProcessExit{.exit_code = fails ? 3 : 0, .stdout_text = token + "\n", .outputs = json::object{}};
  }
  return finished;
}

std::string word_of(const pawl::Outcome& outcome) {
  switch (outcome.end) {
    case pawl::Outcome::End::completed: {
      const bool fails = outcome.reply ? outcome.reply->status != 200 : outcome.process->exit_code != 0;
      return fails ? " badly" : " well";
    }
    case pawl::Outcome::End::failed: return " badly (" + outcome.failure.code + ")";
    case pawl::Outcome::End::timed_out: return " by its timeout";
    case pawl::Outcome::End::stopped: return ", told to";
    case pawl::Outcome::End::interrupted: return " with the server";
  }
  return {};
}

}  // namespace pawl::sim
