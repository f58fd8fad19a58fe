#include "definition/definition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::definition {
namespace {

using testing::HasSubstr;

Workflow must_parse(std::string_view text) {
  auto parsed = parse(text);
  if (parsed) return std::move(parsed->workflow);
  for (const Problem& problem : parsed.error()) ADD_FAILURE() << to_text(problem, "file");
  return {};
}

constexpr std::string_view blog = R"(name: product-blog
description: From a keyword to a published post
labels: {team: content}
on:
  schedule:
    - id: morning
      cron: "0 0 8 * * ?"
      timezone: Asia/Seoul
      misfire: run-once
      overlap: queue
      inputs: {tag: naver}
  webhook:
    {scheme: github, secret: "${{ secrets.HOOK }}", inputs: {tag: "${{ request.json.tag }}"}, idempotency-key: "${{ request.headers['X-Delivery'] }}"}
inputs:
  tag: {type: choice, options: [naver, naver_store], default: naver, description: Where to search}
  dry_run: {type: bool, default: false}
vars: {worker: "${{ env.WORKER_URL ?? 'http://127.0.0.1:8000' }}"}
timeout: 2h
recover: {max: 3, window: 10m, then: fail}
env: {LANG: C.UTF-8}
defaults:
  retry: {max: 2, delay: 5s}
  timeout: 30s
jobs:
  analyse:
    name: 상품 분석
    tasks:
      - id: keyword
        http:
          method: POST
          url: "${{ vars.worker }}/keywords/search"
          json: {tag: "${{ inputs.tag }}"}
          success-when: "${{ response.status == 200 && response.json.success }}"
        outputs: {keyword: "${{ response.json.data.keyword }}"}
      - id: search
        http: {method: POST, url: "${{ vars.worker }}/products/search", json: {keyword: "${{ tasks.keyword.outputs.keyword }}"}}
  publish:
    needs: analyse
    if: "${{ !inputs.dry_run }}"
    resume: job
    tasks:
      - id: check
        run: |
          ./check.sh "$KEYWORD"
          echo "url=https://example.test/1" >> "$PAWL_OUTPUT"
        env: {KEYWORD: "${{ jobs.analyse.tasks.keyword.outputs.keyword }}"}
        outputs: {report: json(stdout)}
      - id: publish
        on-crash: fail
        retry: 5
        http: {method: POST, url: "${{ vars.worker }}/blogs/publish", json: "${{ tasks.check.outputs.report }}"}
)";

TEST(Definition, TheProductBlogBecomesAWorkflow) {
  const Workflow workflow = must_parse(blog);
  EXPECT_EQ(workflow.name, "product-blog");
  EXPECT_EQ(workflow.labels, (TextMap{{"team", "content"}}));
  EXPECT_EQ(workflow.timeout, std::chrono::hours(2));
  ASSERT_EQ(workflow.schedules.size(), 1U);
  EXPECT_EQ(workflow.schedules[0].name, "morning");
  EXPECT_EQ(workflow.schedules[0].rule.cron, "0 0 8 * * ?");
  EXPECT_EQ(workflow.schedules[0].rule.timezone, "Asia/Seoul");
  EXPECT_EQ(pawl::to_text(workflow.schedules[0].rule.inputs), R"({"tag":"naver"})");
  EXPECT_EQ(find_string(workflow.webhook, "scheme"), "github");
  ASSERT_EQ(workflow.inputs.size(), 2U);
  EXPECT_EQ(workflow.inputs[0].type, InputType::choice);
  ASSERT_EQ(workflow.jobs.size(), 2U);
  const Job& analyse = workflow.jobs[0];
  EXPECT_EQ(title(analyse), "상품 분석");
  ASSERT_EQ(analyse.tasks.size(), 2U);
  EXPECT_EQ(analyse.tasks[0].retry.max, 2);
  EXPECT_EQ(analyse.tasks[0].timeout, std::chrono::seconds(30));
  const auto& http = std::get<HttpAction>(analyse.tasks[0].action);
  EXPECT_EQ(http.method, "POST");
  EXPECT_EQ(http.body_kind, BodyKind::json);
  EXPECT_EQ(http.success_when, "${{ response.status == 200 && response.json.success }}");
  const Job& publish = workflow.jobs[1];
  EXPECT_EQ(publish.needs, std::vector<int>{0});
  EXPECT_EQ(publish.condition, "!inputs.dry_run");
  EXPECT_EQ(publish.resume, ResumeAt::job);
  EXPECT_THAT(std::get<ProcessAction>(publish.tasks[0].action).script, HasSubstr("$PAWL_OUTPUT"));
  EXPECT_EQ(publish.tasks[1].on_crash, OnCrash::fail);
  EXPECT_EQ(publish.tasks[1].retry, (Retry{.max = 5}));
}

