// A few threads for what must not block the sockets' thread, each with a reader of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"
#include "store/reader.h"

namespace pawl::api {

class Pool {
 public:
  // A reader, which is the thread's, or why there is none. A job that is dropped when the pool ends is never called.
  using Job = std::move_only_function<void(Result<store::Reader*>)>;
  using Readers = std::function<Result<std::unique_ptr<store::Reader>>()>;

  Pool(std::size_t threads, std::size_t most_waiting, Readers readers);
  ~Pool() { close(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // False: too many wait already.
  bool try_add(Job job);
  // The rest of something accepted, which must not be turned away any more. Dropped if the pool is closed.
  void add(Job job);
  // Joins the threads and drops what waits; not to be called by one of them. Safe twice.
  void close();

 private:
  void work(const std::stop_token& stop);

  const std::size_t most_waiting_;
  const Readers readers_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace pawl::api
