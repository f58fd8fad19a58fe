#include "runner/process/process_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "runner/process/descriptor.h"

namespace pawl::runner {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using End = Outcome::End;

// Far beyond what anything here takes; a test that waits so long has failed.
constexpr auto too_long = 60s;

class Inbox : public Results {
 public:
  void finished(TaskFinished result) override {
    const std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
    arrived_.notify_all();
  }
  // The next result; fails the test if none comes.
  TaskFinished next() {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, too_long, [&] { return !results_.empty(); })) {
      ADD_FAILURE() << "no result";
      return {};
    }
    TaskFinished result = std::move(results_.front());
    results_.pop_front();
    return result;
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return results_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<TaskFinished> results_;
};

class Log : public LogSink {
 public:
  void write(const StartTask& task, Stream stream, Instant, std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    ASSERT_LE(bytes.size(), 64u << 10);
    auto& text = texts_[{task.try_number, stream}];
    sizes_[{task.try_number, stream}] += bytes.size();
    if (text.size() < (1 << 20)) text.append(bytes);
    written_.notify_all();
  }
  bool sync(const StartTask&) override {
    const std::lock_guard lock(mutex_);
    ++syncs;
    return durable;
  }
  std::string text(Stream stream, int try_number = 1) {
    const std::lock_guard lock(mutex_);
    return texts_[{try_number, stream}];
  }
  std::size_t size(Stream stream, int try_number = 1) {
    const std::lock_guard lock(mutex_);
    return sizes_[{try_number, stream}];
  }
  // Waits until the task has printed this.
  void await(std::string_view part, int try_number = 1) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(written_.wait_for(lock, too_long,
                                  [&] { return texts_[{try_number, Stream::out}].find(part) != std::string::npos; }))
        << "never printed: " << part;
  }
  bool durable = true;
  int syncs = 0;

 private:
  std::mutex mutex_;
  std::condition_variable written_;
  std::map<std::pair<int, Stream>, std::string> texts_;
  std::map<std::pair<int, Stream>, std::size_t> sizes_;
};

bool alive(pid_t pid) {
  if (::kill(pid, 0) != 0) return false;
  // A dead one that its parent, which is not ours to speak for, has not yet taken note of.
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  return !line.empty() && line.find(") Z ") == std::string::npos;
}

std::vector<pid_t> numbers_in(const std::string& text) {
  std::istringstream in(text);
  std::vector<pid_t> numbers;
  for (pid_t number = 0; in >> number;) numbers.push_back(number);
  return numbers;
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

// The parent of a process, from /proc; 0 if it is gone.
pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto end = line.rfind(") ");
  return end == std::string::npos ? 0 : std::stoi(line.substr(end + 4));
}

