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
  EXPECT_EQ(find_string(workflow.schedules.at(0), "id"), "morning");
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
  EXPECT_TRUE(workflow.schedules.is_null());
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

TEST(Definition, ALoneScheduleIsAListOfMain) {
  const Workflow workflow = must_parse("name: a\non: {schedule: {cron: '@daily'}}\njobs: {j: {tasks: [{run: x}]}}");
  EXPECT_EQ(pawl::to_text(workflow.schedules), R"([{"id":"main","cron":"@daily"}])");
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

struct Case {
  std::string_view text;
  int line, column;
  std::string_view message, hint;

  friend void PrintTo(const Case& wrong, std::ostream* out) {
    *out << wrong.line << ':' << wrong.column << ": " << wrong.message;
  }
};

// Each text holds exactly one problem.
class OneProblem : public testing::TestWithParam<Case> {};

#define JOB "jobs: {j: {tasks: [{run: x}]}}\n"
#define NAMED "name: a\n" JOB
#define TASK(rest) "name: a\njobs:\n  j:\n    tasks:\n      - " rest

TEST_P(OneProblem, IsFoundAtItsPlaceWithWhatToDo) {
  const Case& wrong = GetParam();
  const auto parsed = parse(wrong.text);
  ASSERT_FALSE(parsed) << wrong.text;
  std::string all;
  for (const Problem& problem : parsed.error()) all += to_text(problem, "file") + "\n";
  ASSERT_EQ(parsed.error().size(), 1U) << wrong.text << all;
  const Problem& problem = parsed.error()[0];
  EXPECT_EQ(problem.line, wrong.line) << wrong.text << all;
  EXPECT_EQ(problem.column, wrong.column) << wrong.text << all;
  EXPECT_THAT(problem.message, HasSubstr(wrong.message)) << wrong.text;
  EXPECT_THAT(problem.hint, HasSubstr(wrong.hint)) << wrong.text;
}

INSTANTIATE_TEST_SUITE_P(Text, OneProblem,
                         testing::Values(Case{"", 1, 1, "the file is empty", "`name` and `jobs`"},
                                         Case{"- a\n", 1, 1, "must be a map, not a list", ""},
                                         Case{"name: a\n" JOB "---\nname: b\n", 3, 1, "a second document", ""},
                                         Case{"name: a\nname: b\n" JOB, 2, 1, "`name` is given twice",
                                              "first in line 1"},
                                         Case{"name: a\njobs: {j: {tasks: [{run: x}]}\n", 3, 1, "not valid YAML", ""},
                                         Case{"name: a\njobs:\n\tj: x\n", 3, 1, "a tab cannot indent", "use spaces"},
                                         Case{"name: a\njobs: *x\n", 2, 7, "names no anchor", ""},
                                         Case{"name: a\njobs: &x {j: *x}\n", 2, 14, "contains itself", ""},
                                         Case{"name: a\nx-a: !!set {}\n" JOB, 2, 6, "`!!set` is not supported", ""},
                                         Case{"name: a\nx-a: {<<: 3}\n" JOB, 2, 11, "`<<` takes a map", ""},
                                         Case{"name: a\n? [b]\n: c\n" JOB, 2, 3, "a key has to be a text", ""}));

INSTANTIATE_TEST_SUITE_P(
    Quoting, OneProblem,
    testing::Values(Case{TASK("{if: !x, run: x}"), 5, 14, "a tag", "\"!x\""},
                    Case{TASK("run: x\n        if: !inputs.dry && true"), 6, 13, "a tag", "\"!inputs.dry && true\""},
                    Case{TASK("run: x\n        if: !contains(a, 'b')"), 6, 13, "a tag", "\"!contains(a, 'b')\""},
                    Case{TASK("run: x\n        name: Deploy #${{ run.number }}"), 6, 15, "comment",
                         "\"Deploy #${{ run.number }}\""},
                    Case{TASK("run: echo ${{ run.id #x }}"), 5, 14, "comment", "\"echo ${{ run.id #x }}\""},
                    Case{TASK("http: {url: ${{ vars.u }}, method: GET}"), 5, 21, "misreads", "\"${{ vars.u }}\""},
                    Case{TASK("http: {url: http://a/${{ f(a, b) }}, method: GET}"), 5, 21, "misreads",
                         "\"http://a/${{ f(a, b) }}\""},
                    Case{TASK("run: x\n        env: {\n          A: ${{ inputs.x }},\n        }"), 7, 14, "misreads",
                         "\"${{ inputs.x }}\""},
                    Case{TASK("run: echo ${{ inputs.a ? 'b' : \"c\" }}"), 5, 14, "misreads",
                         "'echo ${{ inputs.a ? ''b'' : \"c\" }}'"},
                    Case{"name: a\non: {schedule: {cron: */5 * * * *}}\n" JOB, 2, 23, "alias", "\"*/5 * * * *\""},
                    Case{"name: a\non:\n  schedule:\n    cron: */5 * * * *\n" JOB, 4, 11, "alias", "\"*/5 * * * *\""},
                    Case{"name: a\non:\n  schedule:\n    cron: @daily\n" JOB, 4, 11, "begin with `@`", "\"@daily\""}));

INSTANTIATE_TEST_SUITE_P(
    Keys, OneProblem,
    testing::Values(
        Case{JOB, 1, 1, "no `name`", ""}, Case{"name: a\n", 1, 1, "no `jobs`", ""},
        Case{"name: a\njobs: {}\n", 2, 7, "`jobs` is empty", "at least one job"},
        Case{"name: a\njobs: {j: {tasks: []}}\n", 2, 19, "`tasks` is empty", ""},
        Case{"name: a\njobs: {j: {}}\n", 2, 8, "`j` has no `tasks`", ""},
        Case{"descripton: x\n" NAMED, 1, 1, "unknown key `descripton`", "did you mean `description`?"},
        Case{"concurrency: {group: a}\n" NAMED, 1, 1, "`concurrency` is not supported yet", ""},
        Case{"on-failure: []\n" NAMED, 1, 1, "`on-failure` is not supported yet", ""},
        Case{"name: a\njobs: {j: {steps: []}}\n", 2, 12, "`steps`", "`tasks`"},
        Case{"name: a\njobs: {j: {runs-on: x, tasks: [{run: x}]}}\n", 2, 12, "`runs-on`", "leave it out"},
        Case{"name: a\njobs: {j: {matrix: {a: [b]}, tasks: [{run: x}]}}\n", 2, 12, "`matrix` is not supported yet", ""},
        Case{TASK("{uses: actions/checkout@v4}"), 5, 10, "`uses`", "`run` or `http`"},
        Case{TASK("{run: x, timeout-minutes: 5}"), 5, 18, "`timeout-minutes`", "timeout: 5m"},
        Case{TASK("{run: x, continue-on-error: true}"), 5, 18, "`continue-on-error` is not supported yet", ""},
        Case{TASK("{wait: 10m}"), 5, 10, "`wait` is not supported yet", ""},
        Case{TASK("{approval: {message: x}}"), 5, 10, "`approval` is not supported yet", ""},
        Case{TASK("{run: x, on-crash: hold}"), 5, 28, "`on-crash: hold` is not supported yet", ""},
        Case{TASK("{run: x, on-crash: rerum}"), 5, 28, "must be one of rerun, fail", "did you mean `rerun`?"},
        Case{TASK("{id: x}"), 5, 9, "exactly one of", ""},
        Case{TASK("{run: x, http: {url: 'http://a'}}"), 5, 18, "exactly one of", "two tasks"},
        Case{TASK("echo"), 5, 9, "not a text", "- run: echo"},
        Case{TASK("{http: {url: 'http://a'}, shell: sh}"), 5, 35, "`shell` belongs to `run`", ""},
        Case{"name: a\non: {push: {}}\n" JOB, 2, 6, "unknown key `push`", "webhook"},
        Case{"name: a\nrecover: {then: hold}\n" JOB, 2, 17, "`then: hold` is not supported yet", ""}));

INSTANTIATE_TEST_SUITE_P(
    Values, OneProblem,
    testing::Values(
        Case{"name: 5/6\n" JOB, 1, 7, "no name for a workflow", "letters of any script"},
        Case{"name: [a]\n" JOB, 1, 7, "must be a text, not a list", ""},
        Case{"name: a\ntimeout: 30\n" JOB, 2, 10, "needs a unit", "30s"},
        Case{"name: a\ntimeout: soon\n" JOB, 2, 10, "`timeout`", ""},
        Case{"name: a\ntimeout: 0s\n" JOB, 2, 10, "longer than nothing", ""},
        Case{"name: a\nenv: [A]\n" JOB, 2, 6, "`env` must be a map, not a list", ""},
        Case{"name: a\nenv: {A: [b]}\n" JOB, 2, 10, "`A` must be a text, not a list", ""},
        Case{"name: a\nenv: {A-B: c}\n" JOB, 2, 7, "`A-B` is no name", ""},
        Case{"name: a\nenv: {PAWL_JOB: c}\n" JOB, 2, 7, "Pawl sets itself", ""},
        Case{"name: a\njobs: {1j: {tasks: [{run: x}]}}\n", 2, 8, "`1j` is no id", "`name`"},
        Case{TASK("{id: a b, run: x}"), 5, 14, "`a b` is no id", ""},
        Case{TASK("{id: a, run: x}\n      - {id: a, run: y}"), 6, 9, "`a` is used twice", "first in line 5"},
        Case{TASK("{run: x}\n      - {id: task-1, run: y}"), 6, 9, "`task-1` is used twice", ""},
        Case{TASK("{run: ''}"), 5, 15, "`run` is empty", ""}, Case{TASK("{run: [a]}"), 5, 15, "must be a text", ""},
        Case{TASK("{command: ls -l}"), 5, 19, "must be a list", ""},
        Case{TASK("{run: x, shell: python3 -u}"), 5, 25, "name of a program", "command"},
        Case{TASK("{run: x, retry: {delay: 5s}}"), 5, 25, "needs `max`", ""},
        Case{TASK("{run: x, retry: -1}"), 5, 25, "from 0 to 1000", ""},
        Case{TASK("{run: x, retry: {max: 1, jitter: 2}}"), 5, 42, "from 0 to 1", ""},
        Case{TASK("{run: x, retry: {max: 1, delay: 5}}"), 5, 41, "needs a unit", "5s"},
        Case{TASK("{http: {method: GET}}"), 5, 10, "needs a `url`", ""},
        Case{TASK("{http: {url: ftp://a}}"), 5, 22, "must begin with http://", ""},
        Case{TASK("{http: {url: 'http://a', json: {}, body: x}}"), 5, 44, "one of `json`, `form` and `body`", ""},
        Case{TASK("{http: {url: 'http://a', headers: {'a b': c}}}"), 5, 44, "no name of a header", ""},
        Case{TASK("{http: {url: 'http://a', follow-redirects: yes}}"), 5, 52, "true or false, not `yes`", ""},
        Case{"name: a\njobs: {a: {needs: b, tasks: [{run: x}]}, bc: {tasks: [{run: x}]}}\n", 2, 19, "no job `b`",
             "did you mean `bc`?"},
        Case{"name: a\njobs: {a: {needs: a, tasks: [{run: x}]}}\n", 2, 19, "a -> a", ""},
        Case{"name: a\njobs:\n  a: {needs: b, tasks: [{run: x}]}\n  b: {needs: [a], tasks: [{run: x}]}\n", 4, 15,
             "a -> b -> a", ""}));

INSTANTIATE_TEST_SUITE_P(
    Inputs, OneProblem,
    testing::Values(
        Case{"name: a\ninputs: {n: {type: integer}}\n" JOB, 2, 20, "one of string, int", "did you mean `int`?"},
        Case{"name: a\ninputs: {n: {type: int, default: x}}\n" JOB, 2, 34, "`default` must be a whole number", ""},
        Case{"name: a\ninputs: {n: {type: choice}}\n" JOB, 2, 10, "needs `options`", ""},
        Case{"name: a\ninputs: {n: {options: [a], default: b}}\n" JOB, 2, 37, "one of a", ""},
        Case{"name: a\ninputs: {n: {pattern: '('}}\n" JOB, 2, 23, "no regular expression", "RE2"},
        Case{"name: a\ninputs: {n: {type: bool, min: 1}}\n" JOB, 2, 31, "no meaning", ""},
        Case{"name: a\ninputs: {n: {type: int, min: 3, max: 2}}\n" JOB, 2, 38, "less than `min`", ""},
        Case{"name: a\ninputs: {n: {defualt: 3}}\n" JOB, 2, 14, "unknown key", "did you mean `default`?"}));

INSTANTIATE_TEST_SUITE_P(
    Schedules, OneProblem,
    testing::Values(
        Case{"name: a\non: {schedule: [{id: a, cron: x}, {cron: y}]}\n" JOB, 2, 35, "needs an `id`", ""},
        Case{"name: a\non: {schedule: [{id: a, cron: x}, {id: a, cron: y}]}\n" JOB, 2, 40, "there twice", ""},
        Case{"name: a\non: {schedule: {timezone: UTC}}\n" JOB, 2, 16, "needs `cron`", ""},
        Case{"name: a\non: {schedule: {cron: x, misfire: run-twice}}\n" JOB, 2, 35, "run-once, run-all, skip", ""},
        Case{"name: a\non: {schedule: {cron: x, inputs: {n: 1}}}\n" JOB, 2, 35, "no input `n`", ""},
        Case{"name: a\non: {schedule: {cron: x, start: tomorrow}}\n" JOB, 2, 33, "`start`", ""},
        Case{"name: a\non: {webhook: {secret: x}}\n" JOB, 2, 15, "needs a `scheme`", ""},
        Case{"name: a\non: {webhook: {scheme: gitlab, secret: x}}\n" JOB, 2, 24, "must be one of", ""}));

INSTANTIATE_TEST_SUITE_P(
    Expressions, OneProblem,
    testing::Values(
        Case{TASK("run: echo ${{ inputs.x }}"), 5, 23, "no input `x`", ""},
        Case{TASK("run: \"é \\u00e9 ${{ inputs.x }}\""), 5, 28, "no input `x`", ""},
        Case{TASK("{run: x, env: {A: 'it''s ${{ inputs.x }}'}}"), 5, 38, "no input `x`", ""},
        Case{TASK("run: |\n          echo\n\n            echo ${{ inputs.x }}\n"), 8, 22, "no input `x`", ""},
        Case{TASK("run: >\n          echo\n          ${{ inputs.x }}\n"), 5, 14, "no input `x`", ""},
        Case{TASK("run: echo ${{ 1 + }}"), 5, 27, "a value should stand", ""},
        Case{TASK("run: echo ${{ run.id"), 5, 19, "no closing", ""},
        Case{TASK("run: echo ${{ github.run_id }}"), 5, 23, "no `github`", "run.id"},
        Case{TASK("run: echo ${{ steps.a.outputs.b }}"), 5, 23, "no `steps`", "tasks.a"},
        Case{TASK("run: echo ${{ needs.a.outputs.b }}"), 5, 23, "no `needs`", "jobs.a.tasks"},
        Case{TASK("run: echo ${{ matrix.os }}"), 5, 23, "`matrix` is not supported yet", ""},
        Case{TASK("run: echo ${{ request.json }}"), 5, 23, "`request`", ""},
        Case{TASK("run: echo ${{ tasks.later.outputs.x }}\n      - {id: later, run: x}"), 5, 23, "comes later", ""},
        Case{TASK("{id: a, run: x}\n      - run: echo ${{ tasks.a.x }}"), 6, 23, "a task has no `x`",
             "tasks.a.outputs.x"},
        Case{TASK("{id: a, http: {url: 'http://a'}, outputs: {keyword: response.json.k}}\n      - run: echo ${{ "
                  "tasks.a.outputs.keywrd }}"),
             6, 23, "no output `keywrd`", "did you mean `keyword`?"},
        Case{TASK("{id: a, run: x, outputs: {y: tasks.a.outputs.z}}"), 5, 38, "its own result", "stdout"},
        Case{TASK("{run: x, outputs: {y: hello}}"), 5, 31, "unknown name `hello`", "'hello'"},
        Case{TASK("{run: x, outputs: {y: stderr}}"), 5, 31, "log only", "2>&1"},
        Case{TASK("{run: x, outputs: {y: response.json}}"), 5, 31, "`http` tasks only", ""},
        Case{TASK("run: echo ${{ run.foo }}"), 5, 23, "`run` has no `foo`", ""},
        Case{TASK("run: echo ${{ failure() }}"), 5, 23, "failure() has no meaning here", "if"},
        Case{TASK("{run: x, if: 'a ${{ true }}'}"), 5, 23, "one expression is wanted", ""},
        Case{TASK("run: curl -H \"x ${{ secrets.TOKEN }}\""), 5, 29, "by `env` only",
             "env: {TOKEN: \"${{ secrets.TOKEN }}\"}"},
        Case{TASK("run: echo '${{ run.id }}'"), 5, 23, "single quotes", "env: {ID: \"${{ run.id }}\"}"},
        Case{TASK("{run: 'print(${{ run.id }})', shell: python3}"), 5, 25, "script of python3", "os.environ[\"ID\"]"},
        Case{TASK("{run: x, if: secrets.A == 'b'}"), 5, 22, "would be stored", ""},
        Case{"name: a\nvars: {a: \"${{ vars.b }}\", b: x}\n" JOB, 2, 16, "not there before", ""},
        Case{"name: a\nvars: {a: \"${{ tasks.b }}\"}\n" JOB, 2, 16, "inside of tasks only", ""},
        Case{"name: a\njobs:\n  a: {tasks: [{id: t, run: x}]}\n  b: {tasks: [{run: \"echo ${{ jobs.a.tasks.t.outputs.x "
             "}}\"}]}\n",
             4, 31, "need not have run before `b`", "add needs: a"},
        Case{"name: a\njobs:\n  a: {tasks: [{id: t, run: x}]}\n  b: {needs: a, tasks: [{run: \"echo ${{ "
             "jobs.a.tasks.u.outputs.x }}\"}]}\n",
             4, 41, "no task `u`", ""},
        Case{"name: a\njobs:\n  a: {tasks: [{id: t, run: x}]}\n  b: {needs: a, if: jobs.a.x, tasks: [{run: x}]}\n", 4,
             21, "a job has no `x`", "jobs.a.status"}));

TEST(Definition, AllProblemsComeAtOnceInOrder) {
  const auto parsed = parse(
      "nam: a\njobs:\n  a: {needs: c, steps: [], if: inputs.x}\n  b: {tasks: [{run: x, timeout: 3, if: "
      "!y }]}\nretention: 3d\n");
  ASSERT_FALSE(parsed);
  std::vector<std::pair<int, int>> places;
  for (const Problem& problem : parsed.error()) places.emplace_back(problem.line, problem.column);
  EXPECT_EQ(places,
            (std::vector<std::pair<int, int>>{{1, 1}, {1, 1}, {3, 14}, {3, 17}, {3, 32}, {4, 33}, {4, 40}, {5, 1}}));
}

TEST(Definition, AProblemReadsAsOneLine) {
  EXPECT_EQ(to_text(Problem{3, 4, "what is wrong", "what to write"}, "a.yaml"),
            "a.yaml:3:4: what is wrong; what to write");
  EXPECT_EQ(to_text(Problem{3, 4, "what is wrong", ""}, "a.yaml"), "a.yaml:3:4: what is wrong");
}

}  // namespace
}  // namespace pawl::definition
