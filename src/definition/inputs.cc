#include "definition/inputs.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include "base/utf8.h"
#include "definition/parts.h"
#include "expression/expression.h"

namespace pawl::definition {
namespace {

constexpr std::size_t longest_pattern = 1000;
constexpr std::size_t max_options = 1000;
constexpr double largest = std::numeric_limits<double>::max();

// In the order of the enumerators.
constexpr auto type_words =
    std::to_array<std::string_view>({"string", "int", "number", "bool", "choice", "list", "object", "date"});

std::unique_ptr<RE2> compile(const std::string& pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  return std::make_unique<RE2>(pattern, options);
}

bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto part = [&](std::size_t at, std::size_t size, auto& value) {
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + at + size, value);
    return error == std::errc() && stop == text.data() + at + size;
  };
  unsigned year = 0, month = 0, day = 0;
  if (!part(0, 4, year) || !part(5, 2, month) || !part(8, 2, day)) return false;
  return std::chrono::year_month_day{std::chrono::year{static_cast<int>(year)}, std::chrono::month{month},
                                     std::chrono::day{day}}
      .ok();
}

// A text of the command line as the type wants it; the text itself where it is none such.
Json read_as(const Input& input, std::string_view text) {
  const auto parsed = [&](auto accept) -> Json {
    auto value = parse_json(text);
    return value && accept(*value) ? std::move(*value) : Json(json::string(text));
  };
  switch (input.type) {
    case InputType::integer:
    case InputType::number: return parsed([](const Json& v) { return v.is_number(); });
    case InputType::boolean: return parsed([](const Json& v) { return v.is_bool(); });
    case InputType::object: return parsed([](const Json& v) { return v.is_object(); });
    case InputType::list: {
      if (text.starts_with('[')) return parsed([](const Json& v) { return v.is_array(); });
      json::array list;
      for (std::size_t at = 0; !text.empty() && at <= text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        list.push_back(json::string(trimmed(text.substr(at, end - at))));
        at = end + 1;
      }
      return list;
    }
    case InputType::choice:
      for (const Json& option : input.options)
        if (!option.is_string() && pawl::to_text(option) == text) return option;
      return json::string(text);
    case InputType::string:
    case InputType::date: return json::string(text);
  }
  return nullptr;
}

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{}", static_cast<std::int64_t>(value));
  return pawl::to_text(Json(value));
}

// Whether `size`, of which min and max speak, is in bounds.
std::optional<std::string> out_of_bounds(const Input& input, double size, std::string_view unit) {
  const auto bound = [&](double limit) { return fmt::format("{}{}", number_text(limit), unit); };
  if (input.min && size < *input.min) return "must be at least " + bound(*input.min);
  if (input.max && size > *input.max) return "must be at most " + bound(*input.max);
  return std::nullopt;
}

bool has_length(InputType type) { return type == InputType::string || type == InputType::list; }
bool has_bounds(InputType type) { return has_length(type) || type == InputType::integer || type == InputType::number; }

std::optional<InputType> read_type(Reader& reader, const Fields& fields) {
  const Node* node = fields.value("type");
  if (!node) return fields.value("options") ? InputType::choice : InputType::string;
  if (node->kind == Node::Kind::string) {
    constexpr auto others = std::to_array<std::pair<std::string_view, std::string_view>>({{"boolean", "bool"},
                                                                                          {"integer", "int"},
                                                                                          {"text", "string"},
                                                                                          {"str", "string"},
                                                                                          {"float", "number"},
                                                                                          {"array", "list"},
                                                                                          {"map", "object"},
                                                                                          {"enum", "choice"}});
    for (const auto& [other, ours] : others) {
      if (node->text != other) continue;
      reader.problem(*node, fmt::format("`type` must be one of {}, not `{}`", fmt::join(type_words, ", "), other),
                     fmt::format("did you mean `{}`?", ours));
      return std::nullopt;
    }
  }
  const auto word = reader.word(*node, "`type`", type_words);
  if (!word) return std::nullopt;
  return static_cast<InputType>(*word);
}

void read_options(Reader& reader, const Node& node, Input& input) {
  if (input.type != InputType::choice) return reader.problem(node, "`options` belong to `type: choice`");
  if (node.kind != Node::Kind::list || node.items.empty())
    return reader.problem(node, "`options` must be a list of at least one value");
  for (const Node* item : node.items) {
    if (!item->is_scalar() || item->kind == Node::Kind::null) {
      reader.problem(*item, fmt::format("an option must be a text, a number or a bool, not {}", type_name(*item)));
      continue;
    }
    Json option = reader.json(*item, nullptr);
    if (input.options.size() >= max_options)
      return reader.problem(*item, fmt::format("more than {} options", max_options));
    if (std::ranges::find(input.options, option) != input.options.end())
      reader.problem(*item, fmt::format("the option `{}` is given twice", cut_utf8(item->text, 100)));
    input.options.push_back(std::move(option));
  }
}

