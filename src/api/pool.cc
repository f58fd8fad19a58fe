#include "api/pool.h"

#include "base/log.h"

namespace pawl::api {

Pool::Pool(std::size_t threads, std::size_t most_waiting, Readers readers)
    : most_waiting_(most_waiting), readers_(std::move(readers)) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

void Pool::close() {
  std::deque<Job> dropped;
  {
    const MutexLock lock(mutex_);
    closed_ = true;
    dropped.swap(jobs_);
  }
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

bool Pool::try_add(Job job) {
  {
    const MutexLock lock(mutex_);
    if (closed_ || jobs_.size() >= most_waiting_) return false;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void Pool::add(Job job) {
  {
    const MutexLock lock(mutex_);
    if (closed_) return;
    jobs_.push_front(std::move(job));
  }
  changed_.notify_one();
}

void Pool::work(const std::stop_token& stop) {
  std::unique_ptr<store::Reader> reader;
  // At once, while there are descriptors to be had; a thread without one tries again at each job.
  if (auto opened = readers_()) reader = std::move(*opened);
  for (;;) {
    Job job;
    {
      const MutexLock lock(mutex_);
      // The analysis cannot see that the wait gives the lock back before it returns.
      changed_.wait(mutex_, stop, [this]() PAWL_THREAD_ATTRIBUTE(no_thread_safety_analysis) { return !jobs_.empty(); });
      if (stop.stop_requested()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    // Each job ends in an answer; one that throws leaves that to the server, which says 500.
    try {
      if (reader) {
        job(reader.get());
        continue;
      }
      auto opened = readers_();
      if (opened) reader = std::move(*opened);
      job(opened ? Result<store::Reader*>(reader.get()) : std::unexpected(opened.error()));
    } catch (const std::exception& e) {
      log::error("a request could not be answered", {{"why", e.what()}});
    }
  }
}

}  // namespace pawl::api
