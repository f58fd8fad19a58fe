#include "driver/driver.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <thread>

#include "base/random.h"
#include "base/thread_annotations.h"
#include "definition/definition.h"
#include "driver/histories.h"
#include "runner/fake/fake_runner.h"
#include "store/memory/memory_store.h"

namespace pawl::driver {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view chain = R"(
name: chain
jobs:
  main:
    tasks:
      - {id: one, run: "true"}
      - {id: two, run: "true"}
)";

class SteadyClock final : public Clock {
 public:
  Instant now() override {
    return begin_ + std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - started_);
  }

 private:
  const Instant begin_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

class SeededRng final : public Rng {
 public:
  std::uint64_t next() override { return random_.next(); }

 private:
  SplitMix random_{1};
};

// What comes from other threads, taken in order by the test.
template <class Item>
class Mailbox {
 public:
  void put(Item item) {
    {
      const MutexLock lock(mutex_);
      items_.push_back(std::move(item));
    }
    came_.notify_all();
  }
  Item take() {
    mutex_.lock();
    while (items_.empty()) came_.wait(mutex_);
    Item item = std::move(items_.front());
    items_.pop_front();
    mutex_.unlock();
    return item;
  }
  bool empty() {
    const MutexLock lock(mutex_);
    return items_.empty();
  }

 private:
  Mutex mutex_;
  std::condition_variable_any came_;
  std::deque<Item> items_ GUARDED_BY(mutex_);
};

// A store whose commits can be held and made to fail.
class GatedStore final : public store::Store {
 public:
  explicit GatedStore(std::shared_ptr<store::MemoryDisk> disk) : store_(store::open_memory(std::move(disk))) {}

  Result<void> commit(std::span<const Changeset> changes) override {
    std::optional<Error> fault;
    {
      mutex_.lock();
      ++entered_;
      changed_.notify_all();
      while (closed_) changed_.wait(mutex_);
      fault = std::exchange(next_fault_, std::nullopt);
      mutex_.unlock();
    }
    if (fault) return std::unexpected(*fault);
    return store_->commit(changes);
  }
  Result<std::unique_ptr<store::Reader>> reader() override { return store_->reader(); }

  void close() {
    const MutexLock lock(mutex_);
    closed_ = true;
    entered_ = 0;
  }
  void open() {
    {
      const MutexLock lock(mutex_);
      closed_ = false;
    }
    changed_.notify_all();
  }
  void fail_next(Code code) {
    const MutexLock lock(mutex_);
    next_fault_ = Error{code, "planted"};
  }
  // Until a commit waits at the closed gate.
  void wait_for_commit() {
    mutex_.lock();
    while (entered_ == 0) changed_.wait(mutex_);
    mutex_.unlock();
  }

 private:
  std::unique_ptr<store::Store> store_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  bool closed_ GUARDED_BY(mutex_) = false;
  int entered_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> next_fault_ GUARDED_BY(mutex_);
};

// One process of a server on a disk that outlives it.
struct Process {
  explicit Process(std::shared_ptr<store::MemoryDisk> disk, DriverOptions options = {}, Remains* remains = nullptr)
      : store(std::move(disk)) {
    runner.on_start = [this](const StartTask& command) { started.put(command); };
    runner.on_stop = [this](const StopTask& command) {
      Outcome outcome;
      outcome.end = Outcome::End::stopped;
      driver->finished({command.run, command.ref, command.try_number, outcome});
    };
    driver = make_driver(
        options, Ports{store, runner, clock, rng, plans, nullptr, [this](const Error& e) { fatal.put(e); }, remains});
    EXPECT_TRUE(driver->start());
  }