void read_bounds(Reader& reader, const Fields& fields, Input& input) {
  const auto bound = [&](std::string_view key, std::string_view what) -> std::optional<double> {
    const Node* node = fields.value(key);
    if (!node) return std::nullopt;
    if (!has_bounds(input.type)) {
      reader.problem(*node, fmt::format("{} has no meaning for `type: {}`", what, to_string(input.type)));
      return std::nullopt;
    }
    return reader.number(*node, what, has_length(input.type) ? 0 : -largest, largest);
  };
  input.min = bound("min", "`min`");
  input.max = bound("max", "`max`");
  if (input.min && input.max && *input.min > *input.max)
    reader.problem(*fields.value("max"), "`max` is less than `min`");
}

void read_pattern(Reader& reader, const Node& node, Input& input) {
  const auto pattern = reader.text(node, "`pattern`");
  if (!pattern) return;
  if (input.type != InputType::string)
    return reader.problem(node, fmt::format("`pattern` has no meaning for `type: {}`", to_string(input.type)));
  if (pattern->size() > longest_pattern)
    return reader.problem(node, fmt::format("`pattern` has more than {} bytes", longest_pattern));
  if (const auto expression = compile(*pattern); !expression->ok())
    return reader.problem(node, fmt::format("`pattern` is no regular expression: {}", expression->error()),
                          "the syntax is that of RE2");
  input.pattern = *pattern;
}

constexpr auto keys_of_input = std::to_array<Key>({{"type"},
                                                   {"required"},
                                                   {"default"},
                                                   {"options"},
                                                   {"pattern"},
                                                   {"min"},
                                                   {"max"},
                                                   {"description"},
                                                   foreign("deprecationMessage", "write it into `description`"),
                                                   foreign("values", "did you mean `options`?"),
                                                   foreign("enum", "did you mean `options`?")});

Input read_input(Reader& reader, const Node& key, const Node& node) {
  Input input;
  input.name = key.text;
  if (!is_id(input.name))
    reader.problem(key, fmt::format("`{}` is no name for an input", cut_utf8(key.text, 100)),
                   "letters, digits, _ and -; a letter or _ at first");
  const std::string what = fmt::format("the input `{}`", cut_utf8(key.text, 100));
  if (node.kind == Node::Kind::null) return input;
  if (node.kind == Node::Kind::string) {
    reader.problem(node, fmt::format("{} must be a map, not a text", what),
                   fmt::format("write {}: {{type: {}}}", cut_utf8(key.text, 100), cut_utf8(node.text, 20)));
    return input;
  }
  if (!reader.is_map(node, what)) return input;
  const Fields fields(reader, node, what, keys_of_input);
  const auto type = read_type(reader, fields);
  if (!type) return input;
  input.type = *type;
  if (const Node* required = fields.value("required"))
    input.required = reader.boolean(*required, "`required`").value_or(false);
  if (const Node* description = fields.value("description"))
    input.description = reader.scalar(*description, "`description`").value_or("");
  if (const Node* options = fields.value("options")) {
    read_options(reader, *options, input);
  } else if (input.type == InputType::choice) {
    reader.problem(key, fmt::format("{} is a choice and needs `options`", what));
  }
  read_bounds(reader, fields, input);
  if (const Node* pattern = fields.value("pattern")) read_pattern(reader, *pattern, input);
  if (const Node* fallback = fields.value("default")) {
    if (fallback->is_scalar() && expression::has_expression(fallback->text)) {
      reader.problem(*fallback, "`default` takes no expressions", "compute it in `vars`: ${{ inputs.x ?? … }}");
    } else if (fallback->kind != Node::Kind::null) {
      auto value = check_value(input, reader.json(*fallback, nullptr), false);
      if (value)
        input.fallback = std::move(*value);
      else
        reader.problem(*fallback, fmt::format("`default` {}", value.error()));
    }
    if (input.required && input.fallback)
      reader.warn(*fields.key("required"), fmt::format("{} has a default, so `required` changes nothing", what));
  }
  return input;
}

}  // namespace

std::span<const Key> input_keys() { return keys_of_input; }

std::string_view to_string(InputType type) { return type_words[static_cast<std::size_t>(type)]; }

