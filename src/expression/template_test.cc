#include <gtest/gtest.h>

#include "expression/test_world.h"

namespace pawl::expression {
namespace {

std::string text_of(std::string_view text) {
  const auto value = Template::parse(text);
  if (!value) return "parse: " + std::to_string(value.error().offset) + " " + value.error().message;
  const auto result = evaluate(*value, World());
  if (!result) return result.error().name + ": " + result.error().message;
  return *result ? to_text(**result) : "omit";
}

std::string tree_of(std::string_view text) {
  std::vector<std::string> path;
  const auto tree = Tree::parse(read(text), &path);
  if (!tree) {
    std::string where;
    for (const std::string& p : path) where += "/" + p;
    return "parse: " + where + " " + std::to_string(tree.error().offset) + " " + tree.error().message;
  }
  const auto result = tree->evaluate(World());
  return result ? to_text(*result) : result.error().name + ": " + result.error().message;
}

TEST(Template, OneExpressionKeepsItsType) {
  EXPECT_EQ(text_of("${{ inputs.n }}"), "3");
  EXPECT_EQ(text_of("${{inputs.object}}"), R"({"x":1,"y":{"z":[10,20]}})");
  EXPECT_EQ(text_of("${{ null }}"), "null");
  EXPECT_EQ(text_of("${{ omit }}"), "omit");
  EXPECT_EQ(text_of("${{ inputs.nothing ?? omit }}"), "omit");
}

TEST(Template, ExpressionsInTextBecomeText) {
  EXPECT_EQ(text_of(""), R"("")");
  EXPECT_EQ(text_of("plain"), R"("plain")");
  EXPECT_EQ(text_of("a ${{ inputs.tag }} b ${{ inputs.n }}"), R"("a naver b 3")");
  EXPECT_EQ(text_of(" ${{ 1 }}"), R"(" 1")");
  EXPECT_EQ(text_of("${{ 1 }}${{ 2 }}"), R"("12")");
  EXPECT_EQ(text_of("${{ true }} ${{ 1.5 }} ${{ 2.0 }} ${{ [1, 'a'] }} ${{ {a: 1} }}"),
            R"("true 1.5 2.0 [1,\"a\"] {\"a\":1}")");
}

TEST(Template, NullInTextIsAnErrorThatSaysWhatToWrite) {
  EXPECT_EQ(text_of("x ${{ inputs.nothing }}"),
            "expression_error: `inputs.nothing` is null inside text: write `inputs.nothing ?? ''` if it may be empty");
  EXPECT_EQ(
      text_of("x ${{ true ? null : 1 }}"),
      "expression_error: `true ? null : 1` is null inside text: write `(true ? null : 1) ?? ''` if it may be empty");
  EXPECT_EQ(text_of("x ${{ inputs.nothing ?? '' }}"), R"("x ")");
  EXPECT_EQ(text_of("x ${{ omit }}"), "expression_error: omit has no text: it can only be a whole value");
}

TEST(Template, ADollarMoreMakesALiteral) {
  EXPECT_EQ(text_of("$${{ x }}"), R"("${{ x }}")");
  EXPECT_EQ(text_of("$$${{ x }}"), R"("$${{ x }}")");
  EXPECT_EQ(text_of("$5 $ {{ x }} $"), R"("$5 $ {{ x }} $")");
  EXPECT_EQ(text_of("${{ '$' }}${{ inputs.n }}"), R"("$3")");
  EXPECT_EQ(text_of("$${{ ${{ 1 }}"), R"("${{ 1")");
}

TEST(Template, ClosingBracesInStringsAndObjectsDoNotEndIt) {
  EXPECT_EQ(text_of("${{ 'a }} b' }}"), R"("a }} b")");
  EXPECT_EQ(text_of("${{ \"}}\" + '\\'}}' }}!"), R"("}}'}}!")");
  EXPECT_EQ(text_of("${{ 'it''s }}' }}"), R"("it's }}")");
  EXPECT_EQ(text_of("${{ {a: {b: 1}}.a.b }}"), "1");
  EXPECT_EQ(text_of("${{ {a: {b: {}}}}}"), R"({"a":{"b":{}}})");
  EXPECT_EQ(text_of("${{ 1 }} }}"), R"("1 }}")");
}

TEST(Template, SaysWhereTheProblemIs) {
  EXPECT_EQ(text_of("ab ${{ x"), "parse: 3 '${{' has no closing '}}'");
  EXPECT_EQ(text_of("ab ${{ 1 }} ${{"), "parse: 12 '${{' has no closing '}}'");
  EXPECT_EQ(text_of("ab ${{ a = b }}"), "parse: 9 '=' has no meaning here");
  EXPECT_EQ(text_of("ab ${{ }}"), "parse: 6 the expression is empty");
  EXPECT_EQ(text_of("ab ${{ 'x }}"), "parse: 7 this string has no end");
}

TEST(Template, KnowsWhatItIs) {
  const auto literal = *Template::parse("a $${{ b"), expression = *Template::parse("${{ a }}"),
             text = *Template::parse("x${{ a }}");
  EXPECT_TRUE(literal.is_literal());
  EXPECT_EQ(literal.literal(), "a ${{ b");
  EXPECT_FALSE(literal.is_expression());
  EXPECT_TRUE(expression.is_expression());
  EXPECT_EQ(expression.parts()[0].offset, 3u);
  EXPECT_EQ(expression.parts()[0].expression->text(), " a ");
  EXPECT_FALSE(text.is_expression());
  EXPECT_FALSE(text.is_literal());
  EXPECT_EQ(text.parts()[0].text, "x");
  EXPECT_EQ(text.parts()[1].offset, 4u);
  EXPECT_TRUE(Template::parse("")->is_literal());
  EXPECT_TRUE(has_expression("a ${{"));
  EXPECT_FALSE(has_expression("a $${{ b }}"));
  EXPECT_TRUE(has_expression("$${{ ${{"));
  EXPECT_FALSE(has_expression("{{ a }} $"));
}

TEST(Template, EvaluateTextGivesTextOfAnyValue) {
  const World world;
  EXPECT_EQ(evaluate_text(*Template::parse("${{ inputs.n }}"), world), "3");
  EXPECT_EQ(evaluate_text(*Template::parse("${{ [1] }}"), world), "[1]");
  EXPECT_EQ(evaluate_text(*Template::parse("a${{ inputs.tag }}"), world), "anaver");
  EXPECT_EQ(evaluate_text(*Template::parse("plain"), world), "plain");
  EXPECT_EQ(evaluate_text(*Template::parse(""), world), "");
  EXPECT_EQ(evaluate_text(*Template::parse("${{ inputs.nothing }}"), world).error().message,
            "`inputs.nothing` is null inside text: write `inputs.nothing ?? ''` if it may be empty");
  EXPECT_FALSE(evaluate_text(*Template::parse("${{ omit }}"), world));
}

TEST(Template, AllItsPartsShareOneBudget) {
  const auto value = *Template::parse("${{ 'aaaaaaaaaa' }}${{ 'aaaaaaaaaa' }}${{ 'aaaaaaaaaa' }}");
  EXPECT_TRUE(evaluate(value, World(), {.steps = 3, .bytes = 1000}));
  EXPECT_FALSE(evaluate(value, World(), {.steps = 2, .bytes = 1000}));
  EXPECT_FALSE(evaluate(value, World(), {.steps = 3, .bytes = 40}));
}

TEST(Tree, EvaluatesTheTemplatesInItsStrings) {
  EXPECT_EQ(
      tree_of(R"({"a": "${{ inputs.n }}", "b": ["x ${{ inputs.tag }}", 1, null, {"c": true}], "${{ k }}": "$${{"})"),
      R"({"a":3,"b":["x naver",1,null,{"c":true}],"${{ k }}":"${{"})");
  EXPECT_EQ(tree_of(R"("${{ inputs.list }}")"), R"(["a","b",null,""])");
  EXPECT_EQ(tree_of("5"), "5");
}

TEST(Tree, LeavesOutWhatIsOmit) {
  EXPECT_EQ(tree_of(R"({"a": "${{ omit }}", "b": ["${{ omit }}", 1, "${{ inputs.none ?? omit }}"]})"), R"({"b":[1]})");
  EXPECT_EQ(tree_of(R"("${{ omit }}")"), "expression_error: omit has no meaning here: a value is needed");
}

TEST(Tree, SaysWhereInTheTreeTheProblemIs) {
  EXPECT_EQ(tree_of(R"({"a": [1, {"b": "x ${{ 1 + }}"}]})"),
            "parse: /a/1/b 10 the expression ends where a value should stand");
}

TEST(Tree, BoundsItsDepth) {
  const auto nested = [](int depth, std::string inner) {
    return std::string(depth, '[') + inner + std::string(depth, ']');
  };
  EXPECT_TRUE(tree_of(nested(100, R"("${{ 1 }}")")).starts_with("[["));
  EXPECT_TRUE(tree_of(nested(101, R"("${{ 1 }}")")).ends_with("a value is nested deeper than 100"));
  EXPECT_TRUE(tree_of(nested(101, "1")).ends_with("a value is nested deeper than 100"));
  EXPECT_EQ(tree_of(nested(100, R"("${{ [1] }}")")), "expression_error: a value is nested deeper than 100");
}

TEST(Tree, ListsTheReferencesOfAllItsExpressions) {
  const auto tree = Tree::parse(read(R"({"a": "x ${{ inputs.n }}", "b": ["${{ tasks.a.outputs.*.x }}"]})"));
  ASSERT_TRUE(tree);
  const auto references = tree->references();
  ASSERT_EQ(references.size(), 2u);
  EXPECT_EQ(references[0].path, (std::vector<std::string>{"inputs", "n"}));
  EXPECT_EQ(references[0].offset, 6u);
  EXPECT_EQ(references[1].path, (std::vector<std::string>{"tasks", "a", "outputs"}));
  EXPECT_FALSE(references[1].whole);
}

}  // namespace
}  // namespace pawl::expression
