#include "runner/process/usage.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "runner/process/killing.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;

// Processes below this one, for as long as it lives.
class Children {
 public:
  explicit Children(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::pause();
        ::_exit(0);
      }
      pids_.push_back(pid);
    }
  }
  ~Children() {
    for (const pid_t pid : pids_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }

 private:
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
