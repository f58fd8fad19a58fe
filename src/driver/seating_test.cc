// Which tries hold the seats while others wait, and what is logged when they wait long.
#include "driver/seating.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "definition/definition.h"
#include "driver/test_node.h"

namespace pawl::driver {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class Seats : public testing::Test {
 protected:
  // A node with so many seats for processes and one for calls.
  void begin(int processes = 1, Instant now = noon) {
    CoreOptions options;
    options.process_seats = processes;
    options.http_seats = 1;
    options.show_seats = [this](Seat seat, const SeatCount& count) {
      shown_[static_cast<std::size_t>(seat)] = count;
      ++times_;
    };
    node_ = std::make_unique<Node>(disk_, std::move(options));
    for (const std::string name : {"short", "long"}) submit(name, "run: x");
    submit("calls", "http: {url: 'http://127.0.0.1:1/'}");
    play(now);
  }
  void submit(const std::string& name, const std::string& task) {
    const std::string yaml = "name: " + name + "\njobs: {j: {tasks: [{id: t, " + task + "}]}}";
    auto parsed = definition::parse(yaml);
    node_->core.push(WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)), yaml, {}, {}});
  }
  void play(Instant now) {
    now_ = now;
    while (node_->core.has_work(now)) node_->turn(now);
  }
  // All that comes due meanwhile is decided when it does.
  void play_until(Instant until) {
    for (auto due = node_->core.next_due(); due && *due <= until; due = node_->core.next_due())
      play(std::max(now_, *due));
    now_ = until;
  }
  // The run that is begun.
  RunId start(const std::string& workflow, Instant now) {
    RunId run;
    node_->core.push(RunRequested{workflow, json::object{}, {}, {}},
                     [&](const Result<Answer>& answer) { run = std::get<RunAccepted>(*answer).run; });
    play(now);
    return run;
  }
  void finish(RunId run, Instant now) {
    for (const auto& [key, command] : std::map(node_->runner.running())) {
      if (std::get<0>(key) != run) continue;
      node_->runner.take(key);
      Outcome outcome;
      outcome.process = ProcessExit{};
      if (command.workflow == "calls") outcome.reply = HttpReply{.status = 200};
      node_->core.push(TaskFinished{run, std::get<1>(key), std::get<2>(key), outcome});
    }
    play(now);
  }
  const SeatCount& shown(Seat seat = Seat::process) const { return shown_[static_cast<std::size_t>(seat)]; }
  bool runs(RunId run) const {
    return std::ranges::any_of(node_->runner.running(), [&](const auto& one) { return std::get<0>(one.first) == run; });
  }
  // What was logged meanwhile.
  std::string logged(const std::function<void()>& meanwhile) {
    testing::internal::CaptureStderr();
    meanwhile();
    return testing::internal::GetCapturedStderr();
  }

  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  std::unique_ptr<Node> node_;
  SeatCounts shown_;
  int times_ = 0;
  Instant now_ = noon;
};

TEST_F(Seats, NothingIsShownWhileNobodyWaits) {
  begin(2);
  const RunId first = start("long", noon);
  start("short", noon + 1s);
  finish(first, noon + 2s);
  EXPECT_EQ(times_, 0);
}

TEST_F(Seats, WhoWaitsIsShownWhoHasHeldOneLongest) {
  begin(2);
  const RunId oldest = start("long", noon + 1s);
  const RunId second = start("short", noon + 2s);
  const RunId third = start("short", noon + 3s);
  EXPECT_EQ(shown().size, 2);
  EXPECT_EQ(shown().taken, 2);
  EXPECT_EQ(shown().waiting, 1U);
  ASSERT_TRUE(shown().oldest);
  EXPECT_EQ(shown().oldest->run, oldest);
  EXPECT_EQ(shown().oldest->workflow, "long");
  EXPECT_EQ(shown().oldest->number, 1);
  EXPECT_EQ(shown().oldest->job, "j");
  EXPECT_EQ(shown().oldest->task, "t");
  EXPECT_EQ(shown().oldest->since, noon + 1s);
  EXPECT_EQ(shown(Seat::http).waiting, 0U) << "no run waits for it";

  const RunId fourth = start("long", noon + 4s);
  finish(oldest, noon + 5s);
  ASSERT_TRUE(runs(third));
  EXPECT_EQ(shown().oldest->run, second);
  finish(second, noon + 6s);
  ASSERT_TRUE(runs(fourth));
  EXPECT_EQ(shown().waiting, 0U);
}

