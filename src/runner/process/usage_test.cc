#include "runner/process/usage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "runner/process/killing.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;

// Processes below this one, for as long as it lives. Programs of their own: a copy of this one may bring threads of its
// sanitizer's with it.
class Children {
 public:
  explicit Children(int count) {
    EXPECT_EQ(::pipe2(pipe_, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_[0], 0);
    char program[] = "/bin/cat";
    char* const arguments[] = {program, nullptr};
    for (int i = 0; i < count; ++i) {
      pid_t pid = 0;
      EXPECT_EQ(::posix_spawn(&pid, program, &actions, nullptr, arguments, environ), 0);
      pids_.push_back(pid);
    }
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Children() {
    ::close(pipe_[0]);
    ::close(pipe_[1]);  // the end of their input is theirs
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

 private:
  int pipe_[2] = {-1, -1};
  std::vector<pid_t> pids_;
};

TEST(Usage, MoreProcessesThanTheLimitAreNoticed) {
  const Children children(8);
  EXPECT_EQ(Usage(8, 0).look(elapsed()), Usage::Passed::nothing);
  EXPECT_EQ(Usage(7, 0).look(elapsed()), Usage::Passed::processes);
}

TEST(Usage, MoreMemoryThanTheLimitIsNoticed) {
  const Children children(2);
  EXPECT_EQ(Usage(0, 1 << 10).look(elapsed()), Usage::Passed::memory);
  EXPECT_EQ(Usage(0, std::int64_t{1} << 40).look(elapsed()), Usage::Passed::nothing);
}

TEST(Usage, WhatGrowsByAFewIsNoticedAtTheNextRegularLook) {
  Usage usage(100, 0);
  const Duration now = elapsed();
  EXPECT_EQ(usage.look(now), Usage::Passed::nothing);
  Usage small(4, 0);
  EXPECT_EQ(small.look(now), Usage::Passed::nothing);
  const Children children(5);
  EXPECT_EQ(small.look(now + 5s), Usage::Passed::processes);
}

TEST(Usage, WithoutALimitNothingIsCounted) {
  EXPECT_FALSE(Usage(0, 0).counts());
  EXPECT_TRUE(Usage(1, 0).counts());
  EXPECT_TRUE(Usage(0, 1).counts());
}

}  // namespace
}  // namespace pawl::runner
