#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "definition/parts.h"
#include "expression/expression.h"

namespace pawl::definition {
namespace {

constexpr std::size_t max_excluded = 1000;

std::string cut(std::string_view text) { return std::string(cut_utf8(text, 100)); }

// A value of an axis as the key of an instance shows it.
std::string spelling(const Json& value) {
  return value.is_string() ? std::string(as_view(value)) : pawl::to_text(value);
}

// A value that an axis can have; nothing after a problem.
std::optional<Json> read_value(Reader& reader, const Node& node, std::string_view axis) {
  if (node.misread) return std::nullopt;
  if (!node.is_scalar() || node.kind == Node::Kind::null) {
    reader.problem(node,
                   fmt::format("a value of the axis `{}` must be a text, a number or a bool, not {}", axis,
                               node.kind == Node::Kind::null ? "empty" : type_name(node)),
                   node.is_scalar() ? "" : "an expression can give a list of objects: matrix: \"${{ … }}\"");
    return std::nullopt;
  }
  if (expression::has_expression(node.text)) {
    reader.problem(node, "the values of an axis take no expressions",
                   "let one expression give the whole list of objects: matrix: \"${{ … }}\"");
    return std::nullopt;
  }
  return reader.spelled(node);
}

Axis read_axis(Reader& reader, const Node& key, const Node& node) {
  Axis axis{key.text, {}};
  const std::string name = cut(key.text);
  if (key.text == "include") {
    reader.problem(key, "a matrix has no `include`",
                   "let an expression give the whole list: matrix: \"${{ [{os: 'a', db: 'x'}] }}\"");
    return axis;
  }
  if (!is_id(axis.name)) {
    reader.problem(key, fmt::format("`{}` is no name for an axis", name),
                   "letters, digits, _ and -; a letter or _ at first");
    return axis;
  }
  if (node.misread) return axis;
  if (node.kind == Node::Kind::string && expression::has_expression(node.text)) {
    reader.problem(node, fmt::format("the axis `{}` takes no expression", name),
                   "let one expression give the whole list of objects: matrix: \"${{ … }}\"");
    return axis;
  }
  if (node.kind != Node::Kind::list) {
    reader.wrong_type(node, fmt::format("the axis `{}`", name), "a list");
    return axis;
  }
  if (node.items.empty()) {
    reader.problem(node, fmt::format("the axis `{}` is empty", name), "it would leave no instance");
    return axis;
  }
  if (node.items.size() > max_combinations) {
    reader.problem(node, fmt::format("the axis `{}` has more than {} values", name, max_combinations));
    return axis;
  }
  std::set<std::string> seen;
  for (const Node* item : node.items) {
    auto value = read_value(reader, *item, name);
    if (!value) continue;
    if (!seen.insert(spelling(*value)).second)
      reader.problem(*item, fmt::format("the axis `{}` has the value `{}` twice", name, cut(spelling(*value))));
    axis.values.push_back(std::move(*value));
  }
  return axis;
}

// An object of values, each of them one of its axis.
std::optional<Json> read_excluded(Reader& reader, const Node& node, const std::vector<Axis>& axes) {
  if (!reader.is_map(node, "an entry of `exclude`")) return std::nullopt;
  if (node.entries.empty()) {
    reader.problem(node, "an empty entry of `exclude` leaves no instance", "name the values to leave out");
    return std::nullopt;
  }
  json::object excluded;
  for (const auto& [key, given] : node.entries) {
    const auto axis = std::ranges::find(axes, key->text, &Axis::name);
    if (axis == axes.end()) {
      std::vector<std::string> names;
      for (const Axis& one : axes) names.push_back(one.name);
      reader.problem(*key, fmt::format("the matrix has no axis `{}`", cut(key->text)),
                     reader.did_you_mean(key->text, names));
      continue;
    }
    auto value = read_value(reader, *given, cut(axis->name));
    if (!value) continue;
    if (std::ranges::find(axis->values, *value) == axis->values.end()) {
      std::vector<std::string> known;
      for (const Json& one : axis->values) known.push_back(spelling(one));
      std::string hint = reader.did_you_mean(spelling(*value), known);
      if (std::ranges::find(known, spelling(*value)) != known.end())
        hint =
            value->is_string() ? "there it is no text: leave out the quotes" : "there it is a text: put it in quotes";
      reader.problem(*given, fmt::format("the axis `{}` has no value `{}`", cut(axis->name), cut(spelling(*value))),
                     std::move(hint));
      continue;
    }
    excluded.emplace(axis->name, std::move(*value));
  }
  return excluded;
}

void read_exclude(Reader& reader, const Node& node, Matrix& matrix) {
  if (node.kind != Node::Kind::list) return reader.wrong_type(node, "`exclude`", "a list of maps");
  if (node.items.size() > max_excluded)
    return reader.problem(node, fmt::format("more than {} entries in `exclude`", max_excluded));
  for (const Node* item : node.items)
    if (auto excluded = read_excluded(reader, *item, matrix.axes)) matrix.exclude.push_back(std::move(*excluded));
}

}  // namespace

std::size_t combinations(const Matrix& matrix) {
  if (matrix.axes.empty()) return 1;
  std::size_t count = 1;
  // Stays far from overflow: no axis has more than max_combinations values.
  for (const Axis& axis : matrix.axes)
    count = std::min(count * std::max<std::size_t>(axis.values.size(), 1), max_combinations + 1);
  return count;
}

std::optional<Matrix> read_matrix(Reader& reader, const Node& node) {
  Matrix matrix;
  if (node.misread) return std::nullopt;
  if (node.kind == Node::Kind::string) {
    if (!expression::has_expression(node.text)) {
      reader.problem(node, "`matrix` must be a map of lists or one expression, not a text",
                     "write matrix: {os: [a, b]}, or matrix: \"${{ … }}\" for a list of objects");
      return std::nullopt;
    }
    matrix.expression = reader.templated(node, "`matrix`", Place::matrix, Form::expression);
    return matrix;
  }
  if (node.kind == Node::Kind::list) {
    reader.problem(node, "`matrix` must be a map of lists, not a list",
                   "write matrix: {os: [a, b]}; a list of objects is written matrix: \"${{ [{os: 'a'}] }}\"");
    return std::nullopt;
  }
  if (!reader.is_map(node, "`matrix`")) return std::nullopt;
  const Entry* exclude = nullptr;
  for (const Entry& entry : node.entries) {
    if (entry.key->text == "exclude") {
      exclude = &entry;
    } else if (matrix.axes.size() >= max_axes) {
      reader.problem(*entry.key, fmt::format("more than {} axes in one matrix", max_axes));
      return std::nullopt;
    } else {
      matrix.axes.push_back(read_axis(reader, *entry.key, *entry.value));
    }
  }
  if (matrix.axes.empty()) {
    reader.problem(node, "`matrix` has no axis", "write matrix: {os: [a, b]}");
    return std::nullopt;
  }
  if (combinations(matrix) > max_combinations) {
    reader.problem(node, fmt::format("`matrix` has more than {} combinations", max_combinations));
    return std::nullopt;
  }
  if (exclude) read_exclude(reader, *exclude->value, matrix);
  return matrix;
}

}  // namespace pawl::definition