TEST_F(Seats, CallsHaveALimitOfTheirOwn) {
  begin(1);
  start("long", noon);
  const RunId call = start("calls", noon + 1s);
  start("calls", noon + 2s);
  EXPECT_EQ(shown().waiting, 0U);
  EXPECT_EQ(shown(Seat::http).taken, 1);
  EXPECT_EQ(shown(Seat::http).oldest->run, call);
}

TEST_F(Seats, ALongHolderStaysTheOldestHoweverManyComeAndGoBesideIt) {
  begin(2);
  const RunId oldest = start("long", noon);
  RunId last = start("short", noon + 1s);
  RunId next = start("short", noon + 2s);
  for (int i = 0; i < 500; ++i) {
    const Instant now = noon + 3s + std::chrono::milliseconds(i);
    finish(last, now);
    last = std::exchange(next, start("short", now));
    ASSERT_EQ(shown().oldest->run, oldest) << i;
  }
  finish(oldest, noon + 10s);
  EXPECT_EQ(shown().oldest->run, last);
}

TEST_F(Seats, AFailedCommitForgetsNoHolder) {
  begin(1);
  const RunId holder = start("long", noon);
  node_->core.push(CancelRequested{holder, {}});
  disk_->faults().next_commit = store::CommitFault::overloaded;
  node_->turn(noon + 1s);
  disk_->faults() = {};
  play(noon + 2s);
  start("short", noon + 3s);
  ASSERT_EQ(shown().waiting, 1U);
  ASSERT_TRUE(shown().oldest);
  EXPECT_EQ(shown().oldest->run, holder);
  EXPECT_EQ(shown().oldest->since, noon);
}

TEST_F(Seats, AfterARestartWhoRunsAgainIsTheHolder) {
  begin(1);
  const RunId holder = start("long", noon);
  start("short", noon + 1s);
  shown_ = {};
  begin(1, noon + 1min);  // the node before it is dead
  ASSERT_TRUE(shown().oldest);
  EXPECT_EQ(shown().oldest->run, holder);
  EXPECT_EQ(shown().oldest->since, noon + 1min);
  EXPECT_EQ(shown().waiting, 1U);
}

TEST_F(Seats, ALimitThatIsReachedForFiveMinutesWhileRunsWaitIsLoggedOnce) {
  begin(1);
  const RunId holder = start("long", noon);
  const RunId second = start("short", noon + 1min);
  start("short", noon + 2min);
  EXPECT_THAT(logged([&] { play_until(noon + 5min); }), IsEmpty()) << "no wait was that long";
  EXPECT_THAT(logged([&] { play_until(noon + 7min); }),
              AllOf(HasSubstr("a limit has been reached for 5 minutes"), HasSubstr("limit=max-processes"),
                    HasSubstr("size=1"), HasSubstr("waiting=2"), HasSubstr("oldest=\"long#1 j/t\""),
                    HasSubstr(to_string(holder)), HasSubstr("since=2026-11-23T12:00:00.000Z")));
  EXPECT_THAT(logged([&] { play_until(noon + 60min); }), IsEmpty()) << "it was logged already";

  // As long as runs wait it is the same episode, even if other tries hold the seat.
  finish(holder, noon + 60min);
  ASSERT_TRUE(runs(second));
  EXPECT_THAT(logged([&] { play_until(noon + 90min); }), IsEmpty());
  finish(second, noon + 90min);
  EXPECT_EQ(shown().waiting, 0U);
  start("short", noon + 91min);
  EXPECT_THAT(logged([&] { play_until(noon + 95min); }), IsEmpty());
  EXPECT_THAT(logged([&] { play_until(noon + 97min); }), HasSubstr("waiting=1"));
}

TEST_F(Seats, ALimitThatNobodyWaitsForMayBeReachedForEver) {
  begin(1);
  start("long", noon);
  EXPECT_THAT(logged([&] { play_until(noon + 24h); }), IsEmpty());
}

}  // namespace
}  // namespace pawl::driver
