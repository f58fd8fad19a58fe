// Tasks that take too much, look where they must not, and harm those who watch them.
#include <fmt/format.h>
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runner/process/cover.h"
#include "runner/process/fence.h"
#include "runner/process/process_runner.h"
#include "runner/process/task_user.h"
#include "runner/process/testing/attempts.h"
#include "runner/process/testing/fixture.h"
#include "runner/process/trial.h"

namespace pawl::runner::testing {
namespace {

class ProcessProtection : public ProcessRunnerTest {
 protected:
  ProcessOptions limited(TaskLimits limits) const {
    ProcessOptions result = options();
    result.limits = limits;
    return result;
  }
  ProcessOptions fenced(FenceMode fence) const {
    ProcessOptions result = options();
    result.fence = fence;
    result.data = data();
    return result;
  }
  void write_secret() const { std::ofstream(data() + "/admin.token") << "secret\n"; }

  static bool holds(FenceMode fence) {
    if (fence == FenceMode::landlock) return landlock_version() > 0;
    return may_mount();
  }
  // The fences that can be had here.
  static std::vector<FenceMode> fences() {
    std::vector<FenceMode> found;
    for (const FenceMode fence : {FenceMode::cover, FenceMode::landlock}) {
      if (holds(fence)) found.push_back(fence);
    }
    return found;
  }
  using ProcessRunnerTest::use;
  void use(FenceMode fence) { use(fenced(fence)); }
  std::string with_paths(std::string text) const {
    for (const auto& [word, path] : {std::pair{"DATA", data()}, {"FREE", folder_ + "/free"}, {"BASE", folder_}}) {
      for (auto at = text.find(word); at != std::string::npos; at = text.find(word)) text.replace(at, 4, path);
    }
    return text;
  }

  // A folder that the fence leaves alone, because it was there before and holds no data.
  std::string free_folder() const {
    const std::string path = folder_ + "/free";
    fs::create_directory(path);
    return path;
  }
};

// At most so many processes at once, and each lives for a few seconds only: a fault here does no harm.
std::string small_bomb(int processes) {
  return fmt::format(
      "import os, time\n"
      "for i in range({}):\n"
      "  if os.fork() == 0:\n"
      "    time.sleep(20)\n"
      "    os._exit(0)\n"
      "print('survived')\n"
      "time.sleep(20)\n",
      processes);
}

ProcessInput python(std::string text) {
  ProcessInput input;
  input.script = std::move(text);
  input.shell = "python3";
  input.want_stdout = true;
  return input;
}

TEST_F(ProcessProtection, ATryThatWantsMoreProcessesThanItsLimitIsKilled) {
  use(limited({.processes = 40}));
  const auto begun = std::chrono::steady_clock::now();
  const Outcome outcome = run(python(small_bomb(100)));
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "process_limit");
  EXPECT_EQ(outcome.failure.message, "killed: it wanted more than 40 processes and threads at once (--task-processes)");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 15s);
  EXPECT_EQ(log_.text(LogSink::Stream::out), "");
}

TEST_F(ProcessProtection, WhatStaysWithinTheLimitOfProcessesIsLetAlone) {
  use(limited({.processes = 40}));
  const Outcome outcome = run("for i in $(seq 20); do sleep 0.1 & done; wait; for i in $(seq 100); do /bin/true; done");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->exit_code, 0);
}

TEST_F(ProcessProtection, ThreadsCountAsProcesses) {
  use(limited({.processes = 20}));
  const Outcome outcome =
      run(python("import threading, time\n"
                 "for i in range(40): threading.Thread(target=time.sleep, args=(20,)).start()\n"));
  EXPECT_EQ(outcome.failure.code, "process_limit");
}

TEST_F(ProcessProtection, TheLimitIsOfATryAndNotOfAllOfThem) {
  use(limited({.processes = 30}));
  for (int i = 1; i <= 4; ++i) start(script("for i in $(seq 15); do sleep 0.3 & done; wait"), i);
  for (int i = 1; i <= 4; ++i) EXPECT_EQ(inbox_.next().outcome.end, End::completed);
}

TEST_F(ProcessProtection, ATryThatTakesMoreMemoryThanItsLimitIsKilled) {
  use(limited({.memory_bytes = 96 << 20}));
  const Outcome outcome = run(python("held = [bytearray(8 << 20) for i in range(40)]\nprint('survived')"));
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "memory_limit");
  EXPECT_EQ(log_.text(LogSink::Stream::out), "");
  EXPECT_EQ(run(python("held = bytearray(16 << 20)\nprint('fine')")).process->stdout_text, "fine\n");
}

