// Evaluates syntax trees within a budget. Inside of the room.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expression/expression.h"
#include "expression/syntax.h"

namespace pawl::expression {

// Looking through text costs a step for so many bytes.
constexpr std::size_t bytes_a_step = 32;

// A value that is its own, or one that belongs to the context, or `omit`.
class Value {
 public:
  Value() = default;
  static Value own(Json value) {
    Value v;
    v.owned_ = std::move(value);
    return v;
  }
  static Value borrow(const Json& value) {
    Value v;
    v.borrowed_ = &value;
    return v;
  }
  static Value omit() {
    Value v;
    v.omit_ = true;
    return v;
  }
  const Json& get() const { return borrowed_ ? *borrowed_ : owned_; }
  bool is_omit() const { return omit_; }
  bool is_null() const { return !omit_ && get().is_null(); }
  bool is_borrowed() const { return borrowed_ != nullptr; }
  // Only if it is not borrowed.
  Json& mine() { return owned_; }

 private:
  const Json* borrowed_ = nullptr;
  Json owned_;
  bool omit_ = false;
};

class Evaluator {
 public:
  Evaluator(const Context& context, Limits limits) : context_(context), limits_(limits) {}

  // The value of a whole expression.
  Result<Value> evaluate(const Expression& expression);
  // A copy that lives on, paid for if it is one.
  Result<Json> keep(Value value);

  // How a value is written inside text. Null and omit are errors that name the expression.
  Result<void> append_text(std::string& out, const Value& value, const Expression& expression);

  Result<void> pay_steps(std::size_t steps);
  Result<void> pay_bytes(std::size_t bytes);

 private:
  using Call = std::span<Value>;

  Result<Value> evaluate(const Node& node);
  Result<Value> dispatch(const Node& node);
  // Of a value that has to be one: omit is an error.
  Result<Value> evaluate_value(const Node& node);
  Result<bool> evaluate_bool(const Node& node, std::string_view who);
  Result<Value> path(const Node& node);
  Result<Value> access(const Node& node);
  Result<Value> steps(const Node& node, Value value, std::size_t first, std::span<const Value> indexes);
  Result<Value> every(const Node& node, Value value, std::size_t next, std::span<const Value> indexes);
  Result<Value> index(const Node& node, Value value, const Value& index, std::size_t begin);
  Result<std::vector<Value>> indexes(const Node& node, std::size_t first);
  Result<Value> negate(const Node& node);
  Result<Value> chain(const Node& node);
  Result<Value> compare(const Node& node, Operator op, const Value& a, const Value& b);
  Result<Value> arithmetic(const Node& node, Operator op, Value a, const Value& b);
  Result<Value> list(const Node& node);
  Result<Value> object(const Node& node);
  Result<bool> equal(const Json& a, const Json& b, std::size_t depth = 0);

  Result<Value> call(const Node& node);
  Result<Value> contains(const Node& node, Call args);
  Result<Value> format(const Node& node, Call args);
  Result<Value> join(const Node& node, Call args);
  Result<Value> split(const Node& node, Call args);
  Result<Value> length(const Node& node, Call args);
  Result<Value> keys(const Node& node, Call args);
  Result<Value> from_json(const Node& node, Call args);
  Result<Value> hash(Call args);
  Result<Value> date(const Node& node, Call args);
  Result<Value> add_duration(const Node& node, Call args);
  Result<Value> compact(const Node& node, Call args);
  // The text of an argument that must be one; paid for as work.
  Result<std::string_view> text(const Node& node, Call args, std::size_t which);
  Result<Instant> time(const Node& node, Call args, std::size_t which);

  // Size and depth of what is about to be copied or written; paid for.
  Result<std::size_t> measure(const Json& value);
  Result<Value> own_text(std::string text);
  // Writes a value that is not null as templates do.
  Result<void> append_plain(std::string& out, const Json& value);

  std::string quoted(std::size_t begin, std::size_t end) const;
  std::string quoted(const Node& node) const { return quoted(node.begin, node.end); }
  std::unexpected<Error> wrong(std::string message) const;

  const Context& context_;
  Limits limits_;
  std::string_view source_;
};

bool is_number(const Json& value);
// Exact, between integers and doubles too.
std::partial_ordering compare_numbers(const Json& a, const Json& b);
// Containers inside each other: 0 for a scalar; stops counting above `limit`.
std::size_t depth_of(const Json& value, std::size_t limit);
std::string nested_too_deep();

}  // namespace pawl::expression
