#include "definition/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "expression/expression.h"

namespace pawl::definition {
namespace {

constexpr std::size_t most_problems = 1000;
constexpr int most_suggestions = 100;
// A name that is none costs a walk through the system's files, for a near one.
constexpr int most_unknown_zones = 20;
constexpr std::size_t most_known = 300;
constexpr std::size_t longest_id = 100;

// A word of the file, for a message.
std::string shown(std::string_view text) {
  const std::string_view cut = cut_utf8(text, 100);
  return fmt::format("`{}{}`", cut, cut.size() < text.size() ? "…" : "");
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// A number of the core schema: its value, if JSON can hold it.
std::optional<Json> json_number(std::string_view text) {
  const bool plus = text.starts_with('+');
  if (plus) text.remove_prefix(1);
  const int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 10;
  const std::string_view digits = base == 10 ? text : text.substr(2);
  const char* end = digits.data() + digits.size();
  std::int64_t whole = 0;
  if (const auto [stop, error] = std::from_chars(digits.data(), end, whole, base); error == std::errc() && stop == end)
    return Json(whole);
  std::uint64_t large = 0;
  if (const auto [stop, error] = std::from_chars(digits.data(), end, large, base); error == std::errc() && stop == end)
    return Json(large);
  if (base != 10) return std::nullopt;
  double value = 0;
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return Json(value);
}

}  // namespace

bool is_id(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || text.size() > longest_id || !letter(text[0])) return false;
  return std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_environment_name(std::string_view text) { return is_id(text) && text.find('-') == std::string_view::npos; }

std::string_view type_name(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null: return "empty";
    case Node::Kind::boolean: return "a bool";
    case Node::Kind::integer:
    case Node::Kind::number: return "a number";
    case Node::Kind::string: return "a text";
    case Node::Kind::list: return "a list";
    case Node::Kind::map: return "a map";
  }
  return {};
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

void Reader::problem_at(std::size_t offset, std::string message, std::string hint) {
  if (full()) return;
  const Position at = document.source().position(offset);
  problems_.push_back({at.line, at.column, std::move(message), std::move(hint)});
}

void Reader::problem(const Node& node, std::string message, std::string hint) {
  problem_at(node.begin, std::move(message), std::move(hint));
}

void Reader::warn(const Node& node, std::string message, std::string hint) {
  warn_at(node.begin, std::move(message), std::move(hint));
}

void Reader::warn_at(std::size_t offset, std::string message, std::string hint) {
  if (warnings.size() >= most_problems) return;
  const Position at = document.source().position(offset);
  warnings.push_back({at.line, at.column, std::move(message), std::move(hint)});
}

void Reader::take_over(std::span<const Problem> problems) {
  problems_.insert(problems_.end(), problems.begin(),
                   problems.begin() + static_cast<std::ptrdiff_t>(std::min(problems.size(), most_problems)));
}

bool Reader::full() const { return problems_.size() >= most_problems; }

std::vector<Problem> Reader::take_problems() {
  sort_by_place(problems_);
  return std::move(problems_);
}

std::string Reader::did_you_mean(std::string_view word, std::span<const std::string> known) {
  if (full() || known.size() > most_known || word.size() > longest_id || ++suggestions_ > most_suggestions) return {};
  const std::string near = expression::nearest(word, known);
  return near.empty() ? "" : fmt::format("did you mean `{}`?", near);
}

std::string Reader::zone_problem(std::string_view name) {
  if (!options_.zone_problem || full() || unknown_zones_ >= most_unknown_zones) return {};
  std::string problem = options_.zone_problem(name);
  unknown_zones_ += !problem.empty();
  return problem;
}

void Reader::wrong_type(const Node& node, std::string_view what, std::string_view wanted) {
  if (node.kind == Node::Kind::null)
    return problem(node, fmt::format("{} is empty", what), fmt::format("it takes {}", wanted));
  problem(node, fmt::format("{} must be {}, not {}", what, wanted, type_name(node)),
          wanted == "a text" && node.is_scalar() ? fmt::format("write \"{}\"", cut_utf8(node.text, 100)) : "");
}

bool Reader::is_map(const Node& node, std::string_view what) {
  if (node.kind == Node::Kind::map) return true;
  wrong_type(node, what, "a map");
  return false;
}

std::optional<std::string> Reader::text(const Node& node, std::string_view what) {
  if (node.misread) return std::nullopt;
  if (node.kind == Node::Kind::string) return node.text;
  wrong_type(node, what, "a text");
  return std::nullopt;
}

std::optional<std::string> Reader::scalar(const Node& node, std::string_view what) {
  if (node.misread) return std::nullopt;
  if (node.is_scalar() && node.kind != Node::Kind::null) return node.text;
  wrong_type(node, what, "a text");
  return std::nullopt;
}

std::optional<std::string> Reader::plain(const Node& node, std::string_view what, std::size_t longest) {
  auto value = scalar(node, what);
  if (!value) return std::nullopt;
  if (expression::has_expression(*value)) {
    problem(node, fmt::format("{} takes no expressions", what));
  } else if (trimmed(*value).empty()) {
    problem(node, fmt::format("{} is empty", what));
  } else if (has_control_characters(*value)) {
    problem(node, fmt::format("{} is one line without control characters", what));
  } else if (characters(*value) > longest) {
    problem(node, fmt::format("{} has more than {} characters", what, longest));
  } else {
    return value;
  }
  return std::nullopt;
}

std::optional<bool> Reader::boolean(const Node& node, std::string_view what) {
  if (node.kind == Node::Kind::boolean) return node.text[0] == 't' || node.text[0] == 'T';
  problem(node, fmt::format("{} must be true or false, not {}", what,
                            node.is_scalar() ? shown(node.text) : std::string(type_name(node))));
  return std::nullopt;
}

std::optional<std::int64_t> Reader::integer(const Node& node, std::string_view what, std::int64_t least,
                                            std::int64_t most) {
  if (node.kind == Node::Kind::integer) {
    const auto value = json_number(node.text);
    if (value && value->is_int64() && value->get_int64() >= least && value->get_int64() <= most)
      return value->get_int64();
    problem(node, fmt::format("{} must be from {} to {}", what, least, most));
    return std::nullopt;
  }
  wrong_type(node, what, "a whole number");
  return std::nullopt;
}

std::optional<double> Reader::number(const Node& node, std::string_view what, double least, double most) {
  if (node.kind == Node::Kind::integer || node.kind == Node::Kind::number) {
    const auto value = json_number(node.text);
    const double real = value ? value->to_number<double>() : std::nan("");
    if (real >= least && real <= most) return real;
    problem(node, fmt::format("{} must be from {} to {}", what, least, most));
    return std::nullopt;
  }
  wrong_type(node, what, "a number");
  return std::nullopt;
}

std::optional<Duration> Reader::duration(const Node& node, std::string_view what, bool zero) {
  if (node.kind == Node::Kind::integer || node.kind == Node::Kind::number) {
    problem(node, fmt::format("{} is a duration and needs a unit", what),
            fmt::format("write {0}s or {0}m", cut_utf8(node.text, 20)));
    return std::nullopt;
  }
  const auto written = text(node, what);
  if (!written) return std::nullopt;
  if (expression::has_expression(*written)) {
    problem(node, fmt::format("{} takes no expressions", what));
    return std::nullopt;
  }
  const auto value = parse_duration(*written);
  if (!value) {
    problem(node, fmt::format("{}: {}", what, value.error().message));
    return std::nullopt;
  }
  if (!zero && *value <= Duration::zero()) {
    problem(node, fmt::format("{} must be longer than nothing", what));
    return std::nullopt;
  }
  return *value;
}

std::optional<std::size_t> Reader::word(const Node& node, std::string_view what,
                                        std::span<const std::string_view> words) {
  const auto written = text(node, what);
  if (!written) return std::nullopt;
  const auto found = std::ranges::find(words, std::string_view(*written));
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  problem(node, fmt::format("{} must be one of {}, not {}", what, fmt::join(words, ", "), shown(*written)),
          did_you_mean(*written, std::vector<std::string>(words.begin(), words.end())));
  return std::nullopt;
}

void Reader::note(const Node& node, Place place, Form form, int item) {
  if (node.misread) return;
  if (form != Form::expression && form != Form::output && !expression::has_expression(node.text)) return;
  sites.push_back({&node, place, form, job, task, item});
}

std::string Reader::templated(const Node& node, std::string_view what, Place place, Form form) {
  auto value = scalar(node, what);
  if (!value) return {};
  if (form == Form::expression || form == Form::script) {
    if (trimmed(*value).empty()) {
      problem(node, fmt::format("{} is empty", what));
      return {};
    }
  }
  if (value->find('\0') != std::string::npos) {
    problem(node, fmt::format("{} holds the character U+0000", what));
    return {};
  }
  note(node, place, form);
  return std::move(*value);
}

TextMap Reader::templates(const Node& node, std::string_view what, Place place, Form form, bool environment) {
  TextMap map;
  if (node.kind == Node::Kind::null || !is_map(node, what)) return map;
  map.reserve(node.entries.size());
  for (const auto& [key, value] : node.entries) {
    const std::string member = fmt::format("`{}`", cut_utf8(key->text, 100));
    if (!(environment ? is_environment_name(key->text) : is_id(key->text))) {
      problem(*key, fmt::format("{} is no name for a member of {}", member, what),
              environment ? "letters, digits and _, no digit at first"
                          : "letters, digits, _ and -; a letter or _ at first");
    } else if (environment && key->text.starts_with("PAWL_")) {
      problem(*key, fmt::format("{} is a name that Pawl sets itself", member),
              "choose one that does not begin with PAWL_");
    }
    auto written = scalar(*value, member);
    if (!written) continue;
    if (environment && written->find('\0') != std::string::npos)
      problem(*value, fmt::format("{} holds the character U+0000, which an environment cannot", member));
    note(*value, place, form, static_cast<int>(map.size()));
    map.emplace_back(key->text, std::move(*written));
  }
  return map;
}

Json Reader::json(const Node& node, const Place* place) {
  switch (node.kind) {
    case Node::Kind::null: return nullptr;
    case Node::Kind::boolean: return node.text[0] == 't' || node.text[0] == 'T';
    case Node::Kind::integer:
    case Node::Kind::number:
      if (auto value = json_number(node.text)) return std::move(*value);
      problem(node, fmt::format("JSON has no number {}", shown(node.text)), "write it in quotes");
      return nullptr;
    case Node::Kind::string:
      if (place) note(node, *place, Form::text);
      return json::string(node.text);
    case Node::Kind::list: {
      json::array list;
      list.reserve(node.items.size());
      // No deeper than max_depth: the document is not.
      for (const Node* item : node.items) list.push_back(json(*item, place));
      return list;
    }
    case Node::Kind::map: {
      json::object map;
      map.reserve(node.entries.size());
      for (const auto& [key, value] : node.entries) map.emplace(key->text, json(*value, place));
      return map;
    }
  }
  return nullptr;
}

Json Reader::spelled(const Node& node) {
  if (node.kind == Node::Kind::integer || node.kind == Node::Kind::number) {
    const auto value = json_number(node.text);
    if (!value || pawl::to_text(*value) != node.text) return json::string(node.text);
  }
  return json(node, nullptr);
}

Fields::Fields(Reader& reader, const Node& map, std::string_view what, std::span<const Key> keys) {
  for (const Entry& entry : map.entries) {
    const std::string_view name = entry.key->text;
    const auto key = std::ranges::find(keys, name, &Key::name);
    if (key != keys.end() && key->use == Key::Use::known) {
      known_.push_back(&entry);
    } else if (name.starts_with("x-")) {
      continue;
    } else if (key != keys.end() && key->use == Key::Use::later) {
      postponed_ = true;
      reader.problem(*entry.key, fmt::format("`{}` is not supported yet", name), std::string(key->hint));
    } else if (key != keys.end()) {
      reader.problem(*entry.key, fmt::format("unknown key `{}` in {}", name, what), std::string(key->hint));
    } else {
      std::vector<std::string> known;
      for (const Key& k : keys)
        if (k.use == Key::Use::known) known.emplace_back(k.name);
      reader.problem(*entry.key, fmt::format("unknown key {} in {}", shown(name), what),
                     reader.did_you_mean(name, known));
    }
  }
}

const Entry* Fields::find(std::string_view name) const {
  const auto found = std::ranges::find_if(known_, [&](const Entry* entry) { return entry->key->text == name; });
  return found == known_.end() ? nullptr : *found;
}

const Node* Fields::value(std::string_view name) const {
  const Entry* entry = find(name);
  return entry ? entry->value : nullptr;
}

const Node* Fields::key(std::string_view name) const {
  const Entry* entry = find(name);
  return entry ? entry->key : nullptr;
}

}  // namespace pawl::definition
