// Arguments and files.
#include "cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/server.h"
#include "cli/test_world.h"

namespace pawl::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

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
      {"rerun", "--from", "a"},
      {"resume"},
      {"resume", "x#1", "--workflow", "x"},
      {"resume", "x#1", "--all"},
      {"resume", "x#1", "--force"},
      {"cancel", "--status", "done"},
      {"cancel", "--trigger", "me"},
      {"cancel", "--since", "yesterday"},
      {"cancel", "--dry-run"},
      {"approve", "x#1"},
      {"approve", "x#1", "gate"},
      {"release", "x#1", "a/b"},
      {"release", "x#1", "a/b", "maybe"},
      {"release", "x#1", "a/b", "done", "-o", "x"},
      {"enable"},
      {"delete", "x", "y"},
      {"schedule"},
      {"schedule", "lst"},
      {"schedule", "add", "x"},
      {"schedule", "add", "--cron", "@daily"},
      {"schedule", "add", "x", "--cron", "@daily", "--misfire", "maybe"},
      {"schedule", "add", "x", "--cron", "@daily", "--jitter", "5"},
      {"schedule", "change", "x/y", "--start", "1", "--no-start"},
      {"schedule", "change", "x/y"},
      {"schedule", "next", "x/y", "-n", "0"},
      {"schedule", "next", "x/y", "--after", "soon"},
      {"schedule", "ledger", "x/y", "--since", "yesterday"},
      {"schedule", "backfill", "x/y", "--from", "1"},
      {"schedule", "backfill", "x/y", "--from", "1", "--to", "later"},
      {"schedule", "backfill", "x/y", "--from", "1", "--to", "2", "--dry-run", "--wait"},
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
  EXPECT_THAT(call({"--help"}).out, AllOf(HasSubstr("serve"), HasSubstr("validate"), HasSubstr("schedule")));
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
  EXPECT_EQ(seen.fence, "auto");
  EXPECT_EQ(seen.rules.limits, TaskLimits{});
  call({"serve", "--data", "/d", "--run-as", "worker", "--fence", "off", "--task-processes", "64", "--task-memory",
        "1536M", "--task-open-files", "256", "--task-file-size", "10M"},
       hooks);
  EXPECT_EQ(seen.run_as, "worker");
  EXPECT_EQ(seen.fence, "off");
  EXPECT_EQ(seen.rules.limits,
            (TaskLimits{.processes = 64, .memory_bytes = 3 << 29, .open_files = 256, .file_bytes = 10 << 20}));
  for (const char* fence : {"auto", "cover", "landlock"}) {
    call({"serve", "--data", "/d", "--fence", fence}, hooks);
    EXPECT_EQ(seen.fence, fence);
  }
  EXPECT_EQ(call({"serve", "--data", "/d", "--fence", "on"}, hooks).exit, 2);
  for (const char* option : {"--task-processes", "--task-memory", "--task-open-files", "--task-file-size"})
    for (const char* value : {"x", "-1", "1x", ""})
      EXPECT_EQ(call({"serve", "--data", "/d", option, value}, hooks).exit, 2) << option << ' ' << value;
}

TEST(Arguments, HowManyRunAtOnceReachesAllWhoStartTasks) {
  AtOnce seen;
  Hooks hooks;
  hooks.serve = [&](const ServeOptions& options) {
    seen = options.rules.at_once;
    return 0;
  };
  hooks.at_once = [&](const AtOnce& asked) {
    seen = asked;
    return Finding{"at once", Finding::State::fine, "", ""};
  };
  hooks.local = [&](const std::string&, driver::Observer*, const TakesUp&, const TaskRules& rules) {
    seen = rules.at_once;
    return Result<std::unique_ptr<LocalEngine>>(fail(Code::unavailable, "too few", "too_few_descriptors"));
  };
  const Folder folder;
  const std::string file = folder.file("w.yaml", "name: w\njobs: {j: {tasks: [{run: x}]}}\n");
  call({"serve", "--data", "/d"}, hooks);
  EXPECT_EQ(seen, AtOnce{});
  call({"serve", "--data", "/d", "--max-processes", "0", "--max-http-calls", "7"}, hooks);
  EXPECT_EQ(seen, (AtOnce{.processes = 0, .calls = 7}));
  call({"doctor", "--data", folder.path(), "--listen", "127.0.0.1:0", "--max-processes", "5"}, hooks);
  EXPECT_EQ(seen, (AtOnce{.processes = 5, .calls = {}}));
  const Said refused = call({"run", file, "--data", folder / "local", "--max-http-calls", "9"}, hooks);
  EXPECT_EQ(seen, (AtOnce{.processes = {}, .calls = 9}));
  EXPECT_EQ(refused.exit, 3) << "with other limits it may work";
  EXPECT_EQ(refused.err, "pawl: too few\n");
  for (const char* option : {"--max-processes", "--max-http-calls"})
    for (const char* value : {"x", "-1", "1.5", "", "1000000001"})
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
  char* said = nullptr;
  std::size_t size = 0;
  console.err = ::open_memstream(&said, &size);
  EXPECT_EQ(run_on(console, {"--version"}, {}), 1);
  std::fclose(console.out);
  std::fclose(console.err);
  EXPECT_THAT(said, HasSubstr("not all output could be written: No space left on device"));
  std::free(said);
}

}  // namespace
}  // namespace pawl::cli
