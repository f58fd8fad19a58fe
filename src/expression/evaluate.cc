#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/utf8.h"
#include "expression/evaluator.h"

namespace pawl::expression {
namespace {

// What a number is to its arithmetic.
struct Number {
  bool whole = false;
  std::int64_t i = 0;
  double d = 0;
};

// nullopt: an integer that does not fit 64 bits with a sign.
std::optional<Number> number_of(const Json& value) {
  if (value.is_int64()) return Number{true, value.get_int64(), static_cast<double>(value.get_int64())};
  if (value.is_double()) return Number{false, 0, value.get_double()};
  return std::nullopt;
}

template <class Int>
std::partial_ordering compare_exactly(Int a, double b) {
  // Both bounds are powers of two, so they are exact as doubles.
  constexpr double above = 2.0 * static_cast<double>(std::numeric_limits<Int>::max() / 2 + 1);
  if (std::isnan(b)) return std::partial_ordering::unordered;
  if (b >= above) return std::partial_ordering::less;
  if (b < static_cast<double>(std::numeric_limits<Int>::min())) return std::partial_ordering::greater;
  const double whole = std::trunc(b);
  const auto integer = static_cast<Int>(whole);
  if (a != integer) return a < integer ? std::partial_ordering::less : std::partial_ordering::greater;
  return 0.0 <=> b - whole;
}

// "a number", "an object": type_name with its article.
std::string a_type(const Value& value) {
  if (value.is_omit()) return "omit";
  const std::string_view name = type_name(value.get());
  if (name == "null") return "null";
  return fmt::format("{} {}", name == "object" ? "an" : "a", name);
}

// What one value takes while it is held.
std::size_t cost(const Json& value) { return sizeof(Json) + (value.is_string() ? value.get_string().size() : 0); }

// Adds up the cost of `value`; false if it is nested too deep.
bool add_up(const Json& value, std::size_t& bytes, std::size_t depth) {
  bytes += cost(value);
  if (const auto* list = value.if_array()) {
    if (depth == max_value_depth) return false;
    for (const Json& element : *list)
      if (!add_up(element, bytes, depth + 1)) return false;
  } else if (const auto* object = value.if_object()) {
    if (depth == max_value_depth) return false;
    for (const auto& member : *object) {
      bytes += member.key().size() + sizeof(Json);
      if (!add_up(member.value(), bytes, depth + 1)) return false;
    }
  }
  return true;
}

// A part of `parent`: its own if the parent is.
Value part(Value& parent, const Json& of) {
  if (parent.is_borrowed()) return Value::borrow(of);
  return Value::own(std::move(const_cast<Json&>(of)));  // not const: the parent, about to go, is not
}

std::unexpected<Error> condition_error(std::string message) {
  return fail(Code::invalid, std::move(message), "condition_error");
}

}  // namespace

bool is_number(const Json& value) { return value.is_int64() || value.is_uint64() || value.is_double(); }

std::partial_ordering compare_numbers(const Json& a, const Json& b) {
  if (a.is_double() && b.is_double()) return a.get_double() <=> b.get_double();
  if (a.is_double()) return 0 <=> compare_numbers(b, a);
  if (b.is_double())
    return a.is_int64() ? compare_exactly(a.get_int64(), b.get_double())
                        : compare_exactly(a.get_uint64(), b.get_double());
  if (a.is_int64() && b.is_int64()) return a.get_int64() <=> b.get_int64();
  if (a.is_uint64() && b.is_uint64()) return a.get_uint64() <=> b.get_uint64();
  if (a.is_uint64()) return 0 <=> compare_numbers(b, a);
  if (a.get_int64() < 0) return std::partial_ordering::less;
  return static_cast<std::uint64_t>(a.get_int64()) <=> b.get_uint64();
}

std::size_t depth_of(const Json& value, std::size_t limit) {
  std::size_t deepest = 0;
  const auto look = [&](const Json& child) {
    if (limit > 0) deepest = std::max(deepest, depth_of(child, limit - 1));
  };
  if (const auto* list = value.if_array()) {
    for (const Json& element : *list) look(element);
    return deepest + 1;
  }
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) look(member.value());
    return deepest + 1;
  }
  return 0;
}

