// Removes what lies outside the store of runs that retention took, and says so, until the store has no mark of them left.
// The marks are all it knows: none is lost in a crash, and of any number only a page is in memory.
#pragma once

#include <condition_variable>
#include <memory>
#include <thread>

#include "base/thread_annotations.h"
#include "driver/inbox.h"
#include "driver/ports.h"
#include "store/store.h"

namespace pawl::driver {

class Cleaner {
 public:
  // All must outlive it. RemainsRemoved events go to `inbox`.
  Cleaner(store::Store& store, Remains& remains, Inbox& inbox) : store_(store), remains_(remains), inbox_(inbox) {}
  ~Cleaner() { stop(); }

  // Looks at once for what an earlier process has left. Once.
  void start();
  // There is a new mark. Threads: any.
  void wake();
  // Ends in the middle of what it does; safe twice and before start().
  void stop();

 private:
  struct Answers;

  void work(const std::stop_token& stop);
  bool pass(store::Reader& reader, const std::stop_token& stop, bool& left);

  store::Store& store_;
  Remains& remains_;
  Inbox& inbox_;
  Mutex mutex_;
  std::condition_variable_any woken_;
  bool awake_ GUARDED_BY(mutex_) = true;
  std::jthread thread_;
};

}  // namespace pawl::driver
