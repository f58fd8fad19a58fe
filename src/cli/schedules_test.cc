// The commands about schedules against a real server in this process.
#include "cli/test_remote.h"

namespace pawl::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* blog = R"(name: blog
inputs:
  n: {type: int, default: 1}
  tag: {type: string, default: "7"}
  slot: {type: string, default: ""}
jobs: {main: {tasks: [{id: t, run: echo}]}}
)";

class ScheduleCommands : public Remote {
 protected:
  ScheduleCommands() { apply(blog); }
  // A schedule of every hour; the four hours before it was made, as a range for a backfill.
  std::vector<std::string> with_range() {
    const Json made = json({"schedule", "add", "blog", "--cron", "0 * * * *", "--tz", "UTC"});
    until = find_string(made, "created_at");
    from = to_rfc3339(*parse_rfc3339(until) - std::chrono::hours(4));
    return {"schedule", "backfill", "blog/main", "--from", from, "--to", until, "--limit", "2"};
  }
  std::string from, until;
};

TEST_F(ScheduleCommands, OneIsAddedListedChangedAndDeleted) {
  const Said added = call({"schedule", "add", "blog", "--cron", "0 8 * * 1-5", "--timezone", "Asia/Seoul", "-i", "n=5",
                           "-i", "tag=7", "-i", "slot=${{ schedule.slot }}", "--start", "1795392000"});
  EXPECT_EQ(added.exit, 0) << added.err;
  EXPECT_THAT(added.out, AllOf(HasSubstr("blog/main  0 8 * * 1-5 (Asia/Seoul)  At 08:00, Monday to Friday\n"),
                               HasSubstr(" 08:00:00, in ")));
  const Json one = json({"schedule", "list"}).at("items").as_array().at(0);
  EXPECT_EQ(to_text(one.at("inputs")), R"({"n":5,"tag":"7","slot":"${{ schedule.slot }}"})");
  EXPECT_EQ(find_string(one, "start"), "2026-11-23T00:00:00.000Z");
  const std::string id(find_string(one, "id"));
  EXPECT_THAT(call({"schedule", "list", "blog"}).out,
              AllOf(HasSubstr("SCHEDULE   WHEN"), HasSubstr("blog/main  0 8 * * 1-5 (Asia/Seoul)"), HasSubstr("yes"),
                    HasSubstr(id)));

  const Json changed = json({"schedule", "change", id, "--misfire", "run-all", "--max-catch-up", "7", "--no-start"});
  EXPECT_EQ(find_string(changed, "misfire"), "run-all");
  EXPECT_EQ(find_int(changed, "max_catch_up"), 7);
  EXPECT_TRUE(changed.at("start").is_null());
  EXPECT_THAT(call({"schedule", "disable", "blog/main"}).out, HasSubstr("next  none: it is disabled"));
  EXPECT_THAT(call({"schedule", "list"}).out, HasSubstr("  no  "));
  EXPECT_THAT(call({"schedule", "next", id, "-n", "1"}).err, HasSubstr("none of these starts a run"));
  EXPECT_THAT(call({"schedule", "enable", id}).out, HasSubstr("08:00:00, in "));
  EXPECT_EQ(call({"schedule", "delete", "blog/main"}).out, "blog/main is deleted\n");
  EXPECT_THAT(call({"schedule", "list"}).out, HasSubstr("no schedules"));
}

TEST_F(ScheduleCommands, WhatComesNextIsShownOnTheClockOfItsZone) {
  call({"schedule", "add", "blog", "--name", "night", "--cron", "30 2 * * *", "--tz", "Europe/Berlin"});
  const Said said = call({"schedule", "next", "blog/night", "-n", "2", "--after", "2027-03-27T12:00:00Z"});
  EXPECT_EQ(said.out,
            "blog/night  30 2 * * * (Europe/Berlin)  At 02:30 every day\n"
            "\n"
            "Europe/Berlin            UTC                  CLOCK\n"
            "Sun 2027-03-28 03:00:00  2027-03-28 01:00:00  moved: the time asked for does not exist\n"
            "Mon 2027-03-29 02:30:00  2027-03-29 00:30:00\n");
  EXPECT_EQ(json({"schedule", "next", "blog/night"}).at("items").as_array().size(), 10u);
}

TEST_F(ScheduleCommands, ABackfillIsTriedAndThenDone) {
  auto command = with_range(), dry = command;
  dry.push_back("--dry-run");
  EXPECT_THAT(call(dry).out, AllOf(HasSubstr("4 slots of blog/main in this range: 4 would be started, 0 had a run"),
                                   HasSubstr("pawl schedule backfill blog/main --from " + from)));
  command.push_back("--wait");
  const Said done = call(command);
  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("+ success  4 started"));
  EXPECT_THAT(call({"schedule", "backfills", "blog/main"}).out, HasSubstr("+ success"));
  EXPECT_THAT(call(dry).out, AllOf(HasSubstr("0 would be started, 4 had a run"), Not(HasSubstr("To start them"))));
  const std::string id(find_string(json({"schedule", "backfills", "blog/main"}).at("items").as_array().at(0), "id"));
  EXPECT_EQ(call({"schedule", "backfills", "blog/main", "--cancel", id}).exit, 4);
}