std::string nested_too_deep() { return fmt::format("a value is nested deeper than {}", max_value_depth); }

std::string Evaluator::quoted(std::size_t begin, std::size_t end) const {
  constexpr std::size_t longest = 80;
  const std::string_view text = source_.substr(begin, end - begin);
  if (text.size() <= longest) return fmt::format("`{}`", text);
  return fmt::format("`{}…`", cut_utf8(text, longest));
}

std::unexpected<Error> Evaluator::wrong(std::string message) const {
  return fail(Code::invalid, std::move(message), "expression_error");
}

Result<void> Evaluator::pay_steps(std::size_t steps) {
  if (steps > limits_.steps) return wrong("the expression takes too many steps");
  limits_.steps -= steps;
  return {};
}

Result<void> Evaluator::pay_bytes(std::size_t bytes) {
  if (bytes > limits_.bytes) return wrong("the expression makes values that are too large");
  limits_.bytes -= bytes;
  return {};
}

Result<std::size_t> Evaluator::measure(const Json& value) {
  std::size_t bytes = 0;
  if (!add_up(value, bytes, 0)) return wrong(nested_too_deep());
  if (auto paid = pay_bytes(bytes); !paid) return std::unexpected(std::move(paid.error()));
  return bytes;
}

Result<Json> Evaluator::keep(Value value) {
  if (!value.is_borrowed()) return std::move(value.mine());
  if (auto size = measure(value.get()); !size) return std::unexpected(std::move(size.error()));
  return value.get();
}

Result<Value> Evaluator::own_text(std::string text) {
  if (auto paid = pay_bytes(text.size() + sizeof(Json)); !paid) return std::unexpected(std::move(paid.error()));
  return Value::own(Json(text));
}

Result<Value> Evaluator::evaluate(const Expression& expression) {
  source_ = expression.text();
  return evaluate(expression.syntax().root);
}

Result<Value> Evaluator::evaluate(const Node& node) {
  if (auto paid = pay_steps(1); !paid) return std::unexpected(std::move(paid.error()));
  return dispatch(node);
}

Result<Value> Evaluator::evaluate_value(const Node& node) {
  auto value = evaluate(node);
  if (value && value->is_omit()) return wrong("omit can only be a whole value, a member or an element");
  return value;
}

Result<Value> Evaluator::dispatch(const Node& node) {
  using enum Node::Kind;
  switch (node.kind) {
    case literal: return Value::borrow(node.value);
    case omit: return Value::omit();
    case path: return this->path(node);
    case access: return this->access(node);
    case negate: return this->negate(node);
    case invert: {
      auto value = evaluate_bool(node.children[0], "!");
      if (!value) return std::unexpected(std::move(value.error()));
      return Value::own(!*value);
    }
    case chain: return this->chain(node);
    case coalesce: {
      for (std::size_t i = 0;; ++i) {
        auto value = evaluate(node.children[i]);
        if (!value || !value->is_null() || i + 1 == node.children.size()) return value;
      }
    }
    case conditional: {
      auto condition = evaluate_bool(node.children[0], "? :");
      if (!condition) return std::unexpected(std::move(condition.error()));
      return evaluate(node.children[*condition ? 1 : 2]);
    }
    case call: return this->call(node);
    case list: return this->list(node);
    case object: return this->object(node);
  }
  unreachable();
}

Result<bool> Evaluator::evaluate_bool(const Node& node, std::string_view who) {
  auto value = evaluate_value(node);
  if (!value) return std::unexpected(std::move(value.error()));
  if (value->is_null()) return false;
  if (const bool* b = value->get().if_bool()) return *b;
  return wrong(fmt::format("{} needs bools, but {} is {}: compare it with something{}", who, quoted(node),
                           a_type(*value), who == "&&" || who == "||" ? ", or use ?? or ? :" : ""));
}

