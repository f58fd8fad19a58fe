// What becomes of slots. Each test lets one schedule live through some time and looks at its ledger.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/schedule_rules.h"
#include "engine/test_world.h"

namespace pawl::engine {
namespace {

using namespace std::chrono_literals;
using calendar::Timetable;

constexpr std::string_view workflow_text =
    "name: w\ninputs: {slot: {type: string, default: none}}\njobs: {a: {tasks: [{id: t, run: 'true'}]}}\n"
    "on-late: [{id: tell, run: 'true'}]\n";

Result<Json> checked(const Workflow& workflow, const Json& given) {
  auto inputs = definition::check_inputs(workflow, given);
  if (!inputs) return fail(Code::invalid, inputs.error().front(), "inputs_invalid");
  return *inputs;
}

class ScheduleWorld {
 public:
  explicit ScheduleWorld(ScheduleRule rule, std::string_view text = workflow_text) {
    auto parsed = definition::parse(text);
    EXPECT_TRUE(parsed) << definition::to_text(parsed.error().front(), "test");
    plan = *compile(std::make_shared<const Workflow>(std::move(parsed->workflow)), 1);
    workflow.name = "w";
    workflow.version = 1;
    rule.timezone = "UTC";
    row.id.value.bytes[0] = 7;
    row.workflow = "w";
    row.name = "main";
    row.rule = std::move(rule);
    row.created_at = now;
    row.progress.cursor = now;
    row.progress.next_at = next_look(row, slots(), workflow);
  }

  Timetable slots() const {
    auto made = Timetable::make(row.rule, std::make_shared<const calendar::Zone>(calendar::Zone::utc()), row.id,
                                row.created_at);
    EXPECT_TRUE(made) << made.error().message;
    return *made;
  }

  // Lets time go by; whenever the schedule is to be looked at, it is.
  void pass(Duration time) {
    const Instant until = now + time;
    while (row.progress.next_at && *row.progress.next_at <= until) {
      now = std::max(now, *row.progress.next_at);
      look();
    }
    now = until;
  }
  // Time goes by without anybody who looks.
  void sleep(Duration time) { now += time; }

  void look() {
    View view = seen();
    take(decide(view, ScheduleDue{row.id}, now, ++seed_));
  }
  View seen() {
    View view;
    view.schedule = row;
    view.timetable = view.new_timetable = std::make_shared<const Timetable>(slots());
    view.workflow = workflow;
    view.plan = plan;
    view.last_number = static_cast<std::int64_t>(runs.size());
    view.limits = &limits;
    view.check_inputs = checked;
    if (row.progress.late && row.progress.late->run) view.row = runs.at(*row.progress.late->run)->run;
    return view;
  }
  void take(Decision decision) {
    EXPECT_EQ(decision.broken, "");
    if (const auto& changes = decision.changes.schedules) {
      if (changes->moved) {
        EXPECT_EQ(changes->moved->from, row.progress.cursor);
        row.progress = changes->moved->progress;
      }
      if (!changes->put.empty()) row = changes->put.back();
      for (const LedgerRow& gone : changes->ledger_removed) EXPECT_EQ(ledger.erase(gone.from), 1U);
      for (const LedgerRow& entry : changes->ledger) EXPECT_TRUE(ledger.emplace(entry.from, entry).second);
    }
    if (decision.created) {
      const RunId id = decision.created->run.id;
      order.push_back(id);
      runs[id] = std::move(decision.created);
    }
    for (Command& command : decision.commands)
      if (auto* start = std::get_if<StartTask>(&command)) started.push_back(std::move(*start));
    for (const Event& event : decision.follow_ups) on_run(event);
  }
  void on_run(const Event& event) {
    View view;
    view.limits = &limits;
    view.run = runs.at(*needs(event).run).get();
    take(decide(view, event, now, ++seed_));
  }
  // The one task of a run ends, and whoever waited for that is looked at.
  void finish(std::size_t run, Outcome outcome = exits(0)) {
    for (const StartTask& start : started)
      if (start.run == order.at(run)) {
        on_run(TaskFinished{start.run, start.ref, start.try_number, std::move(outcome)});
        break;
      }
    offer();
  }
  void offer() {
    while (const auto next = limits.next_waiting()) on_run(SeatFree{*next});
  }
  void enable(bool on) {
    ScheduleChanged event;
    event.schedule = row.id;
    event.enabled = on;
    event.rule = row.rule;
    View view = seen();
    take(decide(view, event, now, ++seed_));
  }
  void enable_workflow(bool on) {
    View view = seen();
    Decision decision = decide(view, WorkflowSwitched{"w", on, {}}, now, ++seed_);
    workflow = *decision.changes.workflow;
    if (on && row.progress.parked) look();
  }

