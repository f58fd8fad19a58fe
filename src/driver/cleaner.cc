#include "driver/cleaner.h"

#include <chrono>

#include "base/log.h"
#include "base/thread_name.h"

namespace pawl::driver {
namespace {

constexpr std::size_t page = 32;
// For what could not be removed, read or said just now.
constexpr auto pause = std::chrono::minutes(1);

}  // namespace

// What the engine answers to the events of one page. Shared with the replies, which may come after the cleaner's end.
struct Cleaner::Answers {
  Mutex mutex;
  std::condition_variable_any came;
  std::size_t open GUARDED_BY(mutex) = 0;
  bool good GUARDED_BY(mutex) = true;

  void expect() {
    const MutexLock lock(mutex);
    ++open;
  }
  void take(bool is_good) {
    {
      const MutexLock lock(mutex);
      --open;
      good &= is_good;
    }
    came.notify_all();
  }
  // False: one was bad, or the stop came first.
  bool all_good(const std::stop_token& stop) {
    const std::stop_callback on_stop(stop, [this] {
      {
        const MutexLock lock(mutex);
      }  // whoever has looked at the token already waits
      came.notify_all();
    });
    mutex.lock();
    while (open > 0 && !stop.stop_requested()) came.wait(mutex);
    const bool result = good && open == 0;
    mutex.unlock();
    return result;
  }
};

void Cleaner::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    name_thread("pawl-cleaner");
    work(stop);
  });
}

void Cleaner::wake() {
  {
    const MutexLock lock(mutex_);
    awake_ = true;
  }
  woken_.notify_one();
}

void Cleaner::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  wake();
  thread_.join();
}

void Cleaner::work(const std::stop_token& stop) {
  std::unique_ptr<store::Reader> reader;
  bool left = false;  // something has to be tried again
  while (!stop.stop_requested()) {
    mutex_.lock();
    const auto again = std::chrono::steady_clock::now() + pause;
    while (!awake_ && (!left || std::chrono::steady_clock::now() < again)) {
      if (left)
        woken_.wait_until(mutex_, again);
      else
        woken_.wait(mutex_);
    }
    awake_ = false;
    mutex_.unlock();
    left = false;
    if (!reader) {
      auto opened = store_.reader();
      left = !opened;
      if (!opened) continue;
      reader = std::move(*opened);
    }
    // Large runs are cleared in several passes.
    while (!stop.stop_requested() && pass(*reader, stop, left)) {
    }
  }
}

// Looks once at every mark. True: some have been cleared, and another pass may find more to do.
bool Cleaner::pass(store::Reader& reader, const std::stop_token& stop, bool& left) {
  bool some = false;
  std::optional<RunId> after;
  for (;;) {
    const auto marks = reader.gone(after, page);
    if (!marks) {
      log::warning("runs that are gone cannot be found", {{"why", marks.error().message}});
      return left = true, false;
    }
    if (marks->empty()) return some;
    after = marks->back();
    const auto answers = std::make_shared<Answers>();
    for (const RunId run : *marks) {
      if (stop.stop_requested()) return false;
      if (const auto removed = remains_.remove(run, stop); !removed) {
        left = true;
        continue;
      }
      answers->expect();
      const auto posted = inbox_.post(RemainsRemoved{run},
                                      [answers](const Result<Answer>& answer) { answers->take(answer.has_value()); });
      if (!posted) answers->take(false);
      some = true;
    }
    // One that was refused, for want of room or of time, is found again.
    if (!answers->all_good(stop)) return left = true, false;
  }
}

}  // namespace pawl::driver