Result<Value> Evaluator::path(const Node& node) {
  auto computed = indexes(node, 0);
  if (!computed) return std::unexpected(std::move(computed.error()));
  auto found = context_.lookup(node.names);
  if (!found) return std::unexpected(std::move(found.error()));
  pawl::check(found->used <= node.names.size(), "a context uses names that it was given");
  const Json* value = found->value;
  for (std::size_t i = std::max<std::size_t>(1, found->used); i < node.names.size(); ++i) {
    if (!value || value->is_null()) break;
    if (!value->is_object()) {
      std::string before = node.names[0];
      for (std::size_t k = 1; k < i; ++k) before += '.' + node.names[k];
      return wrong(
          fmt::format("`{}` is {} and has no member '{}'{}", before, a_type(Value::borrow(*value)), node.names[i],
                      value->is_array() ? fmt::format(": write .*.{} for that of every element", node.names[i]) : ""));
    }
    value = find(*value, node.names[i]);
  }
  return steps(node, value ? Value::borrow(*value) : Value(), 0, *computed);
}

Result<Value> Evaluator::access(const Node& node) {
  auto base = evaluate_value(node.children[0]);
  if (!base) return base;
  auto computed = indexes(node, 1);
  if (!computed) return std::unexpected(std::move(computed.error()));
  return steps(node, std::move(*base), 0, *computed);
}

// In the order of the node's children; those before `first` are no indexes.
Result<std::vector<Value>> Evaluator::indexes(const Node& node, std::size_t first) {
  std::vector<Value> values(node.children.size());
  for (std::size_t i = first; i < node.children.size(); ++i) {
    auto value = evaluate_value(node.children[i]);
    if (!value) return std::unexpected(std::move(value.error()));
    values[i] = std::move(*value);
  }
  return values;
}

Result<Value> Evaluator::steps(const Node& node, Value value, std::size_t first, std::span<const Value> indexes) {
  for (std::size_t i = first; i < node.steps.size(); ++i) {
    if (value.is_null()) return value;
    if (auto paid = pay_steps(1); !paid) return std::unexpected(std::move(paid.error()));
    const Step& step = node.steps[i];
    switch (step.kind) {
      case Step::Kind::every: return every(node, std::move(value), i + 1, indexes);
      case Step::Kind::index: {
        auto next = index(node, std::move(value), indexes[step.child], step.begin);
        if (!next) return next;
        value = std::move(*next);
        break;
      }
      case Step::Kind::member: {
        if (!value.get().is_object())
          return wrong(fmt::format(
              "{} is {} and has no member '{}'{}", quoted(node.begin, step.begin), a_type(value), step.name,
              value.get().is_array() ? fmt::format(": write .*.{} for that of every element", step.name) : ""));
        const Json* member = find(value.get(), step.name);
        value = member ? part(value, *member) : Value();
        break;
      }
    }
  }
  return value;
}

Result<Value> Evaluator::index(const Node& node, Value value, const Value& index, std::size_t begin) {
  const Json& key = index.get();
  if (const auto* list = value.get().if_array()) {
    if (key.is_uint64()) return Value();
    if (!key.is_int64())
      return wrong(
          fmt::format("an index of the list {} must be an integer, not {}", quoted(node.begin, begin), a_type(index)));
    const std::int64_t i = key.get_int64();
    if (i < 0 || static_cast<std::uint64_t>(i) >= list->size()) return Value();
    return part(value, (*list)[static_cast<std::size_t>(i)]);
  }
  if (value.get().is_object()) {
    if (!key.is_string())
      return wrong(
          fmt::format("an index of the object {} must be a string, not {}", quoted(node.begin, begin), a_type(index)));
    const Json* member = find(value.get(), as_view(key));
    return member ? part(value, *member) : Value();
  }
  return wrong(fmt::format("{} is {} and has no elements", quoted(node.begin, begin), a_type(value)));
}

