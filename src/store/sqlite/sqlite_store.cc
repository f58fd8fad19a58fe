#include "store/sqlite/sqlite_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "base/own_file.h"
#include "store/descriptor.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/lock_file.h"
#include "store/sqlite/migrations.h"
#include "store/sqlite/sqlite_reader.h"
#include "store/sqlite/sqlite_writer.h"
#include "store/sqlite/wal_check.h"

namespace pawl::store {
namespace {

namespace fs = std::filesystem;

// A check costs about 2 ms a MiB, and a start should take no more than 30.
constexpr off_t quick_check_limit = off_t{4} << 20;

// 0 if there is none.
off_t file_size(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? status.st_size : 0;
}

// True if there is a file to open, false if there is nothing at all. What is no file is left alone: a link whose volume
// is not mounted must not be replaced by a new, empty database.
Result<bool> is_there(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
    return fail(Code::unavailable, path + " is a link that leads nowhere: is the disk of its file mounted?");
  const auto file = OwnFile::open(path, O_RDONLY, {.open_to_others = true});
  if (!file && file.error().code == Code::not_found) return false;
  if (!file) return std::unexpected(file.error());
  if (file_size(path) == 0)
    return fail(Code::corrupt, path + " is empty: put the database back, or remove the file to begin anew");
  return true;
}

// Two names of one file (links, relative paths) must lead to one lock. The file itself may be missing.
Result<std::string> real_path(const std::string& path) {
  std::error_code error;
  fs::path real = fs::weakly_canonical(fs::absolute(path, error), error);
  if (error) return fail(Code::unavailable, fmt::format("cannot find {}: {}", path, error.message()));
  if (!fs::is_directory(real.parent_path(), error))
    return fail(Code::unavailable,
                fmt::format("cannot open {}: there is no folder {}", path, real.parent_path().string()));
  return real.string();
}

Result<void> build(const std::string& path) {
  if (const auto file = OwnFile::open(path, O_RDWR | O_CREAT | O_EXCL); !file) return std::unexpected(file.error());
  {
    auto connection = Connection::open(path, SQLITE_OPEN_READWRITE);
    if (!connection) return std::unexpected(connection.error());
    (*connection)->tidy_on_close();
    const std::string header = fmt::format(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA auto_vacuum = INCREMENTAL;"
        "PRAGMA application_id = {}",
        application_id);
    if (auto set = (*connection)->execute(header.c_str()); !set) return set;
    if (auto built = migrate(**connection, migrations()); !built) return built;
    if (auto set = (*connection)->execute("PRAGMA journal_mode = WAL"); !set) return set;
  }
  if (const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); !file || ::fsync(file.get()) != 0)
    return system_error(errno, "sync", path);
  return {};
}

// The schema is built in a file beside it, so that under its own name there is a whole database or none.
Result<void> create(const std::string& path) {
  for (const char* side : {"-wal", "-journal"})
    if (file_size(path + side) > 0)
      return fail(
          Code::corrupt,
          fmt::format("{0} is missing, but {0}{1} is there: put the database back, or move {0}{1} away to begin "
                      "anew",
                      path, side));
  const std::string fresh = path + ".new";
  const auto clear = [&fresh] {
    for (const char* left_over : {"", "-wal", "-shm", "-journal"}) ::unlink((fresh + left_over).c_str());
  };
  clear();
  auto made = build(fresh);
  if (made && ::rename(fresh.c_str(), path.c_str()) != 0) made = system_error(errno, "create", path);
  if (!made) {
    clear();
    return made;
  }
  return sync_folder(fs::path(path).parent_path().string());
}

std::uint32_t big_endian(std::span<const unsigned char> bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

std::unexpected<Error> damaged(const std::string& path, std::string_view how) {
  return fail(Code::corrupt,
              fmt::format("{} is damaged ({}): restore a backup, or recover it with sqlite3's .recover", path, how));
}

Result<void> quick_check(Connection& connection, const std::string& path) {
  const auto look = [&] { return connection.text("PRAGMA quick_check(1)"); };
  auto found = look();
  // It tells of pages that could not be read, or had no memory, as it does of damage. But damage stays.
  if (found && *found != "ok") found = look();
  const int why = errno;
  if (!found) return std::unexpected(found.error());
  if (*found == "ok") return {};
  if (why == EIO || why == ENXIO) return system_error(why, "read", path);
  // Under a line that says which database comes the first thing that is wrong.
  const std::size_t last = found->find_last_of('\n');
  return damaged(path, last == std::string::npos ? *found : found->substr(last + 1));
}

Result<void> accept(const std::string& path, std::int64_t id, std::int64_t version) {
  if (id != application_id) return fail(Code::corrupt, path + " is a database of another program");
  if (version > newest_version())
    return fail(Code::refused,
                fmt::format("{} has schema version {}, and this program knows {} at most: use a newer one", path,
                            version, newest_version()));
  return {};
}

// Read here and not by SQLite, which would make files beside one that is none of ours.
Result<void> check_header(const std::string& path) {
  std::array<unsigned char, 100> header{};
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error(errno, "open", path);
  const ssize_t size = ::pread(file.get(), header.data(), header.size(), 0);
  if (size < 0) return system_error(errno, "read", path);
  constexpr std::string_view magic{"SQLite format 3\0", 16};
  if (static_cast<std::size_t>(size) < header.size() || std::memcmp(header.data(), magic.data(), magic.size()) != 0)
    return fail(Code::corrupt, path + " is no database");
  const std::span<const unsigned char> bytes(header);
  if (auto accepted = accept(path, big_endian(bytes.subspan(68)), big_endian(bytes.subspan(60))); !accepted)
    return accepted;
  // A checkpoint for which there was no room may leave half a page, but then the WAL has all of it.
  const std::uint32_t stored_size = std::uint32_t{header[16]} << 8 | header[17];
  const off_t page_size = stored_size == 1 ? 65'536 : static_cast<off_t>(stored_size);
  if (page_size > 0 && file_size(path) % page_size != 0 && file_size(path + "-wal") == 0)
    return damaged(path, "its last page is cut off");
  return {};
}

// The file alone, as far as its size allows: for where there is no WAL. SQLite makes no files beside it for that.
Result<void> check_file(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte > ' ' && byte < 0x7f && c != '%' && c != '?' && c != '#';
    uri += plain ? std::string(1, c) : fmt::format("%{:02x}", byte);
  }
  auto connection = Connection::open(uri + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  if (!connection) return std::unexpected(connection.error());
  return quick_check(**connection, path);
}

Result<std::unique_ptr<SqliteWriter>> open_writer(const std::string& path, int checkpoint_pages) {
  auto opened = Connection::open(path, SQLITE_OPEN_READWRITE);
  if (!opened) return std::unexpected(opened.error());
  Connection& connection = **opened;
  // Once more, through the WAL: an upgrade that was killed has its version only there.
  const auto id = connection.integer("PRAGMA application_id");
  if (!id) return std::unexpected(id.error());
  const auto version = connection.integer("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  if (auto accepted = accept(path, *id, *version); !accepted) return std::unexpected(accepted.error());
  if (file_size(path + "-wal") > 0 && file_size(path) <= quick_check_limit)
    if (auto sound = quick_check(connection, path); !sound) return std::unexpected(sound.error());
  const auto mode = connection.text("PRAGMA journal_mode = WAL");
  if (!mode) return std::unexpected(mode.error());
  if (*mode != "wal")
    return fail(Code::unavailable,
                fmt::format("{} cannot have a write-ahead log: is it on a network file system?", path));
  const auto set = connection.execute(
      "PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA cache_size = -32768;"
      "PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864");
  if (!set) return std::unexpected(set.error());
  if (auto done = migrate(connection, migrations()); !done) return std::unexpected(done.error());
  auto writer = SqliteWriter::make(std::move(*opened), checkpoint_pages);
  if (!writer) return writer;
  if (auto begun = (*writer)->begin_epoch(); !begun) return std::unexpected(begun.error());
  return writer;
}

// What is found at the start is acknowledged by everything that builds on it, so it has to be durable first.
Result<std::unique_ptr<SqliteWriter>> open_durable(const std::string& path, const WalEnd& wal_end,
                                                   int checkpoint_pages) {
  if (auto renewed = renew_wal(path, wal_end); !renewed) return std::unexpected(renewed.error());
  // SQLite syncs the folder too, after the first commit, but does not look whether that works.
  if (auto synced = sync_folder(fs::path(path).parent_path().string()); !synced) return std::unexpected(synced.error());
  return open_writer(path, checkpoint_pages);
}

class SqliteStore final : public Store {
 public:
  SqliteStore(std::string path, LockFile lock, std::unique_ptr<SqliteWriter> writer)
      : path_(std::move(path)), lock_(std::move(lock)), writer_(std::move(writer)) {
    // By name, because opening and closing one of them would release SQLite's locks.
    for (const char* side : {"", "-wal", "-shm"})
      if (const auto id = file_id(path_ + side); id && *id) opened_.emplace_back(path_ + side, **id);
  }

  Result<void> commit(std::span<const Changeset> changes) override { return writer_->commit(changes); }
  Result<std::unique_ptr<Reader>> reader() override { return open_sqlite_reader(path_); }
  Result<void> still_ours() const override {
    if (!lock_.stands())
      return fail(Code::conflict,
                  lock_.path() + " was removed or replaced: another server could have started on this folder");
    for (const auto& [path, id] : opened_)
      if (const auto now = file_id(path); now && *now != id)
        return fail(Code::conflict, path + " was removed or replaced: what is written from now on could be lost");
    return {};
  }

 private:
  std::string path_;
  std::vector<std::pair<std::string, FileId>> opened_;
  LockFile lock_;  // before writer_: let go last
  std::unique_ptr<SqliteWriter> writer_;
};

// SQLite's words say neither which file they are about nor what to do.
Error told_of(const std::string& path, Error error) {
  if (error.name == "no_room")
    error.code = Code::overloaded;  // here nothing is unknown: nothing has been committed yet
  if (error.message.find(path) != std::string::npos) return error;
  if (error.code == Code::corrupt) return damaged(path, error.message).error();
  error.message = fmt::format("cannot open {}: {}", path, error.message);
  return error;
}

Result<void> check_files(const std::string& path, const OwnFileRules& rules) {
  for (const char* side : {"", "-wal", "-shm", "-journal"})
    if (auto ours = check_own_file(path + side, rules); !ours) return ours;
  return {};
}

Result<std::unique_ptr<SqliteWriter>> open_checked(const std::string& path, int checkpoint_pages) {
  const auto there = is_there(path);
  if (!there) return std::unexpected(there.error());
  // SQLite opens the files by name and would hang on a pipe. A file that is refused below must keep its mode, so modes
  // are not changed yet.
  if (auto ours = check_files(path, {.open_to_others = true}); !ours) return std::unexpected(ours.error());
  if (!*there)
    if (auto created = create(path); !created) return std::unexpected(created.error());
  if (auto ours = check_header(path); !ours) return std::unexpected(ours.error());
  if (auto ours = check_files(path, {}); !ours) return std::unexpected(ours.error());
  const auto wal_end = check_wal(path);
  if (!wal_end) return std::unexpected(wal_end.error());
  if (file_size(path + "-wal") == 0 && file_size(path) <= quick_check_limit)
    if (auto sound = check_file(path); !sound) return std::unexpected(sound.error());
  // By ourselves, because SQLite would not say why it cannot.
  std::vector<std::string> made;
  for (const char* side : {"-wal", "-shm"}) {
    const bool missing = ::access((path + side).c_str(), F_OK) != 0;
    if (const auto file = OwnFile::open(path + side, O_RDWR | O_CREAT); !file) {
      for (const std::string& file_made : made) ::unlink(file_made.c_str());
      return std::unexpected(file.error());
    }
    if (missing) made.push_back(path + side);
  }
  auto writer = open_durable(path, *wal_end, checkpoint_pages);
  if (!writer && file_size(path + "-wal") == 0)
    for (const std::string& file_made : made) ::unlink(file_made.c_str());
  return writer;
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite(const SqliteOptions& options) {
  const auto path = real_path(options.path);
  if (!path) return std::unexpected(path.error());
  auto lock = LockFile::take(*path + ".lock", *path);
  if (!lock) return std::unexpected(lock.error());
  auto writer = open_checked(*path, options.checkpoint_pages);
  if (!writer) return std::unexpected(told_of(*path, std::move(writer.error())));
  return std::make_unique<SqliteStore>(*path, std::move(*lock), std::move(*writer));
}

}  // namespace pawl::store
