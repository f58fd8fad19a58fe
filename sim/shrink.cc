#include "sim/shrink.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>
#include <vector>

namespace pawl::sim {
namespace {

// One thing that can be left out.
using Piece = std::variant<Happening, std::string>;

Kept kept_of(const std::vector<Piece>& pieces) {
  Kept kept;
  for (const Piece& piece : pieces) {
    if (const auto* one = std::get_if<Happening>(&piece))
      kept.happenings.insert(*one);
    else
      kept.parts.insert(std::get<std::string>(piece));
  }
  return kept;
}

// A play that never comes to an end is long, and is not made small for ever.
constexpr std::uint64_t most_steps = 1'500'000;

class Shrinking {
 public:
  Shrinking(const Options& options, const Outcome& broken, int budget)
      : options_(options), promise_(promise_of(broken.violations.front())), budget_(budget) {
    options_.story = false;
  }

  bool still_breaks(const std::vector<Piece>& pieces) {
    ++plays_;
    const Kept kept = kept_of(pieces);
    options_.kept = &kept;
    const Outcome outcome = simulate(options_);
    options_.kept = nullptr;
    steps_ += outcome.steps;
    return !outcome.violations.empty() && promise_of(outcome.violations.front()) == promise_;
  }

  // Leaves out chunks of `some`, beside `rest`: halves first, then smaller ones, at last one by one.
  void make_small(std::vector<Piece>& some, const std::vector<Piece>& rest) {
    for (std::size_t chunk = std::max<std::size_t>(1, some.size() / 2); !some.empty() && has_budget();) {
      bool got_smaller = false;
      for (std::size_t at = 0; at < some.size() && has_budget();) {
        std::vector<Piece> fewer(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(at));
        const std::size_t end = std::min(some.size(), at + chunk);
        fewer.insert(fewer.end(), some.begin() + static_cast<std::ptrdiff_t>(end), some.end());
        std::vector<Piece> all = fewer;
        all.insert(all.end(), rest.begin(), rest.end());
        if (still_breaks(all)) {
          some = std::move(fewer);
          got_smaller = true;
        } else {
          at = end;
        }
      }
      if (chunk == 1 && !got_smaller) return;
      chunk = std::max<std::size_t>(1, std::min(chunk / 2, some.size() / 2));
    }
  }

  int plays() const { return plays_; }
  bool has_budget() const { return plays_ < budget_ && steps_ < most_steps; }

 private:
  Options options_;
  std::string promise_;
  int budget_;
  int plays_ = 0;
  std::uint64_t steps_ = 0;
};

std::vector<Piece> join(std::initializer_list<const std::vector<Piece>*> lists) {
  std::vector<Piece> all;
  for (const auto* list : lists) all.insert(all.end(), list->begin(), list->end());
  return all;
}

}  // namespace

Shrunk shrink(const Options& options, const Outcome& broken, int budget) {
  std::vector<Piece> faults, load, parts(broken.happened.parts.begin(), broken.happened.parts.end());
  for (const Happening& one : broken.happened.happenings) (is_fault(one.what) ? faults : load).emplace_back(one);
  Shrunk shrunk;
  shrunk.before = faults.size() + load.size() + parts.size();
  Shrinking shrinking(options, broken, budget);
  for (std::size_t size = shrunk.before + 1; shrinking.has_budget();) {
    shrinking.make_small(faults, join({&load, &parts}));
    shrinking.make_small(parts, join({&faults, &load}));
    shrinking.make_small(load, join({&faults, &parts}));
    const std::size_t now = faults.size() + load.size() + parts.size();
    if (now >= size) break;
    size = now;
  }
  const std::vector<Piece> all = join({&faults, &load, &parts});
  shrunk.kept = kept_of(all);
  shrunk.after = all.size();
  shrunk.plays = shrinking.plays();
  Options last = options;
  last.story = true;
  last.kept = &shrunk.kept;
  shrunk.outcome = simulate(last);
  return shrunk;
}

std::string story_of(const Shrunk& shrunk) {
  std::string text = fmt::format("seed {}: {} things had happened, {} of them are enough ({} plays):\n",
                                 shrunk.outcome.seed, shrunk.before, shrunk.after, shrunk.plays);
  std::size_t number = 0;
  for (const std::string& line : shrunk.outcome.story) text += fmt::format("{:4}. {}\n", ++number, line);
  text += fmt::format("  play it again: ./dev sim --first-seed {}{} --only '{}' --story\n", shrunk.outcome.seed,
                      shrunk.outcome.nodes > 0 ? fmt::format(" --nodes {}", shrunk.outcome.nodes) : "",
                      to_text(shrunk.kept));
  return text;
}

}  // namespace pawl::sim
