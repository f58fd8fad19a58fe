#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expression/evaluator.h"
#include "expression/test_world.h"

namespace pawl::expression {
namespace {

using testing::ElementsAre;

Json nested(std::size_t depth) {
  Json value = 1;
  for (std::size_t i = 0; i < depth; ++i) value = json::array{std::move(value)};
  return value;
}

TEST(Path, ReadsMembersAndElements) {
  expect_values({{"inputs.tag", R"("naver")"},
                 {"inputs['tag']", R"("naver")"},
                 {"inputs[format('{0}', 'tag')]", R"("naver")"},
                 {"inputs.object.y.z[1]", "20"},
                 {"inputs.object.y.z[inputs.zero]", "10"},
                 {"[1, 2, 3][1]", "2"},
                 {"{a: {b: 5}}.a.b", "5"},
                 {"{a: 1}['a']", "1"},
                 {"fromJSON('{\"a\":[1,{\"b\":2}]}').a[1].b", "2"}});
}

TEST(Path, WhatIsMissingIsNull) {
  expect_values({{"inputs.none", "null"},
                 {"inputs.none.deeper['still'][0].deeper", "null"},
                 {"inputs.nothing.x", "null"},
                 {"inputs.list[99]", "null"},
                 {"inputs.list[-1]", "null"},
                 {"inputs.list[18446744073709551615]", "null"},
                 {"tasks.nobody.outputs.x", "null"},
                 {"inputs.nothing.*.x", "null"},
                 {"null.x", "null"},
                 {"null[0]", "null"}});
}

TEST(Path, AMemberOfAnythingElseIsAnErrorThatNamesTypeAndPath) {
  expect_errors({{"inputs.tag.x", "`inputs.tag` is a string and has no member 'x'"},
                 {"inputs.n.x.y", "`inputs.n` is a number and has no member 'x'"},
                 {"inputs.flag.x", "`inputs.flag` is a bool"},
                 {"tasks.cool-down.outputs.x.y", "`tasks.cool-down.outputs.x` is a string"},
                 {"inputs.list.x", "`inputs.list` is a list and has no member 'x': write .*.x"},
                 {"inputs.object.y.z[0].q", "`inputs.object.y.z[0]` is a number and has no member 'q'"},
                 {"inputs.tag[0]", "`inputs.tag` is a string and has no elements"},
                 {"inputs.list['a' + '']", "an index of the list `inputs.list` must be an integer, not a string"},
                 {"inputs.list[null]", "must be an integer, not null"},
                 {"inputs.list[1.0]", "must be an integer, not a number"},
                 {"inputs.object[0]", "an index of the object `inputs.object` must be a string, not a number"},
                 {"inputs.tag.*", "`inputs.tag` is a string: .* needs a list or an object"}});
}

TEST(Path, AStarTakesWhatFollowsOfEveryElement) {
  expect_values({{"tasks.top.outputs.items.*.url", R"(["u1","u2",null,null])"},
                 {"tasks.top.outputs.items.*.tags.*", "[[1,2],[],null,null]"},
                 {"tasks.shards.outputs.*.n", "[1,2]"},
                 {"inputs.object.y.*", "[[10,20]]"},
                 {"[].*.a", "[]"},
                 {"[{a: 1}, {a: 2}].*.a", "[1,2]"},
                 {"[{a: [5, 6]}].*.a[1]", "[6]"},
                 {"join(compact(tasks.top.outputs.items.*.url), '+')", R"("u1+u2")"}});
}

TEST(Path, AsksTheContextForTheWholeStaticPath) {
  const World world;
  EXPECT_EQ(value_of("tasks.top.outputs.items[0]['url']", world), R"("u1")");
  EXPECT_THAT(world.asked, ElementsAre("tasks", "top", "outputs", "items"));
  EXPECT_EQ(value_of("inputs['object'].y['z'][0]", world), "10");
  EXPECT_THAT(world.asked, ElementsAre("inputs", "object", "y", "z"));
}

TEST(Path, AnErrorOfTheContextEndsTheEvaluation) {
  EXPECT_EQ(value_of("secrets.X ?? 'x'"), "secret_missing: there is no such secret");
}

TEST(Operators, EqualComparesByValueWithoutConversion) {
  expect_values({{"1 == 1.0", "true"},
                 {"1 == '1'", "false"},
                 {"0 == false", "false"},
                 {"'' == null", "false"},
                 {"null == null", "true"},
                 {"'a' != 'b'", "true"},
                 {"[1, 2.0] == [1.0, 2]", "true"},
                 {"[1] == [1, 2]", "false"},
                 {"{a: 1, b: 2} == {b: 2, a: 1}", "true"},
                 {"{a: 1} == {a: 1, b: 2}", "false"},
                 {"{a: 1} == {b: 1}", "false"},
                 {"9007199254740993 == 9007199254740992.0", "false"},
                 {"9223372036854775807 == 9223372036854775808.0", "false"},
                 {"18446744073709551615 == 18446744073709551616.0", "false"},
                 {"inputs.big == 18446744073709551615", "true"},
                 {"9223372036854775808 == 9223372036854775808.0", "true"},
                 {"1 == 1 == true", "true"}});
}

TEST(Operators, OrderNumbersAndStrings) {
  expect_values({{"1 < 2", "true"},
                 {"2 <= 2.0", "true"},
                 {"1.5 > 1", "true"},
                 {"-1 >= 0", "false"},
                 {"-1.5 < -1", "true"},
                 {"-1 < 18446744073709551615", "true"},
                 {"inputs.big > inputs.max", "true"},
                 {"9007199254740993 > 9007199254740992.0", "true"},
                 {"inputs.max < 1e300", "true"},
                 {"inputs.min > -1e300", "true"},
                 {"'a' < 'b'", "true"},
                 {"'B' < 'a'", "true"},
                 {"'a' <= 'a'", "true"},
                 {"'가' > 'z'", "true"}});
  expect_errors({{"1 < '2'", "< compares two numbers or two strings, not a number and a string"},
                 {"null < 1", "not null and a number"},
                 {"1 < 2 < 3", "not a bool and a number"},
                 {"[] < []", "not a list and a list"}});
}

TEST(Operators, AndOrNotNeedBools) {
  expect_values({{"true && true", "true"},
                 {"true && null", "false"},
                 {"null || true", "true"},
                 {"null || null", "false"},
                 {"!null", "true"},
                 {"!inputs.flag", "false"},
                 {"false && inputs.tag", "false"},
                 {"true || 1 / 0 == 1", "true"},
                 {"true && true && false", "false"}});
  expect_errors({{"inputs.tag && true", "&& needs bools, but `inputs.tag` is a string"},
                 {"false || 1", "|| needs bools, but `1` is a number"},
                 {"!'x'", "! needs bools"},
                 {"'x' ? 1 : 2", "? : needs bools"}});
}

TEST(Operators, ElseAndConditionTakeOnlyTheSideTheyNeed) {
  expect_values({{"inputs.tag ?? 1 / 0", R"("naver")"},
                 {"inputs.nothing ?? 'x'", R"("x")"},
                 {"inputs.none.deep ?? inputs.nothing", "null"},
                 {"inputs.off ?? true", "false"},
                 {"inputs.empty ?? 'x'", R"("")"},
                 {"true ? 1 : 1 / 0", "1"},
                 {"null ? 1 : 2", "2"}});
}

TEST(Operators, CalculateWithIntegersAndDoubles) {
  expect_values({{"1 + 2", "3"},
                 {"1 + 2.5", "3.5"},
                 {"0.5 + 0.5", "1.0"},
                 {"7 / 2", "3.5"},
                 {"6 / 2", "3"},
                 {"-7 % 3", "-1"},
                 {"7.5 % 2", "1.5"},
                 {"2 * 3 - 4", "2"},
                 {"-inputs.half", "-0.5"},
                 {"inputs.min % -1", "0"},
                 {"-(inputs.min + 1)", "9223372036854775807"},
                 {"inputs.max + 0.0", "9223372036854775808.0"}});
  expect_errors({{"inputs.max + 1", "`inputs.max + 1` is beyond 64 bits"},
                 {"inputs.min - 1", "beyond 64 bits"},
                 {"inputs.max * 2", "beyond 64 bits"},
                 {"inputs.min / -1", "beyond 64 bits"},
                 {"-inputs.min", "beyond 64 bits"},
                 {"-inputs.big", "beyond 64 bits"},
                 {"inputs.big + 1", "beyond 64 bits"},
                 {"1 / 0", "`1 / 0` divides by zero"},
                 {"1 % inputs.zero", "divides by zero"},
                 {"1.0 / 0.0", "divides by zero"},
                 {"1e308 * 10", "range of doubles"},
                 {"1 + null", "+ needs two numbers or two strings, not a number and null"},
                 {"true * 2", "* needs two numbers, not a bool and a number"},
                 {"-'a'", "- needs a number"}});
}

TEST(Operators, PlusJoinsTwoStringsAndNothingElse) {
  expect_values({{"'a' + 'b' + 'c'", R"("abc")"}, {"inputs.tag + '!'", R"("naver!")"}});
  expect_errors({{"'n: ' + 1", "make text of them with format('{0}{1}', a, b) or in a template"},
                 {"1 + 'a'", "format("},
                 {"'a' + null ?? ''", "not a string and null: a ?? in it goes into parentheses"}});
}

TEST(Omit, LeavesOutMembersAndElements) {
  expect_values({{"{a: omit, b: 1}", R"({"b":1})"},
                 {"[1, omit(), 2]", "[1,2]"},
                 {"{a: inputs.nothing ?? omit}", "{}"},
                 {"{a: inputs.flag ? omit : 1}", "{}"},
                 {"{a: default(inputs.none, omit)}", "{}"},
                 {"[default(omit, 1)]", "[]"}});
  expect_errors({{"omit", "omit has no meaning here"},
                 {"omit == 1", "omit can only be"},
                 {"[omit].*.a == omit.x", "omit can only be"},
                 {"toJSON(omit)", "omit can only be"},
                 {"!omit", "omit can only be"},
                 {"inputs[omit]", "omit can only be"}});
}

TEST(Condition, IsTrueOrFalseAndNullIsFalse) {
  const World world;
  EXPECT_EQ(evaluate_condition(parsed("inputs.flag"), world), true);
  EXPECT_EQ(evaluate_condition(parsed("inputs.nothing"), world), false);
  EXPECT_EQ(evaluate_condition(parsed("inputs.n > 2 && success()"), world), true);
  EXPECT_EQ(evaluate_condition(parsed("failure()"), world), false);
  for (const std::string_view text : {"inputs.tag", "1", "[]", "{}", "omit"}) {
    const auto result = evaluate_condition(parsed(text), world);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().name, "condition_error");
  }
  EXPECT_EQ(evaluate_condition(parsed("'no'"), world).error().message,
            "the condition `'no'` gives a string, not true or false: compare it with something");
  EXPECT_EQ(evaluate_condition(parsed("1 < 'a'"), world).error().name, "expression_error");
}

TEST(Evaluate, RefusesWhatCheckWouldHaveRefused) {
  World world;
  world.statuses = false;
  EXPECT_EQ(value_of("success()", world), "expression_error: success() has no meaning here");
  EXPECT_EQ(value_of("nope(1)", world), "expression_error: there is no function 'nope'");
  EXPECT_EQ(value_of("length()", world), "expression_error: length: wrong number of arguments: write length(list)");
}

TEST(Evaluate, GivesNothingThatIsNestedTooDeep) {
  World world;
  world.value =
      json::object{{"ok", nested(max_value_depth)}, {"deep", nested(max_value_depth + 1)}, {"abyss", nested(2000)}};
  EXPECT_EQ(value_of("ok == ok", world), "true");
  EXPECT_TRUE(value_of("ok", world).starts_with("[["));
  for (const std::string_view text :
       {"deep", "abyss", "[ok]", "{a: ok}", "[[ok]]", "abyss == abyss", "toJSON(abyss)", "hash(abyss)", "[abyss]",
        "compact(abyss)", "contains([1, 2], 1) ? abyss : 1", "format('{0}', abyss)", "join(abyss)", "abyss.*"})
    EXPECT_EQ(value_of(text, world), "expression_error: a value is nested deeper than 100") << text;
}

TEST(Budget, EndsWhatTakesTooLongOrGrowsTooLarge) {
  World world;
  json::array many;
  for (int i = 0; i < 2000; ++i) many.emplace_back(std::string(100, 'x'));
  std::string dense;
  while (dense.size() < 1 << 20) dense += "0,";
  world.value = json::object{{"big", std::string(1 << 20, 'a')},
                             {"many", std::move(many)},
                             {"part", std::string(500'000, 'a') + "b"},
                             {"dense", dense}};
  const auto refused = [&](const std::string& text) {
    return value_of(text, world).starts_with("expression_error: the expression");
  };
  const auto times = [](std::string_view text, std::string_view between, int n) {
    std::string all(text);
    for (int i = 1; i < n; ++i) all.append(between).append(text);
    return all;
  };
  EXPECT_TRUE(refused(times("big", " + ", 100)));
  EXPECT_TRUE(refused("[" + times("big", ",", 100) + "]"));
  EXPECT_TRUE(refused("format('" + times("{0}", "", 100) + "', big)"));
  EXPECT_TRUE(refused("join([" + times("1", ",", 50) + "], big)"));
  EXPECT_TRUE(refused("split(big, 'a')"));
  EXPECT_TRUE(refused("fromJSON('[' + " + times("dense", " + ", 5) + " + '0]')"));
  EXPECT_TRUE(refused("[" + times("contains(big, part)", ",", 900) + "]"));
  EXPECT_TRUE(refused("[" + times("hash(big)", ",", 100) + "]"));
  EXPECT_TRUE(refused("[" + times("contains(many, 'y')", ",", 900) + "]"));
  EXPECT_TRUE(refused("[" + times("many == many", ",", 900) + "]"));
  EXPECT_EQ(value_of("length(many)", world), "2000");
  // The largest output of a task has to fit, however dense it is.
  EXPECT_EQ(value_of("length(fromJSON('[' + dense + '0]'))", world), "524289");
  EXPECT_EQ(value_of("1 + 1 + 1", world, {.steps = 2, .bytes = 1000}),
            "expression_error: the expression takes too many steps");
  EXPECT_EQ(value_of("'aaaa' + 'bbbb'", world, {.steps = 100, .bytes = 4}),
            "expression_error: the expression makes values that are too large");
}

TEST(Values, KeepsBorrowedOnesOfTheContextUntouched) {
  const World world;
  const std::string before = to_text(world.value);
  for (const std::string_view text : {"inputs", "inputs.list", "compact(inputs.list)", "inputs.tag + 'x'",
                                      "[inputs.object][0].y", "{a: inputs}.a.object", "(inputs.object.y).z"})
    (void)value_of(text, world);
  EXPECT_EQ(to_text(world.value), before);
}

TEST(Numbers, CompareExactlyAtTheEdges) {
  const auto order = [](const Json& a, const Json& b) {
    const auto o = compare_numbers(a, b);
    EXPECT_EQ(compare_numbers(b, a), 0 <=> o);
    return o < 0 ? '<' : o > 0 ? '>' : o == 0 ? '=' : '?';
  };
  const Json max = INT64_MAX, min = INT64_MIN, top = UINT64_MAX;
  EXPECT_EQ(order(max, Json(0x1p63)), '<');
  EXPECT_EQ(order(min, Json(-0x1p63)), '=');
  EXPECT_EQ(order(min, Json(-0x1.0000000000001p63)), '>');
  EXPECT_EQ(order(top, Json(0x1p64)), '<');
  EXPECT_EQ(order(top, max), '>');
  EXPECT_EQ(order(top, min), '>');
  EXPECT_EQ(order(Json(std::uint64_t{5}), Json(5)), '=');
  EXPECT_EQ(order(Json(std::uint64_t{5}), Json(-0.5)), '>');
  EXPECT_EQ(order(Json(0), Json(-0.0)), '=');
  EXPECT_EQ(order(Json(-1), Json(-0.5)), '<');
  EXPECT_EQ(order(Json(1), Json(1.5)), '<');
}

}  // namespace
}  // namespace pawl::expression
