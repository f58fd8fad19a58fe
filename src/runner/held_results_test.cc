#include "runner/held_results.h"

#include <gtest/gtest.h>

#include <csignal>

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;
using End = Outcome::End;

TaskFinished ended(int exit_code, int try_number = 1, int signal = 0) {
  TaskFinished result;
  result.try_number = try_number;
  result.attempt = 1;
  result.outcome.process = ProcessExit{};
  result.outcome.process->exit_code = exit_code;
  result.outcome.process->signal = signal;
  return result;
}

TEST(HeldResults, OnlyWhatHangupInterruptAndTermLeaveCountsAsTheWorkOfAStop) {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    EXPECT_TRUE(ended_as_by_stop(ended(128 + signal, 1, signal).outcome)) << signal;
    EXPECT_TRUE(ended_as_by_stop(ended(128 + signal).outcome)) << signal;
  }
  for (const int code : {0, 1, 2, 126, 127, 128, 131, 137, 139, 142, 144, 255})
    EXPECT_FALSE(ended_as_by_stop(ended(code).outcome)) << code;
  EXPECT_FALSE(ended_as_by_stop(ended(128 + SIGKILL, 1, SIGKILL).outcome));
  EXPECT_FALSE(ended_as_by_stop(ended(128 + SIGSEGV, 1, SIGSEGV).outcome));
  // A timeout, a cancel and a limit of ours end a try with TERM, too, and say so.
  for (const End end : {End::failed, End::timed_out, End::stopped, End::interrupted}) {
    TaskFinished result = ended(143, 1, SIGTERM);
    result.outcome.end = end;
    EXPECT_FALSE(ended_as_by_stop(result.outcome));
  }
  Outcome reply;
  reply.reply = HttpReply{.status = 143};
  EXPECT_FALSE(ended_as_by_stop(reply));
}

TEST(HeldResults, AStopThatFollowsWithinHalfASecondMakesItInterrupted) {
  HeldResults held;
  EXPECT_FALSE(held.take(ended(143, 7), 10s));
  const auto results = held.server_stops(10s + 500ms);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].try_number, 7);
  EXPECT_EQ(results[0].attempt, 1);
  EXPECT_EQ(results[0].outcome.end, End::interrupted);
  EXPECT_EQ(results[0].outcome.failure.message, "interrupted by system stop");
  EXPECT_FALSE(results[0].outcome.process);
  EXPECT_FALSE(held.next());
}

TEST(HeldResults, WithoutAStopItIsTheFailureThatItIs) {
  HeldResults held;
  EXPECT_FALSE(held.take(ended(143, 1), 10s));
  EXPECT_FALSE(held.take(ended(130, 2), 10s + 100ms));
  EXPECT_TRUE(held.due(10s + 500ms).empty());
  ASSERT_TRUE(held.next());
  auto results = held.due(*held.next());
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].outcome.end, End::completed);
  EXPECT_EQ(results[0].outcome.process->exit_code, 143);
  results = held.due(11s);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].try_number, 2);
  EXPECT_FALSE(held.next());
}

TEST(HeldResults, AStopThatComesTooLateChangesNothing) {
  HeldResults held;
  EXPECT_FALSE(held.take(ended(143), 10s));
  const auto results = held.server_stops(10s + 501ms);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].outcome.end, End::completed);
}

TEST(HeldResults, WhileTheServerStopsNothingIsHeldBack) {
  HeldResults held;
  EXPECT_TRUE(held.server_stops(10s).empty());
  const auto result = held.take(ended(129), 100s);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->outcome.end, End::interrupted);
}

TEST(HeldResults, ATryThatIsToldToStopIsHeldBackNoLonger) {
  HeldResults held;
  EXPECT_FALSE(held.take(ended(143, 1), 10s));
  EXPECT_FALSE(held.take(ended(143, 2), 10s));
  EXPECT_FALSE(held.release({.run = {}, .ref = {}, .try_number = 3, .grace = {}}));
  const auto result = held.release({.run = {}, .ref = {}, .try_number = 1, .grace = {}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->try_number, 1);
  EXPECT_EQ(result->outcome.end, End::completed);
  EXPECT_EQ(held.server_stops(10s).size(), 1U);
}

}  // namespace
}  // namespace pawl::runner
