// `pawl run`, and what is asked of its runs, in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "cli/test_world.h"

namespace pawl::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string one_task(const std::string& script) {
  return "name: one\njobs:\n  main:\n    tasks:\n      - {id: t, run: " + script + "}\n";
}

class Local : public testing::Test {
 protected:
  Local() {
    hooks_.local = [this](const std::string& where, driver::Observer* observer, const TakesUp& takes_up,
                          const TaskRules& rules) -> Result<std::unique_ptr<LocalEngine>> {
      rules_ = rules;
      opened_ = where;
      std::filesystem::create_directories(where);
      std::ofstream(where + "/" + store_file);
      auto engine = std::make_unique<MemoryEngine>(disk_, *logs_, observer, takes_up, on_hang_);
      if (engine->error) return std::unexpected(*engine->error);
      return engine;
    };
  }
  Said call_here(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--data", folder_ / "here"});
    return call(arguments, hooks_);
  }
  // A run that a signal to end cuts off in its second task; its id.
  std::string cut_off_run() {
    on_hang_ = [] { ::kill(::getpid(), SIGTERM); };
    const std::string file = folder_.file("hang.yaml",
                                          "name: chain\njobs:\n  main:\n    tasks:\n      - {id: a, run: echo a}\n"
                                          "      - {id: b, run: hang}\n      - {id: c, run: fail}\n");
    said_ = call_here({"run", file, "--json"});
    on_hang_ = {};
    return std::string(find_string(parse_json(said_.out)->at("error"), "run"));
  }

  Folder folder_;
  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  std::unique_ptr<store::LogStore> logs_ = store::memory_log();
  std::function<void()> on_hang_;
  Hooks hooks_;
  std::string opened_;
  TaskRules rules_;
  Said said_;
};

TEST_F(Local, ARunThatSucceedsIsToldStepByStep) {
  const Said said = call_here({"run", folder_.file("hello.yaml", hello)});
  EXPECT_EQ(said.exit, 0) << said.err;
  EXPECT_EQ(opened_, folder_ / "here");
  EXPECT_THAT(said.out, AllOf(HasSubstr("hello #1 started, run "), HasSubstr("main/greet started\n"),
                              HasSubstr("main/greet success ("), HasSubstr("main/greet | echo first\n"),
                              HasSubstr("main/count | echo second\n"), HasSubstr("+ hello #1 success")));
}

TEST_F(Local, AFailedRunIsOneAndSaysWhy) {
  const Said said = call_here({"run", folder_.file("one.yaml", one_task("fail"))});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.out, AllOf(HasSubstr("main/t failed ("), HasSubstr("x one #1 failed"), HasSubstr("task_failed: ")));
}

TEST_F(Local, InputsAreReadAsTheyAreDeclared) {
  const std::string file = folder_.file("hello.yaml", hello);
  const Said said = call_here({"run", file, "--json", "-i", "n=7", "-i", "who=@a=b"});
  EXPECT_EQ(said.exit, 0);
  EXPECT_EQ(to_text(parse_json(said.out)->at("inputs")), R"({"who":"@a=b","n":7})");
  const Said wrong = call_here({"run", file, "-i", "nn=7"});
  EXPECT_EQ(wrong.exit, 1);
  EXPECT_THAT(wrong.err, AllOf(HasSubstr("unknown input 'nn'"),
                               HasSubstr("inputs of hello: who (default \"world\"), n (default 1)")));
  EXPECT_EQ(call_here({"run", file, "-i", "n=1", "-i", "n=2"}).exit, 2);
}

TEST_F(Local, AnInvalidFileIsOneAndOpensNothing) {
  const Said said = call_here({"run", folder_.file("bad.yaml", "name: x\n")});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.err, HasSubstr("bad.yaml:1:1: "));
  EXPECT_EQ(opened_, "");
}

TEST_F(Local, AFolderThatAnotherProcessHoldsIsFour) {
  hooks_.local = [](const std::string&, driver::Observer*, const TakesUp&,
                    const TaskRules&) -> Result<std::unique_ptr<LocalEngine>> {
    return fail(Code::conflict, "process 42 holds the folder");
  };
  const Said said = call_here({"run", folder_.file("hello.yaml", hello)});
  EXPECT_EQ(said.exit, 4);
  EXPECT_THAT(said.err, HasSubstr("process 42 holds the folder"));
}

