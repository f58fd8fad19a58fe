#include "api/test_world.h"

namespace pawl::api {
namespace {

TEST_F(Api, LogsAreReadFromAnOffsetOn) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  history.attempts[0].jobs[0].tasks[0].tries = {{1, TryStatus::failed, noon, noon, nullptr}};
  Attempt second = history.attempts[0];
  second.number = 2;
  second.jobs[0].tasks[0].tries = {{2, TryStatus::running, noon, {}, nullptr}};
  history.attempts.push_back(second);
  histories_.put(history);
  const RunId run{*parse_uuid(id)};
  const auto append = [&](std::string task, int number, std::string bytes) {
    ASSERT_TRUE(
        logs_->append(run, {"analyse", std::move(task), number, store::LogStream::out, noon, std::move(bytes)}));
  };
  append("first", 1, "one\n");
  append("second", 1, "other\n");
  append("first", 2, "two \xff\n");

  const std::string path = "/api/v1/runs/" + id + "/tasks/analyse/first/logs";
  const auto all = get(path);
  EXPECT_EQ(all.text, "one\ntwo \xef\xbf\xbd\n");
  EXPECT_EQ(all.response.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(get(path + "?try=1").text, "one\n");
  EXPECT_EQ(get(path + "?attempt=2").text, "two \xef\xbf\xbd\n");
  EXPECT_EQ(get(path + "?attempt=3").text, "");
  const std::string offset = all.header("Pawl-Next-Offset");
  EXPECT_EQ(get(path + "?offset=" + offset).text, "");
  append("first", 2, "three\n");
  EXPECT_EQ(get(path + "?offset=" + offset).text, "three\n");
  EXPECT_EQ(get(path + "?offset=x").status, 400);
  EXPECT_EQ(get("/api/v1/runs/" + id + "/tasks/analyse/x/logs").status, 404);

  const auto frames = get("/api/v1/runs/" + id + "/logs?offset=" + offset);
  EXPECT_EQ(
      to_text(*find(frames.body, "items")),
      R"([{"job":"analyse","task":"first","try":2,"stream":"stdout","at":"2026-11-23T12:00:00.000Z","text":"three\n"}])");
  EXPECT_GT(find_int(frames.body, "next_offset"), std::stoll(offset));
  EXPECT_EQ(find_string(frames.body, "status"), "queued");
  EXPECT_EQ(get("/api/v1/runs/01890000-0000-7000-8000-000000000000/logs").status, 404);
}

TEST_F(Api, WhatHappenedToARunIsToldInSentences) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  Attempt second = history.attempts[0];
  second.number = 2;
  second.jobs[0].tasks[0].reason = SkipReason::done;
  second.jobs[0].tasks[0].done_in_attempt = 1;
  history.attempts.push_back(second);
  histories_.put(history);
  const auto broke = std::make_shared<const Failure>(Failure{"task_failed", "exit code 1", {}});
  const Who admin{Trigger::api, "admin", "192.0.2.7", "curl", noon};
  histories_.put(
      RunId{*parse_uuid(id)},
      {{1, noon, {AttemptStarted{1, 1, admin}, JobStarted{0}, TaskStarted{{0, 0}, 1}}},
       {2, noon, {TryEnded{{0, 0}, 1, TryStatus::failed, broke, {}, {}}, TaskWaits{{0, 0}, WaitsFor::retry, noon}}},
       {3,
        noon,
        {TaskEnded{{0, 1}, WorkStatus::skipped, SkipReason::upstream, {}}, JobEnded{0, WorkStatus::failed, {}, broke}}},
       {4,
        noon,
        {StopAsked{admin, false, {}}, StopAsked{admin, true, {}}, StopNoted{}, AttemptHeld{WaitsFor::limit, {}}}},
       {5,
        noon,
        {AttemptInterrupted{"interrupted by system restart", true, noon},
         AttemptStarted{2, 1, {Trigger::recovery, "", "system-recovery", "", noon}}}},
       {6, noon, {AttemptEnded{RunStatus::success, {}}}}});
  const std::string path = "/api/v1/runs/" + id + "/log";
  const auto answer = get(path);
  ASSERT_EQ(answer.status, 200);
  for (const auto* sentence :
       {"attempt 1 of version 1 begins: api, asked by admin at 192.0.2.7", "job analyse begins",
        "try 1 of analyse/first begins", "try 1 of analyse/first: failed (task_failed: exit code 1)",
        "analyse/first waits for retry until 2026-11-23T12:00:00.000Z",
        "analyse/second: skipped, something it needs failed", "job analyse: failed (task_failed: exit code 1)",
        "cancel was asked for by admin at 192.0.2.7", "clean-up stops too", "the server was asked to stop",
        "attempt 1 waits for limit", "attempt 1 was cut off: interrupted by system restart",
        "attempt 2 of version 1 begins: recovery, asked by system-recovery",
        "analyse/first is skipped: attempt 1 has done it", "attempt 2 ended: success"})
    EXPECT_THAT(answer.text, HasSubstr(sentence));
  const auto first = get(path + "?limit=4");
  EXPECT_THAT(find(first.body, "items")->get_array(), SizeIs(4));
  const auto rest = get(path + "?cursor=" + std::string(find_string(first.body, "next_cursor")));
  ASSERT_THAT(find(rest.body, "items")->get_array(), SizeIs(2));
  EXPECT_TRUE(find(rest.body, "next_cursor")->is_null());
  EXPECT_THAT(rest.text, HasSubstr(R"("attempt":2)"));
}

TEST_F(Api, WhatIsMissingOfALogStandsOnALineOfItsOwn) {
  const std::string id = with_run();
  const RunId run{*parse_uuid(id)};
  const auto append = [&](const std::string& job, store::LogStream stream, std::string bytes) {
    ASSERT_TRUE(logs_->append(run, {job, job.empty() ? "" : "first", 1, stream, noon, std::move(bytes)}));
  };
  append("analyse", store::LogStream::out, "half a li");
  append("analyse", store::LogStream::note, "5 bytes are missing here");
  append("analyse", store::LogStream::out, "whole\n");
  append("", store::LogStream::note, "40 bytes are damaged");
  EXPECT_EQ(get("/api/v1/runs/" + id + "/tasks/analyse/first/logs").text,
            "half a li\npawl: 5 bytes are missing here\nwhole\npawl: 40 bytes are damaged\n");
}

}  // namespace
}  // namespace pawl::api
