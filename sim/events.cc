#include "sim/events.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/number.h"

namespace pawl::sim {
namespace {

constexpr auto names = std::to_array<std::string_view>({"crash",
                                                        "crash-before-commit",
                                                        "crash-after-commit",
                                                        "lost-ack",
                                                        "lost-commit",
                                                        "full",
                                                        "conflict",
                                                        "failing-read",
                                                        "failing-start",
                                                        "failure",
                                                        "timeout",
                                                        "refusal",
                                                        "stuck",
                                                        "twice",
                                                        "late",
                                                        "stop",
                                                        "seats",
                                                        "absence",
                                                        "pause",
                                                        "partition",
                                                        "one-way",
                                                        "delay",
                                                        "submit",
                                                        "request",
                                                        "person",
                                                        "schedule",
                                                        "finish",
                                                        "time",
                                                        "due",
                                                        "clear",
                                                        "turn",
                                                        "unit-stop"});
static_assert(names.size() == what_count);

std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return SplitMix(a ^ (b * 0xd6e8feb86659fd93ULL)).next(); }

// `text` up to `end`, which is taken off it as well.
std::string_view cut(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  return parse_number(text, value) ? std::optional(value) : std::nullopt;
}

std::unexpected<Error> wrong(std::string_view what) {
  return fail(Code::invalid, fmt::format("no part of a play: '{}'", what));
}

}  // namespace

std::string_view to_string(What what) { return names[static_cast<std::size_t>(what)]; }

std::string to_text(const Kept& kept) {
  std::map<What, std::vector<Happening>> by_kind;
  for (const Happening& one : kept.happenings) by_kind[one.what].push_back(one);
  std::string text;
  for (const auto& [what, all] : by_kind) {
    text += fmt::format("{}{}:", text.empty() ? "" : ";", to_string(what));
    for (std::size_t i = 0; i < all.size();) {
      // Neighbours of which each is the only one of its step are written as a range.
      std::size_t last = i;
      while (last + 1 < all.size() && all[last + 1].nth == 0 && all[i].nth == 0 &&
             all[last + 1].step == all[last].step + 1)
        ++last;
      text += fmt::format("{}{}", i == 0 ? "" : ",", all[i].step);
      if (all[i].nth > 0) text += fmt::format(".{}", all[i].nth);
      if (last > i) text += fmt::format("-{}", all[last].step);
      i = last + 1;
    }
  }
  if (!kept.parts.empty()) text += fmt::format("{}parts:{}", text.empty() ? "" : ";", fmt::join(kept.parts, ","));
  return text;
}

Result<Kept> parse_kept(std::string_view text) {
  Kept kept;
  while (!text.empty()) {
    std::string_view group = cut(text, ';');
    const std::string_view name = cut(group, ':');
    if (name == "parts") {
      while (!group.empty()) kept.parts.emplace(cut(group, ','));
      continue;
    }
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return wrong(name);
    const What what = static_cast<What>(found - names.begin());
    while (!group.empty()) {
      const std::string_view item = cut(group, ',');
      std::string_view rest = item;
      const bool is_range = item.find('-') != std::string_view::npos;
      const auto first = number(cut(rest, is_range ? '-' : '.'));
      const auto second = rest.empty() ? std::optional<std::uint32_t>(0) : number(rest);
      if (!first || !second || (is_range && (*second < *first || *second - *first > 1'000'000)) ||
          (!is_range && *second > std::numeric_limits<std::uint16_t>::max()))
        return wrong(item);
      if (!is_range) kept.happenings.insert({*first, what, static_cast<std::uint16_t>(*second)});
      for (std::uint32_t step = *first; is_range && step <= *second; ++step) kept.happenings.insert({step, what, 0});
    }
  }
  return kept;
}

void Events::begin_step(std::uint32_t step) {
  step_ = step;
  nth_.clear();
}

std::optional<SplitMix> Events::happens(What what, double rate) {
  const std::uint16_t nth = nth_[what]++;
  if (rate <= 0) return std::nullopt;
  SplitMix stream(mix(mix(seed_, static_cast<std::uint64_t>(what) + 1), (std::uint64_t{step_} << 16) | nth));
  if (!stream.chance(rate)) return std::nullopt;
  const Happening one{step_, what, nth};
  if (kept_ && !kept_->happenings.contains(one)) return std::nullopt;
  happened_.push_back(one);
  return stream;
}

SplitMix Events::stream(std::uint64_t name) const { return SplitMix(mix(mix(seed_, 0x5eed), name)); }

}  // namespace pawl::sim
