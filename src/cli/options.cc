#include "cli/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "cli/console.h"

namespace pawl::cli {

std::string data_folder(const Common& common) {
  if (!common.data.empty()) return common.data;
  if (std::string folder = environment("PAWL_DATA"); !folder.empty()) return folder;
  // The standard says to pass over one that is not absolute.
  if (const std::string base = environment("XDG_DATA_HOME"); base.starts_with('/')) return base + "/pawl";
  if (const std::string home = environment("HOME"); !home.empty()) return home + "/.local/share/pawl";
  return "";
}

std::optional<std::int64_t> parse_size(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.empty()) return number;
  constexpr std::string_view letters = "KMGT";
  const std::size_t power = letters.find(unit.front());
  unit.remove_prefix(1);
  if (power == std::string_view::npos || !(unit.empty() || unit == "B" || unit == "iB")) return std::nullopt;
  const int shift = 10 * (static_cast<int>(power) + 1);
  if (number > (std::numeric_limits<std::int64_t>::max() >> shift)) return std::nullopt;
  return number << shift;
}

std::optional<std::pair<std::string, std::string>> split_task(std::string_view text) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) return std::nullopt;
  return std::pair(std::string(text.substr(0, slash)), std::string(text.substr(slash + 1)));
}

Inputs split_inputs(const std::vector<std::string>& texts, std::string_view kind) {
  Inputs inputs;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return {{}, fmt::format("'{}' is no {}: write it as name=value", text, kind)};
    std::string name = text.substr(0, equals);
    if (std::ranges::any_of(inputs.values, [&](const auto& one) { return one.first == name; }))
      return {{}, fmt::format("{} '{}' is given twice", kind, name)};
    inputs.values.emplace_back(std::move(name), text.substr(equals + 1));
  }
  return inputs;
}

}  // namespace pawl::cli
