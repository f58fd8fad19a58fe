// Any bytes as an expression, a template, a tree of templates or a script: problems lie in the text, evaluation ends
// within its budgets, gives the same again, and nothing deeper than whoever stores it can read.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "expression/expression.h"
#include "expression/shell.h"

namespace {

using namespace pawl;  // NOLINT(google-build-using-namespace): a program of its own
using namespace pawl::expression;  // NOLINT(google-build-using-namespace)

constexpr Limits limits{.steps = 20'000, .bytes = 1 << 20};

class World final : public Context {
 public:
  Result<Found> lookup(std::span<const std::string> path) const override {
    if (path[0] == "secrets") return fail(Code::not_found, "there is no such secret", "secret_missing");
    return Found{find(value_, path[0]), 1};
  }
  std::optional<bool> status(StatusFunction function) const override { return function != StatusFunction::failure; }
  Instant now() const override { return from_us(1'795'419'296'789'123); }

 private:
  Json value_ = *parse_json(R"({"inputs": {"a": "text", "n": 3, "f": 0.5, "b": true, "l": ["a", 2, null, [1]], "e": "",
      "o": {"x": 1, "y": {"z": [10, 20]}}, "big": 18446744073709551615, "min": -9223372036854775808, "t": "한글"}})");
};

std::size_t depth(const Json& value, std::size_t above = 0) {
  std::size_t deepest = above;
  if (value.is_array())
    for (const Json& element : value.get_array()) deepest = std::max(deepest, depth(element, above + 1));
  if (value.is_object())
    for (const auto& member : value.get_object()) deepest = std::max(deepest, depth(member.value(), above + 1));
  return deepest;
}

void check_problem(const Problem& problem, std::string_view text) {
  check(problem.offset <= text.size() && !problem.message.empty());
}

void check_value(const Result<Json>& value, const Result<Json>& again) {
  check(value.has_value() == again.has_value());
  if (!value) {
    check(!value.error().name.empty() && value.error().message == again.error().message);
    return;
  }
  check(depth(*value) <= max_value_depth);
  const std::string written = to_text(*value);
  check(written == to_text(*again));
  check(parse_json(written).has_value());
}

void try_expression(const Expression& parsed) {
  const World world;
  Names names;
  names.reference = [](const Reference& reference) -> std::optional<Problem> {
    check(!reference.path.empty());
    return std::nullopt;
  };
  names.status_functions = true;
  for (const Problem& problem : check(parsed, names)) check_problem(problem, parsed.text());
  (void)parsed.references();
  (void)parsed.status_functions();
  check_value(evaluate(parsed, world, limits), evaluate(parsed, world, limits));
  (void)evaluate_condition(parsed, world, limits);
}

void try_template(std::string_view text) {
  const auto parsed = Template::parse(text);
  if (!parsed) return check_problem(parsed.error(), text);
  const World world;
  for (const Template::Part& part : parsed->parts()) check(part.offset <= text.size());
  (void)evaluate(*parsed, world, limits);
  (void)evaluate_text(*parsed, world, limits);
  if (parsed->is_literal()) (void)parsed->literal();
}

void try_script(std::string_view text) {
  const auto parsed = Template::parse(text);
  if (!parsed) return;
  const auto script = shell_script(*parsed, "bash");
  if (script) {
    check(script->variables.size() <= max_script_expressions);
    return;
  }
  check(!script.error().empty());
  for (const Problem& problem : script.error()) check_problem(problem, text);
}

void try_tree(std::string_view text) {
  const auto value = parse_json(text);
  if (!value) return;
  std::vector<std::string> path;
  const auto tree = Tree::parse(*value, &path);
  if (!tree) return;
  const World world;
  (void)tree->references();
  check_value(tree->evaluate(world, limits), tree->evaluate(world, limits));
}

}  // namespace

// The first byte chooses.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0:
      if (const auto parsed = Expression::parse(text))
        try_expression(*parsed);
      else
        check_problem(parsed.error(), text);
      break;
    case 1: try_template(text); break;
    case 2: try_script(text); break;
    default: try_tree(text);
  }
  return 0;
}
