#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

#include "base/utf8.h"
#include "definition/parts.h"

namespace pawl::definition {
namespace {

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

// The weekdays of a Quartz field in names, where digits stand: 2-6 is MON-FRI. Empty: there are none.
std::string weekdays_in_names(std::string_view field) {
  constexpr auto names = std::to_array<std::string_view>({"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"});
  std::string text;
  bool digits = false, counts = false;  // counts: behind # and / stand no weekdays
  for (const char c : field) {
    const bool digit = c >= '1' && c <= '7';
    digits = digits || (digit && !counts);
    if (digit && !counts)
      text += names[static_cast<std::size_t>(c - '1')];
    else
      text += c;
    counts = c == '#' || c == '/' || (counts && digit);
  }
  return digits ? text : "";
}

void check_step(Reader& reader, const Node& cron, std::string_view field, std::string_view what,
                std::string_view period, int size) {
  for (const std::string_view part : split(field, ",")) {
    const std::size_t slash = part.find('/');
    if (slash == std::string_view::npos || part.substr(0, slash).find('-') != std::string_view::npos) continue;
    const auto step = number(part.substr(slash + 1));
    if (!step || *step * 2 <= size) continue;
    reader.warn(cron, fmt::format("`{}` in the {} fires unevenly: it begins anew with every {}", part, what, period),
                *step < size && what != "months" ? fmt::format("\"@every {}{}\" is even", *step, what.substr(0, 1))
                                                 : std::string());
  }
}

}  // namespace

void check_cron_habits(Reader& reader, const Node& cron) {
  if (cron.text.find('@') != std::string::npos) return;
  const auto fields = split(cron.text, " \t");
  if (fields.size() < 5 || fields.size() > 7) return;
  const bool quartz = fields.size() > 5;
  const std::size_t minute = quartz ? 1 : 0;
  if (quartz) check_step(reader, cron, fields[0], "seconds", "minute", 60);
  check_step(reader, cron, fields[minute], "minutes", "hour", 60);
  check_step(reader, cron, fields[minute + 1], "hours", "day", 24);
  check_step(reader, cron, fields[minute + 2], "days", "month", 31);
  check_step(reader, cron, fields[minute + 3], "months", "year", 12);
  if (!quartz) return;
  if (const std::string named = weekdays_in_names(fields[5]); !named.empty())
    reader.warn(
        cron, fmt::format("with 6 or 7 fields the weekday 1 is Sunday, so `{}` is {}", cut_utf8(fields[5], 40), named),
        fmt::format("write {}", named));
}

}  // namespace pawl::definition