TEST_F(ProcessProtection, OpenFilesAndTheSizeOfAFileAreLimited) {
  use(limited({.open_files = 64, .file_bytes = 1 << 20}));
  EXPECT_EQ(run("ulimit -n; ulimit -Hn").process->stdout_text, "64\n64\n");
  const Outcome outcome = run("head -c 2M /dev/zero > big; echo unreached");
  EXPECT_EQ(outcome.process->exit_code, 128 + SIGXFSZ);
  EXPECT_EQ(fs::file_size(run_folder() + "/j/big"), 1u << 20);
}

TEST_F(ProcessProtection, ATaskHasTheUsualNumberOfOpenFilesHoweverManyTheServerHas) {
  EXPECT_EQ(run("ulimit -n").process->stdout_text, "1024\n");
}

TEST_F(ProcessProtection, AFencedTaskWorksInItsOwnFolderAndInAllOthers) {
  for (const FenceMode fence : fences()) {
    const std::string free = free_folder();
    use(fence);
    const Outcome outcome =
        run(fmt::format("mkdir a; echo 1 > a/b; mv a/b c; cat c; rm -r a c\n"
                        "echo 2 > $PAWL_WORKSPACE/shared; cat $PAWL_WORKSPACE/shared\n"
                        "echo 3 > {0}/x; mkdir {0}/d; mv {0}/x {0}/d; cat {0}/d/x; rm -r {0}/d\n"
                        "ls / > /dev/null; cat /etc/passwd > /dev/null; echo x=4 >> $PAWL_OUTPUT\n",
                        free));
    ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
    EXPECT_EQ(outcome.process->exit_code, 0) << outcome.process->stderr_tail;
    EXPECT_EQ(outcome.process->stdout_text, "1\n2\n3\n");
    EXPECT_EQ(to_text(outcome.process->outputs), R"({"x":"4"})");
  }
}

TEST_F(ProcessProtection, AFencedTaskDoesNotGetIntoTheDataFolder) {
  for (const FenceMode fence : fences()) {
    write_secret();
    free_folder();
    use(fence);
    const Outcome outcome = run(with_paths(R"(set +e
      for f in DATA/admin.token DATA/guard.lock; do cat $f && echo read; done
      echo x >> DATA/admin.token && echo changed
      rm DATA/admin.token && echo removed
      mv DATA/admin.token FREE/token && echo moved
      ln DATA/admin.token FREE/token && echo linked
      echo x > DATA/new && echo made
      cat /proc/self/root/DATA/admin.token && echo around
      ln -sf DATA/admin.token FREE/link; cat FREE/link && echo through
      cd DATA && cat admin.token && echo inside
      true)"));
    ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
    EXPECT_EQ(outcome.process->exit_code, 0);
    EXPECT_EQ(outcome.process->stdout_text, "") << outcome.process->stderr_tail;
    std::string left;
    std::getline(std::ifstream(data() + "/admin.token"), left);
    EXPECT_EQ(left, "secret");
  }
}

TEST_F(ProcessProtection, AFenceHoldsWhateverTheTaskStarts) {
  for (const FenceMode fence : fences()) {
    write_secret();
    use(fence);
    const Outcome outcome =
        run(with_paths("setsid bash -c 'cat DATA/admin.token' || echo no\n"
                       "grep NoNewPrivs /proc/self/status"));
    EXPECT_EQ(outcome.process->stdout_text, "no\nNoNewPrivs:\t1\n");
  }
}

TEST_F(ProcessProtection, ACoverForbidsNothingElse) {
  if (!may_mount()) GTEST_SKIP() << "only root covers without a user namespace";
  use(FenceMode::cover);
  const Outcome outcome = run(with_paths("echo 1 > BASE/beside; cat BASE/beside; ls DATA"));
  EXPECT_EQ(outcome.process->stdout_text, "1\nwork\n");
}

TEST_F(ProcessProtection, ACoverIsNoConcernOfTheServer) {
  if (!may_mount()) GTEST_SKIP() << "only root covers without a user namespace";
  write_secret();
  use(FenceMode::cover);
  run("true");
  EXPECT_TRUE(fs::exists(data() + "/admin.token"));
  EXPECT_EQ(run("echo 1 > $PAWL_WORKSPACE/x; cat $PAWL_WORKSPACE/x").process->stdout_text, "1\n");
  EXPECT_TRUE(fs::exists(run_folder() + "/x"));
}

TEST_F(ProcessProtection, AWorkspaceElsewhereIsWorkedInAsWell) {
  for (const FenceMode fence : fences()) {
    ProcessOptions elsewhere = fenced(fence);
    elsewhere.workspace = folder_ + "/work";
    use(elsewhere);
    const Outcome outcome = run("echo 1 > x; cat x");
    ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
    EXPECT_EQ(outcome.process->stdout_text, "1\n");
  }
}

class Landlocked : public ProcessProtection {
 protected:
  void SetUp() override {
    if (landlock_version() == 0) GTEST_SKIP() << "no Landlock here";
  }
};

TEST_F(Landlocked, ATaskDoesNotGetIntoTheFolderOfAnotherRun) {
  use(FenceMode::landlock);
  fs::create_directories(options().workspace + "/other");
  std::ofstream(options().workspace + "/other/file") << "theirs";
  EXPECT_NE(run("cat " + options().workspace + "/other/file").process->exit_code, 0);
}

TEST_F(Landlocked, ATaskCannotSignalItsKeeperOrTheServer) {
  if (landlock_version() < landlock_that_holds_signals) GTEST_SKIP() << "it does not hold signals";
  use(FenceMode::landlock);
  const Outcome outcome =
      run(fmt::format("kill -9 $PPID && echo killed; kill -STOP $PPID && echo stopped\n"
                      "kill -9 {} && echo killed; sleep 10 & kill $! && echo fine",
                      ::getpid()));
  EXPECT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.process->stdout_text, "fine\n");
}