TEST(Definition, ItsCanonicalJsonIsADefinitionOfTheSameWorkflow) {
  const Json canonical = to_json(must_parse(blog));
  EXPECT_EQ(pawl::to_text(to_json(must_parse(pawl::to_text(canonical)))), pawl::to_text(canonical));
}

TEST(Definition, JsonMayHoldSurrogatePairsAndTabs) {
  const Workflow workflow =
      must_parse("{\n\t\"name\":\"a\",\"jobs\":{\"j\":{\"name\":\"\\ud83d\\ude00\",\"tasks\":[{\"run\":\"true\"}]}}}");
  EXPECT_EQ(workflow.jobs[0].name, "\U0001F600");
}

TEST(Definition, TheSmallestWorkflowHasDefaults) {
  const Workflow workflow =
      must_parse("name: a\njobs: {j: {tasks: [{run: 'true'}, {id: x, command: [ls, -l]}, {http: {url: 'http://a'}}]}}");
  const std::vector<Task>& tasks = workflow.jobs[0].tasks;
  EXPECT_EQ(tasks[0].id, "task-1");
  EXPECT_EQ(tasks[2].id, "task-3");
  EXPECT_FALSE(tasks[0].explicit_id);
  EXPECT_TRUE(tasks[1].explicit_id);
  EXPECT_EQ(tasks[0].retry, Retry{});
  EXPECT_EQ(tasks[0].timeout, std::nullopt);
  EXPECT_EQ(std::get<ProcessAction>(tasks[0].action).shell, "bash");
  EXPECT_EQ(std::get<ProcessAction>(tasks[1].action).command, (std::vector<std::string>{"ls", "-l"}));
  EXPECT_EQ(workflow.timeout, std::chrono::hours(24));
  EXPECT_EQ(workflow.recover.max, 3);
  EXPECT_TRUE(workflow.schedules.empty());
}

TEST(Definition, AnchorsMergeKeysAndExtensionKeysWork) {
  const Workflow workflow = must_parse(R"(
x-base: &base {retry: 2, timeout: 5s}
x-env: &env {A: "1", B: "2"}
name: a
jobs:
  j:
    x-note: anything
    tasks:
      - <<: *base
        run: one
        timeout: 7s
        env: {<<: *env, B: "3"}
      - <<: [*base, {timeout: 9s, id: two}]
        run: two
)");
  const std::vector<Task>& tasks = workflow.jobs[0].tasks;
  EXPECT_EQ(tasks[0].retry.max, 2);
  EXPECT_EQ(tasks[0].timeout, std::chrono::seconds(7));
  EXPECT_EQ(tasks[0].env, (TextMap{{"B", "3"}, {"A", "1"}}));
  EXPECT_EQ(tasks[1].id, "two");
  EXPECT_EQ(tasks[1].timeout, std::chrono::seconds(5));
}

