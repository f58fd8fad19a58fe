// What tasks print: one append-only framed file per run, docs/formats/log.md. A frame is written whole or, after a
// crash, cut off at the last whole one; bytes are kept as they came.
// Threads: all functions may be called from any thread; the lines of one try must come from one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"

namespace pawl::store {

enum class LogStream : std::uint8_t { out, err, note };  // note: a remark of Pawl's own, such as a cut

struct LogFrame {
  std::string job, task;
  int try_number = 0;
  LogStream stream = LogStream::out;
  Instant at{};
  std::string bytes;
};

class LogStore {
 public:
  virtual ~LogStore() = default;
  // Can be read at once, by everyone; durable only after sync().
  // Errors: overloaded no room or no descriptor: nothing of the frame is kept, and a later one may be · invalid the
  //         frame is larger than 16 MiB, or a name than 64 KiB · refused the log is not a plain file of ours
  //         · unavailable an I/O error: the run's log takes nothing more until close().
  virtual Result<void> append(RunId run, const LogFrame& frame) = 0;
  // Durable up to here. Called before the result of a try is handed on.
  // Error: unavailable what was appended may be lost, and no later sync() will say otherwise until close().
  virtual Result<void> sync(RunId run) = 0;
  // Forgets open descriptors of the run; later calls open them again.
  virtual void close(RunId run) = 0;
  // Removes the log; that there is none is no error. Nobody may append to it meanwhile; who reads it, reads on.
  // Error: unavailable it is still there.
  virtual Result<void> remove(RunId run) = 0;
  // Frames from byte `offset` of the file on, in order; returns the offset after the last one visited. A run without a
  // log has none. The visitor returns false to stop. Where frames are damaged and whole ones follow, a note without job
  // and task stands for them and says how much is missing.
  // Errors: invalid `offset` is not where a frame begins or the log ends (a crash may have taken the end: begin at 0)
  //         · corrupt the log is not a plain file of ours, or a frame is not valid · unavailable.
  virtual Result<std::uint64_t> read(RunId run, std::uint64_t offset, const std::function<bool(LogFrame&&)>& visit) = 0;
};

// Files below `folder`, made when first needed (its parent must exist); at most `max_descriptors` are kept open for
// appending, besides those in use at the moment.
Result<std::unique_ptr<LogStore>> open_log_files(const std::string& folder, std::size_t max_descriptors = 256);
// For tests and the simulator.
std::unique_ptr<LogStore> memory_log();

}  // namespace pawl::store
