#include "definition/schedule_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::definition {
namespace {

using testing::HasSubstr;

const ScheduleRule daily{.cron = "@daily", .timezone = "Asia/Seoul"};

Json json_of(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value) << text;
  return value.value_or(nullptr);
}

auto read(std::string_view text, const ScheduleRule& base = daily, const Workflow* workflow = nullptr,
          const ParseOptions& options = {}) {
  return read_schedule_fields(json_of(text), base, workflow, options);
}

ScheduleRule must_read(std::string_view text, const ScheduleRule& base = daily, const Workflow* workflow = nullptr) {
  auto rule = read(text, base, workflow);
  if (rule) return *rule;
  for (const FieldProblem& problem : rule.error()) ADD_FAILURE() << problem.field << ": " << problem.message;
  return {};
}

// The lone problem of a text that is refused.
FieldProblem problem_of(std::string_view text, const ScheduleRule& base = daily, const Workflow* workflow = nullptr) {
  auto rule = read(text, base, workflow);
  EXPECT_FALSE(rule) << text;
  if (rule) return {};
  EXPECT_EQ(rule.error().size(), 1U) << text;
  return rule.error()[0];
}

Workflow with_inputs() {
  return parse("name: a\ninputs: {n: {type: int, required: true}, tag: {default: x}}\njobs: {j: {tasks: [{run: x}]}}")
      ->workflow;
}

TEST(ScheduleFields, WhatIsNotSaidStaysAsItIs) {
  EXPECT_EQ(must_read("{}"), daily);
  const ScheduleRule rule = must_read(R"({"overlap":"skip","max_catch_up":5})");
  EXPECT_EQ(rule.overlap, Overlap::skip);
  EXPECT_EQ(rule.max_catch_up, 5);
  EXPECT_EQ(rule.timezone, "Asia/Seoul");
}

TEST(ScheduleFields, NullBringsTheDefaultBack) {
  ScheduleRule base = daily;
  base.misfire = Misfire::skip;
  base.misfire_window = std::chrono::hours(1);
  base.late_after = std::chrono::minutes(1);
  base.start = Instant{};
  base.inputs = json_of(R"({"a":1})");
  EXPECT_EQ(
      must_read(
          R"({"misfire":null,"misfire_window":null,"late_after":null,"start":null,"inputs":null,"timezone":null})",
          base),
      ScheduleRule{.cron = "@daily"});
  EXPECT_EQ(problem_of(R"({"cron":null})").field, "cron");
}

TEST(ScheduleFields, EveryMemberIsWrittenAndReadAgain) {
  const ScheduleRule rule = must_read(
      R"({"cron":"0 8 * * 1-5","timezone":"UTC","misfire":"run-all","misfire_threshold":"5m","misfire_window":"2d",
          "max_catch_up":3,"overlap":"allow","inputs":{"a":"é\"${{ schedule.slot }}"},"start":"2026-11-23T00:00:00Z",
          "end":1900000000.5,"jitter":"1500ms","late_after":"10m"})");
  const Json written = schedule_to_json(rule);
  std::vector<std::string_view> members;
  for (const auto& member : written.get_object()) members.push_back(member.key());
  EXPECT_THAT(members, testing::ElementsAreArray(schedule_fields()));
  EXPECT_EQ(find_string(written, "end"), "2030-03-17T17:46:40.500Z");
  EXPECT_EQ(must_read(pawl::to_text(written), {}), rule);
  EXPECT_EQ(must_read(pawl::to_text(schedule_to_json({.cron = "@daily"})), rule), ScheduleRule{.cron = "@daily"});
}

TEST(ScheduleFields, AProblemNamesItsMemberAndThePlaceInACron) {
  const FieldProblem cron = problem_of(R"({"overlap":"skip","cron":"0 24 * * *"})");
  EXPECT_EQ(cron.field, "cron");
  EXPECT_EQ(cron.message, "`cron`: hours (position 3): 24 is no hour: 0 to 23; midnight is 0");
  EXPECT_EQ(cron.position, 3);
  const FieldProblem never = problem_of(R"({"cron":"0 0 30 2 *"})");
  EXPECT_THAT(never.message, HasSubstr("it never fires"));
  EXPECT_EQ(never.position, std::nullopt);
  const FieldProblem window = problem_of(R"({"misfire_window":30})");
  EXPECT_EQ(window.field, "misfire_window");
  EXPECT_EQ(window.message, "`misfire_window` is a duration and needs a unit; write 30s or 30m");
  EXPECT_EQ(problem_of(R"({"end":null,"misfire":"twice"})").field, "misfire");
}