class ProcessRunnerTest : public testing::Test {
 protected:
  ProcessRunnerTest() {
    std::string pattern = (fs::temp_directory_path() / "pawl-process-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ProcessRunnerTest() override {
    runner_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  ProcessOptions options() const {
    return {.workspace = folder_ + "/work",
            .guard_lock = folder_ + "/guard.lock",
            .program = PAWL_PROCESS_TEST_PROGRAM,
            .now = {}};
  }
  ProcessRunner& runner() {
    if (!runner_) runner_ = make_process_runner(options(), inbox_, log_).value();
    return *runner_;
  }

  static ProcessInput script(std::string text) {
    ProcessInput input;
    input.script = std::move(text);
    input.shell = "bash";
    input.grace = 10s;
    input.want_stdout = true;
    return input;
  }
  StartTask task(ProcessInput input, int try_number = 1) const {
    StartTask task;
    task.run.value.bytes[0] = 1;
    task.ref = {.job = 0, .task = 2};
    task.try_number = try_number;
    task.workflow = "w";
    task.job = "j";
    task.task = "t";
    task.run_number = 5;
    task.trace_id = "0af7651916cd43dd8448eb211c80319c";
    task.idempotency_key = "key";
    task.input = std::move(input);
    return task;
  }
  std::string run_folder() const { return options().workspace + "/" + to_string(task({}).run); }
  void start(ProcessInput input, int try_number = 1) { runner().start(task(std::move(input), try_number)); }
  void stop(Duration grace, int try_number = 1) {
    const StartTask of = task({});
    runner().stop({.run = of.run, .ref = of.ref, .try_number = try_number, .grace = grace});
  }
  Outcome run(ProcessInput input) {
    start(std::move(input));
    return inbox_.next().outcome;
  }
  Outcome run(std::string text) { return run(script(std::move(text))); }

  // Blocks until the lock is free: nothing of any server is left then.
  void await_lock() {
    const Descriptor file{::open(options().guard_lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    ASSERT_EQ(::flock(file.get(), LOCK_EX), 0);
  }

  std::string folder_;
  Inbox inbox_;
  Log log_;
  std::unique_ptr<ProcessRunner> runner_;
};

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

TEST_F(ProcessRunnerTest, OutputsAreReadFromTheOutputFile) {
  const Outcome outcome =
      run("echo a=1 >> $PAWL_OUTPUT; printf 'b<<X\\n1\\n2\\nX\\n' >> $PAWL_OUTPUT; stat -c %a $PAWL_OUTPUT");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(to_text(outcome.process->outputs), R"({"a":"1","b":"1\n2"})");
  EXPECT_EQ(outcome.process->stdout_text, "600\n");
  EXPECT_TRUE(fs::is_empty(run_folder() + "/.pawl")) << "script and output are removed";
}

TEST_F(ProcessRunnerTest, WithoutOutputsTheObjectIsEmpty) {
  EXPECT_EQ(to_text(run("true").process->outputs), "{}");
  EXPECT_EQ(to_text(run("rm $PAWL_OUTPUT").process->outputs), "{}");
}

TEST_F(ProcessRunnerTest, AnOutputFileThatIsNoneFailsTheTry) {
  const auto code_of = [&](std::string text) {
    const Outcome outcome = run(std::move(text));
    EXPECT_EQ(outcome.end, End::failed);
    return outcome.failure.code;
  };
  EXPECT_EQ(code_of("ln -sf /etc/passwd $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("rm $PAWL_OUTPUT; mkdir $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("rm $PAWL_OUTPUT; mkfifo $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("echo 'no sign' >> $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("(printf a=; head -c 1M /dev/zero) > $PAWL_OUTPUT"), "output_too_large");
}

TEST_F(ProcessRunnerTest, AFailedTaskKeepsItsExitCodeWhateverItWroteToTheOutputFile) {
  const Outcome outcome = run("echo 'no sign' >> $PAWL_OUTPUT; exit 3");
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.process->exit_code, 3);
  EXPECT_EQ(to_text(outcome.process->outputs), "{}");
}

TEST_F(ProcessRunnerTest, AScriptAndAnEnvironmentOfAMegabyteWork) {
  ProcessInput input = script("#" + std::string(1 << 20, 'x') + "\necho ${#A}");
  for (const char* name : {"A", "B", "C", "D", "E", "F", "G", "H"})
    input.env.emplace_back(name, std::string(120'000, 'y'));
  EXPECT_EQ(run(input).process->stdout_text, "120000\n");
  input.env = {{"A", std::string(200'000, 'y')}};
  EXPECT_EQ(run(input).failure.message, "cannot start `bash`: Argument list too long");
}

TEST_F(ProcessRunnerTest, EndlessOutputIsCutInTheLogAndInMemoryAndTheTaskGoesOn) {
  const Outcome outcome = run("(yes || true) | head -c 100M; echo done >&2");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->exit_code, 0);
  EXPECT_EQ(outcome.process->stdout_text.size(), max_output_value);
  EXPECT_TRUE(outcome.process->stdout_cut);
  EXPECT_EQ(outcome.process->stderr_tail, "done\n");
  EXPECT_EQ(log_.size(LogSink::Stream::out) + log_.size(LogSink::Stream::err), max_log);
  EXPECT_EQ(log_.text(LogSink::Stream::note), "log cut at 10 MiB");
}

TEST_F(ProcessRunnerTest, OutputThatNobodyWantsAsAValueIsPreviewed) {
  ProcessInput input = script("head -c 64M /dev/zero | tr '\\0' x");  // one line
  input.want_stdout = false;
  const Outcome outcome = run(input);
  EXPECT_EQ(outcome.process->stdout_text, std::string(preview_bytes, 'x'));
  EXPECT_TRUE(outcome.process->stdout_cut);
}

TEST_F(ProcessRunnerTest, OutputBecomesTextAndTheLogKeepsItsBytes) {
  const Outcome outcome = run("printf 'a\\0b\\377c\\r\\n'; printf '\\377' >&2");
  EXPECT_EQ(outcome.process->stdout_text, std::string("a\0b\xef\xbf\xbd"
                                                      "c\r\n",
                                                      9));
  EXPECT_EQ(outcome.process->stderr_tail, "\xef\xbf\xbd");
  EXPECT_EQ(log_.text(LogSink::Stream::out), std::string("a\0b\xff"
                                                         "c\r\n",
                                                         7));
}

TEST_F(ProcessRunnerTest, ATaskMayCloseItsOutput) {
  EXPECT_EQ(run("exec >&- 2>&-; sleep 0.05; exit 4").process->exit_code, 4);
}

TEST_F(ProcessRunnerTest, ALogThatIsNotDurableFailsTheTry) {
  log_.durable = false;
  const Outcome outcome = run("true");
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "log_unavailable");
}

TEST_F(ProcessRunnerTest, ATryThatIgnoresTermIsKilledAfterItsGrace) {
  ProcessInput input = script("trap '' TERM; echo reason >&2; (trap '' TERM; sleep 1000) & wait; wait");
  input.grace = 50ms;
  StartTask start = task(std::move(input));
  start.timeout = 200ms;
  runner().start(std::move(start));
  const Outcome outcome = inbox_.next().outcome;
  EXPECT_EQ(outcome.end, End::timed_out);
  EXPECT_EQ(outcome.failure.code, "timeout");
  EXPECT_EQ(outcome.failure.message, "no end after 200ms");
  EXPECT_EQ(to_text(outcome.failure.cause), R"({"exit_code":137,"signal":9,"stderr":"reason\n"})");
}

TEST_F(ProcessRunnerTest, ATryMayCleanUpWithinItsGrace) {
  start(script("trap 'echo cleaned; exit 5' TERM; echo ready; while :; do sleep 1000 & wait; done"));
  log_.await("ready");
  stop(10s);
  const Outcome outcome = inbox_.next().outcome;
  EXPECT_EQ(outcome.end, End::stopped);
  EXPECT_EQ(to_text(outcome.failure.cause), R"({"exit_code":5})");
  EXPECT_EQ(log_.text(LogSink::Stream::out), "ready\ncleaned\n");
}

TEST_F(ProcessRunnerTest, ChildrenHaveTheirGraceWhenTheMainProcessGoesFirst) {
  start(script("(trap 'echo child cleaned; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait"));
  log_.await("ready");
  stop(10s);
  EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
  EXPECT_EQ(log_.text(LogSink::Stream::out), "ready\nchild cleaned\n");
}

TEST_F(ProcessRunnerTest, ALaterStopCanShortenTheGrace) {
  start(script("trap 'echo term' TERM; echo ready; while :; do sleep 1000 & wait || true; done"));
  log_.await("ready");
  stop(1h);
  log_.await("term");
  stop(0s);
  EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
}

TEST_F(ProcessRunnerTest, WhatATaskLeavesBehindIsKilled) {
  const Outcome outcome = run(
      "sleep 1000 & echo $!\n"
      "setsid sleep 1000 & echo $!\n"
      "(setsid bash -c 'echo $$; trap \"\" TERM HUP; sleep 1000 & echo $!; wait' &)\n"
      "python3 - <<'E'\n"
      "import os, time\n"
      "if os.fork() == 0:\n"
      "  os.setsid()\n"
      "  if os.fork() == 0:\n"
      "    print(os.getpid(), flush=True); open(os.environ['PAWL_WORKSPACE'] + '/up', 'w').close(); time.sleep(1000)\n"
      "  os._exit(0)\n"
      "E\n"
      "until [ -e $PAWL_WORKSPACE/up ]; do sleep 0.01; done\n");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  const auto pids = numbers_in(outcome.process->stdout_text);
  EXPECT_GE(pids.size(), 4u);
  for (const pid_t pid : pids) EXPECT_FALSE(alive(pid)) << pid;
}

// Processes that are never the same at two looks: each forks its successor and ends. Their number does not grow, and
// they end by themselves, so that a fault here does not take the machine down.
constexpr const char* shifting_family =
    "import os, time\n"
    "end = time.time() + 20\n"
    "for i in range(4):\n"
    "  if os.fork() == 0:\n"
    "    while time.time() < end:\n"
    "      if os.fork(): os._exit(0)\n"
    "      DETACH\n"
    "    os._exit(0)\n"
    "print('ready', flush=True)\n"
    "time.sleep(1000)\n";

TEST_F(ProcessRunnerTest, ProcessesThatForkFasterThanOneCanLookAreEnded) {
  for (const std::string detach : {"pass", "os.setsid()"}) {
    std::string text = shifting_family;
    text.replace(text.find("DETACH"), 6, detach);
    ProcessInput input = script(std::move(text));
    input.shell = "python3";
    const int try_number = detach == "pass" ? 1 : 2;
    start(std::move(input), try_number);
    log_.await("ready", try_number);
    const auto stopped_at = std::chrono::steady_clock::now();
    stop(0s, try_number);
    EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
    EXPECT_LT(std::chrono::steady_clock::now() - stopped_at, 10s) << "they were killed, not waited for: " << detach;
  }
}

TEST_F(ProcessRunnerTest, ATaskThatKillsItsKeeperLeavesNothingEither) {
  const Outcome outcome = run("echo $$; setsid sleep 1000 & echo $!; kill -9 $PPID; sleep 1000");
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "keeper_lost");
  const auto pids = numbers_in(log_.text(LogSink::Stream::out));
  EXPECT_EQ(pids.size(), 2u);
  for (const pid_t pid : pids) EXPECT_FALSE(alive(pid)) << pid;
  EXPECT_EQ(run("echo fine").process->stdout_text, "fine\n");
}

TEST_F(ProcessRunnerTest, ATaskThatKillsTheGuardEndsItsTriesAndTheNextOneGetsANewGuard) {
  start(script("echo $$ $PPID; sleep 1000"), 1);
  start(script("setsid sleep 1000 & echo $$ $! ready; sleep 1000"), 2);
  log_.await("\n", 1);
  log_.await("ready", 2);
  const auto first = numbers_in(log_.text(LogSink::Stream::out, 1));
  ASSERT_EQ(first.size(), 2u);
  const pid_t keeper = first[1];
  ASSERT_EQ(::kill(parent_of(keeper), SIGKILL), 0);
  EXPECT_EQ(inbox_.next().outcome.failure.code, "guard_lost");
  EXPECT_EQ(inbox_.next().outcome.failure.code, "guard_lost");
  EXPECT_FALSE(alive(first[0]));
  for (const pid_t pid : numbers_in(log_.text(LogSink::Stream::out, 2))) EXPECT_FALSE(alive(pid)) << pid;
  EXPECT_EQ(run("echo fine").process->stdout_text, "fine\n");
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

TEST_F(ProcessRunnerTest, ATryStoppedBeforeItsStartNeverRuns) {
  // Another holds the lock, as the guard of a dead server does.
  const Descriptor lock{::open(options().guard_lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  start(script("echo ran"), 1);
  start(script("echo ran"), 2);
  stop(10s, 1);
  const TaskFinished stopped = inbox_.next();
  EXPECT_EQ(stopped.try_number, 1);
  EXPECT_EQ(stopped.outcome.end, End::stopped);
  EXPECT_TRUE(inbox_.empty());
  ::flock(lock.get(), LOCK_UN);
  EXPECT_EQ(inbox_.next().try_number, 2);
  EXPECT_EQ(log_.text(LogSink::Stream::out, 1), "");
}

TEST_F(ProcessRunnerTest, AStopThatComesWhileTheTryIsStartedEndsIt) {
  run("true");
  for (int i = 1; i <= 20; ++i) {
    start(script("sleep 1000"), i);
    stop(1h, i);  // TERM has to be enough
    EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
  }
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

TEST_F(ProcessRunnerTest, ShutdownLeavesNoProcessAndGivesNoResult) {
  start(script("trap '' TERM; echo $$; setsid sleep 1000 & echo $!; echo ready; sleep 1000"));
  log_.await("ready");
  runner().shutdown();
  for (const pid_t pid : numbers_in(log_.text(LogSink::Stream::out))) EXPECT_FALSE(alive(pid)) << pid;
  await_lock();
  EXPECT_TRUE(inbox_.empty());
  EXPECT_TRUE(fs::is_empty(run_folder() + "/.pawl"));
  runner().shutdown();
  start(script("true"));
  EXPECT_TRUE(inbox_.empty());
}

// A server in a process of its own, with one task, killed in the middle of it.
class DeadServer {
 public:
  DeadServer(const ProcessOptions& options, const std::string& script) {
    std::vector<std::string> words = {PAWL_PROCESS_TEST_PROGRAM, "server", options.workspace, options.guard_lock,
                                      script};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, PAWL_PROCESS_TEST_PROGRAM, nullptr, nullptr, arguments.data(), environ), 0);
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

std::string read_fifo(const std::string& path) {
  std::ifstream in(path);  // blocks until the task opens it
  return {std::istreambuf_iterator<char>(in), {}};
}

constexpr const char* hardy_family =
    "trap '' TERM HUP\n"
    "setsid sleep 1000 & a=$!\n"
    "(setsid bash -c 'trap \"\" TERM; sleep 1000 & echo $$ $! > FOLDER/deep; wait' &)\n"
    "until [ -s FOLDER/deep ]; do sleep 0.01; done\n"
    "echo $$ $a $PPID $(cat FOLDER/deep) > FOLDER/ready\n"
    "sleep 1000\n";

std::string in_folder(std::string text, const std::string& folder) {
  for (auto at = text.find("FOLDER"); at != std::string::npos; at = text.find("FOLDER")) text.replace(at, 6, folder);
  return text;
}

TEST_F(ProcessRunnerTest, NoProcessOfAServerKilledWithoutWarningOutlivesItsLock) {
  ASSERT_EQ(::mkfifo((folder_ + "/ready").c_str(), 0600), 0);
  DeadServer server{options(), in_folder(hardy_family, folder_)};
  const auto pids = numbers_in(read_fifo(folder_ + "/ready"));
  ASSERT_EQ(pids.size(), 5u);
  for (const pid_t pid : pids) EXPECT_TRUE(alive(pid)) << pid;
  server.kill();
  await_lock();
  for (const pid_t pid : pids) EXPECT_FALSE(alive(pid)) << pid;
}

TEST_F(ProcessRunnerTest, NeitherDoesOneWhoseGuardIsKilledWithTheServer) {
  ASSERT_EQ(::mkfifo((folder_ + "/ready").c_str(), 0600), 0);
  DeadServer server{options(), in_folder(hardy_family, folder_)};
  const auto pids = numbers_in(read_fifo(folder_ + "/ready"));
  ASSERT_EQ(pids.size(), 5u);
  const pid_t keeper = pids[2];
  ::kill(parent_of(keeper), SIGKILL);
  server.kill();
  await_lock();
  // The keeper is the last: it gives up the lock by ending.
  for (const pid_t pid : pids) EXPECT_TRUE(pid == keeper || !alive(pid)) << pid;
}

TEST_F(ProcessRunnerTest, ANewServerStartsNothingBeforeTheOldOnesProcessesAreGone) {
  ASSERT_EQ(::mkfifo((folder_ + "/ready").c_str(), 0600), 0);
  DeadServer server{options(), in_folder(hardy_family, folder_)};
  const std::string pids = read_fifo(folder_ + "/ready");
  start(script(fmt::format("for pid in $(echo {}); do if kill -0 $pid; then echo alive $pid; fi; done",
                           pids.substr(0, pids.size() - 1))));
  server.kill();
  const Outcome outcome = inbox_.next().outcome;
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.process->stdout_text, "");
  EXPECT_EQ(outcome.process->exit_code, 0);
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
}  // namespace pawl::runner
