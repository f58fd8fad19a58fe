// Arguments, files, and runs in this process.
#include "cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "cli/server.h"
#include "cli/test_world.h"

namespace pawl::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* hello = R"(name: hello
inputs:
  who: {type: string, default: world}
  n: {type: int, default: 1}
jobs:
  main:
    tasks:
      - {id: greet, run: echo first}
      - {id: count, run: echo second}
)";

std::string one_task(const std::string& script) {
  return "name: one\njobs:\n  main:\n    tasks:\n      - {id: t, run: " + script + "}\n";
}

TEST(Arguments, ACommandThatDoesNotExistIsNamedWithTheOneThatMayBeMeant) {
  const Said said = call({"strat", "x"});
  EXPECT_EQ(said.exit, 2);
  EXPECT_THAT(said.err, HasSubstr("unknown command 'strat'; did you mean 'start'?"));
}

TEST(Arguments, WrongUsageIsTwo) {
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"--no-such"},
      {"start"},
      {"show"},
      {"show", "x", "y"},
      {"validate"},
      {"serve", "--store", "postgres://x"},
      {"serve", "--stop-timeout", "30"},
      {"serve", "--listen", "here"},
      {"serve", "--log-format", "xml"},
      {"runs", "--status", "done"},
      {"runs", "--limit", "0"},
      {"runs", "--since", "yesterday"},
      {"start", "x", "--like", "x#1", "-i", "a=1"},
      {"start", "x", "-i", "a", "--server", "127.0.0.1:1"},
      {"list", "--server", "ftp://x"},
      {"logs", "x#1", "task"},
      {"rerun", "x#1"},
  };
  for (const auto& arguments : wrong) {
    const Said said = call(arguments);
    EXPECT_EQ(said.exit, 2) << testing::PrintToString(arguments) << said.err;
    EXPECT_THAT(said.err, testing::StartsWith("pawl: "));
    EXPECT_EQ(said.out, "");
  }
}

TEST(Arguments, WithJsonWrongUsageIsToldOnStandardOutput) {
  const Said said = call({"show", "--json"});
  EXPECT_EQ(said.exit, 2);
  EXPECT_EQ(find_string(parse_json(said.out)->at("error"), "code"), "usage");
}

TEST(Arguments, HelpAndVersionAreFine) {
  EXPECT_THAT(call({"--help"}).out, AllOf(HasSubstr("serve"), HasSubstr("validate"), Not(HasSubstr("approve"))));
  EXPECT_EQ(call({"--version"}).out, "pawl " PAWL_VERSION "\n");
  const Said said = call({"run", "--help"});
  EXPECT_EQ(said.exit, 0);
  EXPECT_THAT(said.out, HasSubstr("--plain"));
}

TEST(Arguments, OfServeReachTheHook) {
  ServeOptions seen;
  Hooks hooks;
  hooks.serve = [&](const ServeOptions& options) {
    seen = options;
    return 3;
  };
  const Said said = call({"serve", "--data", "/d", "--listen", "[::1]:80", "--pass-env", "A,B", "--pass-env", "C",
                          "--workspace", "/w", "--stop-timeout", "1m30s", "--log-format", "json"},
                         hooks);
  EXPECT_EQ(said.exit, 3);
  EXPECT_EQ(seen.data, "/d");
  EXPECT_EQ(seen.listen, "[::1]:80");
  EXPECT_THAT(seen.pass_env, ElementsAre("A", "B", "C"));
  EXPECT_EQ(seen.workspace, "/w");
  EXPECT_EQ(seen.stop_timeout, std::chrono::seconds(90));
  EXPECT_TRUE(seen.json_log);
  call({"serve", "--data", "/d", "--egress-allow", "any", "--egress-deny", "10.0.0.0/8", "--egress-deny", "::1"},
       hooks);
  EXPECT_THAT(seen.rules.egress.allow, ElementsAre("any"));
  EXPECT_THAT(seen.rules.egress.deny, ElementsAre("10.0.0.0/8", "::1"));
  EXPECT_TRUE(seen.fence);
  EXPECT_EQ(seen.rules.limits, TaskLimits{});
  call({"serve", "--data", "/d", "--run-as", "worker", "--fence", "off", "--task-processes", "64", "--task-memory",
        "1536M", "--task-open-files", "256", "--task-file-size", "10M"},
       hooks);
  EXPECT_EQ(seen.run_as, "worker");
  EXPECT_FALSE(seen.fence);
  EXPECT_EQ(seen.rules.limits,
            (TaskLimits{.processes = 64, .memory_bytes = 3 << 29, .open_files = 256, .file_bytes = 10 << 20}));
  for (const char* option : {"--task-processes", "--task-memory", "--task-open-files", "--task-file-size"})
    for (const char* value : {"x", "-1", "1x", ""})
      EXPECT_EQ(call({"serve", "--data", "/d", option, value}, hooks).exit, 2) << option << ' ' << value;
}

TEST(Arguments, TheDataFolderComesFromTheEnvironmentUnlessItIsGiven) {
  ::unsetenv("XDG_DATA_HOME");
  ::unsetenv("PAWL_DATA");
  ::setenv("HOME", "/home/x", 1);
  EXPECT_EQ(data_folder({}), "/home/x/.local/share/pawl");
  ::setenv("XDG_DATA_HOME", "/xdg", 1);
  EXPECT_EQ(data_folder({}), "/xdg/pawl");
  ::setenv("PAWL_DATA", "/env", 1);
  EXPECT_EQ(data_folder({}), "/env");
  EXPECT_EQ(data_folder({.data = "/given"}), "/given");
  ::unsetenv("PAWL_DATA");
  ::unsetenv("XDG_DATA_HOME");
}