TEST_F(ScheduleCommands, TheLedgerTellsWhatBecameOfTheSlots) {
  auto command = with_range();
  EXPECT_THAT(call({"schedule", "ledger", "blog/main", "--until", "1"}).out, HasSubstr("it fires next at"));
  command.push_back("--wait");
  ASSERT_EQ(call(command).exit, 0);
  const Said said = call({"schedule", "ledger", "blog/main", "--limit", "2"});
  EXPECT_THAT(said.out, AllOf(HasSubstr("SLOT(S), UTC"), HasSubstr("+ fired"), HasSubstr("blog#"),
                              HasSubstr("filled in afterwards")));
  EXPECT_THAT(said.err, HasSubstr("there are more"));
  EXPECT_EQ(json({"schedule", "ledger", "blog/main", "--since", from}).at("items").as_array().size(), 4u);
  const Json run = json({"runs", "--trigger", "schedule"}).at("items").as_array().at(0);
  EXPECT_THAT(call({"show", std::string(find_string(run, "id"))}).out,
              AllOf(HasSubstr("schedule blog/main, slot 20"), HasSubstr(", of backfill ")));
}

TEST_F(ScheduleCommands, WhyASlotHasNoRunIsToldInWords) {
  call({"schedule", "add", "blog", "--cron", "* * * * * ?", "--disabled"});
  while (json({"schedule", "ledger", "blog/main"}).at("items").as_array().empty()) {
  }
  EXPECT_THAT(call({"schedule", "ledger", "blog/main"}).out,
              AllOf(HasSubstr("- skipped"), HasSubstr("it is disabled")));
}

TEST_F(ScheduleCommands, AWorkflowIsDisabledWithItsSchedulesAndDeleted) {
  call({"schedule", "add", "blog", "--cron", "@daily"});
  EXPECT_THAT(call({"list"}).out, AllOf(HasSubstr("NEXT"), Not(HasSubstr("FILE"))));
  EXPECT_THAT(call({"disable", "blog"}).out, HasSubstr("blog is disabled"));
  EXPECT_THAT(call({"schedule", "list"}).out, HasSubstr("yes, its workflow not"));
  EXPECT_EQ(call({"start", "blog"}).exit, 4);
  EXPECT_THAT(call({"list"}).out, AllOf(HasSubstr("no"), Not(HasSubstr("NEXT"))));
  EXPECT_THAT(call({"enable", "blog"}).out, HasSubstr("blog is enabled; its schedules fire next at 20"));
  EXPECT_EQ(json({"disable", "blog"}).at("enabled"), Json(false));
  EXPECT_EQ(call({"delete", "blog"}).exit, 0);
  EXPECT_THAT(call({"list"}).out, HasSubstr("no workflows"));
  EXPECT_EQ(call({"delete", "blog"}).exit, 1);
}

TEST_F(ScheduleCommands, WhatIsUnknownInvalidOrRefusedIsToldApart) {
  call({"schedule", "add", "blog", "--cron", "@daily", "--tz", "UTC"});
  const Said hint = call({"schedule", "next", "blog"});
  EXPECT_EQ(hint.exit, 1);
  EXPECT_THAT(hint.err, HasSubstr("such as 'blog/main'"));
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"schedule", "ledger", "blog/none"},
           {"schedule", "ledger", "0192a000-0000-7000-8000-000000000000"},
           {"schedule", "list", "none"},
           {"schedule", "add", "none", "--cron", "@daily"},
           {"schedule", "add", "blog", "--name", "x", "--cron", "0 25 * * *"},
           {"schedule", "add", "blog", "--name", "x", "--cron", "@hourly", "-i", "n=x"},
           {"schedule", "add", "blog", "--name", "x", "--cron", "@hourly", "-i", "m=1"},
           {"schedule", "add", "blog", "--cron", "@hourly"},
           {"schedule", "backfill", "blog/main", "--from", "2", "--to", "1"},
           {"enable", "none"}}) {
    const Said said = call(arguments);
    EXPECT_EQ(said.exit, 1) << testing::PrintToString(arguments) << said.out;
    EXPECT_NE(said.err, "");
  }
  EXPECT_EQ(call({"schedule", "add", "blog", "--name", "x", "--cron", "@daily", "--tz", "UTC"}).exit, 4);
  const Said two = call({"schedule", "add", "blog", "--name", "x", "--cron", "0 25 * * *", "--tz", "Seoul"});
  EXPECT_THAT(two.err, AllOf(HasSubstr("2 problems"), HasSubstr("hours"), HasSubstr("Asia/Seoul")));
  EXPECT_THAT(call({"schedule", "lsit"}).err,
              HasSubstr("unknown command 'schedule lsit'; did you mean 'schedule list'?"));
  EXPECT_THAT(call({"schedule", "next", "a/b", "--cuont", "1"}).err, HasSubstr("did you mean '--count'?"));
}

}  // namespace
}  // namespace pawl::cli
