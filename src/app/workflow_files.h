// The folder of definitions that a server watches (`serve --workflows`): each file is a workflow that is changed there and
// nowhere else. A file that vanishes disables its workflow, a broken one leaves the version before it and says so.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "driver/inbox.h"
#include "store/store.h"

namespace pawl::app {

class WorkflowFiles {
 public:
  virtual ~WorkflowFiles() = default;  // stop()
  // Reads all files and waits until the server has taken them, then watches in a thread of its own: a change is taken well
  // within a second. Error: the folder cannot be read or watched.
  virtual Result<void> start() = 0;
  // Returns at once; all files are then read again, even if they look unchanged, and the log says so. Threads: any,
  // after start().
  virtual void read_again() = 0;
  // Joins. Safe twice and before start().
  virtual void stop() = 0;
};

// An empty folder is none: then no workflow is managed by a file any more. Inbox and store must outlive it.
std::unique_ptr<WorkflowFiles> watch_workflow_files(std::string folder, driver::Inbox& inbox, store::Store& store);

}  // namespace pawl::app
