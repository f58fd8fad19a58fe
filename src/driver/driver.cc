#include "driver/driver.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "base/thread_annotations.h"
#include "base/thread_name.h"
#include "driver/cleaner.h"

namespace pawl::driver {
namespace {

// Up to here a batch is committed by the engine thread itself when nothing else is to be done: a single run's next step
// then waits for its sync, not for two threads to wake each other.
constexpr std::size_t small_batch = 8;
// How many running tasks the log names when the server stops.
constexpr std::size_t told_tries = 5;
// How often it is told that there still is no room.
constexpr auto remind_every = std::chrono::seconds(60);

class ThreadedDriver final : public Driver {
 public:
  ThreadedDriver(DriverOptions options, Ports ports) : options_(std::move(options)), ports_(std::move(ports)) {
    const MutexLock lock(seats_mutex_);
    seats_[static_cast<std::size_t>(Seat::process)].size = options_.core.process_seats;
    seats_[static_cast<std::size_t>(Seat::http)].size = options_.core.http_seats;
  }
  ~ThreadedDriver() override { stop_now(); }

  Result<void> start() override {
    auto reader = ports_.store.reader();
    if (!reader) return std::unexpected(reader.error());
    reader_ = std::move(*reader);
    if (ports_.remains) {
      cleaner_ = std::make_unique<Cleaner>(ports_.store, *ports_.remains, *this);
      options_.core.forget_run = [this](RunId) { cleaner_->wake(); };
    }
    options_.core.show_seats = [this](Seat seat, const SeatCount& count) {
      const MutexLock lock(seats_mutex_);
      seats_[static_cast<std::size_t>(seat)] = count;
    };
    core_ = std::make_unique<Core>(options_.core, *reader_, ports_.plans, ports_.runner, ports_.rng, ports_.observer);
    if (const auto begun = core_->start(); !begun) return begun;
    recovered_ = core_->recovered();
    writer_ = std::jthread([this] {
      name_thread("pawl-writer");
      write();
    });
    engine_ = std::jthread([this] {
      name_thread("pawl-engine");
      turn();
    });
    if (cleaner_) cleaner_->start();
    return {};
  }

  void begin_stop(StopRequest request) override {
    {
      const MutexLock lock(mutex_);
      request_ = std::move(request);
    }
    announce(options_.stop_timeout);
  }
  void stop() override { join(options_.stop_timeout); }
  void stop_now() override { join(Duration{}); }
  void hurry() override {
    {
      const MutexLock lock(mutex_);
      patience_ = Duration{};
    }
    engine_wake_.notify_one();
  }
  void knock(std::function<void()> answer) override {
    {
      const MutexLock lock(mutex_);
      knocks_.push_back(std::move(answer));
    }
    engine_wake_.notify_one();
  }
  bool recovered() const override { return recovered_; }
  bool failed() const override { return failed_; }
  SeatCounts seats() const override {
    const MutexLock lock(seats_mutex_);
    return seats_;
  }

  Result<void> post(Event event, Reply reply) override {
    {
      const MutexLock lock(mutex_);
      if (stopping_ || failed_) return fail(Code::overloaded, "the server is stopping", "stopping");
      if (requests_ >= options_.inbox)
        return fail(Code::overloaded, "too many requests wait already; try again", "overloaded");
      ++requests_;
      inbox_.push_back({std::move(event), std::move(reply)});
    }
    engine_wake_.notify_one();
    return {};
  }

  void finished(TaskFinished result) override {
    {
      const MutexLock lock(mutex_);
      inbox_.push_back({std::move(result), {}});
    }
    engine_wake_.notify_one();
  }

 private:
  struct Letter {
    Event event;
    Reply reply;
  };
  using Time = std::chrono::steady_clock;

  void announce(Duration patience) {
    bool first = false;
    {
      const MutexLock lock(mutex_);
      first = !std::exchange(stopping_, true);
      patience_ = std::min(patience_.value_or(patience), patience);
    }
    engine_wake_.notify_one();
    // After stopping_ is set, so that the turn that reads the interrupted results knows of the stop. Later the runner
    // may be gone.
    if (first && engine_.joinable()) ports_.runner.server_stops();
  }

  void join(Duration patience) {
    announce(patience);
    // It waits for answers of the engine's, and is told none after that one's end.
    if (cleaner_) cleaner_->stop();
    if (engine_.joinable()) engine_.join();
    {
      const MutexLock lock(mutex_);
      writer_may_end_ = true;
    }
    writer_wake_.notify_one();
    if (writer_.joinable()) writer_.join();
  }