TEST_F(Landlocked, WhatIsRefusedComesWithAHintThatNamesTheClosedFolders) {
  use(FenceMode::landlock);
  const Outcome outcome = run(with_paths("echo 1 > BASE/beside"));
  ASSERT_TRUE(outcome.failure.cause.is_object());
  const std::string hint = to_text(outcome.failure.cause.at("hint"));
  EXPECT_NE(hint.find(folder_), std::string::npos) << hint;
  EXPECT_NE(hint.find("may be the reason"), std::string::npos) << hint;
}

TEST_F(Landlocked, NoHintComesWithAnotherFailureOrASuccess) {
  use(FenceMode::landlock);
  EXPECT_TRUE(run("echo no such luck >&2; exit 3").failure.cause.is_null());
  EXPECT_TRUE(run("echo Permission denied >&2").failure.cause.is_null());
}

TEST_F(ProcessProtection, NoHintComesWithoutLandlock) {
  EXPECT_TRUE(run("echo Permission denied >&2; exit 1").failure.cause.is_null());
}

TEST_F(ProcessProtection, AFenceThatIsAskedForAndDoesNotHoldIsNoStart) {
  ProcessOptions options = fenced(FenceMode::cover);
  options.program = "/bin/false";  // its trial ends with 1, which is EPERM
  const auto made = make_process_runner(options, inbox_, log_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::unavailable);
  EXPECT_EQ(made.error().message,
            "--fence cover does not work on this machine (cover: Operation not permitted): use --fence auto, or let "
            "tasks run as another user (--run-as)");
}

TEST_F(ProcessProtection, ATrialLeavesNothingInTheDataFolder) {
  const auto files = [this] { return std::distance(fs::recursive_directory_iterator(data()), {}); };
  fs::create_directory(data() + "/work");
  const auto before = files();
  for (const Fence fence : {Fence::cover, Fence::landlock})
    try_fence(PAWL_PROCESS_TEST_PROGRAM, fence, data(), data() + "/work");
  EXPECT_EQ(files(), before);
}

TEST_F(ProcessProtection, ATrialOfAFenceThatCannotBeMadeSaysWhy) {
  EXPECT_EQ(try_fence(PAWL_PROCESS_TEST_PROGRAM, Fence::cover, data() + "/none", data() + "/none/work"),
            may_mount() ? "No such file or directory" : "Operation not permitted");
}

TEST_F(Landlocked, ATaskDoesNotGetAroundByTheRootOfTheServer) {
  use(FenceMode::landlock);
  EXPECT_NE(run(fmt::format("cat /proc/{}/root/etc/passwd", ::getpid())).process->exit_code, 0);
}

