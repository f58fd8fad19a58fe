// The keeper of one try: a process that the guard forks, below which the task lives (docs/adr/0005-guard-process.md).
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <vector>

#include "runner/process/descriptor.h"
#include "runner/process/guard_wire.h"
#include "runner/process/task_start.h"

namespace pawl::runner {

struct KeeperDescriptors {
  Descriptor out, err, control;
};

// The filter for its calls, if the message asks for one.
struct KeeperFilter {
  const std::vector<sock_filter>& filter;
  pid_t server;
};

// Starts the task, ends it when its time is over, when it passes a limit, when it is told to or when the server is dead,
// and leaves nothing of it behind. Reports over `control`. Returns when all is gone.
void keep(const StartMessage& message, const Request& request, KeeperDescriptors descriptors, KeeperFilter filter);

}  // namespace pawl::runner
