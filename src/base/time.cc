#include "base/time.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace pawl {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t us;
};
constexpr auto units = std::to_array<Unit>(
    {{"d", 86'400'000'000}, {"h", 3'600'000'000}, {"m", 60'000'000}, {"s", 1'000'000}, {"ms", 1'000}});
constexpr std::int64_t longest_us = 1000 * 366 * units[0].us;

bool digit(char c) { return c >= '0' && c <= '9'; }

// Reads exactly `count` digits at `at` and moves on.
bool read_digits(std::string_view text, std::size_t& at, int count, int& value) {
  value = 0;
  for (int i = 0; i < count; ++i, ++at) {
    if (at >= text.size() || !digit(text[at])) return false;
    value = value * 10 + (text[at] - '0');
  }
  return true;
}

bool read_char(std::string_view text, std::size_t& at, std::string_view any_of) {
  if (at >= text.size() || any_of.find(text[at]) == std::string_view::npos) return false;
  ++at;
  return true;
}

}  // namespace

std::string to_rfc3339(Instant instant) {
  using namespace std::chrono;
  const auto day = floor<days>(instant);
  const year_month_day date{day};
  const hh_mm_ss time{floor<milliseconds>(instant - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

Result<Instant> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto wrong = [&] {
    return fail(Code::invalid, fmt::format("'{}' is not a time: write it as 2026-11-23T08:00:00Z", text));
  };
  std::size_t at = 0;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  if (!read_digits(text, at, 4, y) || !read_char(text, at, "-") || !read_digits(text, at, 2, mo) ||
      !read_char(text, at, "-") || !read_digits(text, at, 2, d) || !read_char(text, at, "Tt ") ||
      !read_digits(text, at, 2, h) || !read_char(text, at, ":") || !read_digits(text, at, 2, mi) ||
      !read_char(text, at, ":") || !read_digits(text, at, 2, s))
    return wrong();
  const year_month_day date{year{y}, month{static_cast<unsigned>(mo)}, day{static_cast<unsigned>(d)}};
  if (!date.ok() || h > 23 || mi > 59 || s > 60) return wrong();
  std::int64_t us = 0;
  if (read_char(text, at, ".")) {
    std::int64_t scale = 100'000;
    const std::size_t first = at;
    for (; at < text.size() && digit(text[at]); ++at, scale /= 10) us += (text[at] - '0') * scale;
    if (at == first || at - first > 9) return wrong();
  }
  std::int64_t offset_minutes = 0;
  if (!read_char(text, at, "Zz")) {
    if (at >= text.size()) return wrong();
    const bool west = text[at] == '-';
    int oh = 0, om = 0;
    if (!read_char(text, at, "+-") || !read_digits(text, at, 2, oh) || !read_char(text, at, ":") ||
        !read_digits(text, at, 2, om) || oh > 23 || om > 59)
      return wrong();
    offset_minutes = (oh * 60 + om) * (west ? -1 : 1);
  }
  if (at != text.size()) return wrong();
  return Instant{sys_days{date} + hours{h} + minutes{mi - offset_minutes} + seconds{s} + microseconds{us}};
}

Result<Duration> parse_duration(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return fail(Code::invalid,
                fmt::format("'{}' is not a duration{}: write it as 500ms, 10s, 5m, 1h30m or 2d", text, why));
  };
  if (text.empty()) return wrong("");
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc{} || number < 0 || !digit(rest[0])) return wrong("");
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t length = 0;
    while (length < rest.size() && rest[length] >= 'a' && rest[length] <= 'z') ++length;
    const std::string_view name = rest.substr(0, length);
    if (name.empty()) return wrong(" (a number needs a unit)");
    while (next_unit < units.size() && units[next_unit].name != name) ++next_unit;
    if (next_unit == units.size()) return wrong("");
    if (number > longest_us / units[next_unit].us) return wrong(" (longer than 1000 years)");
    total += number * units[next_unit].us;
    if (total > longest_us) return wrong(" (longer than 1000 years)");
    ++next_unit;
    rest.remove_prefix(length);
  }
  return Duration{total};
}

std::string to_text(Duration duration) {
  std::int64_t left = duration.count();
  std::string text = left < 0 ? "-" : "";
  if (left < 0) left = -left;
  left -= left % units.back().us;
  if (left == 0) return "0s";
  for (const Unit& unit : units) {
    if (left < unit.us) continue;
    text += fmt::format("{}{}", left / unit.us, unit.name);
    left %= unit.us;
  }
  return text;
}

}  // namespace pawl
