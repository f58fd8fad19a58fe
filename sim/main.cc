// The simulator's program: plays many seeds on all cores and says what it found. See ./dev sim.
#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/number.h"
#include "sim/exhaustive.h"
#include "sim/planted.h"
#include "sim/shrink.h"
#include "sim/simulator.h"

namespace {

using pawl::sim::Options;
using pawl::sim::Outcome;

struct Arguments {
  std::uint64_t seeds = 100;
  std::uint64_t first = 1;
  int steps = 400;
  bool planted = false;
  std::string_view bug;  // one of them; empty: all
  bool story = false;
  bool exhaustive = false;
  bool rows = false;  // all of them have to be played
  bool chose_seeds = false;
  std::optional<int> nodes;  // 0: one server that has its store for itself; absent: drawn
  std::optional<pawl::sim::Kept> only;
};

int usage() {
  fmt::print(stderr,
             "usage: pawl_sim [--seeds N] [--first-seed S] [--long] [--story] [--nodes N] [--only PLAY] [--rows]\n"
             "                [--exhaustive] [--planted [list|NAME]]\n");
  return 2;
}

std::string nodes_word(int nodes) { return nodes > 0 ? fmt::format(" --nodes {}", nodes) : std::string(); }

// A seed that broke a promise, made small enough to be read; the first few of them.
void show(const Options& options, const Outcome& outcome) {
  static std::atomic<int> shown{0};
  constexpr int most = 3;
  fmt::print("seed {}, step {}: {}\n", outcome.seed, outcome.step_of_violation, outcome.violations.front());
  std::fflush(stdout);  // what follows takes its time
  if (options.kept || options.story || shown++ >= most)
    fmt::print("  play it again: ./dev sim --seeds 1 --first-seed {}{} --story\n", outcome.seed,
               nodes_word(outcome.nodes));
  else
    fmt::print("{}", pawl::sim::story_of(pawl::sim::shrink(options, outcome)));
}

// One seed in four plays many nodes.
int nodes_of(const Arguments& arguments, std::uint64_t seed) {
  if (arguments.nodes || arguments.only) return arguments.nodes.value_or(0);
  return seed % 4 == 0 ? 1 + static_cast<int>(seed / 4 % 7) : 0;
}

struct Totals {
  std::uint64_t seeds = 0, steps = 0, crashes = 0, violations = 0;
  pawl::Duration simulated{};
  pawl::sim::Rows rows;
  pawl::sim::SlotCounts slots;
  std::uint64_t clusters = 0;
  pawl::sim::Incidents incidents;
};

Totals play(const Arguments& arguments) {
  Totals totals;
  std::mutex mutex;
  std::atomic<std::uint64_t> next{0};
  const auto work = [&] {
    for (;;) {
      const std::uint64_t i = next++;
      if (i >= arguments.seeds) return;
      const Options options{.seed = arguments.first + i,
                            .steps = arguments.steps,
                            .nodes = nodes_of(arguments, arguments.first + i),
                            .story = arguments.story,
                            .kept = arguments.only ? &*arguments.only : nullptr};
      const Outcome outcome = pawl::sim::simulate(options);
      // Every hundredth seed is played twice: the same seed must make the same history.
      bool differs = false;
      if (i % 100 == 0) differs = pawl::sim::simulate(options).hash != outcome.hash;
      const std::lock_guard lock(mutex);
      ++totals.seeds;
      totals.steps += outcome.steps;
      totals.crashes += outcome.crashes;
      totals.simulated += outcome.simulated;
      totals.rows.add(outcome.rows);
      totals.slots.add(outcome.slots);
      totals.clusters += outcome.nodes > 0 ? 1 : 0;
      const auto add = [&](std::uint64_t pawl::sim::Incidents::* count) {
        totals.incidents.*count += outcome.incidents.*count;
      };
      using pawl::sim::Incidents;
      for (auto count : {&Incidents::pauses, &Incidents::partitions, &Incidents::lost_acks, &Incidents::late_commits,
                         &Incidents::refused_commits, &Incidents::take_overs})
        add(count);
      totals.violations += outcome.violations.size() + (differs ? 1 : 0);
      std::size_t number = 0;
      for (const std::string& line : outcome.story) fmt::print("{:4}. {}\n", ++number, line);
      if (!outcome.violations.empty()) show(options, outcome);
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

// Small stories with a crash, and with a stop, at every point of each.
int play_exhaustively() {
  std::size_t points = 0;
  std::size_t violations = 0;
  const auto all = pawl::sim::exhaust();
  for (const auto& one : all) {
    points += one.points;
    violations += one.violations.size();
    if (!one.violations.empty()) fmt::print("{}: {}\n", one.story, one.violations.front());
  }
  fmt::print("{} stories, {} crashes and stops, {} violations\n", all.size(), points, violations);
  return violations == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--seeds" && i + 1 < argc) {
      arguments.chose_seeds = true;
      if (!pawl::parse_number(argv[++i], arguments.seeds)) return usage();
    } else if (word == "--first-seed" && i + 1 < argc) {
      if (!pawl::parse_number(argv[++i], arguments.first)) return usage();
    } else if (word == "--long") {
      arguments.steps = 4'000;
    } else if (word == "--planted") {
      arguments.planted = true;
      if (i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--")) arguments.bug = argv[++i];
    } else if (word == "--exhaustive") {
      arguments.exhaustive = true;
    } else if (word == "--only" && i + 1 < argc) {
      auto only = pawl::sim::parse_kept(argv[++i]);
      if (!only) {
        fmt::print(stderr, "{}\n", only.error().message);
        return 2;
      }
      arguments.only = std::move(*only);
      arguments.seeds = 1;
    } else if (word == "--nodes" && i + 1 < argc) {
      std::uint64_t nodes = 0;
      if (!pawl::parse_number(argv[++i], nodes) || nodes > 7) return usage();
      arguments.nodes = static_cast<int>(nodes);
    } else if (word == "--rows") {
      arguments.rows = true;
    } else if (word == "--story") {
      arguments.story = true;
    } else {
      return usage();
    }
  }
  pawl::log::configure(pawl::log::Level::off, pawl::log::Format::text);
#ifdef PAWL_PLANTED
  constexpr std::uint64_t budget = 600;  // seeds for each
  if (arguments.planted && arguments.bug == "list") return pawl::sim::list_planted();
  if (arguments.planted)
    return pawl::sim::catch_planted(arguments.bug, arguments.first, arguments.chose_seeds ? arguments.seeds : budget);
#else
  if (arguments.planted) {
    fmt::print(stderr, "this build has no planted bugs; ./dev sim --planted uses the one that has\n");
    return 2;
  }
#endif
  int code = 0;
  if (arguments.exhaustive) code = play_exhaustively();
  if (arguments.exhaustive && !arguments.chose_seeds) return code;
  const Totals totals = play(arguments);
  fmt::print("{} seeds, {} steps, {} crashes, {} violations, {} simulated hours\n", totals.seeds, totals.steps,
             totals.crashes, totals.violations,
             std::chrono::duration_cast<std::chrono::hours>(totals.simulated).count());
  fmt::print("{} slots, {} runs of slots, {} doubled, {} missing; {} slots were decided one by one\n",
             totals.slots.slots, totals.slots.runs, totals.slots.doubled, totals.slots.missing,
             totals.slots.one_by_one);
  if (totals.clusters > 0) {
    const auto& many = totals.incidents;
    fmt::print(
        "{} of the seeds with up to 7 nodes: {} take-overs, {} pauses, {} partitions, {} lost acknowledgements, "
        "{} late commits, {} commits refused\n",
        totals.clusters, many.take_overs, many.pauses, many.partitions, many.lost_acks, many.late_commits,
        many.refused_commits);
  }
  const auto never = totals.rows.never();
  fmt::print("transitions: {} of {} rows reached; never: {}\n", totals.rows.reached(), pawl::sim::Rows::all,
             never.empty() ? "none" : fmt::format("{}", fmt::join(never, ", ")));
  if (const auto missing = totals.rows.missing(); arguments.rows && !missing.empty()) {
    fmt::print("these should have been: {}\n", fmt::join(missing, ", "));
    code = 1;
  }
  return totals.violations == 0 ? code : 1;
}
