// The language inside `${{ … }}`: parse, check, evaluate. Total: no loops, no I/O, no clock; every evaluation is bounded
// in steps and memory, and gives the same for the same context. Reference: docs/expressions.md.
// Threads: parsed expressions are immutable and may be shared.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace pawl::expression {

struct Syntax;  // the tree and its text, expression/syntax.h

// Bounds of one expression. Values that come out of an evaluation are nested at most max_value_depth deep, so that
// whoever stores them inside something can read them back with the default limit of parse_json.
constexpr std::size_t max_text = 64 << 10;
constexpr std::size_t max_depth = 64;
constexpr std::size_t max_nodes = 10'000;
constexpr std::size_t max_value_depth = 100;

// What is wrong and where: `offset` counts bytes from the start of the text that was given to parse.
struct Problem {
  std::size_t offset = 0;
  std::string message;
  std::string hint;  // what to write instead; may be empty
};
template <class T>
using Parsed = std::expected<T, Problem>;

enum class StatusFunction : std::uint8_t { success, failure, always, cancelled };

// A static path that an expression reads: `tasks.a.outputs.x` is {tasks, a, outputs, x}. It ends where the expression
// goes on by a computed index, by `.*` or by anything else that is not a fixed name.
struct Reference {
  std::vector<std::string> path;
  std::size_t offset = 0;  // of its first name
  bool whole = true;  // false: something dynamic follows, so more than the path may be read
  std::vector<std::string> tail;  // the names behind the first `.*` or `[…]`, up to the next one
  bool null_handled = false;  // what is around it takes null: `??`, default, a comparison, a condition
};

// One expression, without the `${{ }}` around it.
class Expression {
 public:
  // An empty text is a problem. Depth, length (64 KiB) and number of nodes are bounded.
  static Parsed<Expression> parse(std::string_view text);
  const Syntax& syntax() const { return *syntax_; }
  std::string_view text() const;  // what was parsed
  std::vector<Reference> references() const;
  std::vector<StatusFunction> status_functions() const;

 private:
  std::shared_ptr<const Syntax> syntax_;
};

// A text in which `${{ … }}` may stand. `$${{` gives a literal `${{`.
class Template {
 public:
  static Parsed<Template> parse(std::string_view text);
  struct Part {
    std::string text;  // literal, if there is no expression
    std::optional<Expression> expression;
    std::size_t offset = 0;  // of the part in the whole text; of an expression: of what is inside `${{`
  };
  std::span<const Part> parts() const { return parts_; }
  bool is_literal() const;  // no expression at all
  bool is_expression() const;  // exactly one expression and nothing beside it: its value keeps its type
  std::string literal() const;  // of is_literal()
 private:
  std::vector<Part> parts_;
};

bool has_expression(std::string_view text);  // contains `${{`

// Where names get their values. Not called from several threads at once.
class Context {
 public:
  virtual ~Context() = default;
  struct Found {
    const Json* value = nullptr;  // nullptr: null. Lives at least until the evaluation ends
    std::size_t used = 1;  // how many names of the path it stands for; the rest are members of the value
  };
  // The value of the longest prefix of `path` that the context knows; path[0] is one that check() let pass.
  // An Error (such as secret_missing) ends the evaluation with it.
  virtual Result<Found> lookup(std::span<const std::string> path) const = 0;
  // nullopt: the function has no meaning here, which check() should have refused.
  virtual std::optional<bool> status(StatusFunction) const { return std::nullopt; }
  virtual Instant now() const = 0;
};

struct Limits {
  std::size_t steps = 1'000'000;
  std::size_t bytes = 32 << 20;  // of all values made on the way, as they lie in memory; copies count
};

// The value, or why there is none: wrong types, a null inside text, a budget passed. Error names: expression_error,
// or what the context said.
Result<Json> evaluate(const Expression& expression, const Context& context, Limits limits = {});
// As a condition: true, false; null is false; any other type is an error (condition_error).
Result<bool> evaluate_condition(const Expression& expression, const Context& context, Limits limits = {});
// One expression keeps its type. In a text, null is an error, lists and objects are written as JSON.
// `omit` gives nullopt where the template is nothing but it; inside text it is an error.
Result<std::optional<Json>> evaluate(const Template& value, const Context& context, Limits limits = {});
// The same as text; null is an error.
Result<std::string> evaluate_text(const Template& value, const Context& context, Limits limits = {});

// A JSON tree in whose strings (not keys) templates stand. Members that evaluate to `omit` are left out, elements too.
class Tree {
 public:
  // `path_of_problem` receives where in the tree the problem is: keys and indexes.
  static Parsed<Tree> parse(const Json& value, std::vector<std::string>* path_of_problem = nullptr);
  Result<Json> evaluate(const Context& context, Limits limits = {}) const;
  std::vector<Reference> references() const;
  struct Branch;

 private:
  std::shared_ptr<const Branch> root_;
};

// What names an expression may use; see check().
struct Names {
  // nullopt: the path is fine; else what is wrong and a hint. Called for every reference.
  std::function<std::optional<Problem>(const Reference&)> reference;
  bool status_functions = false;  // success() failure() always() cancelled() are allowed
};
// Everything that is wrong with it although it parses: names, functions, number of arguments, status functions where
// they mean nothing.
std::vector<Problem> check(const Expression& expression, const Names& names);

// The nearest of `known` to `word` that a person may have meant, empty if none is near.
std::string nearest(std::string_view word, std::span<const std::string> known);

}  // namespace pawl::expression
