#include "runner/process/protection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "base/log.h"
#include "runner/process/cover.h"
#include "runner/process/descriptor.h"
#include "runner/process/fence.h"
#include "runner/process/trial.h"

namespace pawl::runner {
namespace {

namespace fs = std::filesystem;

Result<void> make_folder(const fs::path& folder) {
  std::error_code error;
  const bool made = fs::create_directories(folder, error);
  if (error) return fail(Code::unavailable, fmt::format("cannot make {}: {}", folder.string(), error.message()));
  if (made) fs::permissions(folder, fs::perms::owner_all, error);
  return {};
}

bool is_below(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

// What is in the folder stays closed by its own rights, and its names cannot be listed.
Result<void> open_for_passing(const std::string& folder) {
  struct stat info{};
  if (::stat(folder.c_str(), &info) == 0 &&
      ((info.st_mode & 011) == 011 || ::chmod(folder.c_str(), (info.st_mode & 07777) | 011) == 0)) {
    return {};
  }
  return fail(Code::unavailable, fmt::format("{} cannot be opened to tasks: {}", folder, std::strerror(errno)));
}

Result<void> check_that_it_gets_to(const std::string& workspace, const TaskUser& user) {
  const ActingAs acting(&user.identity);
  const Descriptor folder{::open(workspace.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  const Descriptor inside{folder.valid() ? ::openat(folder.get(), ".", O_PATH | O_CLOEXEC) : -1};
  if (inside.valid()) return {};
  return fail(
      Code::invalid,
      fmt::format("tasks are to run as user {}, who cannot get to {}: {}; choose a --workspace that this user can "
                  "reach, or another data folder, such as /var/lib/pawl",
                  user.name, workspace, std::strerror(errno)));
}

bool run_as_root(const Protection& protection) {
  return protection.user ? protection.user->identity.uid == 0 : ::geteuid() == 0;
}

const char* name_of(Fence fence) { return fence == Fence::cover ? "cover" : "landlock"; }

// Sets the fence of `protection`, whose hidden folders are known. Error: the fence that was asked for does not work.
Result<void> choose_fence(Protection& protection, const ProcessOptions& options) {
  if (options.data.empty() || options.fence == FenceMode::off) return {};
  const bool any = options.fence == FenceMode::automatic;
  // The rights of the folders do it.
  if (any && protection.user && !run_as_root(protection)) return {};
  // The cover comes first, because it restricts nothing else. Root can remove it, but root can also get around
  // Landlock.
  for (const Fence fence : {Fence::cover, Fence::landlock}) {
    if (!any && (fence == Fence::cover) != (options.fence == FenceMode::cover)) continue;
    const auto why = try_fence(options.program, fence, protection.hidden.front(), protection.hidden.back());
    if (!why) {
      protection.fence = fence;
      return {};
    }
    protection.failed.push_back(fmt::format("{}: {}", name_of(fence), *why));
  }
  if (any) return {};
  return fail(
      Code::unavailable,
      fmt::format("--fence {} does not work on this machine ({}): use --fence auto, or let tasks run as another "
                  "user (--run-as)",
                  options.fence == FenceMode::cover ? "cover" : "landlock", protection.failed.front()));
}

// Not for tasks of root, which have other ways to do what the filter forbids.
void choose_filter(Protection& protection, const ProcessOptions& options) {
  if (options.data.empty() || options.fence == FenceMode::off || run_as_root(protection)) return;
  if (const auto why = try_call_filter(options.program)) {
    protection.failed.push_back("call filter: " + *why);
    return;
  }
  protection.calls_filtered = true;
  const bool inside = protection.isolated || protection.fence == Fence::landlock;
  protection.signals_filtered = !inside || landlock_version() < landlock_that_holds_signals;
}

// The folders that hold `data` and in which a task could make files, were it not for Landlock.
std::string writable_above(const std::string& data) {
  std::string found;
  for (fs::path folder = fs::path{data}.parent_path();; folder = folder.parent_path()) {
    if (::access(folder.c_str(), W_OK) == 0) found += (found.empty() ? "" : ", ") + folder.string();
    if (!folder.has_relative_path()) return found;
  }
}

std::string to_text(const Protection& protection) {
  switch (protection.fence) {
    case Fence::none: return protection.user && !run_as_root(protection) ? "rights of the user" : "none";
    case Fence::cover: return "cover";
    case Fence::landlock: return fmt::format("landlock {}", landlock_version());
  }
  unreachable();
}

std::string or_none(std::int64_t limit) { return limit > 0 ? std::to_string(limit) : "none"; }

}  // namespace

Result<Protection> protect(const ProcessOptions& options) {
  Protection protection;
  if (!options.run_as.empty()) {
    auto user = find_user(options.run_as);
    if (!user) return std::unexpected(user.error());
    protection.user = std::move(*user);
  }
  for (const fs::path& folder : {fs::path{options.data}, fs::path{options.workspace},  //
                                 fs::path{options.guard_lock}.parent_path()}) {
    if (folder.empty()) continue;
    if (const auto made = make_folder(folder); !made) return std::unexpected(made.error());
  }
  if (protection.user) {
    if (!options.data.empty() && is_below(options.workspace, options.data)) {
      if (const auto opened = open_for_passing(options.data); !opened) return std::unexpected(opened.error());
    }
    if (const auto opened = open_for_passing(options.workspace); !opened) return std::unexpected(opened.error());
    if (const auto reached = check_that_it_gets_to(options.workspace, *protection.user); !reached) {
      return std::unexpected(reached.error());
    }
  }
  protection.no_new_privileges = options.fence != FenceMode::off;
  for (const std::string& folder : {options.data, options.workspace}) {
    if (folder.empty()) continue;
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error) return fail(Code::unavailable, fmt::format("{}: {}", folder, error.message()));
    protection.hidden.push_back(real.string());
  }
  if (const auto chosen = choose_fence(protection, options); !chosen) return std::unexpected(chosen.error());
  protection.isolated = options.fence != FenceMode::off && !options.data.empty() && !run_as_root(protection) &&
                        protection.fence != Fence::landlock && landlock_version() >= landlock_that_isolates;
  choose_filter(protection, options);
  if (protection.fence == Fence::landlock) protection.closed_folders = writable_above(protection.hidden.front());
  return protection;
}

void tell(const Protection& protection, const ProcessOptions& options, int cgroup_version, bool memory_is_held) {
  const TaskLimits& limits = options.limits;
  const std::string counted = cgroup_version > 0 ? fmt::format("cgroup v{}", cgroup_version) : "keeper";
  log::info("how tasks are held", {{"user", protection.user ? protection.user->name : "the server's"},
                                   {"fence", to_text(protection)},
                                   {"new_privileges", protection.no_new_privileges ? "no" : "yes"},
                                   {"others", protection.calls_filtered ? "call filter" : "open"},
                                   {"processes", or_none(limits.processes)},
                                   {"processes_by", counted},
                                   {"memory", or_none(limits.memory_bytes)},
                                   {"memory_by", memory_is_held ? counted : "keeper"},
                                   {"open_files", or_none(limits.open_files)},
                                   {"file_size", or_none(limits.file_bytes)}});
  if (options.data.empty()) return;
  if (run_as_root(protection)) {
    log::warning("tasks run as root: authors of workflows have the same rights as this server; use --run-as USER");
  } else if (!protection.user && protection.fence == Fence::none) {
    log::warning(
        "tasks can read and change the data folder: authors of workflows have the same rights as this server",
        {{"why", protection.failed.empty() ? "--fence off" : fmt::format("{}", fmt::join(protection.failed, "; "))},
         {"help", "start it as root with --run-as USER"}});
  }
  if (!protection.failed.empty() && protection.fence != Fence::none) {
    log::info("some means of holding tasks do not work on this machine",
              {{"failed", fmt::format("{}", fmt::join(protection.failed, "; "))}});
  }
  if (!protection.closed_folders.empty()) {
    log::warning("tasks cannot make files directly in the folders that hold the data folder",
                 {{"folders", protection.closed_folders}});
  }
}

std::vector<std::string> Protection::guard_arguments() const {
  if (fence != Fence::cover) return {};
  return {"cover", hidden.front(), hidden.back()};
}

}  // namespace pawl::runner
