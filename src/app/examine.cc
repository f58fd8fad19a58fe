#include "app/examine.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/descriptors.h"
#include "net/url.h"
#include "runner/process/fence.h"
#include "runner/process/task_user.h"
#include "runner/process/trial.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/migrations.h"

namespace pawl::app {
namespace {

namespace fs = std::filesystem;
using State = cli::Finding::State;

// Without a WAL beside it the file is read as it stands: opening it as a database would leave files behind.
Result<std::unique_ptr<store::Connection>> open_to_read(const std::string& path) {
  std::error_code ignored;
  const auto log_size = fs::file_size(path + "-wal", ignored);
  const bool alone = ignored || log_size == 0;
  std::string uri = "file:";
  for (const char c : fs::absolute(path, ignored).string())
    uri += c == '/' ? std::string(1, c) : net::percent_encode(std::string_view(&c, 1));
  return store::Connection::open(uri + (alone ? "?immutable=1" : "?mode=ro"), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

cli::Finding database(const std::string& data) {
  const std::string path = data + '/' + cli::store_file;
  std::error_code ignored;
  if (data.empty() || !fs::exists(path, ignored)) return {"database", State::fine, "none yet: the server makes it", ""};
  const auto wrong = [&](std::string why, std::string hint) {
    return cli::Finding{"database", State::wrong, fmt::format("{}: {}", path, why), std::move(hint)};
  };
  // SQLite would hang on a pipe.
  for (const char* side : {"", "-wal", "-shm", "-journal"})
    if (fs::exists(path + side, ignored) && !fs::is_regular_file(path + side, ignored))
      return wrong(fmt::format("{} is no plain file", path + side), "move it away");
  auto connection = open_to_read(path);
  if (!connection) return wrong(connection.error().message, "restore it from a backup, or name another --data");
  const auto owner = (*connection)->integer("PRAGMA application_id");
  if (!owner) return wrong(owner.error().message, "restore it from a backup, or name another --data");
  if (*owner != store::application_id) return wrong("this is no database of Pawl", "name another --data");
  const auto version = (*connection)->integer("PRAGMA user_version");
  if (!version) return wrong(version.error().message, "restore it from a backup, or name another --data");
  if (*version > store::newest_version())
    return wrong(fmt::format("its schema {} is newer than this program's {}", *version, store::newest_version()),
                 "use the Pawl that wrote it, or a newer one");
  return {"database", State::fine,
          *version < store::newest_version()
              ? fmt::format("schema {}, which the server brings to {}", *version, store::newest_version())
              : fmt::format("schema {}", *version),
          ""};
}

// Two temporary folders to try fences on. Which fence works does not depend on the folder, and doctor must leave
// nothing in the real one.
class TrialFolders {
 public:
  TrialFolders() {
    std::error_code ignored;
    std::string pattern = (fs::temp_directory_path(ignored) / "pawl-doctor-XXXXXX").string();
    if (const char* const made = ::mkdtemp(pattern.data())) data_ = fs::canonical(made, ignored).string();
    fs::create_directory(workspace(), ignored);
  }
  ~TrialFolders() {
    std::error_code ignored;
    if (!data_.empty()) fs::remove_all(data_, ignored);
  }
  TrialFolders(const TrialFolders&) = delete;
  TrialFolders& operator=(const TrialFolders&) = delete;
  const std::string& data() const { return data_; }
  std::string workspace() const { return data_ + "/workspace"; }

 private:
  std::string data_;
};

cli::Finding fence(bool other_user) {
  if (other_user) return {"fence", State::fine, "the rights of files keep tasks out of the data folder", ""};
  const TrialFolders folders;
  if (folders.data().empty())
    return {"fence", State::odd, "no fence could be tried: cannot make a temporary folder", "set TMPDIR"};
  const std::string own = "/proc/self/exe";
  const auto no_cover = runner::try_fence(own, runner::Fence::cover, folders.data(), folders.workspace());
  if (!no_cover) {
    const bool root = ::geteuid() == 0;
    return {"fence", root ? State::odd : State::fine,
            root ? "tasks run as root, who can lift the cover over the data folder" : "a mount covers the data folder",
            root ? "use --run-as USER: else authors of workflows are admins of this machine" : ""};
  }
  const std::string why = " (no cover: " + *no_cover + ")";
  if (const auto no_landlock = runner::try_fence(own, runner::Fence::landlock, folders.data(), folders.workspace()))
    return {"fence", State::odd, fmt::format("no fence works: cover: {}; Landlock: {}", *no_cover, *no_landlock),
            "use --run-as USER, or Linux 5.13 and later: else authors of workflows have the server's rights"};
  return {"fence", State::fine,
          fmt::format("Landlock {}: tasks cannot make files in the folders that hold the data folder{}",
                      runner::landlock_version(), why),
          ""};
}

cli::Finding task_user(const std::string& run_as) {
  if (run_as.empty()) {
    if (::geteuid() != 0) return {"run-as", State::fine, "not possible without root: tasks run as this user", ""};
    return {"run-as", State::odd, "tasks run as root", "use --run-as USER"};
  }
  const auto user = runner::find_user(run_as);
  if (!user) return {"run-as", State::wrong, user.error().message, "make the user, or name another"};
  return {"run-as", State::fine, fmt::format("tasks run as {} ({})", user->name, user->identity.uid), ""};
}

}  // namespace

std::vector<cli::Finding> examine(const std::string& data, const std::string& run_as) {
  cli::Finding user = task_user(run_as);
  const bool other_user = !run_as.empty() && user.state == State::fine;
  return {database(data), fence(other_user), std::move(user)};
}

cli::Finding examine_at_once(const cli::AtOnce& asked) {
  const std::size_t descriptors = hard_descriptor_limit();
  const auto shares = share_out(descriptors, asked);
  if (!shares) return {"at once", State::wrong, shares.error().message, ""};
  if (descriptors < fewest_descriptors)
    return {"at once", State::wrong,
            fmt::format("only {} file descriptors are allowed, but at least {} are needed", descriptors,
                        fewest_descriptors),
            "raise the hard limit of open files (LimitNOFILE=, ulimit -Hn)"};
  return {"at once", State::fine,
          fmt::format("{} processes, {} http calls, {} connections of clients", shares->processes, shares->calls,
                      shares->connections),
          ""};
}

}  // namespace pawl::app
