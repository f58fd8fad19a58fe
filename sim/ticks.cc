#include "sim/ticks.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <limits>
#include <string_view>

#include "base/check.h"
#include "base/number.h"

namespace pawl::sim {
namespace {

constexpr std::int64_t a_day = 86'400;

std::int64_t floor_of(Instant at) { return std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count(); }
std::int64_t ceil_of(Instant at) { return std::chrono::ceil<std::chrono::seconds>(at).time_since_epoch().count(); }

// `text` up to `end`, which is taken off it as well.
std::string_view cut(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

int number(std::string_view text) {
  int value = 0;
  check(parse_number(text, value), "a drawn expression has numbers");
  return value;
}

// `*`, `*/5`, `8-17`, `5-50/15`, `0,20,45`.
std::bitset<60> field(std::string_view text, int size) {
  std::bitset<60> values;
  while (!text.empty()) {
    std::string_view step = cut(text, ',');
    std::string_view range = cut(step, '/');
    int from = 0;
    int to = size - 1;
    if (range != "*") {
      from = to = number(cut(range, '-'));
      if (!range.empty()) to = number(range);
    }
    for (int value = from; value <= to; value += step.empty() ? 1 : number(step))
      values.set(static_cast<std::size_t>(value));
  }
  return values;
}

}  // namespace

Ticks::Ticks(const ScheduleRule& rule, Instant created_at)
    : first_(rule.start ? ceil_of(*rule.start) : std::numeric_limits<std::int64_t>::min()),
      last_(rule.end ? floor_of(*rule.end) : std::numeric_limits<std::int64_t>::max()) {
  std::string_view cron = rule.cron;
  constexpr std::string_view every = "@every ";
  if (cron.starts_with(every)) {
    check(cron.ends_with('s'), "a drawn @every is in seconds");
    every_ = number(cron.substr(every.size(), cron.size() - every.size() - 1));
    anchor_ = floor_of(rule.start.value_or(created_at));
    return;
  }
  check(rule.timezone == "UTC" && cron.ends_with(" * * ?"), "a drawn expression is the same every day");
  const auto seconds = field(cut(cron, ' '), 60);
  const auto minutes = field(cut(cron, ' '), 60);
  const auto hours = field(cut(cron, ' '), 24);
  for (std::size_t second = 0; second < static_cast<std::size_t>(a_day); ++second)
    if (hours[second / 3600] && minutes[second / 60 % 60] && seconds[second % 60])
      day_.push_back(static_cast<std::int64_t>(second));
}

std::int64_t Ticks::up_to(std::int64_t second) const {
  if (every_ > 0) return second < anchor_ ? 0 : (second - anchor_) / every_ + 1;
  const auto behind = std::ranges::upper_bound(day_, second % a_day) - day_.begin();
  return second / a_day * static_cast<std::int64_t>(day_.size()) + behind;
}

std::int64_t Ticks::count(Instant after, Instant until) const {
  const std::int64_t from = std::max(floor_of(after), first_ - (first_ > 0 ? 1 : 0));
  const std::int64_t to = std::min(floor_of(until), last_);
  return from < to ? up_to(to) - up_to(from) : 0;
}

std::optional<Instant> Ticks::next(Instant after) const {
  const std::int64_t from = std::max(floor_of(after), first_ - (first_ > 0 ? 1 : 0));
  std::int64_t second = 0;
  if (every_ > 0) {
    second = from < anchor_ ? anchor_ : anchor_ + ((from - anchor_) / every_ + 1) * every_;
  } else {
    const auto found = std::ranges::upper_bound(day_, from % a_day);
    second = found == day_.end() ? (from / a_day + 1) * a_day + day_.front() : from / a_day * a_day + *found;
  }
  if (second > last_) return std::nullopt;
  return Instant{std::chrono::seconds(second)};
}

}  // namespace pawl::sim
