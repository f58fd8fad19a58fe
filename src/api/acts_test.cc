#include "api/test_world.h"

namespace pawl::api {
namespace {

TEST_F(Api, CancelAndResumeAnswerWithTheRun) {
  const std::string id = with_run();
  EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/resume").code(), "run_open");
  const auto cancelled = ask("POST", "/api/v1/runs/" + id + "/cancel", "", {{"user-agent", "pawl-cli/1"}});
  EXPECT_EQ(cancelled.status, 202);
  EXPECT_EQ(find_string(cancelled.body, "status"), "cancelled");
  EXPECT_EQ(std::get<CancelRequested>(inbox_.last).who.trigger, Trigger::manual);
  EXPECT_EQ(std::get<CancelRequested>(inbox_.last).who.user, "admin");
  EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/cancel").code(), "run_final");
  const auto resumed = ask("POST", "/api/v1/runs/" + id + "/resume", R"({"with_current":false})");
  EXPECT_EQ(resumed.status, 202);
  EXPECT_THAT(find(resumed.body, "attempts")->get_array(), SizeIs(2));
  for (const auto* action :
       {"cancel", "resume", "rerun", "tasks/a/b/approve", "tasks/a/b/reject", "tasks/a/b/release"}) {
    const std::string body = action == std::string_view("rerun")             ? R"({"from":"a"})"
                             : std::string_view(action).ends_with("release") ? R"({"answer":"fail"})"
                                                                             : "";
    EXPECT_EQ(ask("POST", fmt::format("/api/v1/runs/x/{}", action), body).status, 404) << action;
    EXPECT_EQ(ask("POST", fmt::format("/api/v1/runs/01890000-0000-7000-8000-000000000000/{}", action), body).status,
              404)
        << action;
  }
}

TEST_F(Api, AResumeSaysWithWhichVersion) {
  const std::string id = with_run();
  const std::string resume = "/api/v1/runs/" + id + "/resume";
  ask("POST", "/api/v1/runs/" + id + "/cancel");
  EXPECT_EQ(ask("POST", resume, R"({"force":true})").status, 400);
  EXPECT_EQ(ask("POST", resume, R"({"with_current":"yes"})").status, 400);
  inbox_.next_error = Error{Code::invalid, "done tasks without an id: analyse/2", "tasks_unmatched"};
  const auto unmatched = ask("POST", resume, R"({"with_current":true})");
  EXPECT_EQ(unmatched.status, 422);
  EXPECT_EQ(unmatched.code(), "tasks_unmatched");
  EXPECT_EQ(ask("POST", resume, R"({"with_current":true,"force":true})").status, 202);
  const auto& event = std::get<ResumeRequested>(inbox_.last);
  EXPECT_TRUE(event.with_current && event.force);
}

TEST_F(Api, ARerunSaysFromWhere) {
  const std::string id = with_run();
  const std::string rerun = "/api/v1/runs/" + id + "/rerun";
  EXPECT_EQ(ask("POST", rerun, R"({"from":"analyse"})").code(), "run_open");
  ask("POST", "/api/v1/runs/" + id + "/cancel");
  for (const auto* body : {"", "{}", R"({"from":""})", R"({"from":7})", R"({"from":"a","to":"b"})"})
    EXPECT_EQ(ask("POST", rerun, body).status, 400) << body;
  EXPECT_EQ(ask("POST", rerun, R"({"from":"test[db=x]/second"})").status, 202);
  EXPECT_EQ(std::get<RerunRequested>(inbox_.last).from, "test[db=x]/second");
}

TEST_F(Api, AnApprovalIsAnsweredByItsPath) {
  const std::string id = with_run();
  const std::string task = fmt::format("/api/v1/runs/{}/tasks/deploy%5Bto%3Da%2Fb%5D/gate/", id);
  EXPECT_EQ(ask("POST", task + "approve").status, 202);
  auto event = std::get<AnswerRequested>(inbox_.last);
  EXPECT_EQ(event.job, "deploy[to=a/b]");
  EXPECT_EQ(event.task, "gate");
  EXPECT_EQ(event.response.answer, pawl::Answered::approved);
  EXPECT_EQ(event.response.who.user, "admin");
  EXPECT_EQ(ask("POST", task + "reject", R"({"comment":"not on a Friday"})").status, 202);
  event = std::get<AnswerRequested>(inbox_.last);
  EXPECT_EQ(event.response.answer, pawl::Answered::rejected);
  EXPECT_EQ(event.response.comment, "not on a Friday");
  EXPECT_EQ(ask("POST", task + "reject", fmt::format(R"({{"comment":"{}"}})", std::string(5'000, 'x'))).status, 400);
  inbox_.next_error = Error{Code::conflict, "task is success: there is nothing to approve", "not_waiting"};
  const auto late = ask("POST", task + "approve");
  EXPECT_EQ(late.status, 409);
  EXPECT_EQ(late.code(), "not_waiting");
}

TEST_F(Api, AHeldTaskIsReleasedWithOneOfThreeAnswers) {
  const std::string id = with_run();
  const std::string release = fmt::format("/api/v1/runs/{}/tasks/analyse/first/release", id);
  for (const auto* body : {"", R"({"answer":"approved"})", R"({"answer":"maybe"})", R"({"answer":1})",
                           R"({"answer":"rerun","outputs":{}})", R"({"answer":"done","outputs":[]})"})
    EXPECT_EQ(ask("POST", release, body).status, 400) << body;
  EXPECT_EQ(ask("POST", release, R"({"answer":"done","outputs":{"x":[1]},"comment":"I looked"})").status, 202);
  const auto& event = std::get<AnswerRequested>(inbox_.last);
  EXPECT_EQ(event.response.answer, pawl::Answered::done);
  EXPECT_EQ(to_text(event.outputs), R"({"x":[1]})");
  EXPECT_EQ(ask("POST", release, R"({"answer":"fail"})").status, 202);
  EXPECT_EQ(ask("POST", release, R"({"answer":"rerun"})").status, 202);
}

TEST_F(Api, ManyRunsAreMovedByFilter) {
  with_run();
  for (int i = 0; i < 249; ++i) ask("POST", "/api/v1/workflows/blog/runs");
  const auto bulk = [&](const std::string& body) { return ask("POST", "/api/v1/runs/bulk", body); };
  const auto items = [](const HttpAnswer& answer) { return find(answer.body, "items")->get_array(); };
  const auto dry = bulk(R"({"action":"cancel","filter":{"workflow":"blog"},"dry_run":true})");
  EXPECT_EQ(dry.status, 200);
  EXPECT_THAT(items(dry), SizeIs(250));
  EXPECT_THAT(items(bulk(R"({"action":"cancel","filter":{"workflow":"other"}})")), SizeIs(0));
  EXPECT_THAT(items(bulk(R"({"action":"resume","filter":{}})")), SizeIs(0)) << "they are open";

  const auto cancelled = bulk(R"({"action":"cancel","filter":{"status":"queued"}})");
  EXPECT_EQ(cancelled.status, 202);
  ASSERT_THAT(items(cancelled), SizeIs(250));
  // The store of this test does not hear of the end: what is final already is told one by one.
  const auto again = bulk(R"({"action":"cancel","filter":{}})");
  EXPECT_EQ(to_text(*find(items(again)[0], "accepted")), "false");
  EXPECT_EQ(find_string(items(again)[0], "code"), "run_final");
  EXPECT_EQ(to_text(*find(again.body, "more")), "false");
}

TEST_F(Api, ABulkRequestOfMoreThanAThousandRunsSaysThatThereAreMore) {
  with_run();
  for (int i = 0; i < 1'000; ++i) ask("POST", "/api/v1/workflows/blog/runs");
  const auto some = ask("POST", "/api/v1/runs/bulk", R"({"action":"cancel","filter":{}})");
  EXPECT_THAT(find(some.body, "items")->get_array(), SizeIs(1'000));
  EXPECT_EQ(to_text(*find(some.body, "more")), "true");
}

TEST_F(Api, ABulkRequestThatIsNotUnderstoodMovesNothing) {
  with_run();
  for (const auto* body :
       {"", R"({"action":"cancel"})", R"({"filter":{}})", R"({"action":"delete","filter":{}})",
        R"({"action":"cancel","filter":[]})", R"({"action":"cancel","filter":{"stauts":"queued"}})",
        R"({"action":"cancel","filter":{"status":"done"}})", R"({"action":"cancel","filter":{"status":"failed"}})",
        R"({"action":"resume","filter":{"status":"running"}})", R"({"action":"rerun","filter":{}})",
        R"({"action":"cancel","filter":{"since":"yesterday"}})", R"({"action":"cancel","filter":{"workflow":[]}})",
        R"({"action":"resume","filter":{},"force":true})", R"({"action":"cancel","filter":{},"dry_run":1})"}) {
    EXPECT_EQ(ask("POST", "/api/v1/runs/bulk", body).status, 400) << body;
    EXPECT_FALSE(std::holds_alternative<CancelRequested>(inbox_.last)) << body;
  }
}

}  // namespace
}  // namespace pawl::api
