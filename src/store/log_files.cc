#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bitset>
#include <cerrno>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/own_file.h"
#include "base/thread_annotations.h"
#include "store/descriptor.h"
#include "store/log_frame.h"
#include "store/log_store.h"

namespace pawl::store {
namespace {

// Backups of a folder of logs may use hard links, because what is written in a log is never changed.
constexpr OwnFileRules log_rules{.more_names = true};

using DescriptorPtr = std::shared_ptr<const Descriptor>;

// Looks at a file from some byte on, up to an end fixed beforehand: what is written meanwhile is not seen half.
class Window {
 public:
  Window(const Descriptor& file, const std::string& path, std::uint64_t end) : file_(file), path_(path), end_(end) {}

  std::uint64_t end() const { return end_; }

  // At least `size` bytes from `at` on, or all up to the end. Holds until the next call.
  Result<std::string_view> bytes(std::uint64_t at, std::size_t size) {
    size = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - std::min(at, end_)));
    if (at < from_ || at + size > from_ + buffer_.size())
      if (auto read = load(at, std::max(size, chunk)); !read) return std::unexpected(read.error());
    return std::string_view(buffer_).substr(static_cast<std::size_t>(at - from_));
  }

 private:
  static constexpr std::size_t chunk = 256 << 10;

  Result<void> load(std::uint64_t at, std::size_t size) {
    buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - at)));
    from_ = at;
    std::size_t have = 0;
    while (have < buffer_.size()) {
      const ssize_t got =
          ::pread(file_.get(), buffer_.data() + have, buffer_.size() - have, static_cast<off_t>(at + have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error(errno, "read", path_);
      if (got == 0) break;  // cut off meanwhile
      have += static_cast<std::size_t>(got);
    }
    buffer_.resize(have);
    if (have == 0) end_ = std::min(end_, at);
    return {};
  }

  const Descriptor& file_;
  const std::string& path_;
  std::uint64_t end_;
  std::uint64_t from_ = 0;
  std::string buffer_;
};

// The bytes of the frame at `at`; empty if there is no whole one.
Result<std::string_view> frame_at(Window& window, std::uint64_t at) {
  const auto header = window.bytes(at, log_header_size);
  if (!header) return header;
  const auto size = frame_size(*header);
  if (!size) return std::string_view{};
  const auto all = window.bytes(at, *size);
  if (!all) return all;
  return is_whole(*all, *size, at) ? all->substr(0, *size) : std::string_view{};
}

// Where the whole frames from `at` on come to an end. Visits each of them, until the visitor returns false.
template <class Visit>
Result<std::uint64_t> walk(Window& window, std::uint64_t at, const Visit& visit) {
  while (at < window.end()) {
    const auto frame = frame_at(window, at);
    if (!frame) return std::unexpected(frame.error());
    if (frame->empty()) break;
    const std::size_t size = frame->size();
    Result<bool> more = visit(at, *frame);
    if (!more) return std::unexpected(more.error());
    at += size;
    if (!*more) break;
  }
  return at;
}

// Where the first whole frame behind the broken one at `at` begins; nullopt if none follows, so that this is the torn end
// of an append. Output that looks like headers of frames could make this long: after so many bytes the answer is the end
// of the log, which cuts nothing off.
Result<std::optional<std::uint64_t>> next_whole(Window& window, std::uint64_t at) {
  constexpr std::uint64_t patience = std::uint64_t{256} << 20;
  std::uint64_t summed = 0;
  for (++at; at + log_header_size <= window.end(); ++at) {
    const auto bytes = window.bytes(at, log_header_size);
    if (!bytes) return std::unexpected(bytes.error());
    if (bytes->size() < log_header_size) return std::nullopt;
    if (const std::size_t hit = bytes->find('P'); hit != 0) {  // of the magic; nothing can begin before
      at += std::min(hit, bytes->size()) - 1;
      continue;
    }
    const auto size = frame_size(*bytes);
    if (!size || at + *size > window.end()) continue;
    const auto frame = frame_at(window, at);
    if (!frame) return std::unexpected(frame.error());
    summed += *size;
    if (!frame->empty()) return at;
    if (summed > patience) return window.end();
  }
  return std::nullopt;
}