// As deep as the value is, and no deeper than the path has stars.
Result<Value> Evaluator::every(const Node& node, Value value, std::size_t next, std::span<const Value> indexes) {
  json::array result;
  const auto add = [&](const Json& element) -> Result<void> {
    auto one = steps(node, part(value, element), next, indexes);
    if (!one) return std::unexpected(std::move(one.error()));
    auto kept = keep(std::move(*one));
    if (!kept) return std::unexpected(std::move(kept.error()));
    result.push_back(std::move(*kept));
    if (auto paid = pay_bytes(sizeof(Json)); !paid) return paid;
    return pay_steps(1);
  };
  if (const auto* list = value.get().if_array()) {
    for (const Json& element : *list)
      if (auto added = add(element); !added) return std::unexpected(std::move(added.error()));
  } else if (const auto* object = value.get().if_object()) {
    for (const auto& member : *object)
      if (auto added = add(member.value()); !added) return std::unexpected(std::move(added.error()));
  } else {
    const std::size_t end = node.steps[next - 1].begin;
    return wrong(fmt::format("{} is {}: .* needs a list or an object", quoted(node.begin, end), a_type(value)));
  }
  return Value::own(std::move(result));
}

Result<Value> Evaluator::negate(const Node& node) {
  auto value = evaluate_value(node.children[0]);
  if (!value) return value;
  const Json& number = value->get();
  if (!is_number(number))
    return wrong(fmt::format("- needs a number, but {} is {}", quoted(node.children[0]), a_type(*value)));
  if (number.is_double()) return Value::own(-number.get_double());
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  if (number.is_uint64() && number.get_uint64() == std::uint64_t{1} << 63) return Value::own(least);
  if (number.is_uint64() || number.get_int64() == least)
    return wrong(fmt::format("{} is beyond 64 bits", quoted(node)));
  return Value::own(-number.get_int64());
}

Result<Value> Evaluator::chain(const Node& node) {
  const Operator kind = node.operators[0];
  if (kind == Operator::and_ || kind == Operator::or_) {
    const bool decisive = kind == Operator::or_;
    for (const Node& child : node.children) {
      if (auto paid = pay_steps(1); !paid) return std::unexpected(std::move(paid.error()));
      auto value = evaluate_bool(child, symbol(kind));
      if (!value) return std::unexpected(std::move(value.error()));
      if (*value == decisive) return Value::own(decisive);
    }
    return Value::own(!decisive);
  }
  auto value = evaluate_value(node.children[0]);
  for (std::size_t i = 0; value && i < node.operators.size(); ++i) {
    auto right = evaluate_value(node.children[i + 1]);
    if (!right) return right;
    const Operator op = node.operators[i];
    value = op < Operator::add ? compare(node, op, *value, *right) : arithmetic(node, op, std::move(*value), *right);
  }
  return value;
}

Result<bool> Evaluator::equal(const Json& a, const Json& b, std::size_t depth) {
  if (depth > max_value_depth) return wrong(nested_too_deep());
  if (auto paid = pay_steps(1); !paid) return std::unexpected(std::move(paid.error()));
  if (is_number(a) && is_number(b)) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case json::kind::string: {
      if (a.get_string().size() != b.get_string().size()) return false;
      if (auto paid = pay_steps(a.get_string().size() / bytes_a_step); !paid)
        return std::unexpected(std::move(paid.error()));
      return a.get_string() == b.get_string();
    }
    case json::kind::array: {
      const auto &x = a.get_array(), &y = b.get_array();
      if (x.size() != y.size()) return false;
      for (std::size_t i = 0; i < x.size(); ++i)
        if (auto same = equal(x[i], y[i], depth + 1); !same || !*same) return same;
      return true;
    }
    case json::kind::object: {
      const auto &x = a.get_object(), &y = b.get_object();
      if (x.size() != y.size()) return false;
      for (const auto& member : x) {
        const Json* other = y.if_contains(member.key());
        if (!other) return false;
        if (auto same = equal(member.value(), *other, depth + 1); !same || !*same) return same;
      }
      return true;
    }
    case json::kind::bool_: return a.get_bool() == b.get_bool();
    case json::kind::null: return true;
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: break;
  }
  unreachable();
}

