// The API over a store in memory and the real engine, on a clock that the test moves. Tasks go on until the test ends them.
#pragma once

#include "api/test_world.h"
#include "base/random.h"
#include "driver/core.h"
#include "driver/histories.h"
#include "runner/fake/fake_runner.h"

namespace pawl::api {

class EngineInbox final : public driver::Inbox {
 public:
  explicit EngineInbox(store::Store& store)
      : store_(store), reader_(*store.reader()), core_({}, *reader_, plans_, runner_, dice_, nullptr) {
    EXPECT_TRUE(core_.start());
  }

  Result<void> post(Event event, driver::Reply reply) override {
    const std::lock_guard lock(mutex_);
    // All that follows has happened by the time whoever asked hears of it.
    std::optional<Result<Answer>> answer;
    core_.push(std::move(event), [&answer](Result<Answer> given) { answer = std::move(given); });
    play();
    if (answer) reply(std::move(*answer));
    return {};
  }

  Instant now() {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  // What comes due meanwhile is decided when it does.
  void advance(Duration time) {
    const std::lock_guard lock(mutex_);
    const Instant until = now_ + time;
    for (auto due = core_.next_due(); due && *due <= until; due = core_.next_due()) {
      now_ = std::max(now_, *due);
      play();
    }
    now_ = until;
  }
  // Time in which nobody decides anything.
  void be_away(Duration time) {
    {
      const std::lock_guard lock(mutex_);
      now_ += time;
    }
    advance({});
  }
  // Every task that runs ends well.
  void finish_tasks() {
    const std::lock_guard lock(mutex_);
    const auto running = runner_.running();
    for (const auto& [key, task] : running) {
      runner_.take(key);
      core_.push(TaskFinished{std::get<0>(key), std::get<1>(key), std::get<2>(key), {.process = ProcessExit{}}});
    }
    play();
  }

 private:
  class Dice final : public driver::Rng {
   public:
    std::uint64_t next() override { return random_.next(); }

   private:
    SplitMix random_{1};
  };

  void play() {
    while (core_.has_work(now_)) {
      driver::Batch batch;
      core_.decide(batch, now_, 100);
      EXPECT_TRUE(store_.commit(batch.changes));
      core_.committed(std::move(batch));
    }
  }

  std::mutex mutex_;
  store::Store& store_;
  std::unique_ptr<store::Reader> reader_;
  driver::PlanCache plans_;
  runner::FakeRunner runner_;
  Dice dice_;
  driver::Core core_;
  Instant now_ = noon;
};

class Schedules : public Client {
 protected:
  const net::Handler& handler() const override { return handler_; }

  void with_workflow(const std::string& yaml = "name: blog\njobs: {j: {tasks: [{id: t, run: x}]}}\n") {
    const auto answer = post_yaml("/api/v1/workflows", yaml);
    ASSERT_EQ(answer.status, 201) << answer.text;
  }
  // With these members, of the workflow blog; its id.
  std::string with_schedule(const std::string& members) {
    const auto made = ask("POST", "/api/v1/workflows/blog/schedules", "{" + members + "}");
    EXPECT_EQ(made.status, 201) << made.text;
    return std::string(find_string(made.body, "id"));
  }
  json::array items(const std::string& target) {
    const auto answer = get("/api/v1/" + target);
    EXPECT_EQ(answer.status, 200) << target << answer.text;
    const Json* const found = find(answer.body, "items");
    return found ? found->get_array() : json::array();
  }

  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  std::unique_ptr<store::Store> store_ = store::open_memory(disk_);
  std::unique_ptr<store::LogStore> logs_ = store::memory_log();
  driver::PlanCache plans_;
  std::unique_ptr<driver::Histories> histories_ = driver::make_histories(*store_, plans_);
  EngineInbox inbox_{*store_};
  net::Handler handler_ = make_api(
      {.admin_token = [] { return std::string(token); }, .now = [this] { return inbox_.now(); }, .timezone = "UTC"},
      inbox_, *histories_, [this] { return store_->reader(); }, *logs_);
};

}  // namespace pawl::api
