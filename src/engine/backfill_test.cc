// Slots of the past that get a run afterwards.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/schedule_rules.h"
#include "engine/test_world.h"

namespace pawl::engine {
namespace {

using namespace std::chrono_literals;

class Backfill : public testing::Test {
 protected:
  Backfill() {
    auto parsed = definition::parse("name: w\njobs: {a: {tasks: [{id: t, run: 'true'}]}}\n");
    plan_ = *compile(std::make_shared<const Workflow>(std::move(parsed->workflow)), 1);
    workflow_.name = "w";
    row_.workflow = "w";
    row_.name = "main";
    row_.rule.cron = "* * * * *";
    row_.rule.timezone = "UTC";
    row_.created_at = start_;
    row_.progress.cursor = now_;
    slots_ = std::make_shared<const calendar::Timetable>(*calendar::Timetable::make(
        row_.rule, std::make_shared<const calendar::Zone>(calendar::Zone::utc()), row_.id, row_.created_at));
  }
  View seen() {
    View view;
    view.schedule = row_;
    view.timetable = slots_;
    view.workflow = workflow_;
    view.plan = plan_;
    view.last_number = static_cast<std::int64_t>(runs_.size());
    view.limits = &limits_;
    view.check_inputs = [](const Workflow&, const Json& given) -> Result<Json> { return given; };
    view.backfill = backfill_;
    if (backfill_)
      if (const auto next = slots_->next(backfill_->cursor))
        for (const auto& [from, entry] : ledger_)
          if (entry.from <= *next && *next <= entry.to) view.covering = entry;
    return view;
  }
  Result<Answer> ask(const Event& event) {
    View view = seen();
    Decision decision = decide(view, event, now_, ++seed_);
    if (const auto& changes = decision.changes.schedules) {
      for (const LedgerRow& gone : changes->ledger_removed) EXPECT_EQ(ledger_.erase(gone.from), 1U);
      for (const LedgerRow& entry : changes->ledger) EXPECT_TRUE(ledger_.emplace(entry.from, entry).second);
      if (changes->moved) row_.progress = changes->moved->progress;
      if (changes->backfill) backfill_ = changes->backfill;
    }
    if (decision.created) runs_.push_back(std::move(decision.created));
    for (const Event& next : decision.follow_ups) EXPECT_TRUE(ask(next));
    return decision.answer;
  }
  Result<Answer> request(Duration from, Duration to, int limit = 10) {
    return ask(BackfillRequested{row_.id, start_ + from, start_ + to, limit, {.user = "kim"}});
  }
  void enter(Duration from, Duration to, std::int64_t count, SlotOutcome outcome) {
    LedgerRow entry{.schedule = row_.id, .from = start_ + from, .to = start_ + to, .count = count, .outcome = outcome};
    if (outcome == SlotOutcome::fired) entry.run = RunId{};
    ledger_.emplace(entry.from, entry);
  }
  std::string told() const {
    std::string text;
    for (const auto& [from, entry] : ledger_) {
      const auto minutes = [&](Instant at) {
        return std::chrono::duration_cast<std::chrono::minutes>(at - start_).count();
      };
      text += fmt::format("{}-{} {} {}{}; ", minutes(entry.from), minutes(entry.to), to_string(entry.outcome),
                          entry.count, entry.backfill ? " b" : "");
    }
    return text;
  }

