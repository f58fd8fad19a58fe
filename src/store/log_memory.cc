#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/thread_annotations.h"
#include "store/log_frame.h"
#include "store/log_store.h"

namespace pawl::store {
namespace {

// Offsets are those that the same frames would have in a file.
class MemoryLog final : public LogStore {
 public:
  Result<void> append(RunId run, const LogFrame& frame) override {
    const MutexLock lock(mutex_);
    Log& log = logs_[run];
    const auto bytes = encode(frame, log.end);
    if (!bytes) return std::unexpected(bytes.error());
    log.frames.emplace_back(log.end, frame);
    log.end += bytes->size();
    return {};
  }

  Result<void> sync(RunId) override { return {}; }
  void close(RunId) override {}
  Result<void> remove(RunId run) override {
    const MutexLock lock(mutex_);
    logs_.erase(run);
    return {};
  }

  Result<std::uint64_t> read(RunId run, std::uint64_t offset, const std::function<bool(LogFrame&&)>& visit) override {
    Log log;
    {
      const MutexLock lock(mutex_);
      if (const auto found = logs_.find(run); found != logs_.end()) log = found->second;
    }
    auto frame = std::ranges::lower_bound(log.frames, offset, {}, &std::pair<std::uint64_t, LogFrame>::first);
    if ((frame == log.frames.end() ? log.end : frame->first) != offset)
      return fail(Code::invalid, "no frame of the log begins at this offset");
    for (; frame != log.frames.end(); ++frame) {
      const auto next = std::next(frame);
      offset = next == log.frames.end() ? log.end : next->first;
      if (!visit(std::move(frame->second))) break;
    }
    return offset;
  }

 private:
  struct Log {
    std::vector<std::pair<std::uint64_t, LogFrame>> frames;  // with where each begins
    std::uint64_t end = 0;
  };

  Mutex mutex_;
  std::map<RunId, Log> logs_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<LogStore> memory_log() { return std::make_unique<MemoryLog>(); }

}  // namespace pawl::store
