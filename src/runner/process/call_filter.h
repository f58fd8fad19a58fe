// A filter on calls that change another process by its id: limits, priority, scheduling, processors and I/O class, and
// signals where nothing else stops them. The kernel holds each such call and asks the keeper of the try, which lets it
// through unless it is aimed at the server, its guard, a keeper or a task of another try (seccomp_unotify(2), Linux
// 5.5). A task can still change its own processes and the user's other processes.
//
// The filter does not see writes to /proc/PID/oom_score_adj of another try's task. The files of server, guard and
// keepers belong to root.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <optional>
#include <vector>

#include "base/result.h"
#include "runner/process/descriptor.h"

struct seccomp_notif;
struct seccomp_notif_resp;

namespace pawl::runner {

// Makes the filter for this machine. `signals`: it covers signals, too. Error: unavailable, with the system's words.
Result<std::vector<sock_filter>> make_call_filter(bool signals);

// Puts this process and all that it starts behind the filter, for ever. Needs no_new_privs. Returns the descriptor from
// which its held calls are read; invalid, with errno set, if the kernel refuses the filter.
Descriptor enter_call_filter(const std::vector<sock_filter>& filter);

// Decides about the held calls of one try. Threads: one. Make it in the keeper.
class CallJudge {
 public:
  // `guard` is the parent of all keepers.
  CallJudge(pid_t server, pid_t guard) : server_(server), guard_(guard) {}
  ~CallJudge();
  CallJudge(const CallJudge&) = delete;
  CallJudge& operator=(const CallJudge&) = delete;

  // Reads one call from `listener`, if there is one, and answers it. False: the kernel does not let calls go on that were
  // asked about (before Linux 5.5); the caller then got EPERM.
  bool answer(const Descriptor& listener);

 private:
  bool allows(const seccomp_notif& call) const;
  // Whether a task below this process may change the process or thread. True if there is none with that id.
  bool may_change(pid_t id) const;
  bool may_change_group(pid_t group) const;
  // The process is the server, the guard or below the guard, but not this process or below it.
  template <class ParentOf>
  bool is_ours(pid_t process, ParentOf parent_of) const;

  const pid_t server_, guard_;
  seccomp_notif* call_ = nullptr;
  seccomp_notif_resp* answer_ = nullptr;
};

}  // namespace pawl::runner