  std::future<Result<Answer>> post(Event event) {
    auto promise = std::make_shared<std::promise<Result<Answer>>>();
    auto future = promise->get_future();
    const auto posted =
        driver->post(std::move(event), [promise](Result<Answer> answer) { promise->set_value(std::move(answer)); });
    if (!posted) promise->set_value(std::unexpected(posted.error()));
    return future;
  }
  Result<Answer> ask(Event event) { return post(std::move(event)).get(); }
  void submit(std::string_view text = chain) {
    auto parsed = definition::parse(text);
    ASSERT_TRUE(parsed);
    ASSERT_TRUE(ask(WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)),
                                      std::string(text),
                                      WorkflowSubmitted::Mode::create,
                                      {}}));
  }
  static RunRequested a_run() { return {"chain", json::object{}, {}, {}}; }
  void finish(const StartTask& start) {
    Outcome outcome;
    outcome.process = ProcessExit{};
    driver->finished({start.run, start.ref, start.try_number, outcome});
  }
  // Runs that are gone and not cleared away.
  std::vector<RunId> marks() { return (*store.reader())->gone({}, 100).value(); }
  // Every decision about what was posted before is durable or refused.
  void catch_up() { EXPECT_FALSE(ask(CancelRequested{})); }

  GatedStore store;
  SteadyClock clock;
  SeededRng rng;
  PlanCache plans;
  runner::FakeRunner runner;
  Mailbox<StartTask> started;
  Mailbox<Error> fatal;
  std::unique_ptr<Driver> driver;  // the first to go
};

class DriverTest : public testing::Test {
 protected:
  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
};

TEST_F(DriverTest, ARunGoesThroughItsTasksToItsEnd) {
  Process process(disk_);
  process.submit();
  const auto answer = process.ask(Process::a_run());
  ASSERT_TRUE(answer);
  const RunId id = std::get<RunAccepted>(*answer).run;
  const StartTask one = process.started.take();
  EXPECT_EQ(one.task, "one");
  process.finish(one);
  const StartTask two = process.started.take();
  EXPECT_EQ(two.task, "two");
  process.finish(two);
  process.catch_up();
  const auto histories = make_histories(process.store, process.plans);
  const auto history = histories->history(id);
  ASSERT_TRUE(history);
  EXPECT_EQ(history->run.status, RunStatus::success);
}

TEST_F(DriverTest, AnswersAndStartsLeaveOnlyAfterTheCommit) {
  Process process(disk_);
  process.submit();
  process.store.close();
  auto answer = process.post(Process::a_run());
  process.store.wait_for_commit();
  EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
  EXPECT_TRUE(process.started.empty());
  process.store.open();
  EXPECT_TRUE(answer.get());
  EXPECT_EQ(process.started.take().task, "one");
}

TEST_F(DriverTest, AFullInboxRefusesAtOnceAndWhatWasAcceptedIsAnswered) {
  DriverOptions options;
  options.inbox = 1;
  options.batch = 1;
  Process process(disk_, options);
  process.submit();
  process.store.close();
  std::vector<std::future<Result<Answer>>> accepted;
  accepted.push_back(process.post(Process::a_run()));
  process.store.wait_for_commit();
  // One is decided on top of the commit under way, one waits: of three more the last at least is refused.
  bool refused = false;
  for (int i = 0; i < 3; ++i) {
    auto answer = process.post(Process::a_run());
    if (answer.wait_for(0s) == std::future_status::ready) {
      const auto result = answer.get();
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().name, "overloaded");
      refused = true;
    } else {
      accepted.push_back(std::move(answer));
    }
  }
  EXPECT_TRUE(refused);
  process.store.open();
  for (auto& answer : accepted) EXPECT_TRUE(answer.get());
}

TEST_F(DriverTest, ACommitThatFailsForWantOfRoomIsSaidAndTheNextRequestSucceeds) {
  Process process(disk_);
  process.submit();
  process.store.fail_next(Code::overloaded);
  const auto refused = process.ask(Process::a_run());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::overloaded);
  EXPECT_TRUE(process.started.empty());
  const auto accepted = process.ask(Process::a_run());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(process.started.take().run, std::get<RunAccepted>(*accepted).run);
  EXPECT_FALSE(process.driver->failed());
}

