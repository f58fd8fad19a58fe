#include "api/test_world.h"

namespace pawl::api {
namespace {

TEST_F(Api, AStartAnswersWithTheRun) {
  with_workflow();
  const auto answer =
      ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"b"}})", {{"user-agent", "test\xff/1"}});
  ASSERT_EQ(answer.status, 202) << answer.text;
  EXPECT_EQ(answer.header("Location"), "/api/v1/runs/" + std::string(find_string(answer.body, "id")));
  EXPECT_EQ(find_int(answer.body, "number"), 1);
  EXPECT_EQ(find_string(answer.body, "status"), "queued");
  EXPECT_EQ(find_string(answer.body, "trigger"), "api");
  EXPECT_EQ(find_string(answer.body, "user"), "admin");
  EXPECT_EQ(find_string(answer.body, "client"), "192.0.2.7");
  EXPECT_EQ(find_string(answer.body, "user_agent"), "test\xef\xbf\xbd/1");
  EXPECT_EQ(to_text(*find(answer.body, "inputs")), R"({"tag":"b"})");
  EXPECT_THAT(std::string(find_string(answer.body, "trace_id")), SizeIs(32));
  const auto by_hand = ask("POST", "/api/v1/workflows/blog/runs", "", {{"user-agent", "pawl-cli/0.1.0"}});
  EXPECT_EQ(find_string(by_hand.body, "trigger"), "manual");
}

TEST_F(Api, TheSameKeyGivesTheSameRun) {
  with_workflow();
  const std::vector<std::pair<std::string, std::string>> key = {{"idempotency-key", "k"}};
  const auto first = ask("POST", "/api/v1/workflows/blog/runs", "{}", key);
  EXPECT_EQ(first.status, 202);
  const auto again = ask("POST", "/api/v1/workflows/blog/runs", "", key);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(find_string(again.body, "id"), find_string(first.body, "id"));
  const auto other = ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"b"}})", key);
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.code(), "key_reused");
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", "", {{"idempotency-key", std::string(256, 'k')}}).code(),
            "bad_key");
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", "", {{"idempotency-key", ""}}).code(), "bad_key");
}

TEST_F(Api, AStartThatCannotBeSaysWhy) {
  with_workflow();
  EXPECT_EQ(ask("POST", "/api/v1/workflows/other/runs").status, 404);
  const auto invalid = ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"z","x":1}})");
  EXPECT_EQ(invalid.status, 422);
  EXPECT_EQ(invalid.code(), "inputs_invalid");
  EXPECT_THAT(find(invalid.body, "errors")->get_array(), SizeIs(2));
  inbox_.next_error = Error{Code::conflict, "workflow 'blog' is disabled", "workflow_disabled"};
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs").status, 409);
  inbox_.full = true;
  const auto full = ask("POST", "/api/v1/workflows/blog/runs");
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.header("Retry-After"), "1");
}

TEST_F(Api, ARunCanBeStartedLikeAnother) {
  with_workflow();
  post_yaml("/api/v1/workflows", "name: other\njobs: {j: {tasks: [{run: x}]}}\n");
  const auto first = ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"b"}})");
  const std::string like = fmt::format(R"({{"like":"{}"}})", find_string(first.body, "id"));
  const auto second = ask("POST", "/api/v1/workflows/blog/runs", like);
  EXPECT_EQ(second.status, 202);
  EXPECT_EQ(to_text(*find(second.body, "inputs")), R"({"tag":"b"})");
  EXPECT_NE(find_string(second.body, "id"), find_string(first.body, "id"));
  EXPECT_EQ(ask("POST", "/api/v1/workflows/other/runs", like).code(), "other_workflow");
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"like":"x"})").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"like":"01890000-0000-7000-8000-000000000000"})").status,
            404);
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"like":"x","inputs":{}})").status, 400);
}

