// A cgroup for each try, where this process may make one: the kernel then counts processes and memory of the try, and no
// fork is too fast for it. Version 2 (one tree; `pids` and `memory` handed down to it) and version 1 (a tree for each).
//
//   OWN/pawl-KEY-server    version 2 alone: this process, because a group that hands controllers down holds no process
//   OWN/pawl-KEY-SERIAL    a try; OWN is the group this process was started in, KEY stands for its lock file
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runner/process/descriptor.h"
#include "runner/process/process_runner.h"

namespace pawl::runner {

// The groups of one try; an empty path where there is none. Both are the same in version 2.
struct TryGroups {
  std::string processes, memory;
};

class Cgroups {
 public:
  // What the machine says of its cgroups; the tests say something else.
  struct Sources {
    std::string mounts = "/proc/self/mountinfo";
    std::string own = "/proc/self/cgroup";
  };

  // Looks for groups that can hold `limits`. In version 2 this process moves to a group of its own for that. Nothing found
  // is no error: the keepers count then.
  static Cgroups find(const TaskLimits& limits, const std::string& key, const Sources& sources);
  static Cgroups find(const TaskLimits& limits, const std::string& key) { return find(limits, key, Sources{}); }

  bool hold_processes() const { return !processes_.empty(); }
  bool hold_memory() const { return !memory_.empty(); }
  int version() const { return version_; }  // 0: there are none

  // Ends what tries of earlier servers with the same key left behind, and removes their groups. Guard and keepers of theirs
  // must be gone: as a rule nothing lives then, unless those were killed themselves. Takes seconds at most.
  void end_leftovers() const;

  // Groups with the limits, for a try. A group that cannot be made is left out, and counted instead.
  TryGroups make(std::uint64_t serial) const;

 private:
  TaskLimits limits_;
  std::string prefix_;  // pawl-KEY-
  int version_ = 0;
  std::string processes_, memory_;  // the folders that the tries' folders are made in
};

// For the keeper and the task.

// Puts the calling process into the groups. Returns an errno, or 0.
int enter_groups(const TryGroups& groups);
// Polled for POLLPRI, it tells of forks that were refused. Invalid without a group.
Descriptor refused_forks(const TryGroups& groups);
bool forks_were_refused(const Descriptor& events);
// The kernel has killed a process of the try because its memory was used up.
bool memory_ran_out(const TryGroups& groups);
// Version 2: kills all in the group at once.
void kill_group(const TryGroups& groups);
// Once all processes are gone. Groups that are gone already are no error.
void remove_groups(const TryGroups& groups);

}  // namespace pawl::runner