TEST(Definition, WordsAndNumbersAreWhatTheCoreSchemaSays) {
  const Workflow workflow = must_parse(R"(
name: on
env: {A: yes, B: 3.10, C: 0x10, D: off, E: true}
vars: {n: 3, h: 0x10, t: true, s: "3", f: 3.10}
jobs: {j: {tasks: [{run: 'true'}]}}
)");
  EXPECT_EQ(workflow.name, "on");
  EXPECT_EQ(workflow.env, (TextMap{{"A", "yes"}, {"B", "3.10"}, {"C", "0x10"}, {"D", "off"}, {"E", "true"}}));
  EXPECT_EQ(workflow.vars,
            (TextMap{{"n", "${{ 3 }}"}, {"h", "${{ 16 }}"}, {"t", "${{ true }}"}, {"s", "3"}, {"f", "${{ 3.1 }}"}}));
}

TEST(Definition, AByteOrderMarkAndOddLineBreaksAreFine) {
  must_parse("\xEF\xBB\xBFname: a\r\njobs: {j: {tasks: [{run: \"a\\nb\"}]}}\r\n");
  must_parse("name: a\njobs: {j: {name: \"a\xC2\x85 b\", tasks: [{run: x}]}}\n");
}

Json schedules_of(const Workflow& workflow) { return *find(*find(to_json(workflow), "on"), "schedule"); }

TEST(Definition, ALoneScheduleIsAListOfMain) {
  const Workflow workflow = must_parse("name: a\non: {schedule: {cron: '@daily'}}\njobs: {j: {tasks: [{run: x}]}}");
  ASSERT_EQ(workflow.schedules.size(), 1U);
  EXPECT_EQ(workflow.schedules[0].name, "main");
  EXPECT_EQ(workflow.schedules[0].rule, ScheduleRule{.cron = "@daily"});
  EXPECT_EQ(pawl::to_text(schedules_of(workflow)), R"([{"id":"main","cron":"@daily"}])");
}

constexpr std::string_view scheduled = R"(
name: a
inputs: {n: {type: int}, day: {}}
on:
  schedule:
    - id: all
      cron: "0 0 8 ? * MON-FRI"
      timezone: Europe/Berlin
      misfire: run-all
      misfire-threshold: 5m
      misfire-window: 1h30m
      max-catch-up: 7
      overlap: cancel-running
      inputs: {n: 3, day: "${{ schedule.slot }}"}
      start: 2026-11-23T09:00:00.123456+09:00
      end: 2027-11-23T00:00:00Z
      jitter: 500ms
      late-after: 10m
    - {id: usual, cron: "@hourly", misfire: run-once, misfire-threshold: 60s, misfire-window: 24h, max-catch-up: 100, overlap: queue, jitter: 0s, inputs: {}}
on-late: [{run: x}]
jobs: {j: {tasks: [{run: x}]}}
)";

TEST(Definition, AScheduleIsReadWithItsUnits) {
  using namespace std::chrono;
  const Workflow workflow = must_parse(scheduled);
  ASSERT_EQ(workflow.schedules.size(), 2U);
  const ScheduleRule& rule = workflow.schedules[0].rule;
  EXPECT_EQ(rule.misfire, Misfire::run_all);
  EXPECT_EQ(rule.misfire_threshold, minutes(5));
  EXPECT_EQ(rule.misfire_window, minutes(90));
  EXPECT_EQ(rule.max_catch_up, 7);
  EXPECT_EQ(rule.overlap, Overlap::cancel_running);
  EXPECT_EQ(pawl::to_text(rule.inputs), R"({"n":3,"day":"${{ schedule.slot }}"})");
  ASSERT_TRUE(rule.start);
  EXPECT_EQ(to_rfc3339(*rule.start), "2026-11-23T00:00:00.123Z");
  EXPECT_EQ(*rule.start, floor<milliseconds>(*rule.start)) << "what is written again is the same";
  EXPECT_EQ(rule.jitter, milliseconds(500));
  EXPECT_EQ(rule.late_after, minutes(10));
  EXPECT_EQ(workflow.schedules[1].rule, ScheduleRule{.cron = "@hourly"});
}

