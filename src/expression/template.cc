#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "base/check.h"
#include "expression/evaluator.h"

namespace pawl::expression {
namespace {

constexpr std::string_view open = "${{";
constexpr std::string_view literal_open = "$${{";

std::unexpected<Error> wrong(std::string message) {
  return fail(Code::invalid, std::move(message), "expression_error");
}

// nullopt: omit.
Result<std::optional<Json>> evaluate_with(Evaluator& evaluator, const Template& value) {
  if (value.is_expression()) {
    auto result = evaluator.evaluate(*value.parts()[0].expression);
    if (!result) return std::unexpected(std::move(result.error()));
    if (result->is_omit()) return std::optional<Json>();
    auto kept = evaluator.keep(std::move(*result));
    if (!kept) return std::unexpected(std::move(kept.error()));
    return std::optional<Json>(std::move(*kept));
  }
  std::string out;
  for (const Template::Part& part : value.parts()) {
    if (!part.expression) {
      if (auto paid = evaluator.pay_bytes(part.text.size()); !paid) return std::unexpected(std::move(paid.error()));
      out += part.text;
      continue;
    }
    auto result = evaluator.evaluate(*part.expression);
    if (!result) return std::unexpected(std::move(result.error()));
    if (auto done = evaluator.append_text(out, *result, *part.expression); !done)
      return std::unexpected(std::move(done.error()));
  }
  return std::optional<Json>(Json(out));
}

}  // namespace

bool has_expression(std::string_view text) {
  for (std::size_t at = text.find(open); at != std::string_view::npos; at = text.find(open, at + open.size()))
    if (at == 0 || text[at - 1] != '$') return true;
  return false;
}

Parsed<Template> Template::parse(std::string_view text) {
  Template result;
  Part literal;
  const auto finish_literal = [&](std::size_t next) {
    if (!literal.text.empty()) result.parts_.push_back(std::move(literal));
    literal = Part{.text = {}, .expression = {}, .offset = next};
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t dollar = text.find('$', at);
    literal.text += text.substr(at, dollar == std::string_view::npos ? dollar : dollar - at);
    if (dollar == std::string_view::npos) break;
    at = dollar;
    const std::string_view rest = text.substr(at);
    if (rest.starts_with(literal_open)) {
      literal.text += open;
      at += literal_open.size();
      continue;
    }
    if (!rest.starts_with(open)) {
      literal.text += '$';
      ++at;
      continue;
    }
    const std::size_t begin = at + open.size();
    const auto end = find_end(text, begin);
    if (!end) return std::unexpected(end.error());
    auto expression = Expression::parse(text.substr(begin, *end - begin));
    if (!expression) {
      Problem problem = std::move(expression.error());
      problem.offset += begin;
      return std::unexpected(std::move(problem));
    }
    finish_literal(at);
    result.parts_.push_back(Part{.text = {}, .expression = std::move(*expression), .offset = begin});
    at = *end + 2;
    literal.offset = at;
  }
  finish_literal(at);
  return result;
}

bool Template::is_literal() const {
  return std::ranges::none_of(parts_, [](const Part& part) { return part.expression.has_value(); });
}

bool Template::is_expression() const { return parts_.size() == 1 && parts_[0].expression.has_value(); }

std::string Template::literal() const {
  std::string text;
  for (const Part& part : parts_) text += part.text;
  return text;
}

Result<std::optional<Json>> evaluate(const Template& value, const Context& context, Limits limits) {
  Evaluator evaluator(context, limits);
  auto result = evaluate_with(evaluator, value);
  if (result && *result && depth_of(**result, max_value_depth) > max_value_depth) return wrong(nested_too_deep());
  return result;
}

Result<std::string> evaluate_text(const Template& value, const Context& context, Limits limits) {
  Evaluator evaluator(context, limits);
  std::string out;
  if (value.is_expression()) {
    const Expression& expression = *value.parts()[0].expression;
    auto result = evaluator.evaluate(expression);
    if (!result) return std::unexpected(std::move(result.error()));
    if (auto done = evaluator.append_text(out, *result, expression); !done)
      return std::unexpected(std::move(done.error()));
    return out;
  }
  auto result = evaluate_with(evaluator, value);
  if (!result) return std::unexpected(std::move(result.error()));
  return std::string(as_view(**result));
}

struct Tree::Branch {
  // A value without any template, a template, a list, an object.
  std::variant<Json, Template, std::vector<Branch>, std::vector<std::pair<std::string, Branch>>> value;
};

namespace {

using Branch = Tree::Branch;

bool has_template(const Json& value, std::size_t depth) {
  if (depth > max_value_depth) return true;  // parse_branch says what is wrong with it
  if (value.is_string()) return as_view(value).find(open) != std::string_view::npos;
  if (const auto* list = value.if_array())
    return std::ranges::any_of(*list, [&](const Json& element) { return has_template(element, depth + 1); });
  if (const auto* object = value.if_object())
    return std::ranges::any_of(*object, [&](const auto& member) { return has_template(member.value(), depth + 1); });
  return false;
}

Parsed<Branch> parse_branch(const Json& value, std::vector<std::string>& path) {
  if (path.size() > max_value_depth) return std::unexpected(Problem{0, nested_too_deep(), {}});
  if (value.is_string()) {
    auto parsed = Template::parse(as_view(value));
    if (!parsed) return std::unexpected(std::move(parsed.error()));
    if (parsed->is_literal()) return Branch{Json(parsed->literal())};
    return Branch{std::move(*parsed)};
  }
  if (const auto* list = value.if_array()) {
    std::vector<Branch> elements;
    for (std::size_t i = 0; i < list->size(); ++i) {
      path.push_back(std::to_string(i));
      auto element = parse_branch((*list)[i], path);
      if (!element) return element;
      path.pop_back();
      elements.push_back(std::move(*element));
    }
    return Branch{std::move(elements)};
  }
  if (const auto* object = value.if_object()) {
    std::vector<std::pair<std::string, Branch>> members;
    for (const auto& member : *object) {
      path.emplace_back(member.key());
      auto branch = parse_branch(member.value(), path);
      if (!branch) return branch;
      path.pop_back();
      members.emplace_back(std::string(member.key()), std::move(*branch));
    }
    return Branch{std::move(members)};
  }
  return Branch{value};
}

// nullopt: omit. As deep as the tree, which parse has bounded.
Result<std::optional<Json>> evaluate_branch(Evaluator& evaluator, const Branch& branch) {
  if (const auto* json = std::get_if<Json>(&branch.value)) {
    auto kept = evaluator.keep(Value::borrow(*json));
    if (!kept) return std::unexpected(std::move(kept.error()));
    return std::optional<Json>(std::move(*kept));
  }
  if (const auto* text = std::get_if<Template>(&branch.value)) return evaluate_with(evaluator, *text);
  if (const auto* elements = std::get_if<std::vector<Branch>>(&branch.value)) {
    json::array list;
    for (const Branch& element : *elements) {
      auto value = evaluate_branch(evaluator, element);
      if (!value) return value;
      if (*value) list.push_back(std::move(**value));
    }
    return std::optional<Json>(std::move(list));
  }
  json::object object;
  for (const auto& [name, member] : std::get<3>(branch.value)) {
    auto value = evaluate_branch(evaluator, member);
    if (!value) return value;
    if (*value) object.emplace(name, std::move(**value));
  }
  return std::optional<Json>(std::move(object));
}

void collect(const Branch& branch, std::vector<Reference>& found) {
  if (const auto* text = std::get_if<Template>(&branch.value)) {
    for (const Template::Part& part : text->parts()) {
      if (!part.expression) continue;
      for (Reference& reference : part.expression->references()) {
        reference.offset += part.offset;
        found.push_back(std::move(reference));
      }
    }
  } else if (const auto* elements = std::get_if<std::vector<Branch>>(&branch.value)) {
    for (const Branch& element : *elements) collect(element, found);
  } else if (const auto* members = std::get_if<3>(&branch.value)) {
    for (const auto& member : *members) collect(member.second, found);
  }
}

}  // namespace

Parsed<Tree> Tree::parse(const Json& value, std::vector<std::string>* path_of_problem) {
  std::vector<std::string> path;
  auto root = has_template(value, 0) ? parse_branch(value, path) : Parsed<Branch>(Branch{value});
  if (!root) {
    if (path_of_problem) *path_of_problem = std::move(path);
    return std::unexpected(std::move(root.error()));
  }
  Tree tree;
  tree.root_ = std::make_shared<const Branch>(std::move(*root));
  return tree;
}

Result<Json> Tree::evaluate(const Context& context, Limits limits) const {
  Evaluator evaluator(context, limits);
  auto value = evaluate_branch(evaluator, *root_);
  if (!value) return std::unexpected(std::move(value.error()));
  if (!*value) return wrong("omit has no meaning here: a value is needed");
  if (depth_of(**value, max_value_depth) > max_value_depth) return wrong(nested_too_deep());
  return std::move(**value);
}

std::vector<Reference> Tree::references() const {
  std::vector<Reference> found;
  collect(*root_, found);
  return found;
}

}  // namespace pawl::expression
