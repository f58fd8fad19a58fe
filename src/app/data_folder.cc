#include "app/data_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "app/host.h"
#include "base/own_file.h"

namespace pawl::app {
namespace {

namespace fs = std::filesystem;

// What a data folder may hold before the first start: folders that an administrator has prepared, and what mkfs makes.
constexpr std::array<std::string_view, 3> prepared{"logs", "workspace", "lost+found"};

// Whether we may change its mode. `--data /tmp` or `--data ~` must not lock everybody else out of that folder.
bool is_for_us_alone(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || (info.st_mode & S_ISVTX) != 0) return false;
  std::error_code error;
  if (fs::exists(path + "/pawl.db", error)) return true;
  fs::directory_iterator entry(path, error);
  return !error && std::all_of(entry, fs::directory_iterator(), [](const fs::directory_entry& one) {
    const std::string name = one.path().filename().string();
    return std::ranges::find(prepared, std::string_view(name)) != prepared.end() || name.starts_with("pawl.db") ||
           name.starts_with("admin.token") || name == "guard.lock";
  });
}

}  // namespace

Result<void> make_data_folder(const std::string& path, bool passable) {
  const mode_t allowed = passable ? 011 : 0;
  struct stat info{};
  const bool others_enter =
      ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && (info.st_mode & 077 & ~allowed) != 0;
  if (others_enter && !is_for_us_alone(path))
    return fail(
        Code::refused,
        fmt::format("{0} cannot be the data folder: others may enter it (mode {1:o}), and it holds other things "
                    "too: choose a folder for Pawl alone, such as {0}/pawl, or close this one with chmod 700",
                    path, info.st_mode & 07777));
  if (auto fine = check_own_folder(path, allowed); !fine) return fine;
  if (auto made = make_folder(path); !made) return made;
  // `logs` may be a link to a folder that others may enter, on another disk. The modes of the log files protect them
  // there.
  std::error_code ignored;
  const bool linked = fs::is_symlink(path + "/logs", ignored);
  if (auto fine = check_own_folder(path + "/logs", linked ? 077 : 0); !fine) return fine;
  if (auto fine = check_own_folder(path + "/workspace", 077); !fine) return fine;
  return check_own_file(path + "/guard.lock");
}

}  // namespace pawl::app
