#include "runner/process/process_try.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstring>
#include <utility>

#include "base/check.h"

namespace pawl::runner {
namespace {

int exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

// A failure whose cause is what is known of the process.
Outcome because(const ProcessTry& of, std::string code, std::string message) {
  Outcome outcome = failed_try(std::move(code), std::move(message));
  json::object cause;
  if (of.report && of.report->ended) {
    const int status = of.report->wait_status;
    cause["exit_code"] = exit_code(status);
    if (WIFSIGNALED(status)) cause["signal"] = WTERMSIG(status);
  }
  if (std::string tail = of.captured.err_tail(); !tail.empty()) cause["stderr"] = std::move(tail);
  if (!cause.empty()) outcome.failure.cause = std::move(cause);
  return outcome;
}

Outcome stopped(const ProcessTry& of) {
  Outcome outcome = because(of, "cancelled", "stopped");
  outcome.end = Outcome::End::stopped;
  return outcome;
}

Outcome guard_lost(const ProcessTry& of) {
  return because(of, "guard_lost", "the guard process was killed, and this try with it");
}

Outcome timed_out(const ProcessTry& of) {
  Outcome outcome = because(of, "timeout", "no end after " + to_text(of.command.timeout.value_or(Duration{})));
  outcome.end = Outcome::End::timed_out;
  return outcome;
}

// An author whose task may not write to the author's own folder does not think of a fence.
std::string hint_for(const ProcessTry& of, const ProcessExit& exit) {
  constexpr const char* refused = "Permission denied";
  if (of.closed_folders.empty() || exit.exit_code == 0) return {};
  if (exit.stderr_tail.find(refused) == std::string::npos && exit.stdout_text.find(refused) == std::string::npos) {
    return {};
  }
  return fmt::format(
      "the fence may be the reason: tasks cannot make or remove files directly in {}, because the data folder lies "
      "below. Use $PAWL_WORKSPACE for files; docs/tasks.md says how to open the other folders",
      of.closed_folders);
}

Outcome completed(const ProcessTry& of) {
  const int status = of.report->wait_status;
  ProcessExit exit;
  exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  exit.exit_code = exit_code(status);
  // What a failed task managed to write is kept if it can be read; that it failed is the news.
  auto outputs = of.files.outputs();
  if (!outputs && exit.exit_code == 0) return because(of, outputs.error().name, outputs.error().message);
  exit.outputs = outputs ? std::move(*outputs) : json::object{};
  auto out = of.captured.out_text();
  exit.stdout_text = std::move(out.text);
  exit.stdout_cut = out.cut;
  exit.stderr_tail = of.captured.err_tail();
  Outcome outcome;
  if (std::string hint = hint_for(of, exit); !hint.empty()) {
    outcome.failure.cause = json::object{{"hint", std::move(hint)}};
  }
  outcome.process = std::move(exit);
  return outcome;
}

Outcome not_started(const ProcessTry& of) {
  const std::string error = std::strerror(of.report->error);
  const auto failure = [](std::string message) { return failed_try("spawn_failed", std::move(message)); };
  switch (of.report->step) {
    case KeeperReport::Step::process: return failure("cannot start a process: " + error);
    case KeeperReport::Step::limits: return failure("cannot set the limits of a task: " + error);
    case KeeperReport::Step::user: return failure("cannot become the user that tasks run as: " + error);
    case KeeperReport::Step::fence: return failure("cannot keep the task out of the data folder: " + error);
    case KeeperReport::Step::directory:
      return failure(fmt::format("cannot enter the working directory {}: {}", of.files.start_folder(), error));
    case KeeperReport::Step::program: return failure(fmt::format("cannot start `{}`: {}", of.program, error));
  }
  unreachable();
}

}  // namespace

void ProcessTry::take(LogSink::Stream stream, std::string_view bytes, Instant now, LogSink& log) {
  if (stream == LogSink::Stream::out) {
    captured.out(bytes);
  } else {
    captured.err(bytes);
  }
  const std::string_view fitting = bytes.substr(0, max_log - logged);
  if (!fitting.empty()) log.write(command, stream, now, fitting);
  logged += fitting.size();
  if (fitting.size() < bytes.size() && !std::exchange(log_cut, true)) {
    log.write(command, LogSink::Stream::note, now, "log cut at 10 MiB");
  }
}

Outcome ProcessTry::outcome() const {
  if (!report) {
    if (stop_asked) return stopped(*this);
    if (guard_lost) return runner::guard_lost(*this);
    return because(*this, "keeper_lost", "the process that watched this try was killed, and the try with it");
  }
  switch (report->why) {
    case KeeperReport::Why::exited: return completed(*this);
    case KeeperReport::Why::stopped: return guard_lost && !stop_asked ? runner::guard_lost(*this) : stopped(*this);
    case KeeperReport::Why::timed_out: return timed_out(*this);
    case KeeperReport::Why::processes:
      return because(*this, "process_limit",
                     fmt::format("killed: it wanted more than {} processes and threads at once (--task-processes)",
                                 limits.processes));
    case KeeperReport::Why::memory:
      return because(
          *this, "memory_limit",
          fmt::format("killed: it wanted more than {} bytes of memory (--task-memory)", limits.memory_bytes));
    case KeeperReport::Why::not_started: return not_started(*this);
  }
  unreachable();
}

Outcome failed_try(std::string code, std::string message) {
  return {.end = Outcome::End::failed,
          .failure = {.code = std::move(code), .message = std::move(message), .cause = nullptr},
          .process = std::nullopt,
          .reply = std::nullopt};
}

}  // namespace pawl::runner