TEST_F(Api, RunsAreListedByFilter) {
  const std::string id = with_run();
  ask("POST", "/api/v1/workflows/blog/runs", "", {{"user-agent", "pawl-cli/1"}});
  const auto count = [&](const std::string& query) {
    const auto answer = get("/api/v1/runs?" + query);
    EXPECT_EQ(answer.status, 200) << query << answer.text;
    return find(answer.body, "items")->get_array().size();
  };
  EXPECT_EQ(count(""), 2u);
  EXPECT_EQ(count("workflow=blog&status=queued"), 2u);
  EXPECT_EQ(count("workflow=x"), 0u);
  EXPECT_EQ(count("status=failed"), 0u);
  EXPECT_EQ(count("trigger=manual"), 1u);
  EXPECT_EQ(count("since=2026-11-23T12:00:00Z"), 2u);
  EXPECT_EQ(count("since=2026-11-23T21:00:00%2B09:00"), 2u);
  EXPECT_EQ(count("since=2026-11-23T21:00:00+09:00"), 2u);
  EXPECT_EQ(count("until=2026-11-23T12:00:00Z"), 0u);
  EXPECT_EQ(count("until=" + std::to_string(to_us(noon) / 1'000'000 + 1)), 2u);
  EXPECT_EQ(count("trace_id=" + history_of(id).run.trace_id), 1u);
  const auto first = get("/api/v1/runs?limit=1");
  EXPECT_EQ(find_int(find(first.body, "items")->get_array().at(0), "number"), 2);
  EXPECT_EQ(count("limit=1&cursor=" + std::string(find_string(first.body, "next_cursor"))), 1u);
  for (const auto* query :
       {"status=done", "trigger=x", "since=yesterday", "until=-5", "cursor=zz", "limit=0", "label=a"})
    EXPECT_EQ(get(fmt::format("/api/v1/runs?{}", query)).status, 400) << query;
}

TEST_F(Api, ARunIsShownWithEveryJobAndTaskOfEveryAttempt) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  const auto interrupted = std::make_shared<const Failure>(
      Failure{"interrupted", "interrupted by system restart", json::object{{"signal", 9}}});
  Attempt& first = history.attempts[0];
  first.status = RunStatus::failed;
  first.error = interrupted;
  first.jobs[0].status = WorkStatus::failed;
  TaskRun& done = first.jobs[0].tasks[0];
  done.status = WorkStatus::success;
  done.outputs = std::make_shared<const Json>(json::object{{"x", 1}});
  done.tries.push_back({1, TryStatus::success, noon, noon, nullptr});
  Attempt second = first;
  second.number = 2;
  second.status = RunStatus::waiting;
  second.error = nullptr;
  second.who = {Trigger::recovery, "", "system-recovery", "workflow-system-recovery", noon};
  second.jobs[0].tasks[0].status = WorkStatus::skipped;
  second.jobs[0].tasks[0].reason = SkipReason::done;
  second.jobs[0].tasks[0].done_in_attempt = 1;
  second.jobs[0].tasks[0].tries.clear();
  second.jobs[0].tasks[1].status = WorkStatus::waiting;
  second.jobs[0].tasks[1].waits_for = WaitsFor::retry;
  second.jobs[0].tasks[1].due = noon;
  history.attempts.push_back(second);
  histories_.put(history);

  const auto answer = get("/api/v1/runs/" + id);
  ASSERT_EQ(answer.status, 200);
  const auto& attempts = find(answer.body, "attempts")->get_array();
  ASSERT_THAT(attempts, SizeIs(2));
  EXPECT_EQ(to_text(*find(attempts[0], "error")),
            R"({"code":"interrupted","message":"interrupted by system restart","cause":{"signal":9}})");
  const Json& job = find(attempts[0], "job_runs")->get_array().at(0);
  EXPECT_EQ(find_string(job, "job"), "analyse");
  EXPECT_EQ(find_string(job, "name"), "분석");
  const Json& task = find(job, "task_runs")->get_array().at(0);
  EXPECT_EQ(find_string(task, "task"), "first");
  EXPECT_EQ(find_string(task, "name"), "The first");
  EXPECT_EQ(to_text(*find(task, "outputs")), R"({"x":1})");
  EXPECT_EQ(to_text(*find(task, "tries")),
            R"([{"try":1,"status":"success","error":null,"started_at":"2026-11-23T12:00:00.000Z",)"
            R"("finished_at":"2026-11-23T12:00:00.000Z"}])");
  EXPECT_EQ(find_string(attempts[1], "trigger"), "recovery");
  EXPECT_EQ(find_string(attempts[1], "client"), "system-recovery");
  EXPECT_EQ(find_string(attempts[1], "user_agent"), "workflow-system-recovery");
  const auto& tasks = find(find(attempts[1], "job_runs")->get_array().at(0), "task_runs")->get_array();
  ASSERT_THAT(tasks, SizeIs(2));
  EXPECT_EQ(find_string(tasks[0], "reason"), "done");
  EXPECT_EQ(find_int(tasks[0], "done_in_attempt"), 1);
  EXPECT_EQ(find_string(tasks[1], "waits_for"), "retry");
  EXPECT_EQ(find_string(tasks[1], "due"), "2026-11-23T12:00:00.000Z");

  EXPECT_EQ(get("/api/v1/workflows/blog/runs/1").text, answer.text);
  for (const auto* path :
       {"/api/v1/workflows/blog/runs/2", "/api/v1/workflows/x/runs/1", "/api/v1/workflows/blog/runs/x",
        "/api/v1/runs/x", "/api/v1/runs/..", "/api/v1/runs/01890000-0000-7000-8000-000000000000"})
    EXPECT_EQ(get(path).status, 404) << path;
}