  // --- engine thread -------------------------------------------------------------------------------------------------

  void turn() {
    Batch next;  // decided, not handed to the writer yet
    bool under_way = false;
    std::optional<Time::time_point> cut_off_at, leave_at;
    for (;;) {
      std::deque<Letter> letters;
      std::vector<std::function<void()>> knocks;
      std::optional<StopRequest> request;
      std::optional<Done> done;
      {
        mutex_.lock();
        wait_for_work(under_way, next, cut_off_at ? cut_off_at : leave_at);
        letters.swap(inbox_);
        knocks.swap(knocks_);
        done.swap(done_);
        requests_ = 0;
        if (stopping_ && !draining_) {
          draining_ = true;
          cut_off_at = Time::now() + *patience_;
          request = request_;
        }
        if (cut_off_at && *patience_ == Duration{}) cut_off_at = Time::now();
        mutex_.unlock();
      }
      if (done) {
        // The writer goes on with what is decided already while this thread does what follows from what is durable; a
        // small batch waits for that, and is committed here.
        under_way = done->result && next.items.size() > small_batch && !next.changes.empty();
        if (under_way) hand_over(std::exchange(next, {}));
        if (!take_result(std::move(*done), next)) return;
      }
      if (draining_ && !drained_) {
        drained_ = true;
        core_->drain();
      }
      for (Letter& letter : letters) core_->push(std::move(letter.event), std::move(letter.reply));
      for (const auto& answer : knocks) answer();
      if (request && !request->signal.empty()) tell_stop(*request, *cut_off_at - Time::now());
      if (cut_off_at && (core_->tries_in_flight() == 0 || Time::now() >= *cut_off_at)) {
        cut_off_at.reset();
        cutting_off_ = true;
        leave_at = Time::now() + options_.stop_grace + std::chrono::seconds(1);
        tell_cut_off();
        core_->cut_off();
      }
      core_->decide(next, ports_.clock.now(), options_.batch);
      if (!under_way && !next.changes.empty()) {
        if (next.items.size() <= small_batch && !core_->has_work(ports_.clock.now()) && !has_letters()) {
          auto result = ports_.store.commit(next.changes);
          if (!take_result({std::exchange(next, {}), std::move(result)}, next)) return;
        } else {
          hand_over(std::exchange(next, {}));
          under_way = true;
        }
      } else if (!under_way && !next.items.empty()) {
        core_->committed(std::exchange(next, {}));  // nothing to write, and all before it is durable
        if (!recovered_ && core_->recovered()) recovered_ = true;
      }
      const bool settled = !under_way && next.items.empty() && !core_->has_work(ports_.clock.now());
      if (leave_at && settled && (core_->tries_in_flight() == 0 || Time::now() >= *leave_at)) return;
    }
  }

  // Until there is a result of the writer's, a letter, something due, or `limit`.
  void wait_for_work(bool under_way, const Batch& next, std::optional<Time::time_point> limit) REQUIRES(mutex_) {
    while (true) {
      if (done_ || !knocks_.empty()) return;
      const bool full = next.items.size() >= options_.batch;
      if (!full && !inbox_.empty()) return;
      if (stopping_ && (!draining_ || (limit && *patience_ == Duration{} && !cutting_off_))) return;
      const Instant now = ports_.clock.now();
      if (!full && core_->has_work(now)) return;
      if (limit && Time::now() >= *limit) return;
      if (draining_ && !under_way && next.items.empty() && core_->tries_in_flight() == 0) return;
      std::optional<Time::time_point> until = limit;
      if (const auto due = core_->next_due(); due && !full) {
        const auto at = Time::now() + (*due - now);
        if (!until || at < *until) until = at;
      }
      if (until)
        engine_wake_.wait_until(mutex_, *until);
      else
        engine_wake_.wait(mutex_);
    }
  }

  // Logs what the stop waits for, and until when.
  void tell_stop(const StopRequest& request, Time::duration patience) {
    const std::size_t running = core_->tries_in_flight();
    if (running == 0)
      return log::info("stopping", {{"signal", request.signal}, {"from", request.from}, {"running", "0"}});
    log::info("stopping", {{"signal", request.signal},
                           {"from", request.from},
                           {"running", std::to_string(running)},
                           {"oldest", oldest_tries()},
                           {"until", to_rfc3339(ports_.clock.now() + std::chrono::ceil<Duration>(patience))}});
  }
  void tell_cut_off() {
    if (const std::size_t running = core_->tries_in_flight(); running > 0)
      log::info("stopping: running tasks are cut off, and go on at the next start",
                {{"running", std::to_string(running)}, {"oldest", oldest_tries()}});
  }
  std::string oldest_tries() const {
    std::string text;
    for (const Core::RunningTry& one : core_->oldest_tries(told_tries))
      text += fmt::format("{}{} of run {} since {}", text.empty() ? "" : ", ", one.work, to_string(one.run),
                          to_rfc3339(one.since));
    return text;
  }

