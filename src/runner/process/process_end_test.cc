#include "runner/process/process_runner.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runner/process/testing/fixture.h"

namespace pawl::runner::testing {
namespace {

using ProcessEnd = ProcessRunnerTest;

TEST_F(ProcessEnd, ATryThatIgnoresTermIsKilledAfterItsGrace) {
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

TEST_F(ProcessEnd, ATryMayCleanUpWithinItsGrace) {
  start(script("trap 'echo cleaned; exit 5' TERM; echo ready; while :; do sleep 1000 & wait; done"));
  log_.await("ready");
  stop(10s);
  const Outcome outcome = inbox_.next().outcome;
  EXPECT_EQ(outcome.end, End::stopped);
  EXPECT_EQ(to_text(outcome.failure.cause), R"({"exit_code":5})");
  EXPECT_EQ(log_.text(LogSink::Stream::out), "ready\ncleaned\n");
}

TEST_F(ProcessEnd, ChildrenHaveTheirGraceWhenTheMainProcessGoesFirst) {
  start(script("(trap 'echo child cleaned; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait"));
  log_.await("ready");
  stop(10s);
  EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
  EXPECT_EQ(log_.text(LogSink::Stream::out), "ready\nchild cleaned\n");
}

TEST_F(ProcessEnd, ALaterStopCanShortenTheGrace) {
  start(script("trap 'echo term' TERM; echo ready; while :; do sleep 1000 & wait || true; done"));
  log_.await("ready");
  stop(1h);
  log_.await("term");
  stop(0s);
  EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
}

TEST_F(ProcessEnd, WhatTermEndsWhileTheServerStopsIsInterrupted) {
  runner().server_stops();
  for (const char* script : {"kill -TERM $$", "kill -INT $$", "kill -HUP $$", "exit 143", "exit 130", "exit 129"}) {
    const Outcome outcome = run(script);
    EXPECT_EQ(outcome.end, End::interrupted) << script;
    EXPECT_EQ(outcome.failure.message, "interrupted by system stop");
    EXPECT_FALSE(outcome.process);
  }
}

TEST_F(ProcessEnd, WhatEndsByItselfWhileTheServerStopsIsWhatItIs) {
  runner().server_stops();
  for (const auto& [script, code] : std::vector<std::pair<std::string, int>>{
           {"trap 'exit 0' TERM; kill -TERM $$", 0}, {"exit 3", 3}, {"kill -SEGV $$", 139}, {"kill -KILL $$", 137}}) {
    const Outcome outcome = run(script);
    ASSERT_EQ(outcome.end, End::completed) << script;
    EXPECT_EQ(outcome.process->exit_code, code) << script;
  }
  StartTask slow = task(script("sleep 1000"), 9);
  slow.timeout = 50ms;
  runner().start(std::move(slow));
  EXPECT_EQ(inbox_.next().outcome.end, End::timed_out);
  log_.durable = false;
  EXPECT_EQ(run("exit 143").end, End::interrupted) << "whether its log is durable says nothing of the task";
}

TEST_F(ProcessEnd, ATaskThatIsEndedAMomentBeforeTheServerIsToldToStopIsInterrupted) {
  start(script("echo $$; exec sleep 1000"));
  log_.await("\n");
  ::kill(numbers_in(log_.text(LogSink::Stream::out)).at(0), SIGTERM);
  runner().server_stops();
  EXPECT_EQ(inbox_.next().outcome.end, End::interrupted);
}

TEST_F(ProcessEnd, ATaskThatSomebodyEndsAndNobodyStopsTheServerHasFailed) {
  const Outcome outcome = run("kill -TERM $$");
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.process->signal, SIGTERM);
  // Hours later, a stop does not change that result.
  runner().server_stops();
  runner().shutdown();
  EXPECT_TRUE(inbox_.empty());
}

TEST_F(ProcessEnd, WhatATaskLeavesBehindIsKilled) {
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

TEST_F(ProcessEnd, ProcessesThatForkFasterThanOneCanLookAreEnded) {
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

TEST_F(ProcessEnd, ATaskThatKillsItsKeeperLeavesNothingEither) {
  const Outcome outcome = run("echo $$; setsid sleep 1000 & echo $!; kill -9 $PPID; sleep 1000");
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "keeper_lost");
  const auto pids = numbers_in(log_.text(LogSink::Stream::out));
  EXPECT_EQ(pids.size(), 2u);
  for (const pid_t pid : pids) EXPECT_FALSE(alive(pid)) << pid;
  EXPECT_EQ(run("echo fine").process->stdout_text, "fine\n");
}

TEST_F(ProcessEnd, ATaskThatKillsTheGuardEndsItsTriesAndTheNextOneGetsANewGuard) {
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

TEST_F(ProcessEnd, ATryStoppedBeforeItsStartNeverRuns) {
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

TEST_F(ProcessEnd, AStopThatComesWhileTheTryIsStartedEndsIt) {
  run("true");
  for (int i = 1; i <= 20; ++i) {
    start(script("sleep 1000"), i);
    stop(1h, i);  // TERM has to be enough
    EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
  }
}

TEST_F(ProcessEnd, ShutdownLeavesNoProcessAndGivesNoResult) {
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

TEST_F(ProcessEnd, NoProcessOfAServerKilledWithoutWarningOutlivesItsLock) {
  ASSERT_EQ(::mkfifo((folder_ + "/ready").c_str(), 0600), 0);
  DeadServer server{options(), in_folder(hardy_family, folder_)};
  const auto pids = numbers_in(read_fifo(folder_ + "/ready"));
  ASSERT_EQ(pids.size(), 5u);
  for (const pid_t pid : pids) EXPECT_TRUE(alive(pid)) << pid;
  server.kill();
  await_lock();
  for (const pid_t pid : pids) EXPECT_FALSE(alive(pid)) << pid;
}

TEST_F(ProcessEnd, NeitherDoesOneWhoseGuardIsKilledWithTheServer) {
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

TEST_F(ProcessEnd, ANewServerStartsNothingBeforeTheOldOnesProcessesAreGone) {
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

}  // namespace
}  // namespace pawl::runner::testing