TEST_F(Local, WhomTasksMayCallIsToldAndAWrongValueIsTwo) {
  const std::string file = folder_.file("hello.yaml", hello);
  const std::vector<std::string> told{"--egress-allow", "10.0.0.0/8",    "--egress-allow",
                                      "self",           "--egress-deny", "public"};
  std::vector<std::string> run{"run", file};
  run.insert(run.end(), told.begin(), told.end());
  EXPECT_EQ(call_here(run).exit, 0);
  EXPECT_THAT(rules_.egress.allow, ElementsAre("10.0.0.0/8", "self"));
  EXPECT_THAT(rules_.egress.deny, ElementsAre("public"));
  hooks_.local = [](const std::string&, driver::Observer*, const TakesUp&,
                    const TaskRules&) -> Result<std::unique_ptr<LocalEngine>> {
    return fail(Code::invalid, "--egress-allow x: write it so", "usage");
  };
  const Said said = call_here({"run", file, "--egress-allow", "x"});
  EXPECT_EQ(said.exit, 2);
  EXPECT_EQ(said.err, "pawl: --egress-allow x: write it so\n");
  EXPECT_EQ(call_here({"resume", "hello#1", "--server", "http://127.0.0.1:1", "--egress-allow", "any"}).exit, 2)
      << "a server would not heed it";
}

TEST_F(Local, AServersFolderIsLeftAlone) {
  std::filesystem::create_directories(folder_ / "here");
  folder_.file(std::string("here/") + token_file, "secret");
  EXPECT_EQ(call_here({"run", folder_.file("hello.yaml", hello)}).exit, 4);
  EXPECT_EQ(opened_, "");
}

TEST_F(Local, CtrlCCancelsTheRun) {
  on_hang_ = [] { ::kill(::getpid(), SIGINT); };
  const Said said = call_here({"run", folder_.file("one.yaml", one_task("hang"))});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.out, AllOf(HasSubstr("cancelling the run"), HasSubstr("main/t | half a line\n"),
                              HasSubstr("/ one #1 cancelled")));
}

TEST_F(Local, ATermSignalStopsAtOnceAndSaysHowToGoOn) {
  const std::string id = cut_off_run();
  EXPECT_EQ(said_.exit, 1);
  EXPECT_THAT(said_.out, HasSubstr("pawl resume " + id + " --data "));
}

TEST_F(Local, ARunThatWasCutOffIsTakenUpInTheSamePlaceAlone) {
  const std::string id = cut_off_run();
  // Another run leaves it as it is.
  EXPECT_EQ(call_here({"run", folder_.file("hello.yaml", hello)}).exit, 0);
  EXPECT_EQ(disk_->runs().at(RunId{*parse_uuid(id)}).status, RunStatus::running);

  on_hang_ = [] { ::kill(::getpid(), SIGINT); };
  const Said said = call_here({"resume", "chain#1"});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.out, AllOf(HasSubstr("chain #1 goes on"),
                              HasSubstr("attempt 1 failed: interrupted: interrupted by system stop"),
                              HasSubstr("attempt 2 started: recovery"), HasSubstr("main/a done in attempt 1"),
                              HasSubstr("main/b started, try 2"), HasSubstr("/ chain #1 cancelled")));
}

TEST_F(Local, AFailedRunIsResumedAsANewAttempt) {
  call_here({"run", folder_.file("one.yaml", one_task("fail"))});
  const Said said = call_here({"resume", "one#1"});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.out, AllOf(HasSubstr("attempt 2 started: resume"), HasSubstr("main/t started, try 2"),
                              Not(HasSubstr("attempt 1"))));
}

TEST_F(Local, ARunThatSucceededIsNotResumed) {
  call_here({"run", folder_.file("hello.yaml", hello)});
  const Said said = call_here({"resume", "hello#1"});
  EXPECT_EQ(said.exit, 4);
  EXPECT_THAT(said.err, HasSubstr("nothing left to resume"));
}