TEST(Definition, ASchedulePrintsWhatIsNotTheDefaultAndIsReadAgain) {
  const Workflow workflow = must_parse(scheduled);
  EXPECT_EQ(pawl::to_text(schedules_of(workflow).at(1)), R"({"id":"usual","cron":"@hourly"})");
  const Workflow again = must_parse(pawl::to_text(to_json(workflow)));
  ASSERT_EQ(again.schedules.size(), 2U);
  EXPECT_EQ(again.schedules[0].name, "all");
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(again.schedules[i].rule, workflow.schedules[i].rule);
  EXPECT_EQ(pawl::to_text(to_json(again)), pawl::to_text(to_json(workflow)));
}

TEST(Definition, OnLateIsAJobBehindAllOthers) {
  const Workflow workflow =
      must_parse("name: a\nalways: [{run: x}]\non-late: [{run: y}]\n" +
                 std::string("on: {schedule: {cron: '@daily', late-after: 1m}}\n") + "jobs: {j: {tasks: [{run: x}]}}");
  ASSERT_EQ(workflow.jobs.size(), 3U);
  EXPECT_EQ(workflow.jobs[1].role, Role::always);
  EXPECT_EQ(workflow.jobs[2].id, "on-late");
  EXPECT_EQ(workflow.jobs[2].role, Role::on_late);
  const Json canonical = to_json(workflow);
  EXPECT_EQ(pawl::to_text(to_json(must_parse(pawl::to_text(canonical)))), pawl::to_text(canonical));
}

TEST(Definition, ATimezoneIsLookedUpByWhoeverCanSee) {
  const ParseOptions options{.zone_problem = [](std::string_view name) {
    return name == "Asia/Seoul" ? "" : "`" + std::string(name) + "` is no time zone; did you mean Asia/Seoul?";
  }};
  const auto with_zone = [](std::string_view name) {
    return "name: a\non: {schedule: {cron: '@daily', timezone: " + std::string(name) +
           "}}\njobs: {j: {tasks: [{run: x}]}}";
  };
  EXPECT_TRUE(parse(with_zone("Asia/Seoul"), options));
  EXPECT_TRUE(parse(with_zone("Asia/Seol")));
  const auto wrong = parse(with_zone("Asia/Seol"), options);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(to_text(wrong.error().at(0), "file"),
            "file:2:43: `timezone`: `Asia/Seol` is no time zone; did you mean Asia/Seoul?");
}

TEST(Definition, AThousandSchedulesAreTheMost) {
  const auto with = [](int count) {
    std::string text = "name: a\non:\n  schedule:\n";
    for (int i = 0; i < count; ++i)
      text += "    - {id: s" + std::to_string(i) + ", cron: '@every " + std::to_string(i + 1) + "s'}\n";
    return parse(text + "jobs: {j: {tasks: [{run: x}]}}");
  };
  EXPECT_TRUE(with(1000));
  const auto wrong = with(1001);
  ASSERT_FALSE(wrong);
  ASSERT_EQ(wrong.error().size(), 1U);
  EXPECT_EQ(wrong.error()[0].line, 1004);
  EXPECT_THAT(wrong.error()[0].message, HasSubstr("more than 1000 schedules"));
}

TEST(Definition, NamesMayBeOfAnyScript) {
  for (const std::string_view name : {"상품 분석", "ниже", "a_b-c 1", "हिन्दी"})
    EXPECT_EQ(must_parse("name: " + std::string(name) + "\njobs: {j: {tasks: [{run: x}]}}").name, name);
}

TEST(Definition, ExpressionsReadWhatHasCertainlyRunBefore) {
  must_parse(R"(
name: a
inputs: {n: {type: int, default: 1}}
vars: {one: "${{ inputs.n }}", two: "${{ vars.one + 1 }}"}
jobs:
  a:
    tasks:
      - {id: x, run: "echo ${{ inputs.n }}", outputs: {y: stdout, z: "json(stdout).a", code: exit_code, text: "n is ${{ stdout }}"}}
      - {id: h, http: {url: "http://a/${{ tasks.x.outputs.anything }}"}, outputs: {m: response.headers.date}}
  b: {needs: a, tasks: [{run: "echo ${{ jobs.a.tasks.h.outputs.m }} ${{ jobs.a.tasks.h.outputs.json.deep.x }}"}]}
  c:
    needs: [b]
    if: always() && jobs.a.status == 'failed'
    tasks: [{if: "${{ jobs.a.tasks.x.status == 'success' }}", run: x, env: {S: "${{ secrets.S }}", R: "${{ run.number }}", T: "${{ task.id }}"}}]
)");
}

