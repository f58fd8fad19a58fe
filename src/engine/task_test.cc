#include <gtest/gtest.h>

#include "engine/test_world.h"

namespace pawl::engine {
namespace {

// A workflow of one task, written below `- id: one`.
std::string lone_task(std::string_view body, std::string_view head = "") {
  return fmt::format("name: lone\n{}\njobs:\n  main:\n    tasks:\n      - id: one\n{}", head, body);
}

TEST(Task, AFailedProcessSaysItsExitCodeAndTheLastLinesOfStandardError) {
  TestWorld world(lone_task("        run: 'false'\n"));
  world.start();
  world.finish("one", exits(3, "", "no such file"));
  EXPECT_EQ(world.task_is("one"), "failed");
  const FailurePtr error = world.task("one").error;
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "task_failed");
  EXPECT_EQ(error->message, "exit code 3");
  EXPECT_EQ(to_text(error->cause), R"({"exit_code":3,"stderr":"no such file"})");
}

TEST(Task, ASignalIsNamedInTheCause) {
  TestWorld world(lone_task("        run: 'true'\n"));
  world.start();
  Outcome outcome = exits(137);
  outcome.process->signal = 9;
  world.finish("one", outcome);
  EXPECT_EQ(world.task("one").error->message, "ended by signal 9");
  EXPECT_EQ(find_int(world.task("one").error->cause, "signal"), 9);
}

TEST(Task, AReplyOutsideOf2xxIsAFailureWithStatusAndBody) {
  TestWorld world(lone_task("        http: {url: 'http://h/'}\n"));
  world.start();
  world.finish("one", replies(503, "busy"));
  const FailurePtr error = world.task("one").error;
  ASSERT_TRUE(error);
  EXPECT_EQ(error->message, "HTTP 503");
  EXPECT_EQ(find_int(error->cause, "status"), 503);
  EXPECT_EQ(find_string(error->cause, "body"), "\"busy\"");
}

TEST(Task, AConnectionThatCannotBeMadeKeepsTheRunnersCode) {
  TestWorld world(lone_task("        http: {url: 'http://h/'}\n"));
  world.start();
  Outcome outcome;
  outcome.end = Outcome::End::failed;
  outcome.failure = {"connection_failed", "refused", nullptr};
  world.finish("one", outcome);
  EXPECT_EQ(world.task("one").error->code, "connection_failed");
}

TEST(Task, ATimedOutTryIsShownAsSuch) {
  TestWorld world(lone_task("        run: 'true'\n        timeout: 1s\n"));
  world.start();
  EXPECT_EQ(world.newest("one").timeout, Duration(1s));
  world.finish("one", times_out());
  EXPECT_EQ(world.task("one").tries.at(0).status, TryStatus::timed_out);
  EXPECT_EQ(world.task("one").error->code, "timeout");
  EXPECT_EQ(world.run().status, RunStatus::failed);
}

TEST(Task, TheSmallerOfTheTimeoutsOfTaskAndRequestWins) {
  TestWorld world(lone_task("        http: {url: 'http://h/', timeout: 5s}\n        timeout: 20s\n"));
  world.start();
  EXPECT_EQ(world.newest("one").timeout, Duration(5s));
}

TEST(Task, AFalseSuccessWhenFailsAReplyOf200) {
  TestWorld world(lone_task("        http: {url: 'http://h/', success-when: '${{ response.json.ok }}'}\n"));
  world.start();
  EXPECT_TRUE(std::get<HttpInput>(world.newest("one").input).want_json);
  world.finish("one", replies(200, json::object{{"ok", false}}));
  EXPECT_EQ(world.task_is("one"), "failed");
  EXPECT_EQ(world.task("one").error->message, "success-when does not hold (HTTP 200)");
}

TEST(Task, ATrueSuccessWhenMakesAReplyOf404ASuccess) {
  TestWorld world(lone_task("        http: {url: 'http://h/', success-when: response.status == 404}\n"));
  world.start();
  world.finish("one", replies(404));
  EXPECT_EQ(world.task_is("one"), "success");
}

TEST(Task, AValueOfMoreThanOneMebibyteIsOutputTooLarge) {
  TestWorld world(lone_task("        run: 'true'\n        outputs: {big: stdout}\n"));
  world.start();
  world.finish("one", exits(0, std::string(2 << 20, 'x')));
  EXPECT_EQ(world.task_is("one"), "failed");
  EXPECT_EQ(world.task("one").error->code, "output_too_large");
}

TEST(Task, ALargeStdoutThatNobodyNamesIsNoErrorAndOnlyItsHeadIsKeptForLooking) {
  TestWorld world(lone_task("        run: 'true'\n"));
  world.start();
  Outcome outcome = exits(0, std::string(16 << 10, 'x'));
  outcome.process->stdout_cut = true;
  world.finish("one", outcome);
  EXPECT_EQ(world.task_is("one"), "success");
  EXPECT_EQ(to_text(*world.task("one").outputs), R"({"exit_code":0})");
  ASSERT_TRUE(world.task("one").preview);
  EXPECT_EQ(find_string(*world.task("one").preview, "stdout").size(), std::size_t{16} << 10);
}

TEST(Task, OutputsOfATaskReachTheNextOneWithTheirType) {
  TestWorld world(R"(
name: chain
jobs:
  main:
    tasks:
      - {id: one, http: {url: "http://h/"}, outputs: {n: "${{ response.json.n }}"}}
      - {id: two, http: {url: "http://h/", json: {n: "${{ tasks.one.outputs.n }}"}}}
)");
  world.start();
  world.finish("one", replies(200, json::object{{"n", 7}}));
  EXPECT_EQ(std::get<HttpInput>(world.newest("two").input).body, R"({"n":7})");
}

TEST(Task, TheLineEndsAtTheEndOfStdoutAreNoPartOfItsValue) {
  TestWorld world(lone_task("        run: 'true'\n        outputs: {word: stdout}\n"));
  world.start();
  EXPECT_TRUE(std::get<ProcessInput>(world.newest("one").input).want_stdout);
  world.finish("one", exits(0, "hello\n\n"));
  EXPECT_EQ(find_string(*world.task("one").outputs, "word"), "hello");
}

TEST(Task, DeclaredOutputsOfAFailedTaskAreNullAndItsExitCodeCanBeRead) {
  TestWorld world(R"(
name: chain
jobs:
  main:
    tasks:
      - {id: one, run: "true", outputs: {word: stdout}}
      - id: two
        if: failure()
        http: {url: "http://h/", json: {word: "${{ tasks.one.outputs.word }}", code: "${{ tasks.one.outputs.exit_code }}"}}
)");
  world.start();
  world.finish("one", exits(4, "hello"));
  EXPECT_EQ(std::get<HttpInput>(world.newest("two").input).body, R"({"word":null,"code":4})");
}

TEST(Task, NullInTextFailsTheTaskBeforeItIsStarted) {
  TestWorld world(lone_task("        http: {url: 'http://h/${{ inputs.x }}'}\n", "inputs: {x: {type: string}}"));
  world.start();
  EXPECT_TRUE(world.started.empty());
  EXPECT_EQ(world.task_is("one"), "failed");
  EXPECT_EQ(world.task("one").tries.size(), 0U);
  EXPECT_EQ(world.task("one").error->code, "expression_error");
}

TEST(Task, NullInAScriptFailsTheTaskToo) {
  TestWorld world(lone_task("        run: echo ${{ inputs.x }}\n", "inputs: {x: {type: string}}"));
  world.start();
  EXPECT_TRUE(world.started.empty());
  EXPECT_EQ(world.task("one").error->code, "expression_error");
}

TEST(Task, AFieldThatIsOmitIsLeftOut) {
  TestWorld world(lone_task("        http: {url: 'http://h/', json: {a: 1, b: '${{ inputs.x ?? omit }}'}}\n",
                            "inputs: {x: {type: string}}"));
  world.start();
  EXPECT_EQ(std::get<HttpInput>(world.newest("one").input).body, R"({"a":1})");
}

TEST(Task, AnExpressionInAScriptBecomesAVariableAndIsNeverPasted) {
  TestWorld world(
      lone_task("        run: echo ${{ inputs.x }} ${{ inputs.n }}\n        env: {A: 'b ${{ inputs.n }}'}\n",
                "inputs: {x: {type: string}, n: {type: int}}"));
  world.start(json::object{{"x", "$(rm -rf /)"}, {"n", 5}});
  const auto input = std::get<ProcessInput>(world.newest("one").input);
  EXPECT_EQ(input.script, R"(echo "${PAWL_E1}" "${PAWL_E2}")");
  EXPECT_EQ(input.env, (Pairs{{"A", "b 5"}, {"PAWL_E1", "$(rm -rf /)"}, {"PAWL_E2", "5"}}));
}

TEST(Task, TheEnvironmentOfTaskGoesBeforeThatOfJobAndWorkflow) {
  TestWorld world(R"(
name: env
env: {A: workflow, B: workflow, C: workflow}
jobs:
  main:
    env: {B: job, C: job}
    tasks: [{id: one, run: "true", env: {C: task}}]
)");
  world.start();
  EXPECT_EQ(std::get<ProcessInput>(world.newest("one").input).env,
            (Pairs{{"A", "workflow"}, {"B", "job"}, {"C", "task"}}));
}

TEST(Task, ARequestWithoutABodyIsAGet) {
  TestWorld world(lone_task("        http: {url: 'http://h/'}\n"));
  world.start();
  const auto input = std::get<HttpInput>(world.newest("one").input);
  EXPECT_EQ(input.method, "GET");
  EXPECT_FALSE(input.has_body);
}

TEST(Task, ARequestWithABodyIsAPost) {
  TestWorld world(lone_task("        http: {url: 'http://h/', form: {a: 'x y', b: 2}}\n"));
  world.start();
  const auto input = std::get<HttpInput>(world.newest("one").input);
  EXPECT_EQ(input.method, "POST");
  EXPECT_EQ(input.body, "a=x%20y&b=2");
  EXPECT_EQ(input.content_type, "application/x-www-form-urlencoded");
}

TEST(Task, AQueryIsEncodedAndStandsBeforeTheFragment) {
  TestWorld world(
      lone_task("        http: {url: 'http://h/p?a=1#end', query: {q: 'a b&c', list: '${{ [1, 2] }}', é: '~'}}\n"));
  world.start();
  EXPECT_EQ(std::get<HttpInput>(world.newest("one").input).url,
            "http://h/p?a=1&q=a%20b%26c&list=1&list=2&%C3%A9=~#end");
}

TEST(Task, AResultThatComesTwiceChangesNothing) {
  TestWorld world(lone_task("        run: 'true'\n      - {id: two, run: 'true'}\n"));
  world.start();
  const TaskFinished result = world.result("one");
  EXPECT_TRUE(world.ask(result));
  const std::size_t records = world.records();
  EXPECT_TRUE(world.ask(result));
  EXPECT_FALSE(world.last);
  EXPECT_EQ(world.records(), records);
  EXPECT_EQ(world.starts_of("two"), 1);
}

TEST(Task, AResultOfAnEarlierTryChangesNothing) {
  TestWorld world(lone_task("        run: 'true'\n        retry: {max: 1, delay: 1s}\n"));
  world.start();
  const TaskFinished early = world.result("one", exits(0));
  world.finish("one", exits(1));
  world.pass(1s);
  EXPECT_EQ(world.newest("one").try_number, 2);
  EXPECT_TRUE(world.ask(early));
  EXPECT_FALSE(world.last);
  EXPECT_EQ(world.task_is("one"), "running");
}

}  // namespace
}  // namespace pawl::engine