TEST_F(Api, ARunThatWaitsForALimitShowsWhichAndWhoHoldsItLongest) {
  ASSERT_EQ(post_yaml("/api/v1/workflows",
                      "name: waits\njobs:\n  j: {tasks: [{id: call, http: {url: 'http://127.0.0.1:1/'}}]}\n"
                      "  k: {tasks: [{id: say, run: x}]}\n  l: {tasks: [{id: later, wait: 1h}]}\n")
                .status,
            201);
  const auto started = ask("POST", "/api/v1/workflows/waits/runs");
  const std::string id(find_string(started.body, "id"));
  EXPECT_FALSE(find(started.body, "limit"));
  RunHistory history = history_of(id);
  Attempt& attempt = history.attempts[0];
  const auto waits = [&](std::size_t job, WaitsFor what) {
    attempt.jobs[job].tasks[0].status = WorkStatus::waiting;
    attempt.jobs[job].tasks[0].waits_for = what;
  };
  waits(1, WaitsFor::limit);
  waits(2, WaitsFor::timer);
  history.run.status = attempt.status = RunStatus::waiting;
  history.run.waits_for = attempt.waits_for = WaitsFor::limit;
  histories_.put(history);
  seats_[0] = {.size = 64,
               .taken = 64,
               .waiting = 3,
               .oldest = SeatHolder{RunId{*parse_uuid("01890000-0000-7000-8000-000000000001")}, "backup", 12, "main",
                                    "dump", noon}};
  seats_[1].size = 4096;

  const auto run = get("/api/v1/runs/" + id).body;
  const std::string limit =
      R"({"name":"max-processes","size":64,"taken":64,"oldest":{"run":"01890000-0000-7000-8000-000000000001",)"
      R"("workflow":"backup","number":12,"job":"main","task":"dump","since":"2026-11-23T12:00:00.000Z"}})";
  EXPECT_EQ(to_text(*find(run, "limit")), limit);
  const auto& jobs = find(find(run, "attempts")->get_array().at(0), "job_runs")->get_array();
  const auto task = [&](std::size_t job) { return find(jobs[job], "task_runs")->get_array().at(0); };
  EXPECT_FALSE(find(task(0), "limit")) << "it does not wait";
  EXPECT_EQ(to_text(*find(task(1), "limit")), limit);
  EXPECT_FALSE(find(task(2), "limit")) << "it waits for something else";
  EXPECT_EQ(to_text(*find(find(get("/api/v1/runs/" + id + "/tasks?job=k").body, "items")->get_array().at(0), "limit")),
            limit);
  EXPECT_EQ(to_text(*find(get("/api/v1/workflows/waits/runs/1").body, "limit")), limit);

  // Of two limits a run shows the one of the first task. `oldest` is null if no try holds a place.
  waits(0, WaitsFor::limit);
  histories_.put(history);
  EXPECT_EQ(to_text(*find(get("/api/v1/runs/" + id).body, "limit")),
            R"({"name":"max-http-calls","size":4096,"taken":0,"oldest":null})");

  // While something of it runs the run does not wait, and its task does.
  history.run.status = attempt.status = RunStatus::running;
  history.run.waits_for = attempt.waits_for = WaitsFor::none;
  histories_.put(history);
  const auto running = get("/api/v1/runs/" + id).body;
  EXPECT_FALSE(find(running, "limit"));
  EXPECT_THAT(to_text(running), HasSubstr(R"("waits_for":"limit","limit":{"name":"max-processes")"));

  // Its turn after crashes has no size.
  for (JobRun& job : attempt.jobs) job.tasks[0] = {};
  history.run.status = attempt.status = RunStatus::queued;
  history.run.waits_for = attempt.waits_for = WaitsFor::limit;
  histories_.put(history);
  EXPECT_FALSE(find(get("/api/v1/runs/" + id).body, "limit"));
}