  // Such as `00:01 fired, 00:02-00:05 misfired 4`.
  std::string told() const {
    std::string text;
    for (const auto& [from, entry] : ledger) {
      if (!text.empty()) text += ", ";
      text += clock(entry.from);
      if (entry.from != entry.to) text += "-" + clock(entry.to);
      text += fmt::format(" {}", to_string(entry.outcome));
      if (entry.outcome == SlotOutcome::skipped) text += fmt::format(":{}", to_string(entry.reason));
      if (entry.count > 1) text += fmt::format(" {}", entry.count);
    }
    return text;
  }
  std::string clock(Instant at) const {
    const auto since = std::chrono::duration_cast<std::chrono::seconds>(at - start_).count();
    return since % 60 == 0 ? fmt::format("{:02}:{:02}", since / 3600, since / 60 % 60)
                           : fmt::format("{:02}:{:02}:{:02}", since / 3600, since / 60 % 60, since % 60);
  }
  std::size_t late_runs() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(order, [&](RunId id) { return runs.at(id)->run.who.trigger == Trigger::late; }));
  }
  RunStatus status(std::size_t run) const { return runs.at(order.at(run))->run.status; }

  Instant now{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  Limits limits;
  ScheduleRow row;
  WorkflowRow workflow;
  std::shared_ptr<const Plan> plan;
  std::map<Instant, LedgerRow> ledger;
  std::map<RunId, std::unique_ptr<RunState>> runs;
  std::vector<RunId> order;
  std::vector<StartTask> started;

 private:
  const Instant start_ = now;
  std::uint64_t seed_ = 0;
};

ScheduleRule every_minute() {
  ScheduleRule rule;
  rule.cron = "* * * * *";
  rule.overlap = Overlap::allow;
  return rule;
}

TEST(Schedule, FiresEachSlotWhenItIsDueAndNamesIt) {
  ScheduleWorld world(every_minute());
  world.pass(3min);
  EXPECT_EQ(world.told(), "00:01 fired, 00:02 fired, 00:03 fired");
  const pawl::Run& run = world.runs.at(world.order[1])->run;
  EXPECT_EQ(run.who.trigger, Trigger::schedule);
  EXPECT_EQ(run.who.user_agent, "pawl-scheduler");
  EXPECT_EQ(world.clock(run.slot->slot), "00:02");
  EXPECT_EQ(world.ledger.begin()->second.run, world.order[0]);
  EXPECT_EQ(world.ledger.begin()->second.lateness, 0s);
}

TEST(Schedule, ASlotThatIsLateByNoMoreThanTheThresholdFiresWithItsLateness) {
  ScheduleWorld world(every_minute());
  world.sleep(120s);
  world.look();
  EXPECT_EQ(world.told(), "00:01 fired");
  EXPECT_EQ(world.ledger.begin()->second.lateness, 60s);
}

TEST(Schedule, AfterAnOutageTheLatestMissedSlotRunsOnce) {
  ScheduleWorld world(every_minute());
  world.sleep(10min + 30s);
  world.pass(0s);
  EXPECT_EQ(world.told(), "00:01-00:08 misfired 8, 00:09 fired, 00:10 fired");
}

TEST(Schedule, RunOnceLeavesAloneWhatIsOlderThanItsWindow) {
  ScheduleRule rule = every_minute();
  rule.cron = "0 0 * * *";
  rule.misfire_window = 1h;
  ScheduleWorld world(rule);
  world.sleep(26h);
  world.pass(0s);
  EXPECT_EQ(world.told(), "24:00 misfired");
}

TEST(Schedule, RunAllMakesUpForTheNewestMissedSlotsTheOldestFirst) {
  ScheduleRule rule = every_minute();
  rule.misfire = Misfire::run_all;
  rule.max_catch_up = 3;
  ScheduleWorld world(rule);
  world.sleep(10min + 30s);
  world.pass(0s);
  EXPECT_EQ(world.told(), "00:01-00:06 misfired 6, 00:07 fired, 00:08 fired, 00:09 fired, 00:10 fired");
}

TEST(Schedule, SkipRunsNothingThatWasMissed) {
  ScheduleRule rule = every_minute();
  rule.misfire = Misfire::skip;
  ScheduleWorld world(rule);
  world.sleep(10min + 30s);
  world.pass(0s);
  EXPECT_EQ(world.told(), "00:01-00:09 misfired 9, 00:10 fired");
}

TEST(Schedule, ThirtyDaysOfASecondScheduleAreOneEntry) {
  ScheduleRule rule = every_minute();
  rule.cron = "* * * * * ?";
  rule.misfire = Misfire::skip;
  rule.misfire_threshold = 0s;
  ScheduleWorld world(rule);
  world.sleep(std::chrono::days(30));
  world.pass(0s);
  ASSERT_EQ(world.ledger.size(), 2U);
  EXPECT_EQ(world.ledger.begin()->second.count, 30 * 86'400 - 1);
}

TEST(Schedule, AfterItsEndNothingThatWasMissedIsMadeUpFor) {
  ScheduleRule rule = every_minute();
  ScheduleWorld world(rule);
  world.row.rule.end = world.now + 5min;
  world.sleep(20min);
  world.pass(0s);
  EXPECT_EQ(world.told(), "00:01-00:05 skipped:end 5");
  EXPECT_FALSE(world.row.progress.next_at);
}

TEST(Schedule, StartAndEndAreSlotsThemselves) {
  ScheduleWorld world(every_minute());
  world.row.rule.start = world.now + 2min;
  world.row.rule.end = world.now + 4min;
  world.look();
  world.pass(10min);
  EXPECT_EQ(world.told(), "00:02 fired, 00:03 fired, 00:04 fired");
}

TEST(Schedule, OverlapSkipLeavesASlotOutWhileAnEarlierRunIsOpen) {
  ScheduleRule rule = every_minute();
  rule.overlap = Overlap::skip;
  ScheduleWorld world(rule);
  world.pass(2min);
  world.finish(0);
  world.pass(1min);
  EXPECT_EQ(world.told(), "00:01 fired, 00:02 skipped:overlap, 00:03 fired");
}

TEST(Schedule, OverlapQueueKeepsOneRunInLineAndStartsItWhenTheEarlierOneIsOver) {
  ScheduleRule rule = every_minute();
  rule.overlap = Overlap::queue;
  ScheduleWorld world(rule);
  world.pass(3min);
  EXPECT_EQ(world.told(), "00:01 fired, 00:02 fired, 00:03 skipped:overlap");
  EXPECT_EQ(world.status(1), RunStatus::queued);
  EXPECT_EQ(world.runs.at(world.order[1])->run.waits_for, WaitsFor::group);
  world.finish(0);
  EXPECT_EQ(world.status(1), RunStatus::running);
  EXPECT_FALSE(world.runs.at(world.order[1])->run.slot->in_line);
}

TEST(Schedule, WhatIsMadeUpForQueuesUpInOrderOfItsSlots) {
  ScheduleRule rule = every_minute();
  rule.overlap = Overlap::queue;
  rule.misfire = Misfire::run_all;
  ScheduleWorld world(rule);
  world.sleep(5min + 59s);
  world.pass(0s);
  EXPECT_EQ(world.told(), "00:01 fired, 00:02 fired, 00:03 fired, 00:04 fired, 00:05 skipped:overlap");
  for (std::size_t run = 0; run < 4; ++run) {
    EXPECT_EQ(world.status(run), RunStatus::running);
    world.finish(run);
    EXPECT_EQ(world.status(run), RunStatus::success);
  }
}

TEST(Schedule, OverlapCancelRunningEndsTheEarlierRunAndBeginsWhenThatIsOver) {
  ScheduleRule rule = every_minute();
  rule.overlap = Overlap::cancel_running;
  ScheduleWorld world(rule);
  world.pass(2min);
  EXPECT_TRUE(world.runs.at(world.order[0])->stop_asked);
  EXPECT_EQ(world.status(1), RunStatus::queued);
  Outcome stopped;
  stopped.end = Outcome::End::stopped;
  world.finish(0, stopped);
  EXPECT_EQ(world.status(0), RunStatus::cancelled);
  EXPECT_EQ(world.status(1), RunStatus::running);
}

TEST(Schedule, SlotsOfATimeInWhichItWasDisabledAreOneEntry) {
  ScheduleWorld world(every_minute());
  world.pass(1min);
  world.enable(false);
  world.pass(3min);
  EXPECT_EQ(world.told(), "00:01 fired");
  world.sleep(30s);
  world.enable(true);
  world.pass(1min);
  EXPECT_EQ(world.told(), "00:01 fired, 00:02-00:04 skipped:disabled 3, 00:05 fired");
}

TEST(Schedule, ADisabledWorkflowParksItAndGivesItBack) {
  ScheduleWorld world(every_minute());
  world.pass(1min);
  world.sleep(1s);
  world.enable_workflow(false);
  world.pass(3min);
  EXPECT_TRUE(world.row.progress.parked);
  world.enable_workflow(true);
  world.pass(1min);
  EXPECT_EQ(world.told(), "00:01 fired, 00:02-00:04 skipped:disabled 3, 00:05 fired");
  EXPECT_FALSE(world.row.progress.parked);
}

TEST(Schedule, ATimeInWhichTheWorkflowWasDisabledCountsAlsoWhenNobodyLookedInIt) {
  ScheduleWorld world(every_minute());
  world.sleep(90s);
  world.enable_workflow(false);
  world.sleep(2min);
  world.enable_workflow(true);
  world.sleep(1min);
  world.pass(0s);
  EXPECT_EQ(world.told(), "00:01 fired, 00:02-00:03 skipped:disabled 2, 00:04 fired");
}

TEST(Schedule, ASlotFromBeforeTheWorkflowWasDisabledIsMissedAsAnyOther) {
  ScheduleRule rule = every_minute();
  rule.cron = "0 * * * *";
  rule.jitter = 10min;
  rule.misfire = Misfire::skip;
  ScheduleWorld world(rule);
  world.sleep(1h + 1s);
  ASSERT_GT(*world.row.progress.next_at, world.now);
  world.enable_workflow(false);
  world.sleep(1s);
  world.enable_workflow(true);
  world.sleep(30min);
  world.pass(0s);
  EXPECT_EQ(world.told(), "01:00 misfired");
}

TEST(Schedule, JitterIsTheSameForASlotAndNeverPassesTheNextOne) {
  ScheduleRule rule = every_minute();
  rule.jitter = 10min;
  ScheduleWorld world(rule);
  world.pass(5min);
  const Timetable slots = world.slots();
  std::set<Duration> delays;
  for (const auto& [from, entry] : world.ledger) {
    EXPECT_EQ(entry.outcome, SlotOutcome::fired);
    EXPECT_EQ(entry.at, slots.due(from));
    EXPECT_LT(slots.due(from), from + 1min);
    delays.insert(slots.due(from) - from);
  }
  EXPECT_GT(delays.size(), 2U);
}

TEST(Schedule, InputsMayNameTheSlot) {
  ScheduleRule rule = every_minute();
  rule.inputs = json::object{{"slot", "${{ schedule.slot }}"}};
  ScheduleWorld world(rule);
  world.pass(1min);
  EXPECT_EQ(pawl::to_text(world.runs.at(world.order[0])->run.inputs), R"({"slot":"2026-11-23T00:01:00.000Z"})");
}

TEST(Schedule, InputsThatTheWorkflowDoesNotTakeAreToldInTheLedger) {
  ScheduleRule rule = every_minute();
  rule.inputs = json::object{{"other", 1}};
  ScheduleWorld world(rule);
  world.pass(1min);
  EXPECT_EQ(world.told(), "00:01 skipped:invalid");
  EXPECT_NE(world.ledger.begin()->second.message.find("other"), std::string::npos);
}

TEST(Schedule, ASlotWithoutARunStartsOnLateWhenItsTimeIsUp) {
  ScheduleRule rule = every_minute();
  rule.overlap = Overlap::skip;
  rule.late_after = 30s;
  ScheduleWorld world(rule);
  world.pass(2min + 29s);
  EXPECT_EQ(world.late_runs(), 0U);
  world.pass(1s);
  EXPECT_EQ(world.late_runs(), 1U);
  const RunState& late = *world.runs.at(world.order.back());
  EXPECT_EQ(world.clock(late.run.slot->slot), "00:02");
  EXPECT_EQ(world.started.back().task, "tell");
}

TEST(Schedule, ASlotWhoseRunStandsInLineIsLateToo) {
  ScheduleRule rule = every_minute();
  rule.cron = "*/10 * * * *";
  rule.overlap = Overlap::queue;
  rule.late_after = 30s;
  ScheduleWorld world(rule);
  world.pass(20min);
  EXPECT_EQ(world.status(1), RunStatus::queued);
  world.pass(30s);
  EXPECT_EQ(world.late_runs(), 1U);
}

TEST(Schedule, ASlotWhoseRunHasBegunInTimeIsNotLate) {
  ScheduleRule rule = every_minute();
  rule.cron = "*/10 * * * *";
  rule.overlap = Overlap::queue;
  rule.late_after = 30s;
  ScheduleWorld world(rule);
  world.pass(20min);
  world.finish(0);
  world.pass(1min);
  EXPECT_EQ(world.late_runs(), 0U);
}

TEST(Schedule, AfterAnOutageOneRunTellsOfAllThatIsLate) {
  ScheduleRule rule = every_minute();
  rule.late_after = 30s;
  rule.misfire = Misfire::skip;
  ScheduleWorld world(rule);
  world.sleep(10min + 10s);
  world.pass(0s);
  EXPECT_EQ(world.late_runs(), 1U);
}

TEST(Schedule, TheLineOfASurvivedCrashIsTheSame) {
  ScheduleRule rule = every_minute();
  rule.overlap = Overlap::queue;
  ScheduleWorld world(rule);
  world.pass(2min);
  world.limits.overlaps = {};
  for (const RunId id : world.order) world.limits.overlaps.note(world.runs.at(id)->run);
  EXPECT_FALSE(world.limits.overlaps.next());
  world.finish(0);
  EXPECT_EQ(world.status(1), RunStatus::running);
}

}  // namespace
}  // namespace pawl::engine
