// The simulator's program: plays many seeds on all cores and says what it found. See ./dev sim.
#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/log.h"
#include "sim/exhaustive.h"
#include "sim/planted.h"
#include "sim/simulator.h"

namespace {

using pawl::sim::Options;
using pawl::sim::Outcome;

constexpr std::uint64_t seeds_played = 100;
constexpr std::uint64_t seeds_of_a_bug = 300;

struct Arguments {
  std::optional<std::uint64_t> seeds;
  std::uint64_t first = 1;
  int steps = 400;
  bool planted = false;
  std::string_view bug;  // one of them; empty: all
  bool story = false;
  bool exhaustive = false;
};

bool number(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

int usage() {
  fmt::print(
      stderr,
      "usage: pawl_sim [--seeds N] [--first-seed S] [--long] [--planted [list|NAME]] [--story] [--exhaustive]\n");
  return 2;
}

void show(const Outcome& outcome) {
  fmt::print("seed {}, step {}: {}\n", outcome.seed, outcome.step_of_violation, outcome.violations.front());
  for (std::size_t i = 1; i < outcome.violations.size() && !outcome.story.empty(); ++i)
    fmt::print("  and {}\n", outcome.violations[i]);
  fmt::print("  play it again: ./dev sim --seeds 1 --first-seed {} --story\n", outcome.seed);
}

struct Totals {
  std::uint64_t seeds = 0, steps = 0, crashes = 0, violations = 0;
};

Totals play(const Arguments& arguments) {
  const std::uint64_t seeds = arguments.seeds.value_or(seeds_played);
  Totals totals;
  std::mutex mutex;
  std::atomic<std::uint64_t> next{0};
  const auto work = [&] {
    for (;;) {
      const std::uint64_t i = next++;
      if (i >= seeds) return;
      const Options options{.seed = arguments.first + i, .steps = arguments.steps, .story = arguments.story};
      const Outcome outcome = pawl::sim::simulate(options);
      // Every hundredth seed is played twice: the same seed must make the same history.
      bool differs = false;
      if (i % 100 == 0) differs = pawl::sim::simulate(options).hash != outcome.hash;
      const std::lock_guard lock(mutex);
      ++totals.seeds;
      totals.steps += outcome.steps;
      totals.crashes += outcome.crashes;
      totals.violations += outcome.violations.size() + (differs ? 1 : 0);
      for (const std::string& line : outcome.story) fmt::print("{}\n", line);
      if (!outcome.violations.empty()) show(outcome);
      if (differs) fmt::print("seed {}: P12: played twice, it made two histories\n", options.seed);
      std::fflush(stdout);
    }
  };
  const unsigned threads = arguments.story ? 1 : std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < threads; ++i) workers.emplace_back(work);
  workers.clear();
  return totals;
}

// Small stories with a crash at every point of each.
int play_exhaustively() {
  std::size_t points = 0;
  std::size_t violations = 0;
  const auto all = pawl::sim::exhaust();
  for (const auto& one : all) {
    points += one.points;
    violations += one.violations.size();
    if (!one.violations.empty()) fmt::print("{}: {}\n", one.story, one.violations.front());
  }
  fmt::print("{} stories, {} crashes, {} violations\n", all.size(), points, violations);
  return violations == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--seeds" && i + 1 < argc) {
      if (!number(argv[++i], arguments.seeds.emplace())) return usage();
    } else if (word == "--first-seed" && i + 1 < argc) {
      if (!number(argv[++i], arguments.first)) return usage();
    } else if (word == "--long") {
      arguments.steps = 4'000;
    } else if (word == "--planted") {
      arguments.planted = true;
      if (i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--")) arguments.bug = argv[++i];
    } else if (word == "--exhaustive") {
      arguments.exhaustive = true;
    } else if (word == "--story") {
      arguments.story = true;
    } else {
      return usage();
    }
  }
  pawl::log::configure(pawl::log::Level::off, pawl::log::Format::text);
#ifdef PAWL_PLANTED
  if (arguments.planted && arguments.bug == "list") return pawl::sim::list_planted();
  if (arguments.planted)
    return pawl::sim::catch_planted(arguments.bug, arguments.first, arguments.seeds.value_or(seeds_of_a_bug));
#else
  if (arguments.planted) {
    fmt::print(stderr, "this build has no planted bugs; ./dev sim --planted uses the one that has\n");
    return 2;
  }
#endif
  if (arguments.exhaustive) return play_exhaustively();
  const Totals totals = play(arguments);
  fmt::print("{} seeds, {} steps, {} crashes, {} violations\n", totals.seeds, totals.steps, totals.crashes,
             totals.violations);
  return totals.violations == 0 ? 0 : 1;
}
