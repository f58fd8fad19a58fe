// What persons, definitions and files do with schedules.
#include <gtest/gtest.h>

#include "engine/schedule_rules.h"
#include "engine/test_world.h"

namespace pawl::engine {
namespace {

using namespace std::chrono_literals;
using calendar::Timetable;

std::shared_ptr<const Timetable> timetable(const ScheduleRule& rule) {
  return std::make_shared<const Timetable>(
      *Timetable::make(rule, std::make_shared<const calendar::Zone>(calendar::Zone::utc()), {}, Instant{}));
}

ScheduleRule rule_of(std::string cron) {
  ScheduleRule rule;
  rule.cron = std::move(cron);
  rule.timezone = "UTC";
  return rule;
}

class ScheduleActs : public testing::Test {
 protected:
  ScheduleActs() {
    workflow_.name = "w";
    workflow_.version = 1;
  }
  // What the driver would fill in.
  View seen(const Event& event) {
    View view;
    view.workflow = workflow_;
    view.limits = &limits_;
    if (const auto id = needs(event).schedule; id && rows_.contains(*id)) {
      view.schedule = rows_.at(*id);
      view.timetable = timetable(view.schedule->rule);
    }
    const auto by = [&](const auto& matches) -> std::optional<ScheduleRow> {
      for (const auto& [id, row] : rows_)
        if (!row.deleted_at && matches(row)) return row;
      return std::nullopt;
    };
    const auto same_as = [&](const ScheduleRule& rule) {
      return by([&](const ScheduleRow& row) { return row.same == calendar::rule_key(rule); });
    };
    const auto named = [&](const std::string& name) {
      return by([&](const ScheduleRow& row) { return row.name == name; });
    };
    if (const auto* added = std::get_if<ScheduleAdded>(&event)) {
      view.timetable = timetable(added->rule);
      view.has_schedules = by([](const ScheduleRow&) { return true; }).has_value();
      view.same_name = named(added->name.empty() ? "main" : added->name);
      view.same = same_as(added->rule);
    }
    if (const auto* changed = std::get_if<ScheduleChanged>(&event)) {
      view.new_timetable = timetable(changed->rule);
      view.same = same_as(changed->rule);
    }
    if (const auto* submitted = std::get_if<WorkflowSubmitted>(&event)) {
      for (const auto& [id, row] : rows_)
        if (row.defined && !row.deleted_at) view.defined.push_back(row);
      for (const DefinedSchedule& schedule : submitted->workflow->schedules) {
        View::Carried carried{"UTC", timetable(schedule.rule), named(schedule.name), nullptr, {}};
        ScheduleRule rule = schedule.rule;
        rule.timezone = "UTC";
        carried.same = same_as(rule);
        if (carried.row) carried.old_slots = timetable(carried.row->rule);
        view.carried.push_back(std::move(carried));
      }
      view.text = text_;
    }
    return view;
  }
  Result<Answer> ask(const Event& event) {
    View view = seen(event);
    Decision decision = decide(view, event, now_, ++seed_);
    if (decision.changes.workflow) workflow_ = *decision.changes.workflow;
    if (decision.changes.version) text_ = decision.changes.version->text;
    written_ = {};
    if (decision.changes.schedules) {
      written_ = *decision.changes.schedules;
      for (const ScheduleRow& row : written_.put) rows_[row.id] = row;
    }
    wakes_ = decision.wakes;
    return decision.answer;
  }
  Result<Answer> add(std::string name, ScheduleRule rule) {
    ScheduleAdded event;
    event.workflow = "w";
    event.name = std::move(name);
    event.rule = std::move(rule);
    return ask(event);
  }
  Result<Answer> change(ScheduleId id, ScheduleRule rule, std::optional<bool> enabled = {}) {
    ScheduleChanged event;
    event.schedule = id;
    if (rule != rows_.at(id).rule) event.fields = json::object{{"cron", rule.cron}};
    event.rule = std::move(rule);
    event.enabled = enabled;
    return ask(event);
  }
  Result<Answer> submit(std::vector<std::pair<std::string, std::string>> schedules, std::string file = {}) {
    auto workflow = std::make_shared<Workflow>();
    workflow->name = "w";
    std::string text;
    for (const auto& [name, cron] : schedules) {
      workflow->schedules.push_back({name, rule_of(cron)});
      workflow->schedules.back().rule.timezone.clear();
      text += name + cron;
    }
    WorkflowSubmitted event;
    event.workflow = std::move(workflow);
    event.text = text;
    event.mode = WorkflowSubmitted::Mode::create_or_replace;
    event.file = std::move(file);
    return ask(event);
  }
  const ScheduleRow& named(std::string_view name) {
    for (const auto& [id, row] : rows_)
      if (row.name == name && !row.deleted_at) return row;
    ADD_FAILURE() << "no schedule " << name;
    std::abort();
  }
  static ScheduleId id_in(const Result<Answer>& answer) { return std::get<ScheduleAccepted>(*answer).schedule; }

