// Runs `run` tasks: every try is a tree of processes below one guard process, which ends them all when the server dies,
// however it dies (docs/adr/0005-guard-process.md).
//
//   server ── guard (subreaper, holds the lock file) ── keeper of a try (subreaper) ── the task ── its children …
//
// A try ends when its main process does; whatever it left behind is killed then. Environment, workspace and
// $PAWL_OUTPUT: docs/definition.md.
//
// Codes of a try that could not be carried through:
//   spawn_failed           no such program, no such folder, no more processes; the message names what
//   workspace_unavailable  its folder or its script could not be made
//   output_invalid         $PAWL_OUTPUT is no file, or a line of it is malformed; only if the task exited with 0
//   output_too_large       $PAWL_OUTPUT is longer than 1 MiB; likewise
//   log_unavailable        it ended by itself, but its log could not be made durable
//   keeper_lost            the process that watched it was killed; nothing of the try is left
//   guard_lost             the guard was killed, and the try had to be; the next start makes a new guard
//   guard_unavailable      no guard could be started
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "runner/runner.h"

namespace pawl::runner {

struct ProcessOptions {
  std::string workspace;  // folder of the runs' folders; made when needed
  std::string guard_lock;  // lock file that a guard holds as long as any process below it lives
  std::string program;  // this binary, run as `PROGRAM __guard`; empty: /proc/self/exe
  std::function<Instant()> now;  // for log times; empty: the system's clock
};

class ProcessRunner : public Runner {
 public:
  // Stops every try without mercy and waits until no process is left. The tries cut off give no result, nor does what
  // is started later. Safe twice; the destructor does it, too.
  virtual void shutdown() = 0;
};

// Starts no process yet: the guard comes with the first task, after the guard of a dead server has gone (which is
// waited for on a thread of the runner's own). That thread also calls `results` and `log`, which must outlive the
// runner. Error: unavailable if the workspace or the lock file's folder cannot be made, or there is no /proc.
Result<std::unique_ptr<ProcessRunner>> make_process_runner(ProcessOptions options, Results& results, LogSink& log);

// What `PROGRAM __guard` runs, before it starts any thread; returns the exit code. `socket` and `lock` are the
// descriptors that the runner leaves open in it.
constexpr int guard_socket = 3;
constexpr int guard_lock = 4;
int guard_main(int socket = guard_socket, int lock = guard_lock);

}  // namespace pawl::runner