  bool has_letters() {
    const MutexLock lock(mutex_);
    return !inbox_.empty();
  }

  void hand_over(Batch batch) {
    {
      const MutexLock lock(mutex_);
      to_write_ = std::move(batch);
    }
    writer_wake_.notify_one();
  }

  struct Done {
    Batch batch;
    Result<void> result;
  };

  // False: the store is lost.
  bool take_result(Done done, Batch& next) {
    if (done.result) {
      if (std::exchange(without_room_, std::nullopt)) log::info("there is room again: runs go on", {});
      core_->committed(std::move(done.batch));
      if (!recovered_ && core_->recovered()) recovered_ = true;
      return true;
    }
    const Error error = done.result.error();
    // It is tried again four times a second; nobody needs to read each of them, least of all on a full disk.
    const bool again = error.code == Code::overloaded && without_room_ && Time::now() < *without_room_ + remind_every;
    if (!again) log::error("commit failed", {{"code", std::string(to_string(error.code))}, {"why", error.message}});
    if (error.code == Code::overloaded && !again) without_room_ = Time::now();
    std::vector<Batch> batches;
    batches.push_back(std::move(done.batch));
    batches.push_back(std::exchange(next, {}));
    core_->dropped(std::move(batches), error, ports_.clock.now());
    if (error.code == Code::conflict || error.code == Code::overloaded) return true;
    failed_ = true;
    std::deque<Letter> letters;
    {
      const MutexLock lock(mutex_);
      letters.swap(inbox_);
    }
    for (Letter& letter : letters)
      if (letter.reply) letter.reply(std::unexpected(error));
    if (ports_.on_fatal) ports_.on_fatal(error);
    return false;
  }

  // --- writer thread -------------------------------------------------------------------------------------------------

  void write() {
    for (;;) {
      std::optional<Batch> batch;
      {
        mutex_.lock();
        while (!to_write_ && !writer_may_end_) wake_writer_wait();
        batch.swap(to_write_);
        mutex_.unlock();
      }
      if (!batch) return;
      Result<void> result;
      if (!batch->changes.empty()) result = ports_.store.commit(batch->changes);
      {
        const MutexLock lock(mutex_);
        done_ = Done{std::move(*batch), std::move(result)};
      }
      engine_wake_.notify_one();
    }
  }
  void wake_writer_wait() REQUIRES(mutex_) { writer_wake_.wait(mutex_); }

  DriverOptions options_;
  Ports ports_;
  std::unique_ptr<store::Reader> reader_;
  std::unique_ptr<Core> core_;  // the engine thread's

  Mutex mutex_;
  std::condition_variable_any engine_wake_, writer_wake_;
  std::deque<Letter> inbox_ GUARDED_BY(mutex_);
  std::size_t requests_ GUARDED_BY(mutex_) = 0;
  std::optional<Batch> to_write_ GUARDED_BY(mutex_);
  std::optional<Done> done_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  StopRequest request_ GUARDED_BY(mutex_);
  std::vector<std::function<void()>> knocks_ GUARDED_BY(mutex_);
  std::optional<Duration> patience_ GUARDED_BY(mutex_);
  bool writer_may_end_ GUARDED_BY(mutex_) = false;

  mutable Mutex seats_mutex_;
  SeatCounts seats_ GUARDED_BY(seats_mutex_);

  bool draining_ = false;  // the engine thread's
  bool drained_ = false;
  bool cutting_off_ = false;
  std::optional<Time::time_point> without_room_;  // since when, or when it was last told
  std::atomic<bool> recovered_ = false;
  std::atomic<bool> failed_ = false;
  std::unique_ptr<Cleaner> cleaner_;
  std::jthread writer_, engine_;
};

}  // namespace

std::unique_ptr<Driver> make_driver(DriverOptions options, Ports ports) {
  return std::make_unique<ThreadedDriver>(std::move(options), std::move(ports));
}

}  // namespace pawl::driver
