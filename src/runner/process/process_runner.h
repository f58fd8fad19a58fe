// Runs `run` tasks: every try is a tree of processes below one guard process, which ends them all when the server dies,
// however it dies (docs/adr/0005-guard-process.md).
//
//   server ── guard (subreaper, holds the lock file) ── keeper of a try (subreaper) ── the task ── its children …
//
// A try ends when its main process does; whatever it left behind is killed then. What a task is given and held to:
// docs/tasks.md.
//
// A result that a stop of the server may have caused is held back until that is known (runner/held_results.h).
//
// A run's folder is there until the run is a success: then it is discarded (discarded_folders.h).
//
// Codes of a try that could not be carried through:
//   spawn_failed           no such program, no such folder, no more processes; the message names what
//   workspace_unavailable  its folder or its script could not be made
//   output_invalid         $PAWL_OUTPUT is no file, or a line of it is malformed; only if the task exited with 0
//   output_too_large       $PAWL_OUTPUT is longer than 1 MiB; likewise
//   process_limit          it was killed: more processes and threads at once than it may have
//   memory_limit           it was killed: more memory than it may have
//   log_unavailable        it ended by itself, but its log could not be made durable
//   keeper_lost            the process that watched it was killed; nothing of the try is left
//   guard_lost             the guard was killed, and the try had to be; the next start makes a new guard
//   guard_unavailable      no guard could be started
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "runner/runner.h"

namespace pawl::runner {

// Of one try, with all that it starts. 0: no limit.
struct TaskLimits {
  std::int64_t processes = 1024;  // with their threads, at once
  std::int64_t memory_bytes = 0;
  std::int64_t open_files = 0;  // of one process; 0: 1,024, and more for those who ask
  std::int64_t file_bytes = 0;  // of one file; a longer one ends its writer with SIGXFSZ
};

// Unless it is off, tasks gain no rights through programs (no_new_privs), cannot change processes of the server or of
// other tasks by their id, as far as the kernel can filter that, and cannot enter the server's folder except for the
// workspace.
enum class FenceMode : std::uint8_t {
  off,
  automatic,  // the rights of files if tasks have another user; else the first of the next two that works, or none
  cover,  // a mount covers it (cover.h)
  landlock,  // the kernel refuses its files (fence.h), and those of other runs
};

struct ProcessOptions {
  std::string workspace;  // folder of the runs' folders; made when needed
  std::string guard_lock;  // lock file that a guard holds as long as any process below it lives
  std::string program;  // this binary, run as `PROGRAM __guard …`; empty: /proc/self/exe
  std::function<Instant()> now;  // for log times; empty: the system's clock
  TaskLimits limits = {};
  // Name of the user that tasks run as; empty: our own. Then `data` and the workspace are opened to it for passing through,
  // and what is made for a run belongs to it.
  std::string run_as = {};
  // The server's folder, which is to be kept from tasks; made when needed. Empty: the tasks are those of whoever runs this
  // program, and nothing is kept from them.
  std::string data = {};
  FenceMode fence = FenceMode::off;
  // Whether a run of which an earlier process has left the folder is a success: then it is removed. Asked at the start, from
  // a thread of the runner's. Empty: such folders stay.
  std::function<bool(RunId)> ended_well = {};
};

class ProcessRunner : public Runner {
 public:
  // Stops every try without mercy and waits until no process is left. The tries cut off give no result, nor does what
  // is started later. Safe twice; the destructor does it, too.
  virtual void shutdown() = 0;
  // Removes the folder of a run of which no try is running, as far as `stop` allows; errors as in folder_removal.h.
  // Threads: any.
  virtual Result<void> remove_folder(RunId run, const std::stop_token& stop) = 0;
};

// Starts no process yet: the guard comes with the first task, after the guard of a dead server has gone (which is
// waited for on a thread of the runner's own). That thread also calls `results` and `log`, which must outlive the
// runner. Tries in processes of its own which fences work on this machine, and logs how tasks are held and what they
// are not kept from. Errors: unavailable if a folder cannot be made, there is no /proc, or the fence that was asked for
// does not work; invalid if tasks cannot run as the user, or it cannot get to the workspace.
Result<std::unique_ptr<ProcessRunner>> make_process_runner(ProcessOptions options, Results& results, LogSink& log);

// What `PROGRAM __guard ARGUMENTS…` runs, before it starts any thread; returns the exit code.
int guard_main(std::span<char* const> arguments);

}  // namespace pawl::runner
