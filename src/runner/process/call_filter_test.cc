// The filter and its judge without a guard: this process is the keeper, and a program behind the filter its task.
#include "runner/process/call_filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

#include "runner/process/guard_link.h"
#include "runner/process/task_start.h"
#include "runner/process/testing/attempts.h"

namespace pawl::runner::testing {
namespace {

// A child of this process that sleeps as long as it lives.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ != 0) return;
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) ::pause();
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  pid_t pid() const { return pid_; }
  std::string text() const { return std::to_string(pid_); }

 private:
  const pid_t pid_;
};

// What the script prints behind a filter that holds signals, too.
std::string printed(const std::string& script, pid_t server, pid_t guard) {
  const auto filter = make_call_filter(true);
  auto sockets = make_sockets();
  std::array<int, 2> out{};
  if (!filter || !sockets || ::pipe2(out.data(), O_CLOEXEC) != 0) return "not started";
  const Descriptor output{out[0]};
  Descriptor output_end{out[1]};
  const pid_t task = ::fork();
  if (task == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::setpgid(0, 0);
    const Descriptor listener = enter_call_filter(*filter);
    if (!listener.valid() || !send_descriptor(sockets->theirs.get(), listener)) ::_exit(1);
    ::dup2(output_end.get(), STDOUT_FILENO);
    ::execlp("python3", "python3", "-c", script.c_str(), nullptr);
    ::_exit(2);
  }
  output_end.reset();
  CallJudge judge(server, guard);
  Descriptor listener;
  std::string text;
  for (bool open = true; open;) {
    std::array<pollfd, 2> waits{
        {{.fd = output.get(), .events = POLLIN, .revents = 0},
         {.fd = listener.valid() ? listener.get() : sockets->ours.get(), .events = POLLIN, .revents = 0}}};
    ::poll(waits.data(), waits.size(), -1);
    if ((waits[1].revents & POLLIN) != 0) {
      if (listener.valid())
        EXPECT_TRUE(judge.answer(listener));
      else
        listener = receive_descriptor(sockets->ours);
    }
    std::array<char, 4096> buffer;
    if (waits[0].revents == 0) continue;
    const ssize_t size = ::read(output.get(), buffer.data(), buffer.size());
    open = size > 0;
    if (open) text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  ::waitpid(task, nullptr, 0);
  return text;
}

TEST(CallFilter, NothingChangesTheServerOrTheGuard) {
  const Sleeper server, guard;
  EXPECT_EQ(printed(attempts_on(server.text(), owner), server.pid(), guard.pid()), "\n");
  EXPECT_EQ(printed(attempts_on(guard.text(), owner), server.pid(), guard.pid()), "\n");
}

TEST(CallFilter, NothingChangesTheKeeper) {
  const Sleeper server, guard;
  EXPECT_EQ(printed(attempts_on(std::to_string(::getpid()), owner), server.pid(), guard.pid()), "\n");
}

// The server of a container is its first process. Nothing is changed here if the judge is wrong: it is only signal 0.
TEST(CallFilter, AServerThatIsTheFirstProcessIsOneToo) {
  EXPECT_EQ(
      printed("import os\ntry:\n  os.kill(1, 0)\n  print('went')\nexcept OSError as e: print(e.errno)", 1, ::getppid()),
      "1\n");
}

TEST(CallFilter, WhatIsBelowTheKeeperIsChangedInAllWays) {
  const Sleeper server, guard, own;
  EXPECT_EQ(
      printed(attempts_on(own.text(), owner), server.pid(), guard.pid()),
      "limits priority group_priority processors scheduler parameters io group_io signal group_signal thread_signal "
      "one_thread_signal handle_signal owner\n");
}

TEST(CallFilter, WhatHasEndedIsTheKernelsToReport) {
  const Sleeper server, guard;
  EXPECT_EQ(printed("import os, signal\n"
                    "child = os.fork()\n"
                    "if child == 0: os._exit(0)\n"
                    "handle = os.pidfd_open(child)\n"
                    "os.waitpid(child, 0)\n"
                    "for way in (lambda: signal.pidfd_send_signal(handle, 0), lambda: os.kill(child, 0), lambda: "
                    "os.killpg(child, 0)):\n"
                    "  try: way()\n"
                    "  except OSError as e: print(e.errno)",
                    server.pid(), guard.pid()),
            "3\n3\n3\n");
}

}  // namespace
}  // namespace pawl::runner::testing
