// The files of one try: the folder its task starts in, and a private folder beside it with script and $PAWL_OUTPUT.
//
//   WORKSPACE/<run id>/<job>/                      the job's folder, kept
//   WORKSPACE/<run id>/.pawl/<job>-<task>-<try>/   script, output: for one try, removed after it
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/command.h"
#include "runner/process/descriptor.h"
#include "runner/process/task_user.h"

namespace pawl::runner {

// A name for a folder, its own for each `name`: bytes that a path cannot hold, or that would hide or move it, are
// written %XX; a long name ends in a hash.
std::string folder_name(std::string_view name);

class TaskFiles {
 public:
  // Makes all of it, readable only for the user that the task runs as: `user`, or ourselves if that is null (it must outlive
  // this). Links planted by earlier tasks are not followed. Error: unavailable, names the file.
  static Result<TaskFiles> make(const std::string& workspace, const StartTask& task, const Identity* user = nullptr);

  const std::string& run_folder() const { return run_folder_; }
  const std::string& script() const { return script_; }
  const std::string& output() const { return output_; }
  // Where the task starts: absolute.
  const std::string& start_folder() const { return start_folder_; }

  // See read_outputs().
  Result<json::object> outputs() const;
  // Removes script and output. What else a task has put there goes with the run's folder.
  void remove();

 private:
  std::string run_folder_, start_folder_, private_folder_, script_, output_;
  Descriptor private_;
  const Identity* user_ = nullptr;
};

}  // namespace pawl::runner