  const Instant start_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  Instant now_ = start_ + 1h;
  Limits limits_;
  ScheduleRow row_;
  WorkflowRow workflow_;
  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const calendar::Timetable> slots_;
  std::map<Instant, LedgerRow> ledger_;
  std::vector<std::unique_ptr<RunState>> runs_;
  std::optional<BackfillRow> backfill_;
  std::uint64_t seed_ = 0;
};

TEST_F(Backfill, FillsInWhatWasMissedAndLeavesAloneWhatHasRun) {
  enter(1min, 3min, 3, SlotOutcome::misfired);
  enter(4min, 4min, 1, SlotOutcome::fired);
  enter(5min, 9min, 5, SlotOutcome::misfired);
  ASSERT_TRUE(request(2min, 6min));
  EXPECT_EQ(
      told(),
      "1-1 misfired 1; 2-2 fired 1 b; 3-3 fired 1 b; 4-4 fired 1; 5-5 fired 1 b; 6-6 fired 1 b; 7-9 misfired 3; ");
  EXPECT_EQ(backfill_->status, BackfillStatus::success);
  EXPECT_EQ(backfill_->started, 4);
  EXPECT_EQ(backfill_->passed_over, 1);
  EXPECT_EQ(runs_.front()->run.who.user, "kim");
  EXPECT_EQ(runs_.front()->run.slot->slot, start_ + 2min);
}

TEST_F(Backfill, LeavesAloneARangeThatAnotherRuleHasLeftBehind) {
  // Every two minutes then, every minute now.
  enter(2min, 8min, 4, SlotOutcome::misfired);
  ASSERT_TRUE(request(1min, 9min));
  EXPECT_EQ(told(), "1-1 fired 1 b; 2-8 misfired 4; 9-9 fired 1 b; ");
  EXPECT_EQ(backfill_->passed_over, 7);
}

TEST_F(Backfill, ReachesBackBeforeTheScheduleWasMade) {
  ASSERT_TRUE(request(-2min, -1min));
  EXPECT_EQ(told(), "-2--2 fired 1 b; -1--1 fired 1 b; ");
}

TEST_F(Backfill, HasSoManyRunsOpenAtOnceAndGoesOnWhenOneEnds) {
  enter(1min, 5min, 5, SlotOutcome::misfired);
  ASSERT_TRUE(request(1min, 5min, 2));
  EXPECT_EQ(runs_.size(), 2U);
  EXPECT_EQ(backfill_->status, BackfillStatus::running);
  pawl::Run over = runs_.front()->run;
  over.status = RunStatus::success;
  limits_.note_places(over);
  ASSERT_TRUE(ask(BackfillGoesOn{backfill_->id}));
  EXPECT_EQ(runs_.size(), 3U);
}

TEST_F(Backfill, GoesOnWhereItStoodAfterACrash) {
  ASSERT_TRUE(request(1min, 5min, 1));
  EXPECT_EQ(backfill_->cursor, start_ + 1min);
  limits_ = {};
  ASSERT_TRUE(ask(BackfillGoesOn{backfill_->id}));
  EXPECT_EQ(backfill_->cursor, start_ + 2min);
}

TEST_F(Backfill, OfADisabledScheduleClosesItsSlotsFirst) {
  row_.enabled = false;
  row_.progress.cursor = now_ - 5min;
  ASSERT_TRUE(request(58min, 59min));
  EXPECT_EQ(told(), "56-57 skipped 2; 58-58 fired 1 b; 59-59 fired 1 b; 60-60 skipped 1; ");
}

TEST_F(Backfill, StopsWhenItIsCancelled) {
  ASSERT_TRUE(request(1min, 5min, 1));
  ASSERT_TRUE(ask(BackfillCancelled{backfill_->id, {}}));
  limits_ = {};
  ASSERT_TRUE(ask(BackfillGoesOn{backfill_->id}));
  EXPECT_EQ(runs_.size(), 1U);
  EXPECT_EQ(ask(BackfillCancelled{backfill_->id, {}}).error().name, "backfill_final");
}

TEST_F(Backfill, RefusesARangeThatIsNone) {
  EXPECT_EQ(request(5min, 1min).error().name, "range_invalid");
  EXPECT_EQ(request(5min, 2h).error().name, "range_invalid");
  EXPECT_EQ(request(1min, 5min, 0).error().name, "limit_invalid");
}

}  // namespace
}  // namespace pawl::engine
