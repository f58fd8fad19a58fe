#include "definition/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::definition {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Workflow workflow_with(std::string_view inputs) {
  auto parsed = parse("name: a\njobs: {j: {tasks: [{run: x}]}}\ninputs: " + std::string(inputs) + "\n");
  if (parsed) return std::move(parsed->workflow);
  for (const Problem& problem : parsed.error()) ADD_FAILURE() << to_text(problem, "file");
  return {};
}

std::string checked(const Workflow& workflow, std::string_view given, bool from_text = false) {
  const auto values = check_inputs(workflow, *parse_json(given), from_text);
  if (values) return pawl::to_text(*values);
  std::string all;
  for (const std::string& problem : values.error()) all += problem + "|";
  return all;
}

TEST(Inputs, DefaultsFillWhatIsNotGiven) {
  const Workflow workflow =
      workflow_with("{a: {default: x}, b: {type: int, default: 3}, c: , d: {type: list, default: [1]}}");
  EXPECT_EQ(checked(workflow, "{}"), R"({"a":"x","b":3,"d":[1]})");
  EXPECT_EQ(checked(workflow, R"({"a":null,"b":4,"c":"y"})"), R"({"a":"x","b":4,"c":"y","d":[1]})");
  EXPECT_EQ(checked(workflow, "null"), R"({"a":"x","b":3,"d":[1]})");
}

TEST(Inputs, EveryProblemNamesItsInput) {
  const Workflow workflow = workflow_with("{tag: {required: true}, count: {type: int}}");
  const auto problems = check_inputs(workflow, *parse_json(R"({"cuont": 1, "count": "1"})"));
  ASSERT_FALSE(problems);
  EXPECT_THAT(problems.error(), ElementsAre("unknown input 'cuont'; did you mean 'count'?", "input 'tag' is required",
                                            HasSubstr("input 'count' must be a whole number")));
  EXPECT_THAT(checked(workflow, "[]"), HasSubstr("must be an object"));
}

TEST(Inputs, TypesBoundsAndPatternsAreChecked) {
  const Workflow workflow = workflow_with(
      "{s: {min: 2, max: 3, pattern: '[a-z상]+'}, i: {type: int, min: 1, max: 9}, n: {type: number, max: 1.5}, b: "
      "{type: bool}, "
      "c: {options: [x, 2, true]}, l: {type: list, max: 1}, o: {type: object}, d: {type: date}}");
  for (const std::string_view good :
       {R"({"s":"ab"})", R"({"s":"상상"})", R"({"i":9})", R"({"n":-3})", R"({"n":1.5})", R"({"b":false})", R"({"c":2})",
        R"({"c":true})", R"({"l":[[]]})", R"({"o":{}})", R"({"d":"2024-02-29"})"})
    EXPECT_EQ(checked(workflow, good), good);
  EXPECT_EQ(checked(workflow, R"({"i":3.0})"), R"({"i":3})");
  for (const std::string_view bad :
       {R"({"s":"a"})", R"({"s":"abcd"})", R"({"s":"aB"})", R"({"s":1})", R"({"i":0})", R"({"i":10})", R"({"i":1.5})",
        R"({"i":true})", R"({"i":18446744073709551615})", R"({"n":1.6})", R"({"n":"1"})", R"({"b":"true"})",
        R"({"b":1})", R"({"c":"2"})", R"({"l":[1,2]})", R"({"l":{}})", R"({"o":[]})", R"({"d":"2023-02-29"})",
        R"({"d":"2023-2-9"})"})
    EXPECT_THAT(checked(workflow, bad), HasSubstr("must")) << bad;
}

TEST(Inputs, TextsOfTheCommandLineAreReadAsTheTypeWants) {
  const Workflow workflow = workflow_with(
      "{s: , i: {type: int}, n: {type: number}, b: {type: bool}, c: {options: [x, 2]}, l: {type: list}, o: {type: "
      "object}}");
  EXPECT_EQ(
      checked(workflow, R"({"s":"3","i":"3","n":"-2.5e1","b":"true","c":"2","l":"[1,\"a\"]","o":"{\"a\":1}"})", true),
      R"({"s":"3","i":3,"n":-25.0,"b":true,"c":2,"l":[1,"a"],"o":{"a":1}})");
  EXPECT_EQ(checked(workflow, R"({"l":"a, b,c"})", true), R"({"l":["a","b","c"]})");
  EXPECT_EQ(checked(workflow, R"({"l":""})", true), R"({"l":[]})");
  EXPECT_THAT(checked(workflow, R"({"i":"x"})", true), HasSubstr("input 'i' must be a whole number, not \"x\""));
  EXPECT_THAT(checked(workflow, R"({"b":"yes"})", true), HasSubstr("must be true or false"));
}

TEST(Inputs, ARequiredInputWithADefaultDrawsAWarning) {
  const auto parsed = parse("name: a\ninputs: {n: {required: true, default: x}}\njobs: {j: {tasks: [{run: x}]}}");
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->warnings.size(), 1U);
  EXPECT_EQ(parsed->warnings[0].line, 2);
}

}  // namespace
}  // namespace pawl::definition
