// Runs for a slot that is late, which are `on-late` alone; and what runs know of the schedule that started them.
#include <gtest/gtest.h>

#include "engine/context.h"
#include "engine/test_world.h"

namespace pawl::engine {
namespace {

constexpr std::string_view watched = R"(
name: w
on: {schedule: {cron: "@daily", late-after: 10m}}
concurrency: {group: g}
on-failure: [{id: tell, run: 'true'}]
always: [{id: sweep, run: 'true'}]
on-late:
  - {id: page, run: 'true'}
  - {id: note, run: 'true'}
jobs:
  a: {tasks: [{id: t, run: 'true'}]}
  b: {needs: a, if: always(), tasks: [{id: u, run: 'true'}]}
  m: {matrix: {os: [x, y]}, tasks: [{id: v, run: 'true'}]}
)";

RunId start_late(TestWorld& world) {
  EXPECT_TRUE(
      world.ask(RunRequested{"w", json::object{}, {}, {.trigger = Trigger::late, .user_agent = "pawl-scheduler"}}));
  return world.run().id;
}

void expect_all_else_skipped(const TestWorld& world) {
  for (const std::string_view job : {"a", "b", "m", "on-failure", "always"})
    EXPECT_EQ(world.job_is(job), "skipped/condition") << job;
}

TEST(Late, ALateRunIsOnLateAlone) {
  TestWorld world(watched);
  start_late(world);
  EXPECT_EQ(world.jobs_in_flight(), std::vector<std::string>{"on-late"});
  world.finish("page");
  world.finish("note");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.job_is("on-late"), "success");
  expect_all_else_skipped(world);
  EXPECT_EQ(world.started.size(), 2U);
}

TEST(Late, AnyOtherRunHasNoPartInIt) {
  TestWorld world(watched);
  world.start();
  world.finish("t");
  world.finish_in("m[os=x]", "v");
  world.finish_in("m[os=y]", "v");
  world.finish("u");
  EXPECT_EQ(world.job_is("on-late"), "skipped/condition");
  world.finish("sweep");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("page"), 0);
}

TEST(Late, AWorkflowWithNothingAfterTheVerdictStoresNone) {
  TestWorld world("name: w\non-late: [{id: page, run: x}]\njobs: {a: {tasks: [{id: t, run: x}]}}");
  world.start();
  world.finish("t", exits(1));
  EXPECT_EQ(world.run().status, RunStatus::failed);
  EXPECT_EQ(world.job_is("on-late"), "skipped/condition");
  EXPECT_FALSE(world.live().verdict);
}

TEST(Late, ItFailsAsItsJobDoesAndNothingFollows) {
  TestWorld world(watched);
  start_late(world);
  world.finish("page", exits(3));
  EXPECT_EQ(world.run().status, RunStatus::failed);
  ASSERT_TRUE(world.run().error);
  EXPECT_EQ(world.run().error->code, "task_failed");
  EXPECT_EQ(world.run().error->message, "job on-late: task page: exit code 3");
  EXPECT_EQ(world.task_is("note"), "skipped/upstream");
  expect_all_else_skipped(world);
  EXPECT_EQ(world.starts_of("tell") + world.starts_of("sweep"), 0);
}

TEST(Late, ACancelStopsIt) {
  TestWorld world(watched);
  start_late(world);
  ASSERT_TRUE(world.cancel());
  ASSERT_EQ(world.stopped.size(), 1U);
  world.finish("page", is_stopped());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  EXPECT_EQ(world.job_is("on-late"), "cancelled");
  EXPECT_EQ(world.task_is("note"), "cancelled");
  expect_all_else_skipped(world);
}

TEST(Late, ACancelBeforeItHasItsPlaceStartsNothing) {
  TestWorld world(watched);
  world.start();
  start_late(world);
  EXPECT_EQ(world.run().waits_for, WaitsFor::group);
  ASSERT_TRUE(world.cancel());
  EXPECT_EQ(world.run().status, RunStatus::cancelled);
  EXPECT_EQ(world.job_is("on-late"), "cancelled");
  expect_all_else_skipped(world);
}

TEST(Late, ItsTimeEndsItWithAnErrorOfItsOwn) {
  TestWorld world("name: w\ntimeout: 1m\non-late: [{id: page, run: x}]\njobs: {a: {tasks: [{id: t, run: x}]}}");
  start_late(world);
  world.pass(61s);
  world.finish("page", is_stopped());
  EXPECT_EQ(world.run().status, RunStatus::failed);
  ASSERT_TRUE(world.run().error);
  EXPECT_EQ(world.run().error->code, "timeout");
}

TEST(Late, ARecoveryGoesOnInIt) {
  TestWorld world(watched);
  start_late(world);
  world.finish("page");
  world.crash();
  EXPECT_EQ(world.attempt().number, 2);
  EXPECT_EQ(world.attempt().who.trigger, Trigger::recovery);
  EXPECT_EQ(world.task_is("page"), "skipped/done");
  EXPECT_EQ(world.jobs_in_flight(), std::vector<std::string>{"on-late"});
  world.finish("note");
  EXPECT_EQ(world.run().status, RunStatus::success);
  expect_all_else_skipped(world);
}

TEST(Late, OneThatKeepsKillingTheServerEndsInSilence) {
  TestWorld world(std::string(watched) + "recover: {max: 1}\n");
  start_late(world);
  world.crash();
  world.crash();
  EXPECT_EQ(world.run().status, RunStatus::failed);
  ASSERT_TRUE(world.run().error);
  EXPECT_EQ(world.run().error->code, "recovery_limit");
  EXPECT_EQ(world.starts_of("tell") + world.starts_of("sweep"), 0);
}