Result<std::uint64_t> size_of(const Descriptor& file, const std::string& path) {
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return system_error(errno, "read", path);
  if (!S_ISREG(status.st_mode)) return fail(Code::corrupt, path + " is no file");
  return static_cast<std::uint64_t>(status.st_size);
}

class LogFiles final : public LogStore {
 public:
  LogFiles(std::string folder, std::size_t max_descriptors)
      : folder_(std::move(folder)), max_descriptors_(max_descriptors) {}

  Result<void> append(RunId run, const LogFrame& frame) override {
    for (;;) {
      const FilePtr file = file_of(run);
      const MutexLock lock(file->mutex);
      if (!file->closed) return append_to(file, frame);
    }
  }

  Result<void> sync(RunId run) override {
    FilePtr file;
    DescriptorPtr descriptor;
    std::uint64_t end = 0;
    bool folders = false;
    for (;;) {
      file = file_of(run);
      const MutexLock lock(file->mutex);
      if (file->closed) continue;
      if (file->broken) return fail(Code::unavailable, *file->broken);
      if (file->end && *file->end == file->synced && file->folders_synced) return {};
      if (auto open = open_file(file, O_RDWR); !open) return open;
      if (!file->descriptor) return {};  // nothing was ever printed
      descriptor = file->descriptor;
      end = file->end.value_or(0);
      folders = !file->folders_synced;
      break;
    }
    // Without the lock: the other tasks of the run go on printing.
    Result<void> synced;
    if (::fdatasync(descriptor->get()) != 0)
      synced = system_error(errno, "sync", file->path);
    else if (folders)
      synced = sync_folders(run);
    const MutexLock lock(file->mutex);
    // The system reports a failed write-back once and then forgets the pages: a second sync would succeed and lie.
    if (!synced) return fail(Code::unavailable, file->broken.emplace(synced.error().message));
    file->synced = std::max(file->synced, end);
    file->folders_synced = true;
    return {};
  }

  void close(RunId run) override {
    FilePtr file;
    {
      const MutexLock lock(mutex_);
      const auto found = files_.find(run);
      if (found == files_.end()) return;
      file = found->second;
    }
    const MutexLock lock(file->mutex);
    if (!file->closed) forget(*file);
  }