Result<Value> Evaluator::compare(const Node& node, Operator op, const Value& a, const Value& b) {
  if (op == Operator::equal || op == Operator::unequal) {
    auto same = equal(a.get(), b.get());
    if (!same) return std::unexpected(std::move(same.error()));
    return Value::own(*same == (op == Operator::equal));
  }
  std::partial_ordering order = std::partial_ordering::unordered;
  if (is_number(a.get()) && is_number(b.get())) {
    order = compare_numbers(a.get(), b.get());
  } else if (a.get().is_string() && b.get().is_string()) {
    const std::string_view x = as_view(a.get()), y = as_view(b.get());
    if (auto paid = pay_steps(std::min(x.size(), y.size()) / bytes_a_step); !paid)
      return std::unexpected(std::move(paid.error()));
    order = x <=> y;
  } else {
    return wrong(fmt::format("{}: {} compares two numbers or two strings, not {} and {}", quoted(node), symbol(op),
                             a_type(a), a_type(b)));
  }
  switch (op) {
    case Operator::less: return Value::own(order < 0);
    case Operator::less_equal: return Value::own(order <= 0);
    case Operator::greater: return Value::own(order > 0);
    default: return Value::own(order >= 0);
  }
}

Result<Value> Evaluator::arithmetic(const Node& node, Operator op, Value a, const Value& b) {
  if (op == Operator::add && a.get().is_string() && b.get().is_string()) {
    // A chain of + appends to the string it has made; only what is new is paid for.
    const json::string& right = b.get().get_string();
    const std::size_t bytes = right.size() + (a.is_borrowed() ? cost(a.get()) : 0);
    if (auto paid = pay_bytes(bytes); !paid) return std::unexpected(std::move(paid.error()));
    Json joined = a.is_borrowed() ? Json(a.get()) : std::move(a.mine());
    joined.get_string().append(json::string_view(right.data(), right.size()));
    return Value::own(std::move(joined));
  }
  if (!is_number(a.get()) || !is_number(b.get())) {
    std::string message = fmt::format("{}: {} needs two numbers{}, not {} and {}", quoted(node), symbol(op),
                                      op == Operator::add ? " or two strings" : "", a_type(a), a_type(b));
    if (op == Operator::add && !a.is_null() && !b.is_null() && (a.get().is_string() || b.get().is_string()))
      message += ": make text of them with format('{0}{1}', a, b) or in a template";
    // What people mean by `'a' + x ?? ''`.
    if (a.is_null() || b.is_null())
      message += ": a ?? in it goes into parentheses, (x ?? y), for + - * / % bind tighter";
    return wrong(std::move(message));
  }
  const auto x = number_of(a.get()), y = number_of(b.get());
  const auto overflow = [&] { return wrong(fmt::format("{} is beyond 64 bits", quoted(node))); };
  if (!x || !y) return overflow();
  const bool whole = x->whole && y->whole;
  if ((op == Operator::divide || op == Operator::remainder) && (whole ? y->i == 0 : y->d == 0))
    return wrong(fmt::format("{} divides by zero", quoted(node)));
  if (whole) {
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    std::int64_t result = 0;
    switch (op) {
      case Operator::add:
        if (__builtin_add_overflow(x->i, y->i, &result)) return overflow();
        return Value::own(result);
      case Operator::subtract:
        if (__builtin_sub_overflow(x->i, y->i, &result)) return overflow();
        return Value::own(result);
      case Operator::multiply:
        if (__builtin_mul_overflow(x->i, y->i, &result)) return overflow();
        return Value::own(result);
      case Operator::remainder: return Value::own(y->i == -1 ? std::int64_t{0} : x->i % y->i);
      default:
        if (x->i == least && y->i == -1) return overflow();
        if (x->i % y->i == 0) return Value::own(x->i / y->i);
        return Value::own(x->d / y->d);
    }
  }
  double result = 0;
  switch (op) {
    case Operator::add: result = x->d + y->d; break;
    case Operator::subtract: result = x->d - y->d; break;
    case Operator::multiply: result = x->d * y->d; break;
    case Operator::divide: result = x->d / y->d; break;
    default: result = std::fmod(x->d, y->d); break;
  }
  if (!std::isfinite(result)) return wrong(fmt::format("{} is out of the range of doubles", quoted(node)));
  return Value::own(result);
}