TEST_F(Local, ARunThatIsNotThereIsAskedOfTheServer) {
  call_here({"run", folder_.file("hello.yaml", hello)});
  ::setenv("PAWL_SERVER", "127.0.0.1:1", 1);
  EXPECT_EQ(call_here({"resume", "00000000-0000-7000-8000-000000000000"}).exit, 3);
  ::unsetenv("PAWL_SERVER");
}

TEST_F(Local, ANumberMeansTheRunOfTheServerThatTheEnvironmentNames) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(std::string(folder_ / "."));
  const Said ran = call({"run", folder_.file("one.yaml", one_task("fail")), "--json"}, hooks_);
  ::setenv("PAWL_SERVER", "127.0.0.1:1", 1);
  EXPECT_EQ(call({"resume", "one#1"}, hooks_).exit, 3);
  EXPECT_EQ(call({"resume", std::string(find_string(*parse_json(ran.out), "id"))}, hooks_).exit, 1)
      << "an id is of one run";
  ::unsetenv("PAWL_SERVER");
  EXPECT_EQ(call({"resume", "one#1"}, hooks_).exit, 1);
  std::filesystem::current_path(before);
}

TEST_F(Local, OnATerminalTheTreeIsDrawnAgain) {
  char* out = nullptr;
  std::size_t size = 0;
  Console console;
  console.out = ::open_memstream(&out, &size);
  console.redraws = console.unicode = true;
  EXPECT_EQ(run_on(console, {"run", folder_.file("hello.yaml", hello), "--data", folder_ / "here"}, hooks_), 0);
  std::fclose(console.out);
  const std::string shown(out, size);
  std::free(out);
  EXPECT_THAT(shown, AllOf(HasSubstr("  ✓ main     success"), HasSubstr("    ✓ greet  success"),
                           HasSubstr("✓ hello #1 success in")));
}

constexpr const char* gated =
    "name: gated\njobs:\n  main:\n    tasks:\n      - {id: a, run: echo a}\n"
    "      - {id: gate, approval: {message: ship it}}\n      - {id: b, run: echo b}\n";

TEST_F(Local, WithNobodyToAskARunIsLeftToAnAnswerThatGoesOnWithIt) {
  const std::string file = folder_.file("gated.yaml", gated);
  const Said left = call_here({"run", file});
  EXPECT_EQ(left.exit, 1);
  EXPECT_THAT(left.err, AllOf(HasSubstr("waits for an answer"), HasSubstr(" main/gate [--reject] --data ")));
  EXPECT_THAT(left.out, HasSubstr("main/gate waits for approval"));
  EXPECT_EQ(call_here({"approve", "gated#1", "main/a"}).exit, 4);
  EXPECT_EQ(call_here({"approve", "gated#1", "main/x"}).exit, 1);
  const Said done = call_here({"approve", "gated#1", "main/gate", "-m", "I looked"});
  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_THAT(done.out, AllOf(HasSubstr("main/b success"), HasSubstr("gated #1 success"), Not(HasSubstr("attempt 2"))));

  call_here({"run", file});
  const Said rejected = call_here({"approve", "gated#2", "main/gate", "--reject", "--json"});
  EXPECT_EQ(rejected.exit, 1);
  EXPECT_THAT(rejected.out, HasSubstr("approval_rejected"));
}

TEST_F(Local, ARunIsRunAgainFromATaskOn) {
  call_here({"run", folder_.file("hello.yaml", hello)});
  const Said said = call_here({"rerun", "hello#1", "--from", "main/count"});
  EXPECT_EQ(said.exit, 0) << said.err;
  EXPECT_THAT(said.out, AllOf(HasSubstr("main/greet done in attempt 1"), HasSubstr("main/count started, try 2")));
  EXPECT_EQ(call_here({"rerun", "hello#1", "--from", "main/none"}).exit, 1);
}

TEST_F(Local, AFailedRunGoesOnWithTheNewestVersion) {
  call_here({"run", folder_.file("one.yaml", one_task("fail"))});
  // Another run of the mended file is what makes the newest version.
  call_here({"run", folder_.file("one.yaml", one_task("echo mended"))});
  const Said said = call_here({"resume", "one#1", "--with-current"});
  EXPECT_EQ(said.exit, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("echo mended"));
}

}  // namespace
}  // namespace pawl::cli