  Result<void> remove(RunId run) override {
    for (;;) {
      const FilePtr file = file_of(run);
      const MutexLock lock(file->mutex);
      if (file->closed) continue;
      const bool gone = ::unlink(file->path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR;
      const int why = errno;
      forget(*file);
      if (!gone) return system_error(why, "remove", file->path);
      return {};
    }
  }

  Result<std::uint64_t> read(RunId run, std::uint64_t offset, const std::function<bool(LogFrame&&)>& visit) override {
    const std::string path = path_of(run);
    const auto invalid = [&] {
      return fail(Code::invalid, fmt::format("no frame of the log begins at byte {}", offset));
    };
    auto opened = OwnFile::open(path, O_RDONLY, log_rules);
    if (!opened && opened.error().code == Code::not_found) return offset == 0 ? Result<std::uint64_t>(0) : invalid();
    if (!opened && opened.error().code == Code::refused) return fail(Code::corrupt, opened.error().message);
    if (!opened) return std::unexpected(opened.error());
    const Descriptor file(opened->release());
    const auto size = size_of(file, path);
    if (!size) return size;
    const auto end = known_end(run).value_or(*size);
    if (offset > end) return invalid();
    Window window(file, path, end);
    bool stopped = false;
    for (std::uint64_t from = offset;;) {
      const auto at = walk(window, from, [&](std::uint64_t begin, std::string_view bytes) -> Result<bool> {
        auto frame = decode(bytes);
        if (!frame) return fail(Code::corrupt, fmt::format("{} makes no sense at byte {}", path, begin));
        stopped = !visit(std::move(*frame));
        return !stopped;
      });
      if (!at || stopped || *at >= window.end()) return at;
      if (*at == offset && offset > 0) {
        const auto border = is_border(window, offset);
        if (!border) return std::unexpected(border.error());
        if (!*border) return invalid();
      }
      const auto next = next_whole(window, *at);
      if (!next) return std::unexpected(next.error());
      if (!*next) return at;
      LogFrame gap;
      gap.stream = LogStream::note;
      gap.bytes = fmt::format("{} bytes of the log are damaged and left out here", **next - *at);
      if (!visit(std::move(gap)) || **next >= window.end()) return **next;
      from = **next;
    }
  }

 private:
  struct File {
    explicit File(RunId id, std::string where) : run(id), path(std::move(where)) {}
    const RunId run;
    const std::string path;
    Mutex mutex;
    bool closed GUARDED_BY(mutex) = false;  // forgotten: look for it again
    DescriptorPtr descriptor GUARDED_BY(mutex);
    std::optional<std::uint64_t> end GUARDED_BY(mutex);  // of the last whole frame, once that is known
    std::uint64_t synced GUARDED_BY(mutex) = 0;  // what of it is durable
    bool folders_synced GUARDED_BY(mutex) = false;
    std::optional<std::string> broken GUARDED_BY(mutex);  // why nothing more is taken
    // Guarded by mutex_ of the store: where it stands among those with a descriptor.
    std::optional<std::list<File*>::iterator> place;
  };
  using FilePtr = std::shared_ptr<File>;

  // Whether a frame, or what is damaged, begins at `offset`. It is asked only where no whole frame begins.
  static Result<bool> is_border(Window& window, std::uint64_t offset) {
    for (std::uint64_t from = 0;;) {
      const auto at =
          walk(window, from, [&](std::uint64_t begin, std::string_view) { return Result<bool>(begin < offset); });
      if (!at) return std::unexpected(at.error());
      if (*at >= offset) return *at == offset;
      const auto next = next_whole(window, *at);
      if (!next) return std::unexpected(next.error());
      if (!*next || **next > offset) return false;
      from = **next;
    }
  }

  // The last twelve digits of an id are random: 256 folders of about the same size.
  static std::string shard_of(RunId run) { return to_string(run).substr(24, 2); }
  std::string path_of(RunId run) const { return fmt::format("{}/{}/{}.log", folder_, shard_of(run), to_string(run)); }

  FilePtr file_of(RunId run) {
    const MutexLock lock(mutex_);
    FilePtr& file = files_[run];
    if (!file) file = std::make_shared<File>(run, path_of(run));
    return file;
  }

  std::optional<std::uint64_t> known_end(RunId run) {
    FilePtr file;
    {
      const MutexLock lock(mutex_);
      const auto found = files_.find(run);
      if (found == files_.end()) return std::nullopt;
      file = found->second;
    }
    const MutexLock lock(file->mutex);
    return file->end;
  }

  Result<void> append_to(const FilePtr& file, const LogFrame& frame) REQUIRES(file->mutex) {
    if (file->broken) return fail(Code::unavailable, *file->broken);
    if (auto open = open_file(file, O_RDWR | O_CREAT); !open) return open;
    if (!file->end)
      if (auto found = find_end(*file); !found) return found;
    const auto bytes = encode(frame, *file->end);
    if (!bytes) return std::unexpected(bytes.error());
    std::size_t written = 0;
    while (written < bytes->size()) {
      const ssize_t size = ::pwrite(file->descriptor->get(), bytes->data() + written, bytes->size() - written,
                                    static_cast<off_t>(*file->end + written));
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return take_back(*file, size < 0 ? errno : EIO);
      written += static_cast<std::size_t>(size);
    }
    *file->end += bytes->size();
    return {};
  }

  // What of a frame was written before the error must not stay, or the next one would stand behind half a frame.
  Result<void> take_back(File& file, int error) REQUIRES(file.mutex) {
    auto failed = system_error(error, "write", file.path);
    const bool cut = ::ftruncate(file.descriptor->get(), static_cast<off_t>(*file.end)) == 0;
    if (!cut || failed.error().code != Code::overloaded) {
      file.broken = failed.error().message;
      return fail(Code::unavailable, *file.broken);
    }
    return failed;
  }

  // Leaves `descriptor` empty if there is no such file and it is not to be made.
  Result<void> open_file(const FilePtr& file, int flags) REQUIRES(file->mutex) {
    if (!file->descriptor) {
      auto opened = OwnFile::open(file->path, flags & ~O_CREAT, log_rules);
      if (!opened && opened.error().code == Code::not_found) {
        if ((flags & O_CREAT) == 0) return {};
        if (auto made = make_folders(file->run); !made) return made;
        opened = OwnFile::open(file->path, flags, log_rules);
      }
      if (!opened) return std::unexpected(opened.error());
      file->descriptor = std::make_shared<const Descriptor>(opened->release());
    }
    keep_descriptor(*file);
    return {};
  }

  Result<void> make_folders(RunId run) const {
    const std::string shard = folder_ + "/" + shard_of(run);
    for (const std::string& path : {folder_, shard})
      if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return system_error(errno, "make the folder", path);
    // `logs` may be a link to a folder in which others may make files. The folders below it must still be ours.
    struct stat status{};
    if (::lstat(shard.c_str(), &status) != 0) return system_error(errno, "open", shard);
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid())
      return fail(Code::refused, shard + " is not a folder of this server's user: move it away");
    return {};
  }

