// A filter on the calls that change another process by its id: its limits, priority, scheduling, processors, I/O class, and,
// where nothing else holds them, its signals. The kernel stops each such call and asks the keeper of the try, which lets it
// through unless it is aimed at the server, its guard, a keeper or a task of another try (seccomp_unotify(2)). All other
// processes of the user, and the task's own, can be changed as ever.
//
// What it does not see: a task that writes /proc/PID/oom_score_adj of a task of another try. Those of server, guard and
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

// For this machine. `signals`: calls that signal are asked about, too. Error: unavailable, with the system's words.
Result<std::vector<sock_filter>> make_call_filter(bool signals);

// Puts this process behind the filter, with all that it starts, for ever. Needs no_new_privs. What comes back is where its
// calls are asked about; invalid, with errno set, if the kernel takes no filter.
Descriptor enter_call_filter(const std::vector<sock_filter>& filter);

// Answers for one try. Threads: one. Make it in the keeper.
class CallJudge {
 public:
  // `guard` is the parent of all keepers.
  CallJudge(pid_t server, pid_t guard) : server_(server), guard_(guard) {}
  ~CallJudge();
  CallJudge(const CallJudge&) = delete;
  CallJudge& operator=(const CallJudge&) = delete;

  // Reads one call from `listener`, if there is one, and answers it.
  void answer(const Descriptor& listener);

 private:
  bool allows(const seccomp_notif& call) const;
  // Whether the process or thread may be changed from below this process; also if there is none of that id.
  bool may_change(pid_t id) const;
  bool may_change_group(pid_t group) const;

  const pid_t server_, guard_;
  seccomp_notif* call_ = nullptr;
  seccomp_notif_resp* answer_ = nullptr;
};

}  // namespace pawl::runner
