#include <fmt/format.h>

#include <algorithm>

#include "expression/syntax.h"

namespace pawl::expression {
namespace {

// Whether null is as good as any value in that place of `node`; `handled`: in the place where `node` stands.
bool takes_null(const Node& node, std::size_t child, bool handled) {
  switch (node.kind) {
    case Node::Kind::coalesce: return handled || child + 1 < node.children.size();
    case Node::Kind::conditional: return handled || child == 0;
    case Node::Kind::invert: return true;
    case Node::Kind::access: return handled && child == 0;
    case Node::Kind::chain: {
      const Operator op = node.operators.front();
      return op == Operator::equal || op == Operator::unequal || op == Operator::and_ || op == Operator::or_;
    }
    case Node::Kind::call: {
      if (!node.function) return false;
      const FunctionId id = node.function->id;
      if (id == FunctionId::default_) return handled || child == 0;
      return id == FunctionId::to_json || id == FunctionId::hash;
    }
    case Node::Kind::literal:
    case Node::Kind::omit:
    case Node::Kind::path:
    case Node::Kind::negate:
    case Node::Kind::list:
    case Node::Kind::object: return false;
  }
  return false;
}

// As deep as the tree, which max_depth bounds.
template <class Visit>
void walk(const Node& node, const Visit& visit, bool handled = false) {
  visit(node, handled);
  for (std::size_t child = 0; child < node.children.size(); ++child)
    walk(node.children[child], visit, takes_null(node, child, handled));
}

Reference reference_of(const Node& node, bool null_handled) {
  Reference reference{node.names, node.begin, node.steps.empty(), {}, null_handled};
  for (std::size_t step = 1; step < node.steps.size() && node.steps[step].kind == Step::Kind::member; ++step)
    reference.tail.push_back(node.steps[step].name);
  return reference;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Edits from one word to the other: a letter more, less, other, or two that changed places. Case counts nothing.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string arguments(const Function& f) {
  if (f.most == 0) return "no arguments";
  if (f.least == f.most) return fmt::format("{} argument{}", f.least, f.least == 1 ? "" : "s");
  if (f.most >= max_nodes) return fmt::format("at least {} argument{}", f.least, f.least == 1 ? "" : "s");
  return fmt::format("{} to {} arguments", f.least, f.most);
}

std::optional<Problem> check_call(const Node& node, const Names& names) {
  if (node.name == "omit") return Problem{node.begin, "omit takes no arguments", "write omit"};
  if (!node.function) {
    std::vector<std::string> known{"omit"};
    for (const Function& f : functions()) known.emplace_back(f.name);
    const std::string near = nearest(node.name, known);
    return Problem{node.begin, fmt::format("there is no function '{}'", node.name),
                   near.empty() ? "" : fmt::format("did you mean {}?", near)};
  }
  const Function& f = *node.function;
  if (const std::size_t given = node.children.size(); given < f.least || given > f.most)
    return Problem{node.begin, fmt::format("{} takes {}, not {}", f.name, arguments(f), given),
                   fmt::format("write {}", f.usage)};
  if (f.status && !names.status_functions)
    return Problem{node.begin, fmt::format("{}() has no meaning here", f.name),
                   "it looks at what ran before: use it in an if"};
  return std::nullopt;
}

}  // namespace

std::vector<Reference> Expression::references() const {
  std::vector<Reference> found;
  walk(syntax_->root, [&](const Node& node, bool null_handled) {
    if (node.kind == Node::Kind::path) found.push_back(reference_of(node, null_handled));
  });
  return found;
}

std::vector<StatusFunction> Expression::status_functions() const {
  std::vector<StatusFunction> found;
  walk(syntax_->root, [&](const Node& node, bool) {
    if (node.kind == Node::Kind::call && node.function && node.function->status)
      found.push_back(*node.function->status);
  });
  return found;
}

std::vector<Problem> check(const Expression& expression, const Names& names) {
  std::vector<Problem> problems;
  walk(expression.syntax().root, [&](const Node& node, bool null_handled) {
    std::optional<Problem> wrong;
    if (node.kind == Node::Kind::call) wrong = check_call(node, names);
    if (node.kind == Node::Kind::path && names.reference) {
      wrong = names.reference(reference_of(node, null_handled));
      const auto dashed = [](const std::string& name) { return name.find('-') != std::string::npos; };
      if (wrong && wrong->hint.empty() && std::ranges::any_of(node.names, dashed))
        wrong->hint = "a '-' inside a name belongs to it: a minus needs spaces";
    }
    if (wrong) problems.push_back(std::move(*wrong));
  });
  return problems;
}

std::string nearest(std::string_view word, std::span<const std::string> known) {
  constexpr std::size_t longest = 100;
  if (word.empty() || word.size() > longest) return {};
  const std::string* best = nullptr;
  // One edit in a short word, one in three letters of a long one.
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > longest) continue;
    const std::size_t edits = distance(word, candidate);
    // Nothing in common but the length is no likeness.
    if (edits < least && edits < std::max(word.size(), candidate.size())) {
      least = edits;
      best = &candidate;
    }
  }
  return best ? *best : std::string{};
}

}  // namespace pawl::expression