std::vector<Input> read_inputs(Reader& reader, const Node& node) {
  std::vector<Input> inputs;
  if (node.kind == Node::Kind::null || !reader.is_map(node, "`inputs`")) return inputs;
  if (node.entries.size() > max_inputs) {
    reader.problem(*node.entries[max_inputs].key, fmt::format("more than {} inputs", max_inputs),
                   "put some of them into one of `type: object`");
    return inputs;
  }
  for (const auto& [key, value] : node.entries) inputs.push_back(read_input(reader, *key, *value));
  return inputs;
}

std::expected<Json, std::string> check_value(const Input& input, const Json& given, bool from_text) {
  Json value = from_text && given.is_string() ? read_as(input, as_view(given)) : given;
  const auto wrong = [](std::string why) { return std::unexpected(std::move(why)); };
  const auto wrong_type = [&](std::string_view wanted) {
    return wrong(fmt::format("must be {}, not {}", wanted, cut_utf8(pawl::to_text(value), 100)));
  };
  switch (input.type) {
    case InputType::string: {
      if (!value.is_string()) return wrong_type("a text");
      const std::string_view text = as_view(value);
      const auto characters =
          std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
      if (auto out = out_of_bounds(input, static_cast<double>(characters), " characters"))
        return wrong(std::move(*out));
      if (!input.pattern.empty() &&
          !RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *compile(input.pattern)))
        return wrong(fmt::format("must match the pattern {}", input.pattern));
      return value;
    }
    case InputType::integer:
      // 3.0 is a whole number, as JavaScript writes it at times.
      if (value.is_double() && value.get_double() == std::floor(value.get_double()) &&
          std::abs(value.get_double()) < 0x1p53)
        value = static_cast<std::int64_t>(value.get_double());
      if (!value.is_int64()) return wrong_type("a whole number");
      if (auto out = out_of_bounds(input, static_cast<double>(value.get_int64()), "")) return wrong(std::move(*out));
      return value;
    case InputType::number:
      if (!value.is_number()) return wrong_type("a number");
      if (auto out = out_of_bounds(input, value.to_number<double>(), "")) return wrong(std::move(*out));
      return value;
    case InputType::boolean:
      if (!value.is_bool()) return wrong_type("true or false");
      return value;
    case InputType::choice: {
      if (std::ranges::find(input.options, value) != input.options.end()) return value;
      std::vector<std::string> words;
      for (const Json& option : input.options)
        words.push_back(option.is_string() ? std::string(as_view(option)) : pawl::to_text(option));
      return wrong_type("one of " + std::string(cut_utf8(fmt::format("{}", fmt::join(words, ", ")), 300)));
    }
    case InputType::list:
      if (!value.is_array()) return wrong_type("a list");
      if (auto out = out_of_bounds(input, static_cast<double>(value.get_array().size()), " elements"))
        return wrong(std::move(*out));
      return value;
    case InputType::object:
      if (!value.is_object()) return wrong_type("an object");
      return value;
    case InputType::date:
      if (!value.is_string() || !is_date(as_view(value))) return wrong_type("a date such as 2026-11-23");
      return value;
  }
  return wrong("has no type");
}

std::expected<Json, std::vector<std::string>> check_inputs(const Workflow& workflow, const Json& given,
                                                           bool from_text) {
  std::vector<std::string> problems;
  if (!given.is_object() && !given.is_null())
    return std::unexpected(
        std::vector<std::string>{fmt::format("inputs must be an object, not a {}", pawl::type_name(given))});
  std::vector<std::string> names;
  for (const Input& input : workflow.inputs) names.push_back(input.name);
  if (given.is_object()) {
    for (const auto& member : given.get_object()) {
      const std::string_view name(member.key().data(), member.key().size());
      if (std::ranges::find(names, name) != names.end()) continue;
      if (problems.size() >= max_inputs) break;
      const std::string near = name.size() > 100 ? "" : expression::nearest(name, names);
      problems.push_back(fmt::format("unknown input '{}'{}", cut_utf8(name, 100),
                                     !near.empty()   ? fmt::format("; did you mean '{}'?", near)
                                     : names.empty() ? "; this workflow takes none"
                                                     : ""));
    }
  }
  json::object values;
  for (const Input& input : workflow.inputs) {
    const Json* value = find(given, input.name);
    if (!value || value->is_null()) {
      if (input.fallback)
        values.emplace(input.name, *input.fallback);
      else if (input.required)
        problems.push_back(fmt::format("input '{}' is required", input.name));
      continue;
    }
    auto checked = check_value(input, *value, from_text);
    if (checked)
      values.emplace(input.name, std::move(*checked));
    else
      problems.push_back(fmt::format("input '{}' {}", input.name, checked.error()));
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return Json(std::move(values));
}

}  // namespace pawl::definition