constexpr std::string_view whole = R"(
name: whole
concurrency: {group: "g-${{ inputs.tag }}", limit: 2, on-conflict: cancel-running}
retention: 30d
cleanup-timeout: 90s
keep-going: true
recover: {then: hold}
defaults: {retry: 2, timeout: 30s}
inputs: {tag: {}, list: {type: list}}
on-failure:
  - run: echo "${{ run.error.message }} ${{ run.error.code }} ${{ jobs.sum.status }}"
always:
  - {id: bye, http: {url: "http://a", json: {outcome: "${{ run.outcome }}"}}}
jobs:
  test:
    matrix:
      python: [3.10, 3.9, "3.11", 4, 1e3]
      os: [linux, mac]
      slow: [true, false]
      exclude:
        - {os: mac, python: 3.10}
        - {slow: true}
    max-parallel: 3
    fail-fast: false
    keep-going: false
    env: {PYTHON: "${{ matrix.python }}"}
    tasks:
      - {id: unit, run: "echo ${{ matrix.os }}", if: "!matrix.slow", on-crash: hold, continue-on-error: true}
  listed:
    needs: test
    matrix: "${{ inputs.list }}"
    tasks: [{run: "echo ${{ matrix.anything }}"}]
  sum:
    needs: [test, listed]
    tasks:
      - run: echo "${{ join(jobs.test.instances.*.tasks.unit.outputs.n) }} ${{ length(jobs.listed.instances) }}"
      - {id: ask, approval: {message: "Publish ${{ inputs.tag }}?", expires: 3d}}
      - approval: true
      - approval: {}
      - approval:
      - {run: "echo ${{ tasks.ask.outputs.approved_by }} ${{ tasks.ask.outputs.comment }}"}
      - {wait: 10m, continue-on-error: true}
      - {wait: "${{ inputs.tag }}"}
      - {wait: {until: "2026-11-23T08:00:00+09:00"}}
      - {wait: {until: 1795420800}}
      - {wait: {until: "${{ tasks.ask.outputs.comment }}"}}
)";

TEST(Definition, WhatAWorkflowSaysOfItsRunsIsRead) {
  const Workflow workflow = must_parse(whole);
  ASSERT_TRUE(workflow.concurrency);
  EXPECT_EQ(workflow.concurrency->group, "g-${{ inputs.tag }}");
  EXPECT_EQ(workflow.concurrency->limit, 2);
  EXPECT_TRUE(workflow.concurrency->cancel_running);
  EXPECT_EQ(workflow.retention, std::chrono::days(30));
  EXPECT_EQ(workflow.cleanup_timeout, std::chrono::seconds(90));
  EXPECT_TRUE(workflow.recover.then_hold);
}

TEST(Definition, AMatrixKeepsTheSpellingOfItsNumbers) {
  const Workflow workflow = must_parse(whole);
  ASSERT_TRUE(workflow.jobs[0].matrix);
  const Matrix& matrix = *workflow.jobs[0].matrix;
  ASSERT_EQ(matrix.axes.size(), 3U);
  EXPECT_EQ(matrix.axes[0].name, "python");
  EXPECT_EQ(pawl::to_text(Json(json::array(matrix.axes[0].values.begin(), matrix.axes[0].values.end()))),
            R"(["3.10",3.9,"3.11",4,"1e3"])");
  EXPECT_EQ(pawl::to_text(Json(json::array(matrix.exclude.begin(), matrix.exclude.end()))),
            R"([{"os":"mac","python":"3.10"},{"slow":true}])");
  EXPECT_EQ(workflow.jobs[0].max_parallel, 3);
  EXPECT_FALSE(workflow.jobs[0].fail_fast);
  EXPECT_EQ(workflow.jobs[1].matrix->expression, "inputs.list");
  EXPECT_EQ(workflow.jobs[1].max_parallel, 10);
  EXPECT_TRUE(workflow.jobs[1].fail_fast);
}

