#include "api/test_engine.h"

namespace pawl::api {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

std::string member(const Json& value, std::string_view name) {
  const Json* const found = find(value, name);
  return found ? to_text(*found) : "absent";
}

// One member of each item.
std::vector<std::string> column(const json::array& items, std::string_view name) {
  std::vector<std::string> values;
  for (const Json& item : items) values.push_back(member(item, name));
  return values;
}

TEST_F(Schedules, OneIsMadeShownChangedAndDeleted) {
  with_workflow();
  const auto made = ask("POST", "/api/v1/workflows/blog/schedules",
                        R"({"name":"daily","cron":"0 8 * * 1-5","timezone":"Asia/Seoul","jitter":"0s"})");
  ASSERT_EQ(made.status, 201) << made.text;
  const std::string id(find_string(made.body, "id"));
  EXPECT_EQ(made.header("Location"), "/api/v1/schedules/" + id);
  EXPECT_EQ(find_string(made.body, "description"), "At 08:00, Monday to Friday");
  EXPECT_EQ(find_string(made.body, "next_fire_at"), "2026-11-23T23:00:00.000Z");
  EXPECT_EQ(find_string(made.body, "managed_by"), "api");
  EXPECT_EQ(find_string(made.body, "misfire_threshold"), "1m");
  for (const auto& [name, value] : std::map<std::string, std::string>{{"active", "true"},
                                                                      {"enabled", "true"},
                                                                      {"last_slot", "null"},
                                                                      {"start", "null"},
                                                                      {"max_catch_up", "100"},
                                                                      {"warnings", "absent"}})
    EXPECT_EQ(member(made.body, name), value) << name;
  EXPECT_EQ(get("/api/v1/schedules/" + id).text, made.text);

  const auto changed = ask("PATCH", "/api/v1/schedules/" + id, R"({"cron":"30 9 * * *","timezone":"UTC"})");
  EXPECT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(find_string(changed.body, "id"), id);
  EXPECT_EQ(find_string(changed.body, "next_fire_at"), "2026-11-24T09:30:00.000Z");
  const auto off = ask("PATCH", "/api/v1/schedules/" + id, R"({"enabled":false,"timezone":null})");
  EXPECT_EQ(member(off.body, "active"), "false");
  EXPECT_EQ(member(off.body, "next_fire_at"), "null");
  EXPECT_EQ(find_string(off.body, "timezone"), "UTC");

  const auto gone = ask("DELETE", "/api/v1/schedules/" + id);
  EXPECT_EQ(gone.status, 204);
  EXPECT_EQ(gone.text, "");
  EXPECT_EQ(get("/api/v1/schedules/" + id).code(), "schedule_unknown");
  EXPECT_EQ(ask("DELETE", "/api/v1/schedules/" + id).status, 404);
  EXPECT_THAT(items("schedules/" + id + "/ledger"), IsEmpty()) << "what became of its slots can still be read";
}

TEST_F(Schedules, OneIsNamedByItsWorkflowAndItsName) {
  with_workflow("name: 상품 분석\njobs: {j: {tasks: [{run: x}]}}\n");
  with_workflow();
  with_schedule(R"("name":"next","cron":"@daily")");
  ask("POST", "/api/v1/workflows/" + net::percent_encode("상품 분석") + "/schedules", R"({"cron":"@daily"})");
  const std::string korean = net::percent_encode("상품 분석");
  for (const std::string& name : {korean + "%2Fmain", korean + "/main"}) {
    EXPECT_EQ(get("/api/v1/schedules/" + name).status, 200) << name;
    EXPECT_THAT(items("schedules/" + name + "/next"), SizeIs(10)) << name;
    EXPECT_EQ(ask("PATCH", "/api/v1/schedules/" + name, "{}").status, 200) << name;
  }
  EXPECT_EQ(find_string(get("/api/v1/schedules/blog/next").body, "name"), "next");
  EXPECT_THAT(items("schedules/blog/next/next?count=3"), SizeIs(3));
  for (const auto* path : {"blog", "blog/none", "blog%2Fnone", "none/next", "blog/next/", "/next", "x/next/ledger"})
    EXPECT_EQ(get(fmt::format("/api/v1/schedules/{}", path)).status, 404) << path;
}

TEST_F(Schedules, EverythingThatIsWrongIsToldMemberByMember) {
  with_workflow("name: blog\ninputs: {n: {type: int, required: true}}\njobs: {j: {tasks: [{run: x}]}}\n");
  const auto wrong = ask("POST", "/api/v1/workflows/blog/schedules",
                         R"({"cron":"0 25 * * *","timezone":"Seoul","inputs":{"n":"x"},"jitter":"5"})");
  EXPECT_EQ(wrong.status, 422);
  EXPECT_EQ(wrong.code(), "schedule_invalid");
  const auto& errors = find(wrong.body, "errors")->get_array();
  EXPECT_THAT(column(errors, "field"),
              testing::UnorderedElementsAre("\"cron\"", "\"timezone\"", "\"inputs\"", "\"jitter\""))
      << wrong.text;
  EXPECT_EQ(member(errors[0], "position"), "3");
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/schedules", "{}").code(), "schedule_invalid");
  for (const auto* body : {R"({"cron":"@daily","id":"x"})", R"({"cron":"@daily","enabled":1})", "[]"})
    EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/schedules", body).status, 400) << body;
  EXPECT_EQ(ask("POST", "/api/v1/workflows/none/schedules", R"({"cron":"@daily"})").code(), "workflow_unknown");

  const auto odd = ask("POST", "/api/v1/workflows/blog/schedules", R"({"cron":"@daily"})");
  ASSERT_EQ(odd.status, 201) << odd.text;
  EXPECT_THAT(member(odd.body, "warnings"), HasSubstr("`n` is required"));
  EXPECT_EQ(ask("PATCH", "/api/v1/schedules/blog/main", R"({"cron":null})").code(), "schedule_invalid");
  EXPECT_EQ(ask("PATCH", "/api/v1/schedules/blog/main", R"({"name":"x"})").code(), "unknown_field");
}

TEST_F(Schedules, WhatTheEngineRefusesIsToldByItsName) {
  with_workflow();
  with_schedule(R"("cron":"@daily")");
  const auto add = [&](const std::string& body) { return ask("POST", "/api/v1/workflows/blog/schedules", body); };
  EXPECT_EQ(add(R"({"cron":"@hourly"})").code(), "name_required");
  EXPECT_EQ(add(R"({"cron":"@hourly","name":"a b"})").status, 422);
  EXPECT_EQ(add(R"({"cron":"@hourly","name":"main"})").code(), "schedule_exists");
  const auto same = add(R"({"cron":"@daily","name":"other"})");
  EXPECT_EQ(same.code(), "schedule_duplicate");
  EXPECT_EQ(same.status, 409);
  const auto never = add(R"({"cron":"@weekly","name":"late","end":"2020-01-01T00:00:00Z"})");
  EXPECT_EQ(never.status, 422);
  EXPECT_EQ(never.code(), "schedule_never_fires");
}

TEST_F(Schedules, TheyAreListedInPagesByWorkflowAndName) {
  with_workflow();
  with_workflow("name: other\njobs: {j: {tasks: [{run: x}]}}\non: {schedule: {cron: '0 8 * * *', timezone: UTC}}\n");
  with_schedule(R"("name":"b","cron":"@daily")");
  with_schedule(R"("name":"a","cron":"@hourly","enabled":false)");
  EXPECT_THAT(column(items("schedules"), "name"), ElementsAre("\"a\"", "\"b\"", "\"main\""));
  EXPECT_THAT(column(items("schedules"), "managed_by"), ElementsAre("\"api\"", "\"api\"", "\"definition\""));
  EXPECT_THAT(column(items("schedules?workflow=blog&enabled=true"), "name"), ElementsAre("\"b\""));
  EXPECT_THAT(items("schedules?enabled=false"), SizeIs(1));
  EXPECT_THAT(items("schedules?workflow=none"), IsEmpty());
  EXPECT_THAT(column(items("workflows/blog/schedules"), "name"), ElementsAre("\"a\"", "\"b\""));
  EXPECT_EQ(get("/api/v1/workflows/none/schedules").status, 404);
  const auto first = get("/api/v1/schedules?limit=2");
  const std::string cursor(find_string(first.body, "next_cursor"));
  EXPECT_THAT(column(items("schedules?limit=2&cursor=" + cursor), "name"), ElementsAre("\"main\""));
  EXPECT_EQ(member(get("/api/v1/schedules?limit=3").body, "next_cursor"), "null");
  for (const auto* query : {"enabled=1", "cursor=aaaa", "limit=0", "name=x"})
    EXPECT_EQ(get(fmt::format("/api/v1/schedules?{}", query)).status, 400) << query;
}

TEST_F(Schedules, WhatComesNextIsShownInTheZoneOfTheSchedule) {
  with_workflow();
  with_schedule(R"("name":"night","cron":"30 2 * * *","timezone":"Europe/Berlin")");
  const auto next = items("schedules/blog/night/next?count=2&after=2027-03-27T12:00:00Z");
  EXPECT_EQ(to_text(next), R"([{"slot":"2027-03-28T01:00:00.000Z","local":"2027-03-28T03:00:00+02:00",)"
                           R"("due":"2027-03-28T01:00:00.000Z","clock":"moved"},)"
                           R"({"slot":"2027-03-29T00:30:00.000Z","local":"2027-03-29T02:30:00+02:00",)"
                           R"("due":"2027-03-29T00:30:00.000Z","clock":null}])");
  with_schedule(R"("name":"spread","cron":"0 * * * *","timezone":"UTC","jitter":"30m")");
  const auto spread = items("schedules/blog/spread/next?count=20");
  int later = 0;
  for (const Json& one : spread) later += find_string(one, "due") > find_string(one, "slot") ? 1 : 0;
  EXPECT_GT(later, 15);
  EXPECT_EQ(find_string(get("/api/v1/schedules/blog/spread").body, "next_fire_at"), find_string(spread[0], "due"));
  // A slot that has passed and is due later is still to come.
  inbox_.advance(1h);
  EXPECT_EQ(to_text(items("schedules/blog/spread/next?count=1")[0]), to_text(spread[0]));
  for (const auto* query : {"count=0", "count=1001", "after=x"})
    EXPECT_EQ(get(fmt::format("/api/v1/schedules/blog/night/next?{}", query)).status, 400) << query;
}

TEST_F(Schedules, TheLedgerTellsWhatBecameOfEachSlot) {
  with_workflow();
  const std::string id = with_schedule(R"("cron":"@hourly","overlap":"skip")");
  const std::string ledger = "schedules/" + id + "/ledger";
  inbox_.advance(2h);
  const auto two = items(ledger);
  ASSERT_THAT(column(two, "reason"), ElementsAre("\"overlap\"", "null"));
  EXPECT_EQ(find_string(two[1], "outcome"), "fired");
  EXPECT_EQ(find_string(two[1], "slot"), "2026-11-23T13:00:00.000Z");
  EXPECT_EQ(member(two[1], "run_number"), "1");
  EXPECT_EQ(member(two[1], "lateness_ms"), "0");
  EXPECT_EQ(member(two[0], "lateness_ms"), "null");
  EXPECT_EQ(find_string(get("/api/v1/schedules/" + id).body, "last_slot"), "2026-11-23T14:00:00.000Z");

  const auto run = get("/api/v1/runs/" + std::string(find_string(two[1], "run")));
  EXPECT_EQ(member(run.body, "schedule"),
            fmt::format(R"({{"id":"{}","name":"main","slot":"2026-11-23T13:00:00.000Z","backfill":null}})", id));
  EXPECT_EQ(member(items("runs?trigger=schedule").at(0), "schedule"), member(run.body, "schedule"));

  inbox_.finish_tasks();
  inbox_.be_away(5h + 30min);
  const auto all = items(ledger);
  ASSERT_THAT(column(all, "outcome"), ElementsAre("\"fired\"", "\"misfired\"", "\"skipped\"", "\"fired\""));
  EXPECT_EQ(member(all[1], "count"), "4");
  EXPECT_EQ(member(all[1], "slot"), "null");
  EXPECT_EQ(find_string(all[1], "from"), "2026-11-23T15:00:00.000Z");
  EXPECT_EQ(find_string(all[1], "to"), "2026-11-23T18:00:00.000Z");
  EXPECT_EQ(find_string(all[1], "reason"), "misfired");
  EXPECT_EQ(member(all[0], "lateness_ms"), "1800000");

  std::vector<std::string> paged;
  for (std::string query = "?limit=1", cursor;; query = "?limit=1&cursor=" + cursor) {
    const auto page = get("/api/v1/" + ledger + query);
    for (const Json& one : find(page.body, "items")->get_array()) paged.push_back(to_text(one));
    cursor = find_string(page.body, "next_cursor");
    if (cursor.empty()) break;
  }
  ASSERT_THAT(paged, SizeIs(4));
  EXPECT_EQ(paged[2], to_text(all[2]));
  EXPECT_THAT(items(ledger + "?since=2026-11-23T16:00:00Z&until=2026-11-23T17:00:00Z"), SizeIs(1));
  EXPECT_EQ(get("/api/v1/" + ledger + "?cursor=aaaa").status, 400);
}

TEST_F(Schedules, SlotsOfATimeInWhichItIsDisabledAreShownBeforeTheyAreDecided) {
  with_workflow();
  with_schedule(R"("cron":"@hourly")");
  const std::string ledger = "schedules/blog/main/ledger";
  inbox_.advance(1h);
  ask("PATCH", "/api/v1/schedules/blog/main", R"({"enabled":false})");
  EXPECT_THAT(items(ledger), SizeIs(1)) << "no slot has passed since";
  inbox_.advance(24h);
  const auto off = items(ledger);
  ASSERT_THAT(column(off, "reason"), ElementsAre("\"disabled\"", "null"));
  EXPECT_EQ(member(off[0], "count"), "24");
  EXPECT_EQ(member(off[0], "decided_at"), "null");
  EXPECT_THAT(items(ledger + "?until=2026-11-23T13:30:00Z"), SizeIs(1));
  EXPECT_THAT(items(ledger + "?since=2026-11-23T13:30:00Z"), SizeIs(1));
  const auto first = get("/api/v1/" + ledger + "?limit=1");
  EXPECT_THAT(
      column(items(ledger + "?limit=1&cursor=" + std::string(find_string(first.body, "next_cursor"))), "outcome"),
      ElementsAre("\"fired\""));

  ask("PATCH", "/api/v1/schedules/blog/main", R"({"enabled":true})");
  const auto decided = items(ledger);
  ASSERT_THAT(decided, SizeIs(2));
  EXPECT_EQ(member(decided[0], "count"), "24");
  EXPECT_NE(member(decided[0], "decided_at"), "null");
  // The same, where it is the workflow that is disabled.
  EXPECT_EQ(member(ask("PATCH", "/api/v1/workflows/blog", R"({"enabled":false})").body, "enabled"), "false");
  inbox_.advance(3h);
  EXPECT_EQ(member(items(ledger)[0], "count"), "3");
  EXPECT_EQ(member(get("/api/v1/schedules/blog/main").body, "active"), "false");
}

TEST_F(Schedules, ABackfillIsTriedFirstAndThenAskedFor) {
  with_workflow();
  const std::string id = with_schedule(R"("cron":"@hourly","misfire":"skip")");
  inbox_.advance(1h);
  inbox_.finish_tasks();
  inbox_.be_away(12h + 30min);
  const std::string target = "/api/v1/schedules/" + id + "/backfill";
  const std::string range = R"("from":"2026-11-23T00:00:00Z","to":"2026-11-23T20:00:00Z")";
  const auto dry = ask("POST", target, "{" + range + R"(,"dry_run":true})");
  ASSERT_EQ(dry.status, 200) << dry.text;
  EXPECT_EQ(member(dry.body, "slots"), "21");
  EXPECT_EQ(member(dry.body, "already_run"), "1");
  EXPECT_EQ(member(dry.body, "would_start"), "20");
  EXPECT_EQ(find_string(dry.body, "until"), "2026-11-23T20:00:00.000Z");
  ASSERT_THAT(find(dry.body, "first")->get_array(), SizeIs(10));
  EXPECT_THAT(items("schedules/" + id + "/backfills"), IsEmpty());

  const auto begun = ask("POST", target, "{" + range + R"(,"limit":3})");
  ASSERT_EQ(begun.status, 202) << begun.text;
  EXPECT_EQ(find_string(begun.body, "status"), "running");
  EXPECT_EQ(find_string(begun.body, "user"), "admin");
  const auto running = items("schedules/" + id + "/backfills");
  ASSERT_THAT(column(running, "started"), ElementsAre("3"));
  for (int i = 0; i < 7; ++i) inbox_.finish_tasks();
  const auto done = items("schedules/" + id + "/backfills");
  EXPECT_EQ(find_string(done[0], "status"), "success") << to_text(done[0]);
  EXPECT_EQ(member(done[0], "started"), "20");
  EXPECT_EQ(member(done[0], "passed_over"), "1");
  const std::string backfill(find_string(done[0], "id"));
  EXPECT_EQ(find_string(items("schedules/" + id + "/ledger?until=2026-11-23T01:00:00Z")[0], "backfill"), backfill);
  const auto late = ask("POST", "/api/v1/schedules/" + id + "/backfills/" + backfill + "/cancel");
  EXPECT_EQ(late.code(), "backfill_final");

  const auto other = ask("POST", target, R"({"from":"2026-11-20T00:00:00Z","to":"2026-11-21T00:00:00Z"})");
  const std::string open(find_string(other.body, "id"));
  const auto stopped = ask("POST", "/api/v1/schedules/" + id + "/backfills/" + open + "/cancel");
  EXPECT_EQ(stopped.status, 202) << stopped.text;
  EXPECT_EQ(find_string(stopped.body, "status"), "cancelled");
  const std::string second = with_schedule(R"("name":"second","cron":"@daily")");
  EXPECT_EQ(ask("POST", "/api/v1/schedules/" + second + "/backfills/" + open + "/cancel").code(), "backfill_unknown");
}

TEST_F(Schedules, ARangeThatCannotBeFilledInIsRefused) {
  with_workflow();
  with_schedule(R"("cron":"* * * * * ?")");
  inbox_.advance(10s);
  const auto ask_for = [&](const std::string& body) {
    return ask("POST", "/api/v1/schedules/blog/main/backfill", "{" + body + "}");
  };
  EXPECT_EQ(ask_for(R"("from":1,"to":2,"count":1)").status, 400);
  EXPECT_EQ(ask_for(R"("from":1)").status, 400);
  EXPECT_EQ(ask_for(R"("from":"x","to":2)").status, 400);
  EXPECT_EQ(ask_for(R"("from":2,"to":1,"dry_run":true)").code(), "range_invalid");
  EXPECT_EQ(ask_for(R"("from":1,"to":"2030-01-01T00:00:00Z")").code(), "range_invalid");
  EXPECT_EQ(ask_for(R"("from":1,"to":2,"limit":1001)").code(), "limit_invalid");
  const auto large = ask_for(R"("from":"2026-11-01T00:00:00Z","to":"2026-11-23T12:00:00Z","dry_run":true)");
  EXPECT_EQ(large.status, 422);
  EXPECT_EQ(large.code(), "range_too_large");
  ask("PATCH", "/api/v1/workflows/blog", R"({"enabled":false})");
  EXPECT_EQ(ask_for(R"("from":1,"to":2,"dry_run":true)").code(), "workflow_disabled");
  EXPECT_EQ(ask_for(R"("from":1,"to":2)").code(), "workflow_disabled");
}

TEST_F(Schedules, WithTheirWorkflowTheyAreStoppedAndGone) {
  with_workflow();
  with_workflow("name: quiet\njobs: {j: {tasks: [{run: x}]}}\n");
  with_schedule(R"("name":"a","cron":"0 18 * * *")");
  with_schedule(R"("name":"b","cron":"0 15 * * *")");
  const auto fires = [&] { return column(items("workflows"), "next_fire_at"); };
  EXPECT_THAT(fires(), ElementsAre("\"2026-11-23T15:00:00.000Z\"", "null"));
  EXPECT_EQ(find_string(get("/api/v1/workflows/blog").body, "next_fire_at"), "2026-11-23T15:00:00.000Z");
  EXPECT_THAT(items("workflows?limit=1"), SizeIs(1));
  const auto shown = get("/api/v1/workflows/blog");
  for (const auto& [name, value] : {std::pair("file", "null"), {"file_gone", "false"}, {"file_error", "null"}})
    EXPECT_EQ(member(shown.body, name), value);

  for (const auto* body : {"", "{}", R"({"enabled":null})", R"({"enabled":"no"})", R"({"x":true})"})
    EXPECT_EQ(ask("PATCH", "/api/v1/workflows/blog", body).status, 400) << body;
  const auto off = ask("PATCH", "/api/v1/workflows/blog", R"({"enabled":false})");
  EXPECT_EQ(off.status, 200);
  EXPECT_EQ(member(off.body, "enabled"), "false");
  EXPECT_NE(find(off.body, "definition"), nullptr);
  EXPECT_THAT(fires(), ElementsAre("null", "null"));
  EXPECT_EQ(ask("PATCH", "/api/v1/workflows/none", R"({"enabled":true})").status, 404);

  EXPECT_EQ(ask("DELETE", "/api/v1/workflows/blog").status, 204);
  for (const auto* path : {"workflows/blog", "workflows/blog/versions", "workflows/blog/versions/1",
                           "workflows/blog/schedules", "schedules/blog/a"})
    EXPECT_EQ(get(fmt::format("/api/v1/{}", path)).status, 404) << path;
  EXPECT_THAT(column(items("workflows"), "name"), ElementsAre("\"quiet\""));
  EXPECT_THAT(items("schedules"), IsEmpty());
  EXPECT_EQ(ask("DELETE", "/api/v1/workflows/blog").code(), "workflow_unknown");
  with_workflow();
  EXPECT_EQ(member(get("/api/v1/workflows/blog").body, "version"), "2");
}

TEST_F(Schedules, AnExpressionIsExplained) {
  const auto explain = [&](const std::string& body) { return ask("POST", "/api/v1/cron/explain", body); };
  EXPECT_EQ(explain(R"({"cron":"0 8 * * 1-5","timezone":"Asia/Seoul","after":1795392000,"count":3})").text,
            R"({"cron":"0 8 * * 1-5","tz":"Asia/Seoul","description":"At 08:00, Monday to Friday",)"
            R"("next":[1795474800,1795561200,1795647600]})");
  const auto korean = explain(R"({"cron":"0 8 * * *","language":"ko"})");
  EXPECT_EQ(find_string(korean.body, "tz"), "UTC");
  EXPECT_THAT(std::string(find_string(korean.body, "description")), HasSubstr("8"));
  EXPECT_THAT(find(korean.body, "next")->get_array(), SizeIs(10));
  const auto wrong = explain(R"({"cron":"0 25 * * *"})");
  EXPECT_EQ(wrong.status, 422);
  EXPECT_EQ(wrong.code(), "cron_invalid");
  EXPECT_EQ(find_string(wrong.body, "field"), "hours");
  EXPECT_EQ(member(wrong.body, "position"), "3");
  EXPECT_EQ(explain(R"({"cron":"@daily","timezone":"Seoul"})").code(), "timezone_unknown");
  EXPECT_EQ(explain(R"({"cron":""})").status, 422);
  for (const auto* body : {"{}", R"({"cron":1})", R"({"cron":"@daily","count":0})", R"({"cron":"@daily","count":1001})",
                           R"({"cron":"@daily","language":"fr"})", R"({"cron":"@daily","after":"x"})"})
    EXPECT_EQ(explain(body).status, 400) << body;
}

}  // namespace
}  // namespace pawl::api
