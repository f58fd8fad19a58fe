// The folders of runs that have ended well: put aside at once, so that a rerun of one finds nothing of it, and removed on
// a thread behind that. Whatever a dead process had left of them is found once, at the start.
// Threads: any.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <thread>

#include "base/id.h"
#include "base/thread_annotations.h"
#include "runner/process/task_user.h"

namespace pawl::runner {

class DiscardedFolders {
 public:
  // Folders in `workspace`, of what belongs to `user` (null: to ourselves). `ended_well` says whether a run whose folder
  // was found at the start is a success; it is called on the thread, and let go of then. Empty: such folders stay.
  DiscardedFolders(std::string workspace, const Identity* user, std::function<bool(RunId)> ended_well);
  ~DiscardedFolders() { stop(); }

  // The run's folder goes. That it has none is no error; one that cannot be put aside is told and stays.
  void discard(RunId run);
  // A try of the run is about to use its folder: what the start finds of it stays from here on.
  void keep(RunId run);
  // Removes what is put aside, but for no longer than a moment; the next start does the rest. Safe twice.
  void stop();

 private:
  void work(const std::stop_token& stop);
  void look_for_leftovers(const std::stop_token& stop);
  void put_aside(RunId run) REQUIRES(mutex_);

  const std::string workspace_;
  const Identity* const user_;
  std::function<bool(RunId)> ended_well_;  // of the thread
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::string> names_ GUARDED_BY(mutex_);  // put aside
  std::set<RunId> kept_ GUARDED_BY(mutex_);  // while leftovers are looked for
  bool looking_ GUARDED_BY(mutex_) = true;
  bool ending_ GUARDED_BY(mutex_) = false;
  bool idle_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace pawl::runner
