// A small world for the tests of this room.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "expression/expression.h"

namespace pawl::expression {

inline Json read(std::string_view text) {
  auto value = parse_json(text, {.depth = 400});
  EXPECT_TRUE(value) << text << ": " << value.error().message;
  return value ? std::move(*value) : Json();
}

class World : public Context {
 public:
  // Answers tasks.x.y itself, secrets with an error, all else by its first name.
  Result<Found> lookup(std::span<const std::string> path) const override {
    asked.assign(path.begin(), path.end());
    if (path[0] == "secrets") return fail(Code::not_found, "there is no such secret", "secret_missing");
    if (path.size() > 2 && path[0] == "tasks") {
      const Json* task = find(*find(value, "tasks"), path[1]);
      return Found{task ? find(*task, path[2]) : nullptr, 3};
    }
    return Found{find(value, path[0]), 1};
  }
  std::optional<bool> status(StatusFunction f) const override {
    if (!statuses) return std::nullopt;
    return f == StatusFunction::success || f == StatusFunction::always;
  }
  Instant now() const override { return from_us(1'795'419'296'789'123); }  // 2026-11-23T07:34:56.789123Z

  Json value = read(R"({
    "inputs": {"tag": "naver", "n": 3, "zero": 0, "half": 0.5, "flag": true, "off": false, "nothing": null, "empty": "",
               "list": ["a", "b", null, ""], "text": "한글 text", "a-b": "dashed", "big": 18446744073709551615,
               "max": 9223372036854775807, "min": -9223372036854775808, "object": {"x": 1, "y": {"z": [10, 20]}}},
    "tasks": {"cool-down": {"outputs": {"x": "cool"}},
              "top": {"outputs": {"items": [{"url": "u1", "tags": [1, 2]}, {"url": "u2", "tags": []}, {}, null]}},
              "shards": {"outputs": {"s1": {"n": 1}, "s2": {"n": 2}}}}
  })");
  bool statuses = true;
  mutable std::vector<std::string> asked;
};

// The value as JSON, or `name: message` of the error, or `parse: message`.
inline std::string value_of(std::string_view text, const Context& context = World(), Limits limits = {}) {
  auto expression = Expression::parse(text);
  if (!expression) return "parse: " + expression.error().message;
  auto value = evaluate(*expression, context, limits);
  return value ? to_text(*value) : value.error().name + ": " + value.error().message;
}

struct Case {
  std::string_view text, value;
};

inline void expect_values(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(value_of(c.text), c.value) << c.text;
}

// That the error says `value`.
inline void expect_errors(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    const std::string got = value_of(c.text);
    EXPECT_TRUE(got.starts_with("expression_error: ")) << c.text << " gives " << got;
    EXPECT_NE(got.find(c.value), std::string::npos) << c.text << " gives " << got;
  }
}

inline Expression parsed(std::string_view text) {
  auto expression = Expression::parse(text);
  EXPECT_TRUE(expression) << text << ": " << expression.error().message;
  return expression ? *expression : *Expression::parse("null");
}

}  // namespace pawl::expression
