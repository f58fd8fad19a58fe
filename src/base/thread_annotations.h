// Locks that clang can follow: a field names the lock it needs, and clang's -Wthread-safety refuses to touch it without
// (other compilers ignore all of it). The standard library's mutex carries no such marks, hence a mutex of our own name.
#pragma once

#include <mutex>

#if defined(__clang__)
#define PAWL_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define PAWL_THREAD_ATTRIBUTE(x)
#endif

#define CAPABILITY(name) PAWL_THREAD_ATTRIBUTE(capability(name))
#define SCOPED_CAPABILITY PAWL_THREAD_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(mutex) PAWL_THREAD_ATTRIBUTE(guarded_by(mutex))
#define PT_GUARDED_BY(mutex) PAWL_THREAD_ATTRIBUTE(pt_guarded_by(mutex))
#define REQUIRES(...) PAWL_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) PAWL_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) PAWL_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASE(...) PAWL_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) PAWL_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))

namespace pawl {

// Waits with std::condition_variable_any, which takes it as it is.
class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

// Holds a Mutex from here to the end of the scope.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace pawl