TEST(RunNames, AreAnIdOrANameWithANumber) {
  EXPECT_EQ(parse_run("0192A000-0000-7000-8000-00000000000a")->id, "0192a000-0000-7000-8000-00000000000a");
  const auto named = parse_run("상품 분석#42");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->workflow, "상품 분석");
  EXPECT_EQ(named->number, 42);
  for (const char* text : {"", "x", "#1", "x#", "x#0", "x#-1", "x#1a", "x#99999999999999999999"}) {
    const auto run = parse_run(text);
    ASSERT_FALSE(run) << text;
    EXPECT_EQ(run.error().exit, 1);
  }
}

TEST(Validate, NamesEveryProblemWithItsPlace) {
  const Folder folder;
  const std::string bad =
      folder.file("bad.yaml", "name: x\nfoo: 1\njobs:\n  a:\n    bar: 2\n    tasks: [{run: echo}]\n");
  const std::string good = folder.file("good.yaml", hello);
  const Said said = call({"validate", good, bad});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.out, HasSubstr(good + ": fine"));
  EXPECT_THAT(said.err, AllOf(HasSubstr(bad + ":2:1: "), HasSubstr(bad + ":5:5: ")));
  EXPECT_THAT(said.out, testing::EndsWith("2 files: 1 wrong, 2 problems\n"));
  EXPECT_EQ(call({"validate", good}).out, good + ": fine\n");
}

TEST(Validate, OfAFolderAllDefinitionsBelowItAreLookedAt) {
  const Folder folder;
  std::filesystem::create_directories(folder / "inner/.hidden");
  folder.file("a.yaml", hello);
  folder.file("notes.txt", "no definition");
  folder.file("inner/b.yml", hello);
  folder.file("inner/c.json", R"({"name": "c", "jobs": {"j": {"tasks": [{"run": "x"}]}}})");
  folder.file("inner/.hidden/d.yaml", "no definition");
  std::filesystem::create_directory_symlink(folder.path(), folder / "inner/loop");
  const Said said = call({"validate", folder.path()});
  EXPECT_EQ(said.exit, 0) << said.err;
  EXPECT_THAT(said.out, testing::EndsWith("inner/c.json: fine\n3 files: fine\n"));
  const Said warned = call({"validate",
                            folder.file("warned.yaml",
                                        "name: a\non: {schedule: {cron: '*/40 * * * *'}}\n"
                                        "jobs: {j: {tasks: [{run: x}]}}\n"),
                            folder / "a.yaml"});
  EXPECT_EQ(warned.exit, 0);
  EXPECT_THAT(warned.out, testing::EndsWith("2 files: fine, 1 warning\n"));
}

TEST(Validate, AFolderWithoutDefinitionsIsWrong) {
  const Folder folder;
  const Said said = call({"validate", folder.path()});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.err, HasSubstr("holds no definition"));
}

TEST(Schema, IsPrintedAsItStandsInTheDocs) {
  const auto printed = parse_json(call({"schema"}).out);
  ASSERT_TRUE(printed);
  EXPECT_EQ(find_string(*printed, "$schema"), "https://json-schema.org/draft/2020-12/schema");
}

TEST(Validate, TellsTheSameAsJson) {
  const Folder folder;
  const std::string bad = folder.file("bad.yaml", "name: x\nfoo: 1\njobs: {a: {tasks: [{run: echo}]}}\n");
  const Said said = call({"validate", "--json", bad, folder / "none.yaml", folder.path()});
  EXPECT_EQ(said.exit, 1);
  EXPECT_EQ(said.err, "");
  const auto answer = parse_json(said.out);
  const auto& files = answer->at("files").as_array();
  ASSERT_EQ(files.size(), 3);
  EXPECT_EQ(find_string(files[0], "file"), bad);
  EXPECT_EQ(find_int(files[0].at("errors").at(0), "line"), 2);
  EXPECT_THAT(std::string(find_string(files[1].at("errors").at(0), "message")), HasSubstr("No such file"));
  EXPECT_EQ(find_string(files[2], "file"), bad) << "the folder's only definition";
  EXPECT_EQ(find_int(*answer, "problems"), 3);
}

TEST(Validate, AFileThatIsTooLargeIsSaidSo) {
  const Folder folder;
  const Said said = call({"validate", folder.file("large.yaml", std::string(definition::max_text + 1, '#'))});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.err, HasSubstr("is larger than a definition may be"));
}

TEST(Apply, SendsNothingIfOneOfTheFilesIsWrong) {
  const Folder folder;
  folder.file("a.yaml", hello);
  folder.file("b.yaml", "name: x\n");
  folder.file("c.yml", hello);
  folder.file("notes.txt", "");
  // A server that nobody could reach: it is not asked.
  const Said said = call({"apply", folder.path(), "--server", "127.0.0.1:1"});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.err,
              AllOf(HasSubstr("b.yaml:1:1: "), HasSubstr("workflow 'hello' stands in"), Not(HasSubstr("notes"))));
}

TEST(Output, ThatCannotBeWrittenIsAFailure) {
  Console console;
  console.out = std::fopen("/dev/full", "w");
  console.err = std::fopen("/dev/null", "w");
  EXPECT_EQ(run_on(console, {"--version"}, {}), 1);
  std::fclose(console.out);
  std::fclose(console.err);
}

// --- runs in this process --------------------------------------------------------------------------------------------

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
  EXPECT_EQ(call_here({"resume", "hello#9"}).exit, 3);
  ::unsetenv("PAWL_SERVER");
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

}  // namespace
}  // namespace pawl::cli