TEST_F(Api, AJobOfManyTasksIsShownInPages) {
  std::string yaml = "name: many\njobs:\n  j:\n    tasks:\n";
  for (int i = 0; i < 1100; ++i) yaml += "      - run: x\n";
  ASSERT_EQ(post_yaml("/api/v1/workflows", yaml).status, 201);
  const auto run = ask("POST", "/api/v1/workflows/many/runs");
  const std::string path = "/api/v1/runs/" + std::string(find_string(run.body, "id")) + "/tasks?job=j";
  const Json& job = find(find(run.body, "attempts")->get_array().at(0), "job_runs")->get_array().at(0);
  EXPECT_THAT(find(job, "task_runs")->get_array(), SizeIs(1000));
  const auto rest = get(path + "&attempt=1&limit=99&cursor=" + std::string(find_string(job, "next_cursor")));
  ASSERT_THAT(find(rest.body, "items")->get_array(), SizeIs(99)) << rest.text;
  EXPECT_EQ(find_string(find(rest.body, "items")->get_array()[0], "task"), "task-1001");
  const auto last = get(path + "&cursor=" + std::string(find_string(rest.body, "next_cursor")));
  EXPECT_THAT(find(last.body, "items")->get_array(), SizeIs(1));
  EXPECT_TRUE(find(last.body, "next_cursor")->is_null());
  EXPECT_EQ(get(path + "&attempt=2").status, 404);
  EXPECT_EQ(get(path + "x").status, 404);
  EXPECT_EQ(get(path.substr(0, path.find('?'))).status, 400);
}

TEST_F(Api, LargeOutputsAreLeftToTheirOwnPlace) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  TaskRun& task = history.attempts[0].jobs[0].tasks[0];
  task.outputs = std::make_shared<const Json>(json::object{{"x", json::string(100'000, 'x')}});
  histories_.put(history);
  const auto run = get("/api/v1/runs/" + id);
  EXPECT_THAT(run.text, HasSubstr(R"("outputs":null,"outputs_cut":true)"));
  const auto io = get("/api/v1/runs/" + id + "/tasks/analyse/first/io");
  EXPECT_EQ(text_size(*find(io.body, "outputs")), text_size(*task.outputs));
}

TEST_F(Api, ATasksInputAndOutputsAreShown) {
  const std::string path = "/api/v1/runs/" + with_run() + "/tasks/";
  const auto io = get(path + "analyse/first/io");
  EXPECT_EQ(io.status, 200);
  EXPECT_EQ(find_string(*find(io.body, "input"), "script"), "echo");
  EXPECT_EQ(find_string(io.body, "status"), "pending");
  const auto unready = get(path + "analyse/second/io");
  EXPECT_TRUE(find(unready.body, "input")->is_null());
  EXPECT_EQ(find_string(unready.body, "input_error"), "tasks.first.outputs.x is null");
  for (const auto* task : {"analyse/x", "x/first", "analyse%2Ffirst/x"})
    EXPECT_EQ(get(path + task + "/io").status, 404) << task;
}

}  // namespace
}  // namespace pawl::api