TEST_F(DriverTest, TheResultOfATaskSurvivesAFailedCommit) {
  for (const Code code : {Code::overloaded, Code::conflict}) {
    disk_ = store::make_memory_disk();
    Process process(disk_);
    process.submit();
    ASSERT_TRUE(process.ask(Process::a_run()));
    const StartTask one = process.started.take();
    process.store.fail_next(code);
    process.finish(one);
    EXPECT_EQ(process.started.take().task, "two");
    process.driver->stop_now();
    EXPECT_EQ(disk_->records(one.run).size(), 3U) << "start, result, stop";
  }
}

TEST_F(DriverTest, AStoreThatCannotBeReliedOnIsFatalAndNothingMoreIsAccepted) {
  Process process(disk_);
  process.submit();
  process.store.fail_next(Code::unavailable);
  const auto answer = process.ask(Process::a_run());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::unavailable);
  EXPECT_EQ(process.fatal.take().code, Code::unavailable);
  EXPECT_TRUE(process.driver->failed());
  EXPECT_FALSE(process.driver->post(Process::a_run(), {}));
  EXPECT_TRUE(process.started.empty());
}

TEST_F(DriverTest, StopLetsARunningTaskFinishStartsNothingNewAndTheRunGoesOnInTheSameAttempt) {
  RunId id;
  {
    Process process(disk_);
    process.submit();
    ASSERT_TRUE(process.ask(Process::a_run()));
    const StartTask one = process.started.take();
    id = one.run;
    std::jthread stopping([&] { process.driver->stop(); });
    while (process.driver->post(CancelRequested{}, {})) std::this_thread::yield();
    process.finish(one);
    stopping.join();
    EXPECT_TRUE(process.started.empty());
  }
  EXPECT_EQ(disk_->runs().at(id).status, RunStatus::waiting);
  Process again(disk_);
  const StartTask two = again.started.take();
  EXPECT_EQ(two.task, "two");
  EXPECT_EQ(two.attempt, 1);
}

TEST_F(DriverTest, AStopDoesNotWaitForATryThatTheServiceManagerHasEnded) {
  RunId id;
  {
    DriverOptions options;
    options.stop_timeout = 24h;
    Process process(disk_, options);
    process.submit();
    ASSERT_TRUE(process.ask(Process::a_run()));
    const StartTask one = process.started.take();
    id = one.run;
    // Like a process runner that has held the result back until the stop.
    process.runner.on_server_stops = [&] {
      Outcome outcome;
      outcome.end = Outcome::End::interrupted;
      process.driver->finished({one.run, one.ref, one.try_number, outcome});
    };
    process.driver->begin_stop({.signal = "SIGTERM"});
    EXPECT_FALSE(process.driver->post(Process::a_run(), {}));
    process.driver->stop();
  }
  Process again(disk_);
  const StartTask one = again.started.take();
  EXPECT_EQ(one.run, id);
  EXPECT_EQ(one.attempt, 2);
  const auto history = make_histories(again.store, again.plans)->history(id);
  ASSERT_TRUE(history);
  EXPECT_EQ(history->attempts.at(0).error->message, "interrupted by system stop");
}

TEST_F(DriverTest, TheRunnerHearsOfAStopOnceWhicheverCallComesFirst) {
  std::atomic<int> told = 0;
  {
    Process process(disk_);
    process.runner.on_server_stops = [&] { ++told; };
    process.driver->begin_stop({.signal = "SIGTERM"});
    EXPECT_EQ(told, 1);
    process.driver->begin_stop({.signal = "SIGINT"});
    process.driver->stop();
    process.driver->stop_now();
  }
  EXPECT_EQ(told, 1);
  Process process(disk_);
  process.runner.on_server_stops = [&] { ++told; };
  process.driver->stop_now();
  EXPECT_EQ(told, 2);
}

