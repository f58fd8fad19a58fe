#include "runner/process/process_runner.h"

#include <algorithm>

#include "runner/process/testing/fixture.h"

namespace pawl::runner::testing {
namespace {

TEST_F(ProcessRunnerTest, AScriptThatEndsWellGivesItsOutput) {
  const Outcome outcome = run("echo hello; echo oops >&2");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->exit_code, 0);
  EXPECT_EQ(outcome.process->signal, 0);
  EXPECT_EQ(outcome.process->stdout_text, "hello\n");
  EXPECT_FALSE(outcome.process->stdout_cut);
  EXPECT_EQ(outcome.process->stderr_tail, "oops\n");
  EXPECT_EQ(log_.text(LogSink::Stream::out), "hello\n");
  EXPECT_EQ(log_.text(LogSink::Stream::err), "oops\n");
  EXPECT_EQ(log_.syncs, 1);
}

TEST_F(ProcessRunnerTest, AResultNamesItsTry) {
  start(script("true"), 7);
  const TaskFinished result = inbox_.next();
  EXPECT_EQ(result.run, task({}).run);
  EXPECT_EQ(result.ref, task({}).ref);
  EXPECT_EQ(result.try_number, 7);
}

TEST_F(ProcessRunnerTest, ExitCodesAndSignalsAreTold) {
  EXPECT_EQ(run("exit 42").process->exit_code, 42);
  const Outcome killed = run("kill -SEGV $$");
  ASSERT_EQ(killed.end, End::completed);
  EXPECT_EQ(killed.process->exit_code, 128 + SIGSEGV);
  EXPECT_EQ(killed.process->signal, SIGSEGV);
}

TEST_F(ProcessRunnerTest, BashStopsAtTheFirstErrorAndAtUnsetVariablesAndInPipes) {
  EXPECT_EQ(run("false; exit 0").process->exit_code, 1);
  EXPECT_NE(run("echo $UNSET; exit 0").process->exit_code, 0);
  EXPECT_EQ(run("false | true; exit 0").process->exit_code, 1);
}

TEST_F(ProcessRunnerTest, OtherShellsRunTheirScripts) {
  ProcessInput sh = script("false; exit 0");
  sh.shell = "sh";
  EXPECT_EQ(run(sh).process->exit_code, 1);
  ProcessInput python = script("import sys\nprint(1 + 1)\nsys.exit(3)");
  python.shell = "python3";
  const Outcome outcome = run(python);
  EXPECT_EQ(outcome.process->stdout_text, "2\n");
  EXPECT_EQ(outcome.process->exit_code, 3);
  ProcessInput cat = script("any word");
  cat.shell = "cat";
  EXPECT_EQ(run(cat).process->stdout_text, "any word");
}

TEST_F(ProcessRunnerTest, ACommandRunsWithoutAShell) {
  ProcessInput input;
  input.command = {"printf", "%s|", "$HOME", "a b", "", "*"};
  input.want_stdout = true;
  EXPECT_EQ(run(input).process->stdout_text, "$HOME|a b||*|");
}

TEST_F(ProcessRunnerTest, AMissingProgramIsNamed) {
  ProcessInput input;
  input.command = {"no-such-program", "x"};
  Outcome outcome = run(input);
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "spawn_failed");
  EXPECT_EQ(outcome.failure.message, "cannot start `no-such-program`: No such file or directory");
  ProcessInput shell = script("x");
  shell.shell = "no-such-shell";
  outcome = run(shell);
  EXPECT_EQ(outcome.failure.message, "cannot start `no-such-shell`: No such file or directory");
  input.command = {"/etc/passwd"};
  EXPECT_EQ(run(input).failure.message, "cannot start `/etc/passwd`: Permission denied");
}

TEST_F(ProcessRunnerTest, ProgramsAreLookedUpInTheTasksPath) {
  fs::create_directories(folder_ + "/bin");
  std::ofstream(folder_ + "/bin/mine") << "#!/bin/sh\necho mine\n";
  fs::permissions(folder_ + "/bin/mine", fs::perms::owner_all);
  ProcessInput input;
  input.command = {"mine"};
  input.want_stdout = true;
  input.env = {{"PATH", "/nowhere:" + folder_ + "/bin"}};
  EXPECT_EQ(run(input).process->stdout_text, "mine\n");
}

TEST_F(ProcessRunnerTest, TasksStartInTheJobsFolderOrWhereTheyAreTold) {
  EXPECT_EQ(run("pwd").process->stdout_text, run_folder() + "/j\n");
  EXPECT_EQ(run("mkdir -p ../sub; stat -c %a .").process->stdout_text, "700\n");
  ProcessInput input = script("pwd");
  input.working_directory = "sub";
  EXPECT_EQ(run(input).process->stdout_text, run_folder() + "/sub\n");
  input.working_directory = "/";
  EXPECT_EQ(run(input).process->stdout_text, "/\n");
}

TEST_F(ProcessRunnerTest, AMissingWorkingDirectoryIsNamed) {
  ProcessInput input = script("true");
  input.working_directory = "missing";
  const Outcome outcome = run(input);
  EXPECT_EQ(outcome.failure.code, "spawn_failed");
  EXPECT_EQ(outcome.failure.message,
            "cannot enter the working directory " + run_folder() + "/missing: No such file or directory");
}