TEST(Late, OneThatIsHeldAfterCrashesGoesOnWhenItIsReleased) {
  TestWorld world(std::string(watched) + "recover: {max: 0, then: hold}\n");
  start_late(world);
  world.crash();
  EXPECT_EQ(world.run().waits_for, WaitsFor::release);
  ASSERT_TRUE(world.answer("on-late", "page", Answered::rerun));
  world.finish("page");
  world.finish("note");
  EXPECT_EQ(world.run().status, RunStatus::success);
  expect_all_else_skipped(world);
}

TEST(Late, AResumeRunsWhatIsNotDoneOfIt) {
  TestWorld world(watched);
  start_late(world);
  world.finish("page");
  world.finish("note", exits(1));
  ASSERT_TRUE(world.resume());
  EXPECT_EQ(world.attempt().who.trigger, Trigger::resume);
  EXPECT_EQ(world.task_is("page"), "skipped/done");
  world.finish("note");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("page"), 1);
  expect_all_else_skipped(world);
}

TEST(Late, AResumeAfterACancelBeforeItBeganRunsItAlone) {
  TestWorld world(watched);
  const RunId first = world.start();
  const RunId late = start_late(world);
  ASSERT_TRUE(world.cancel());
  world.choose(first);
  ASSERT_TRUE(world.cancel());
  for (const std::string_view job : {"m[os=x]", "m[os=y]"}) world.finish_in(job, "v", is_stopped());
  world.finish("t", is_stopped());
  world.finish("sweep");
  ASSERT_TRUE(is_final(world.run().status));
  world.choose(late);
  ASSERT_TRUE(world.resume());
  EXPECT_EQ(world.jobs_in_flight(), std::vector<std::string>{"on-late"});
  expect_all_else_skipped(world);
}

TEST(Late, ARerunBeginsInItAndNowhereElse) {
  TestWorld world(watched);
  start_late(world);
  world.finish("page");
  world.finish("note");
  const auto refused = world.rerun("a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "task_unknown");
  ASSERT_TRUE(world.rerun("on-late/note"));
  EXPECT_EQ(world.task_is("page"), "skipped/done");
  world.finish("note");
  EXPECT_EQ(world.run().status, RunStatus::success);
  ASSERT_TRUE(world.rerun("on-late"));
  world.finish("page");
  world.finish("note");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.starts_of("page"), 2);
  EXPECT_EQ(world.starts_of("note"), 3);
  expect_all_else_skipped(world);
}

TEST(Late, ARerunOfAnotherRunCannotBeginInIt) {
  TestWorld world("name: w\non-late: [{id: page, run: x}]\njobs: {a: {tasks: [{id: t, run: x}]}}");
  world.start();
  world.finish("t");
  EXPECT_FALSE(world.rerun("on-late"));
  ASSERT_TRUE(world.rerun("a"));
  world.finish("t");
  EXPECT_EQ(world.run().status, RunStatus::success);
  EXPECT_EQ(world.job_is("on-late"), "skipped/condition");
}

TEST(Late, AResumeWithTheCurrentVersionFindsItsTasksById) {
  TestWorld world("name: w\non-late: [{id: page, run: x}, {run: y}]\njobs: {a: {tasks: [{id: t, run: x}]}}");
  start_late(world);
  world.finish("page");
  world.finish("task-2", exits(1));
  world.change("name: w\non-late: [{id: page, run: x}, {id: other, run: z}]\njobs: {c: {tasks: [{id: t, run: x}]}}");
  ASSERT_TRUE(world.resume_with_current());
  EXPECT_EQ(world.task_is("page"), "skipped/done");
  EXPECT_EQ(world.job_is("c"), "skipped/condition");
  world.finish("other");
  EXPECT_EQ(world.run().status, RunStatus::success);
}

TEST(Late, DoneTasksOfItWithoutAnIdAreNotFoundInAnotherVersion) {
  TestWorld world("name: w\non-late: [{run: x}, {id: last, run: y}]\njobs: {a: {tasks: [{id: t, run: x}]}}");
  start_late(world);
  world.finish("task-1");
  world.finish("last", exits(1));
  world.change("name: w\non-late: [{run: x}, {id: last, run: z}]\njobs: {a: {tasks: [{id: t, run: x}]}}");
  const auto refused = world.resume_with_current();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().name, "tasks_unmatched");
  ASSERT_TRUE(world.resume_with_current(true));
  EXPECT_EQ(world.jobs_in_flight(), std::vector<std::string>{"on-late"});
}

TEST(Schedule, IsKnownToTheRunsThatItStarts) {
  pawl::Run run;
  Workflow workflow;
  const auto value = [&](std::string_view text) {
    const RunContext context(StartContext{&workflow, &run}, Instant{});
    return to_text(expression::evaluate(*expression::Expression::parse(text), context).value());
  };
  EXPECT_EQ(value("schedule"), "null");
  EXPECT_EQ(value("schedule.slot"), "null");
  run.slot = SlotOrigin{.schedule = {},
                        .name = "morning",
                        .slot = parse_rfc3339("2026-11-23T08:00:00+09:00").value(),
                        .in_line = false,
                        .backfill = {}};
  EXPECT_EQ(value("schedule.slot"), R"("2026-11-22T23:00:00.000Z")");
  EXPECT_EQ(value("schedule.name"), R"("morning")");
  EXPECT_EQ(value("schedule.id"), '"' + to_string(ScheduleId{}) + '"');
  EXPECT_EQ(value("schedule == null"), "false");
}

}  // namespace
}  // namespace pawl::engine