  // The first append to a file since the start: a crash may have left half a frame at its end.
  Result<void> find_end(File& file) REQUIRES(file.mutex) {
    const auto size = size_of(*file.descriptor, file.path);
    if (!size) return std::unexpected(size.error());
    Window window(*file.descriptor, file.path, *size);
    const auto at = walk(window, 0, [](std::uint64_t, std::string_view) { return Result<bool>(true); });
    if (!at) return std::unexpected(at.error());
    file.end = *size;
    if (*at == *size) return {};
    const auto next = next_whole(window, *at);
    if (!next) file.end.reset();
    if (!next) return std::unexpected(next.error());
    if (*next) return {};  // damage is not ours to throw away: go on behind it, and let those who read be told
    log::warning("the end of a log was cut off: it was torn by a crash",
                 {{"file", file.path}, {"bytes", std::to_string(*size - *at)}});
    if (::ftruncate(file.descriptor->get(), static_cast<off_t>(*at)) != 0) {
      file.end.reset();
      return system_error(errno, "cut", file.path);
    }
    file.end = *at;
    return {};
  }

  Result<void> sync_folders(RunId run) {
    const std::string shard = shard_of(run);
    const auto number = static_cast<std::size_t>(std::stoul(shard, nullptr, 16));
    if (auto synced = sync_folder(folder_ + "/" + shard); !synced) return synced;
    {
      const MutexLock lock(mutex_);
      if (synced_shards_[number]) return {};
    }
    if (auto synced = sync_folder(folder_); !synced) return synced;
    if (auto synced = sync_folder(folder_ + "/.."); !synced) return synced;
    const MutexLock lock(mutex_);
    synced_shards_[number] = true;
    return {};
  }

  // Counts it as the one used last, and closes those not used for longest where there are too many. Which are at work
  // now stay open. The order of locks is a file's, then the store's; against it one may only try.
  void keep_descriptor(File& file) REQUIRES(file.mutex) {
    const MutexLock lock(mutex_);
    forget_descriptor(file);
    auto oldest = open_.begin();
    while (open_.size() >= max_descriptors_ && oldest != open_.end()) {
      File& other = **oldest++;
      if (!other.mutex.try_lock()) continue;
      other.descriptor = nullptr;
      forget_descriptor(other);
      other.mutex.unlock();
    }
    file.place = open_.insert(open_.end(), &file);
  }

  // Marked while nobody writes, and forgotten before anybody can see the mark: at no time do two states of one file exist,
  // each with its own idea of where it ends.
  void forget(File& file) REQUIRES(file.mutex) {
    file.closed = true;
    file.descriptor = nullptr;
    const MutexLock lock(mutex_);
    forget_descriptor(file);
    files_.erase(file.run);  // its callers hold it
  }

  void forget_descriptor(File& file) REQUIRES(mutex_) {
    if (file.place) open_.erase(*file.place);
    file.place.reset();
  }

  const std::string folder_;
  const std::size_t max_descriptors_;
  Mutex mutex_;
  std::map<RunId, FilePtr> files_ GUARDED_BY(mutex_);
  std::list<File*> open_ GUARDED_BY(mutex_);  // with a descriptor, the one used last at the end; all are in files_
  std::bitset<256> synced_shards_ GUARDED_BY(mutex_);
};

}  // namespace

Result<std::unique_ptr<LogStore>> open_log_files(const std::string& folder, std::size_t max_descriptors) {
  return std::make_unique<LogFiles>(folder, std::max<std::size_t>(max_descriptors, 1));
}

}  // namespace pawl::store