TEST(Definition, KeepGoingOfTheWorkflowIsTheDefaultOfItsJobs) {
  const Workflow workflow = must_parse(whole);
  std::vector<bool> keep_going;
  for (const Job& job : workflow.jobs) keep_going.push_back(job.keep_going);
  EXPECT_EQ(keep_going, (std::vector<bool>{false, true, true, true, true}));
  EXPECT_TRUE(workflow.jobs[0].tasks[0].continue_on_error);
}

TEST(Definition, TasksAfterTheVerdictAreJobsBehindAllOthers) {
  const Workflow workflow = must_parse(whole);
  ASSERT_EQ(workflow.jobs.size(), 5U);
  EXPECT_EQ(workflow.jobs[3].id, "on-failure");
  EXPECT_EQ(workflow.jobs[3].role, Role::on_failure);
  EXPECT_EQ(workflow.jobs[4].id, "always");
  EXPECT_EQ(workflow.jobs[4].role, Role::always);
  EXPECT_EQ(workflow.jobs[4].tasks[0].retry.max, 2);
  EXPECT_EQ(workflow.jobs[2].role, Role::normal);
}

TEST(Definition, WaitsAndApprovalsAreTasksWithoutTries) {
  const std::vector<Task> tasks = must_parse(whole).jobs[2].tasks;
  const auto& ask = std::get<ApprovalAction>(tasks[1].action);
  EXPECT_EQ(ask.message, "Publish ${{ inputs.tag }}?");
  EXPECT_EQ(ask.expires, std::chrono::days(3));
  for (const std::size_t bare : {2U, 3U, 4U}) {
    EXPECT_EQ(std::get<ApprovalAction>(tasks[bare].action).message, "");
    EXPECT_FALSE(std::get<ApprovalAction>(tasks[bare].action).expires);
  }
  EXPECT_EQ(tasks[1].retry, Retry{}) << "defaults reach `run` and `http` alone";
  EXPECT_EQ(tasks[6].timeout, std::nullopt);
  EXPECT_EQ(std::get<WaitAction>(tasks[6].action).duration, "10m");
  EXPECT_TRUE(tasks[6].continue_on_error);
  EXPECT_EQ(std::get<WaitAction>(tasks[7].action).duration, "${{ inputs.tag }}");
  EXPECT_EQ(std::get<WaitAction>(tasks[8].action).until, "2026-11-23T08:00:00+09:00");
  EXPECT_EQ(std::get<WaitAction>(tasks[9].action).until, "1795420800");
  EXPECT_EQ(std::get<WaitAction>(tasks[10].action).until, "${{ tasks.ask.outputs.comment }}");
}

TEST(Definition, EverythingInItIsPrintedBack) {
  const Json canonical = to_json(must_parse(whole));
  EXPECT_EQ(pawl::to_text(to_json(must_parse(pawl::to_text(canonical)))), pawl::to_text(canonical));
}

TEST(Definition, WarningsComeInTheirOrder) {
  const auto parsed = parse(R"(
name: a
on: {schedule: {cron: "*/40 * * * *"}}
inputs: {n: {required: true, default: x}}
jobs: {j: {tasks: [{http: {url: "http://a"}, env: {A: b}}]}}
)");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(std::ranges::is_sorted(parsed->warnings, {}, &Problem::line));
  EXPECT_EQ(parsed->warnings.size(), 3U);
}

TEST(Definition, AProblemReadsAsOneLine) {
  EXPECT_EQ(to_text(Problem{3, 4, "what is wrong", "what to write"}, "a.yaml"),
            "a.yaml:3:4: what is wrong; what to write");
  EXPECT_EQ(to_text(Problem{3, 4, "what is wrong", ""}, "a.yaml"), "a.yaml:3:4: what is wrong");
}

}  // namespace
}  // namespace pawl::definition