TEST_F(DriverTest, AKnockIsAnsweredByAnEngineThatTurnsAndByNoOther) {
  Process process(disk_);
  process.submit();
  const auto knock = [&] {
    auto answered = std::make_shared<std::promise<void>>();
    process.driver->knock([answered] { answered->set_value(); });
    return answered->get_future();
  };
  knock().get();
  knock().get();
  // It hangs in a commit.
  process.store.close();
  auto run = process.post(Process::a_run());
  process.store.wait_for_commit();
  auto late = knock();
  EXPECT_EQ(late.wait_for(0s), std::future_status::timeout);
  process.store.open();
  late.get();
  EXPECT_TRUE(run.get());
}

TEST_F(DriverTest, WhatStopNowCutsOffIsRecoveredByTheNextProcess) {
  RunId id;
  {
    Process process(disk_);
    process.submit();
    ASSERT_TRUE(process.ask(Process::a_run()));
    id = process.started.take().run;
    process.driver->stop_now();
    process.driver->stop_now();
  }
  Process again(disk_);
  const StartTask one = again.started.take();
  EXPECT_EQ(one.run, id);
  EXPECT_EQ(one.attempt, 2);
  const auto histories = make_histories(again.store, again.plans);
  const auto history = histories->history(id);
  ASSERT_TRUE(history);
  ASSERT_TRUE(history->attempts.at(0).error);
  EXPECT_EQ(history->attempts.at(0).error->message, "interrupted by system stop");
}

TEST_F(DriverTest, AfterACrashTheNextProcessTakesTheRunUpWithTheSameKey) {
  StartTask before;
  {
    Process process(disk_);
    process.submit();
    ASSERT_TRUE(process.ask(Process::a_run()));
    before = process.started.take();
    process.store.fail_next(Code::unavailable);
    process.finish(before);
    process.fatal.take();
  }
  Process again(disk_);
  const StartTask one = again.started.take();
  EXPECT_EQ(one.task, "one");
  EXPECT_EQ(one.attempt, 2);
  EXPECT_EQ(one.try_number, 2);
  EXPECT_EQ(one.idempotency_key, before.idempotency_key);
  again.catch_up();
  EXPECT_TRUE(again.driver->recovered());
  again.finish(one);
  EXPECT_EQ(again.started.take().task, "two");
}

// What lies outside the store; the first removal fails, as one that may work later.
class Folders final : public Remains {
 public:
  Result<void> remove(RunId run, const std::stop_token&) override {
    removed.put(run);
    if (!failed_.exchange(true)) return fail(Code::overloaded, "planted");
    return {};
  }
  Mailbox<RunId> removed;

 private:
  std::atomic<bool> failed_ = false;
};

TEST_F(DriverTest, WhatLiesOutsideOfARunThatIsGoneIsRemovedIfNeedBeByTheNextProcess) {
  Folders folders;
  RunId run;
  {
    Process process(disk_, {}, &folders);
    process.submit("name: chain\nretention: 1ms\njobs: {j: {tasks: [{run: 'true'}]}}");
    ASSERT_TRUE(process.ask(Process::a_run()));
    const StartTask start = process.started.take();
    run = start.run;
    process.finish(start);
    EXPECT_EQ(folders.removed.take(), run);
  }
  EXPECT_FALSE(disk_->runs().contains(run));
  ASSERT_EQ(disk_->gone(), std::set{run}) << "its removal has failed";
  {
    Process process(disk_, {}, &folders);
    EXPECT_EQ(folders.removed.take(), run);
    while (!process.marks().empty()) process.catch_up();
  }
  EXPECT_TRUE(disk_->records().empty());
}

TEST_F(DriverTest, AnUnknownRunHasNoHistory) {
  GatedStore store(disk_);
  PlanCache plans;
  const auto history = make_histories(store, plans)->history(RunId{});
  ASSERT_FALSE(history);
  EXPECT_EQ(history.error().code, Code::not_found);
}

}  // namespace
}  // namespace pawl::driver