  Instant now_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  Limits limits_;
  WorkflowRow workflow_;
  std::map<ScheduleId, ScheduleRow> rows_;
  std::optional<std::string> text_;
  ScheduleChanges written_;
  std::string wakes_;
  std::uint64_t seed_ = 0;
};

TEST_F(ScheduleActs, TheFirstOneWithoutANameIsMainAndTheSecondNeedsOne) {
  ASSERT_TRUE(add("", rule_of("* * * * *")));
  EXPECT_EQ(named("main").progress.next_at, now_ + 1min);
  EXPECT_EQ(add("", rule_of("*/2 * * * *")).error().name, "name_required");
  EXPECT_TRUE(add("other", rule_of("*/2 * * * *")));
}

TEST_F(ScheduleActs, TwoOfOneNameOrOfOneMeaningAreRefused) {
  ASSERT_TRUE(add("a", rule_of("* * * * *")));
  EXPECT_EQ(add("a", rule_of("*/2 * * * *")).error().name, "schedule_exists");
  EXPECT_EQ(add("b", rule_of("* *  * * *")).error().name, "schedule_duplicate");
  ScheduleRule other = rule_of("* * * * *");
  other.inputs = json::object{{"a", 1}};
  EXPECT_TRUE(add("b", other));
}

TEST_F(ScheduleActs, OneThatCanNeverFireAgainIsRefused) {
  EXPECT_EQ(add("a", rule_of("0 0 0 1 1 ? 2020")).error().name, "schedule_never_fires");
  ScheduleRule over = rule_of("* * * * *");
  over.end = now_ - 1h;
  EXPECT_EQ(add("a", over).error().name, "schedule_never_fires");
}

TEST_F(ScheduleActs, AChangeKeepsTheIdAndGoesOnFromNow) {
  const ScheduleId id = id_in(add("a", rule_of("0 * * * *")));
  now_ += 90min;
  ASSERT_TRUE(change(id, rule_of("30 * * * *")));
  EXPECT_EQ(named("a").id, id);
  EXPECT_EQ(named("a").progress.next_at, now_ + 1h);
  // What the old rule still owed is told.
  ASSERT_EQ(written_.ledger.size(), 1U);
  EXPECT_EQ(written_.ledger[0].outcome, SlotOutcome::misfired);
}

TEST_F(ScheduleActs, AChangeOfTheInputsLeavesItsSlotsAlone) {
  const ScheduleId id = id_in(add("a", rule_of("0 * * * *")));
  now_ += 90min;
  ScheduleRule rule = rule_of("0 * * * *");
  rule.inputs = json::object{{"a", 1}};
  ASSERT_TRUE(change(id, rule));
  EXPECT_TRUE(written_.ledger.empty());
  EXPECT_EQ(named("a").progress.next_at, now_ - 30min);
}

TEST_F(ScheduleActs, DisabledAndEnabledItGoesOnFromNow) {
  const ScheduleId id = id_in(add("a", rule_of("0 * * * *")));
  const ScheduleRule rule = rule_of("0 * * * *");
  ASSERT_TRUE(change(id, rule, false));
  EXPECT_FALSE(named("a").progress.next_at);
  now_ += 150min;
  ASSERT_TRUE(change(id, rule, true));
  EXPECT_EQ(named("a").progress.next_at, now_ + 30min);
  ASSERT_EQ(written_.ledger.size(), 1U);
  EXPECT_EQ(written_.ledger[0].reason, SlotReason::disabled);
  EXPECT_EQ(written_.ledger[0].count, 2);
}

TEST_F(ScheduleActs, AfterADeletionTheNameIsFree) {
  const ScheduleId id = id_in(add("a", rule_of("0 * * * *")));
  ASSERT_TRUE(ask(ScheduleDeleted{id, {}}));
  EXPECT_FALSE(rows_.at(id).progress.next_at);
  EXPECT_EQ(ask(ScheduleDeleted{id, {}}).error().name, "schedule_unknown");
  EXPECT_NE(id_in(add("a", rule_of("0 * * * *"))), id);
}

TEST_F(ScheduleActs, ANewVersionSetsWhatItCarriesAndLeavesTheRestAlone) {
  ASSERT_TRUE(submit({{"a", "0 * * * *"}, {"b", "1 * * * *"}}));
  ASSERT_TRUE(add("own", rule_of("2 * * * *")));
  const ScheduleId a = named("a").id, b = named("b").id, own = named("own").id;
  ASSERT_TRUE(change(a, named("a").rule, false));
  now_ += 10min;
  ASSERT_TRUE(submit({{"a", "5 * * * *"}, {"c", "1 * * * *"}}));
  EXPECT_EQ(named("a").id, a);
  EXPECT_EQ(named("a").rule.cron, "5 * * * *");
  EXPECT_FALSE(named("a").enabled);
  EXPECT_TRUE(rows_.at(b).deleted_at);
  EXPECT_FALSE(rows_.at(own).deleted_at);
  EXPECT_TRUE(named("c").defined);
}

TEST_F(ScheduleActs, AVersionThatRepeatsAScheduleOfTheApiIsRefused) {
  ASSERT_TRUE(add("own", rule_of("2 * * * *")));
  EXPECT_EQ(submit({{"a", "2 * * * *"}}).error().name, "schedule_duplicate");
  // Under the same name it is taken over.
  ASSERT_TRUE(submit({{"own", "2 * * * *"}}));
  EXPECT_TRUE(named("own").defined);
}

TEST_F(ScheduleActs, WhatAFileHasIsChangedThereAndEnabledAnywhere) {
  ASSERT_TRUE(submit({{"a", "0 * * * *"}}, "/w.yaml"));
  const ScheduleId a = named("a").id;
  EXPECT_EQ(submit({{"a", "1 * * * *"}}).error().name, "managed_by_file");
  EXPECT_EQ(change(a, rule_of("1 * * * *")).error().name, "managed_by_file");
  EXPECT_EQ(ask(ScheduleDeleted{a, {}}).error().name, "managed_by_file");
  EXPECT_EQ(ask(WorkflowDeleted{"w", {}}).error().name, "managed_by_file");
  ASSERT_TRUE(change(a, named("a").rule, false));
  ASSERT_TRUE(submit({{"a", "1 * * * *"}}, "/w.yaml"));
  EXPECT_FALSE(named("a").enabled);
}

TEST_F(ScheduleActs, AFileThatVanishesDisablesAndGivesBackWhenItIsThereAgain) {
  ASSERT_TRUE(submit({{"a", "0 * * * *"}}, "/w.yaml"));
  ASSERT_TRUE(ask(WorkflowFileLost{"w", "/w.yaml", {}, false}));
  EXPECT_FALSE(workflow_.active());
  EXPECT_TRUE(workflow_.enabled);
  now_ += 3h;
  ASSERT_TRUE(submit({{"a", "0 * * * *"}}, "/w.yaml"));
  EXPECT_TRUE(workflow_.active());
  EXPECT_EQ(wakes_, "w");
  EXPECT_EQ(workflow_.switched_at - workflow_.disabled_from, 3h);
}

TEST_F(ScheduleActs, ABrokenFileLeavesTheWorkflowAtWorkAndIsTold) {
  ASSERT_TRUE(submit({{"a", "0 * * * *"}}, "/w.yaml"));
  ASSERT_TRUE(ask(WorkflowFileLost{"w", "/w.yaml", "line 3", false}));
  EXPECT_TRUE(workflow_.active());
  EXPECT_EQ(workflow_.file_error, "line 3");
  ASSERT_TRUE(submit({{"a", "0 * * * *"}}, "/w.yaml"));
  EXPECT_EQ(workflow_.file_error, "");
}

TEST_F(ScheduleActs, ADeletedWorkflowGoesOnWithItsVersionsUnderTheSameName) {
  ASSERT_TRUE(submit({{"a", "0 * * * *"}}));
  const int version = workflow_.version;
  ASSERT_TRUE(ask(WorkflowDeleted{"w", {}}));
  ASSERT_TRUE(written_.dropped);
  EXPECT_EQ(ask(WorkflowDeleted{"w", {}}).error().name, "workflow_unknown");
  rows_.clear();
  const auto again = submit({{"a", "0 * * * *"}});
  EXPECT_TRUE(std::get<WorkflowAccepted>(*again).created);
  EXPECT_EQ(workflow_.version, version + 1);
  EXPECT_FALSE(workflow_.deleted_at);
}

}  // namespace
}  // namespace pawl::engine
