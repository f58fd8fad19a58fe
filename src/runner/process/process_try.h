// One try that the guard was asked for: what is kept of it while it runs, and what became of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "model/command.h"
#include "model/event.h"
#include "runner/process/captured_output.h"
#include "runner/process/cgroups.h"
#include "runner/process/descriptor.h"
#include "runner/process/guard_wire.h"
#include "runner/process/task_files.h"
#include "runner/runner.h"

namespace pawl::runner {

struct ProcessTry {
  ProcessTry(StartTask task, std::size_t kept) : command(std::move(task)), captured(kept) {}

  StartTask command;
  TaskFiles files;
  TryGroups groups;
  TaskLimits limits;
  std::string program;  // for messages
  std::string closed_folders;  // in which Landlock keeps it from making files; for messages, too
  Descriptor control, out, err;
  CapturedOutput captured;
  std::size_t logged = 0;
  bool log_cut = false;
  bool stop_asked = false;
  bool guard_lost = false;  // its guard was killed; it is being stopped for that
  bool swept = false;       // its keeper was killed, and nothing is left
  std::optional<KeeperReport> report;
  std::optional<std::chrono::steady_clock::time_point> drain_until;

  // Keeps what is to be kept of the bytes and logs them, up to the limit of a log.
  void take(LogSink::Stream stream, std::string_view bytes, Instant now, LogSink& log);

  // Nothing of it lives any more. Without a report that is the guard's word; without a guard there is none to wait for.
  bool has_ended() const { return report || swept || (guard_lost && !control.valid()); }
  bool is_drained() const { return !out.valid() && !err.valid(); }

  // Reads the files that the task has left.
  Outcome outcome() const;
};

// The try could not be carried through.
Outcome failed_try(std::string code, std::string message);

}  // namespace pawl::runner