Result<Value> Evaluator::list(const Node& node) {
  json::array result;
  for (const Node& child : node.children) {
    auto value = evaluate(child);
    if (!value) return value;
    if (value->is_omit()) continue;
    auto kept = keep(std::move(*value));
    if (!kept) return std::unexpected(std::move(kept.error()));
    if (auto paid = pay_bytes(sizeof(Json)); !paid) return std::unexpected(std::move(paid.error()));
    result.push_back(std::move(*kept));
  }
  return Value::own(std::move(result));
}

Result<Value> Evaluator::object(const Node& node) {
  json::object result;
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    auto value = evaluate(node.children[i]);
    if (!value) return value;
    if (value->is_omit()) continue;
    auto kept = keep(std::move(*value));
    if (!kept) return std::unexpected(std::move(kept.error()));
    if (auto paid = pay_bytes(node.names[i].size() + 2 * sizeof(Json)); !paid)
      return std::unexpected(std::move(paid.error()));
    result.emplace(node.names[i], std::move(*kept));
  }
  return Value::own(std::move(result));
}

Result<void> Evaluator::append_plain(std::string& out, const Json& value) {
  auto size = measure(value);
  if (!size) return std::unexpected(std::move(size.error()));
  if (value.is_string()) {
    out += as_view(value);
  } else {
    const std::size_t before = out.size();
    append_json(out, value);
    return pay_bytes(out.size() - before);
  }
  return {};
}

Result<void> Evaluator::append_text(std::string& out, const Value& value, const Expression& expression) {
  const Node& root = expression.syntax().root;
  if (value.is_omit()) return wrong("omit has no text: it can only be a whole value");
  if (!value.is_null()) return append_plain(out, value.get());
  const std::string what = quoted(root);
  // Suggests what can be pasted.
  const bool simple = root.kind != Node::Kind::conditional || source_[root.begin] == '(';
  const std::string_view inner(what.data() + 1, what.size() - 2);
  return wrong(fmt::format("{} is null inside text: write {} if it may be empty", what,
                           simple ? fmt::format("`{} ?? ''`", inner) : fmt::format("`({}) ?? ''`", inner)));
}

Result<Json> evaluate(const Expression& expression, const Context& context, Limits limits) {
  Evaluator evaluator(context, limits);
  auto value = evaluator.evaluate(expression);
  if (!value) return std::unexpected(std::move(value.error()));
  if (value->is_omit()) return fail(Code::invalid, "omit has no meaning here: a value is needed", "expression_error");
  auto kept = evaluator.keep(std::move(*value));
  if (kept && depth_of(*kept, max_value_depth) > max_value_depth)
    return fail(Code::invalid, nested_too_deep(), "expression_error");
  return kept;
}

Result<bool> evaluate_condition(const Expression& expression, const Context& context, Limits limits) {
  Evaluator evaluator(context, limits);
  auto value = evaluator.evaluate(expression);
  if (!value) return std::unexpected(std::move(value.error()));
  if (value->is_null()) return false;
  if (!value->is_omit()) {
    if (const bool* b = value->get().if_bool()) return *b;
  }
  std::string text(cut_utf8(expression.text(), 80));
  return condition_error(
      fmt::format("the condition `{}` gives {}, not true or false: compare it with something", text, a_type(*value)));
}

}  // namespace pawl::expression