TEST(ScheduleFields, AllProblemsComeAtOnceInTheOrderOfTheMembers) {
  const auto wrong = read(R"({"jitter":"soon","misfre":"skip","cron":"x","x-note":1,"max_catch_up":0})");
  ASSERT_FALSE(wrong);
  std::vector<std::string> fields;
  for (const FieldProblem& problem : wrong.error()) fields.push_back(problem.field);
  EXPECT_THAT(fields, testing::ElementsAre("jitter", "misfre", "cron", "x-note", "max_catch_up"));
  EXPECT_EQ(wrong.error()[1].message, "unknown key `misfre` in a schedule; did you mean `misfire`?");
}

TEST(ScheduleFields, ANewScheduleNeedsACron) {
  EXPECT_EQ(problem_of("{}", {}).field, "cron");
  EXPECT_EQ(problem_of(R"({"overlap":"skip"})", {}).message, "a schedule needs `cron`");
  EXPECT_EQ(problem_of("[]").field, "");
}

TEST(ScheduleFields, WhatIsChangedHasToGoWithWhatStays) {
  ScheduleRule base = daily;
  base.start = parse_rfc3339("2027-06-01T00:00:00Z").value();
  EXPECT_EQ(problem_of(R"({"end":"2027-01-01T00:00:00Z"})", base).message, "`end` is not later than `start`");
  base.end = parse_rfc3339("2027-07-01T00:00:00Z").value();
  const FieldProblem never = problem_of(R"({"cron":"0 0 1 1 *"})", base);
  EXPECT_EQ(never.field, "cron");
  EXPECT_THAT(never.message, HasSubstr("between `start` and `end`"));
}

TEST(ScheduleFields, InputsAreCheckedWhereTheWorkflowIsKnown) {
  const Workflow workflow = with_inputs();
  EXPECT_EQ(pawl::to_text(must_read(R"({"inputs":{"n":3}})", daily, &workflow).inputs), R"({"n":3})")
      << "defaults are filled in when a run starts";
  EXPECT_EQ(problem_of(R"({"inputs":{"n":"many"}})", daily, &workflow).message,
            R"(the input `n` must be a whole number, not "many")");
  EXPECT_EQ(problem_of(R"({"inputs":{"tga":"x","n":1}})", daily, &workflow).message,
            "the workflow has no input `tga`; did you mean `tag`?");
  must_read(R"({"inputs":{"anything":[1,{"a":null}]}})");
}

TEST(ScheduleFields, TemplatesInInputsSeeTheScheduleAndNoSecrets) {
  const Workflow workflow = with_inputs();
  must_read(R"({"inputs":{"n":"${{ schedule.slot }}","tag":"${{ workflow.name }} ${{ env.X }} ${{ trigger.type }}"}})",
            daily, &workflow);
  const FieldProblem secret = problem_of(R"({"jitter":"1s","inputs":{"a":"${{ secrets.S }}"}})");
  EXPECT_EQ(secret.field, "inputs");
  EXPECT_THAT(secret.message, HasSubstr("a secret cannot be named here"));
  EXPECT_THAT(problem_of(R"({"inputs":{"a":"${{ schedule.slto }}"}})").message, HasSubstr("did you mean `slot`?"));
  EXPECT_THAT(problem_of(R"({"inputs":{"a":"${{ 1 + }}"}})").field, "inputs");
}

TEST(ScheduleFields, ZonesAreLookedUp) {
  const ParseOptions options{.zone_problem = [](std::string_view) { return std::string("there is none"); }};
  const auto wrong = read(R"({"timezone":"Mars/Base"})", daily, nullptr, options);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error()[0].field, "timezone");
  EXPECT_TRUE(read("{}", daily, nullptr, options)) << "what was taken before is not asked again";
}

TEST(ScheduleFields, WarningsTellWhatMayNotBeMeant) {
  const Workflow workflow = with_inputs();
  const ScheduleRule rule = must_read(R"({"cron":"0 0 8 ? * 2-6","late_after":"1m"})", daily, &workflow);
  const auto warnings = schedule_warnings(rule, &workflow);
  ASSERT_EQ(warnings.size(), 3U);
  EXPECT_EQ(warnings[0].field, "cron");
  EXPECT_EQ(warnings[0].position, 11);
  EXPECT_EQ(warnings[1].field, "inputs");
  EXPECT_THAT(warnings[1].message, HasSubstr("the input `n` is required"));
  EXPECT_EQ(warnings[2].field, "late_after");
  EXPECT_EQ(schedule_warnings(rule, nullptr).size(), 1U);
}

}  // namespace
}  // namespace pawl::definition