TEST_F(Landlocked, ATaskMakesNothingDirectlyInAFolderThatHoldsTheDataFolder) {
  use(FenceMode::landlock);
  EXPECT_NE(run(with_paths("echo 1 > BASE/beside")).process->exit_code, 0);
}

TEST_F(ProcessProtection, NothingOfTheServersEnvironmentIsInTheProcessesAboveATask) {
  ::setenv("PAWL_TEST_SECRET", "do not pass on", 1);
  const Outcome outcome =
      run("pid=$PPID; for i in 1 2; do tr '\\0' '\\n' < /proc/$pid/environ; "
          "pid=$(awk '{print $4}' /proc/$pid/stat); done");
  ::unsetenv("PAWL_TEST_SECRET");
  EXPECT_EQ(outcome.process->stdout_text.find("SECRET"), std::string::npos);
}

class AsAnotherUser : public ProcessProtection {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
    fs::permissions(folder_, fs::perms::all);
    nobody_ = options();
    nobody_.run_as = "nobody";
    nobody_.data = data();
  }
  ProcessOptions nobody_;
};

TEST_F(AsAnotherUser, TasksRunAsThatUserInFoldersOfTheirOwn) {
  use(nobody_);
  const Outcome outcome =
      run("id -un; id -G; echo 1 > file; stat -c '%U %a' . .. file $PAWL_OUTPUT; echo $HOME\n"
          "echo x=1 >> $PAWL_OUTPUT; grep CapEff /proc/self/status");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->stdout_text,
            "nobody\n65534\nnobody 700\nnobody 700\nnobody 644\nnobody 600\n/nonexistent\nCapEff:\t0000000000000000\n");
  EXPECT_EQ(to_text(outcome.process->outputs), R"({"x":"1"})");
  EXPECT_TRUE(fs::is_empty(run_folder() + "/.pawl")) << "script and output are removed";
}

TEST_F(AsAnotherUser, TasksGetNeitherIntoTheDataFolderNorAtTheServer) {
  write_secret();
  fs::permissions(data() + "/admin.token", fs::perms::owner_read);
  use(nobody_);
  const Outcome outcome =
      run(fmt::format("set +e; cat {0}/admin.token; ls {0}; touch {0}/x; ls {0}/work\n"
                      "kill -9 {1}; kill -STOP $PPID; cat /proc/{1}/environ; true",
                      data(), ::getpid()));
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->stdout_text, "");
}

TEST_F(AsAnotherUser, WhatIsPlantedForTheOutputLeadsToNothingOfTheServer) {
  write_secret();
  fs::permissions(data() + "/admin.token", fs::perms::owner_read);
  use(nobody_);
  // A hard link is refused by the kernel, as a rule; where it is not, the file still is not the task's to read.
  const Outcome outcome = run(
      fmt::format("rm $PAWL_OUTPUT; ln {0}/admin.token $PAWL_OUTPUT || ln -s {0}/admin.token $PAWL_OUTPUT", data()));
  EXPECT_EQ(outcome.failure.code, "output_invalid");
  EXPECT_EQ(outcome.failure.message.find("secret"), std::string::npos);
}

TEST_F(AsAnotherUser, AFolderPlantedInAWorkspaceIsEnteredWithTheRightsOfTheTask) {
  use(nobody_);
  run("rm -rf $PAWL_WORKSPACE/.pawl; ln -s " + data() + " $PAWL_WORKSPACE/.pawl");
  EXPECT_EQ(run("true").failure.code, "workspace_unavailable");
}

TEST_F(AsAnotherUser, TheFenceAndTheLimitsHoldToo) {
  nobody_.fence = FenceMode::automatic;
  nobody_.limits.processes = 40;
  use(nobody_);
  EXPECT_EQ(run("grep NoNewPrivs /proc/self/status").process->stdout_text, "NoNewPrivs:\t1\n");
  EXPECT_EQ(run(python(small_bomb(100))).failure.code, "process_limit");
}

TEST_F(AsAnotherUser, ATaskChangesNoTaskOfAnotherTry) {
  nobody_.fence = FenceMode::automatic;
  use(nobody_);
  start(script("echo pid $$; exec sleep 1000"), 1);
  log_.await("pid ");
  log_.await("\n");
  const std::string other = log_.text(LogSink::Stream::out).substr(4);
  StartTask second = task(python(attempts_on(other.substr(0, other.find('\n')))), 2);
  runner().start(second);
  const Outcome outcome = inbox_.next().outcome;
  ASSERT_EQ(outcome.process->exit_code, 0) << outcome.process->stderr_tail;
  EXPECT_EQ(outcome.process->stdout_text, "\n");
  stop(0s);
  inbox_.next();
}