TEST_F(ProcessRunnerTest, TheEnvironmentHoldsOnlyWhatIsPromised) {
  ::setenv("PAWL_TEST_SECRET", "do not pass on", 1);
  ProcessInput input;
  input.command = {"env"};
  input.want_stdout = true;
  input.env = {{"MINE", "a\nb"}, {"PAWL_RUN_ID", "forged"}};
  const Outcome outcome = run(input);
  ::unsetenv("PAWL_TEST_SECRET");
  const std::string& text = outcome.process->stdout_text;
  std::vector<std::string> names;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (const auto sign = line.find('='); sign != std::string::npos) names.push_back(line.substr(0, sign));
  }
  std::ranges::sort(names);
  const std::vector<std::string> expected = {"HOME",
                                             "LANG",
                                             "MINE",
                                             "PATH",
                                             "PAWL_IDEMPOTENCY_KEY",
                                             "PAWL_JOB",
                                             "PAWL_OUTPUT",
                                             "PAWL_RUN_ID",
                                             "PAWL_RUN_NUMBER",
                                             "PAWL_TASK",
                                             "PAWL_TRACE_ID",
                                             "PAWL_TRY",
                                             "PAWL_WORKFLOW",
                                             "PAWL_WORKSPACE",
                                             "TRACEPARENT"};
  EXPECT_EQ(names, expected);
  EXPECT_NE(text.find("PAWL_RUN_ID=" + to_string(task({}).run)), std::string::npos);
  EXPECT_NE(text.find("PAWL_WORKSPACE=" + run_folder() + "\n"), std::string::npos);
  EXPECT_NE(text.find("MINE=a\nb\n"), std::string::npos);
}

TEST_F(ProcessRunnerTest, ATaskInheritsNoDescriptorNorSignalState) {
  ::signal(SIGUSR2, SIG_IGN);
  const Descriptor leaky{::open("/dev/null", O_RDONLY)};  // without CLOEXEC, as a careless library would
  const Outcome outcome =
      run("ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status; readlink /proc/self/fd/0");
  ::signal(SIGUSR2, SIG_DFL);
  // 0-2 and the one by which ls reads the folder.
  EXPECT_EQ(outcome.process->stdout_text, "4\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n/dev/null\n");
}

TEST_F(ProcessRunnerTest, AScriptAndAnEnvironmentOfAMegabyteWork) {
  ProcessInput input = script("#" + std::string(1 << 20, 'x') + "\necho ${#A}");
  for (const char* name : {"A", "B", "C", "D", "E", "F", "G", "H"})
    input.env.emplace_back(name, std::string(120'000, 'y'));
  EXPECT_EQ(run(input).process->stdout_text, "120000\n");
  input.env = {{"A", std::string(200'000, 'y')}};
  EXPECT_EQ(run(input).failure.message, "cannot start `bash`: Argument list too long");
}

TEST_F(ProcessRunnerTest, AGuardThatCannotBeStartedFailsTheTry) {
  ProcessOptions broken = options();
  broken.program = "/no/such/program";
  runner_ = make_process_runner(broken, inbox_, log_).value();
  EXPECT_EQ(run("true").failure.code, "guard_unavailable");
  broken.program = "/bin/false";
  runner_ = make_process_runner(broken, inbox_, log_).value();
  EXPECT_EQ(run("true").failure.code, "guard_lost");
}

TEST_F(ProcessRunnerTest, StoppingWhatDoesNotRunIsNoError) {
  stop(1s, 99);
  EXPECT_EQ(run("exit 0").end, End::completed);
  stop(1s);
  EXPECT_EQ(run("exit 0").end, End::completed);
}

TEST_F(ProcessRunnerTest, FiftyTriesRunSideBySide) {
  // Each waits for all others, so they can only end together.
  const std::string wait_for_all =
      "touch ../up.$PAWL_TRY; until [ $(ls .. | grep -c '^up[.]') = 50 ]; do sleep 0.05; done; echo $PAWL_TRY";
  for (int i = 1; i <= 50; ++i) start(script(wait_for_all), i);
  std::vector<int> seen;
  for (int i = 1; i <= 50; ++i) {
    const TaskFinished result = inbox_.next();
    ASSERT_EQ(result.outcome.end, End::completed) << result.outcome.failure.message;
    EXPECT_EQ(result.outcome.process->stdout_text, std::to_string(result.try_number) + "\n");
    seen.push_back(result.try_number);
  }
  std::ranges::sort(seen);
  EXPECT_TRUE(std::ranges::adjacent_find(seen) == seen.end());
}

TEST_F(ProcessRunnerTest, NoDescriptorStaysOpen) {
  EXPECT_EQ(run("true").end, End::completed);
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 10; ++i) run("echo x; sleep 1000 & exit 1");
  ProcessInput missing;
  missing.command = {"no-such-program"};
  run(missing);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(ProcessRunnerTest, AnUnusableWorkspaceIsToldAtOnce) {
  std::ofstream(folder_ + "/file") << "x";
  ProcessOptions unusable = options();
  unusable.workspace = folder_ + "/file/work";
  EXPECT_FALSE(make_process_runner(unusable, inbox_, log_));
}

TEST_F(ProcessRunnerTest, AWorkspaceThatATaskSpoiledFailsTheTryAndLeadsNowhere) {
  run("rm -rf $PAWL_WORKSPACE/.pawl; ln -s /tmp $PAWL_WORKSPACE/.pawl");
  const Outcome outcome = run("true");
  EXPECT_EQ(outcome.failure.code, "workspace_unavailable");
}

}  // namespace
}  // namespace pawl::runner::testing