TEST_F(AsAnotherUser, ATaskChangesNeitherItsKeeperNorTheGuardNorTheServer) {
  nobody_.fence = FenceMode::automatic;
  use(nobody_);
  for (const char* whom : {"os.getppid()", "int(open(f'/proc/{os.getppid()}/stat').read().split()[3])"}) {
    const Outcome outcome = run(python(attempts_on(whom)));
    EXPECT_EQ(outcome.process->stdout_text, "\n") << whom << outcome.process->stderr_tail;
  }
  EXPECT_EQ(run(python(attempts_on(std::to_string(::getpid())))).process->stdout_text, "\n");
}

TEST_F(AsAnotherUser, ATaskChangesItselfAndWhatItHasStartedAsEver) {
  nobody_.fence = FenceMode::automatic;
  use(nobody_);
  const Outcome outcome =
      run("renice -n 5 $$ > /dev/null; ionice -c 3 -p $$; taskset -cp 0 $$ > /dev/null; prlimit --pid $$ --nofile=512\n"
          "setsid sleep 1000 & sleep 1000 & renice -n 6 $! > /dev/null; prlimit --pid $! --nofile=256; kill $!\n"
          "wait $! || echo $?; kill -TERM %1; nice; ulimit -n\n"
          "python3 -c 'import os, signal; os.killpg(os.getpgrp(), signal.SIGWINCH); print(1)'");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->stderr_tail, "");
  EXPECT_EQ(outcome.process->stdout_text, "143\n5\n512\n1\n");
}

TEST_F(AsAnotherUser, StoppedTasksOfThatUserEnd) {
  use(nobody_);
  start(script("trap '' TERM; echo ready; sleep 1000"));
  log_.await("ready");
  stop(0s);
  EXPECT_EQ(inbox_.next().outcome.end, End::stopped);
}

TEST_F(AsAnotherUser, AUserThatIsNoneIsToldAtTheStart) {
  nobody_.run_as = "no-such-user";
  const auto made = make_process_runner(nobody_, inbox_, log_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "there is no user no-such-user for tasks to run as");
}

TEST_F(AsAnotherUser, AWorkspaceThatTheUserCannotReachIsToldAtTheStart) {
  fs::permissions(folder_, fs::perms::owner_all);
  const auto made = make_process_runner(nobody_, inbox_, log_);
  ASSERT_FALSE(made);
  EXPECT_TRUE(
      made.error().message.starts_with("tasks are to run as user nobody, who cannot get to " + data() + "/work: "))
      << made.error().message;
}

TEST_F(ProcessProtection, OnlyRootCanRunTasksAsAnotherUser) {
  const auto found = [] {
    const ActingAs nothing(nullptr);
    return find_user("root");
  }();
  EXPECT_EQ(found.has_value(), ::geteuid() == 0);
}

// --- harm to those who watch ---

TEST_F(ProcessProtection, ATaskMayKillItsGroupAndAllThatItCan) {
  const Outcome outcome = run("setsid sleep 1000 & kill -9 0");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->signal, SIGKILL);
}

TEST_F(ProcessProtection, ATaskThatStopsItselfIsEndedByItsTimeout) {
  StartTask stopped = task(script("kill -STOP $$; echo unreached"));
  stopped.timeout = 200ms;
  runner().start(stopped);
  EXPECT_EQ(inbox_.next().outcome.end, End::timed_out);
}

TEST_F(ProcessProtection, ATaskMayCloseAllItsDescriptors) {
  const Outcome outcome = run(python("import os, time\nos.closerange(0, 1024)\ntime.sleep(0.05)\nos._exit(7)\n"));
  EXPECT_EQ(outcome.process->exit_code, 7);
}

TEST_F(ProcessProtection, AKeeperThatItsTaskHasStoppedGoesOn) {
  StartTask stopping = task(script("for i in $(seq 20); do kill -STOP $PPID; done; sleep 1000"));
  stopping.timeout = 200ms;
  runner().start(stopping);
  EXPECT_EQ(inbox_.next().outcome.end, End::timed_out);
}

}  // namespace
}  // namespace pawl::runner::testing
