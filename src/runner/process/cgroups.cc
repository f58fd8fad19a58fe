#include "runner/process/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/hash.h"
#include "base/log.h"
#include "runner/process/killing.h"

namespace pawl::runner {
namespace {

// Where a group's folder is: of version 2, or of one controller of version 1.
struct Mount {
  std::string controller;  // empty: version 2
  std::string root;        // the group that is seen at `path`
  std::string path;
};

bool has_word(std::string_view list, std::string_view word, char separator) {
  while (!list.empty()) {
    const auto end = std::min(list.find(separator), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// False, with errno set. A file of the kernel takes its text in one write.
bool write_text(const std::string& path, const std::string& text) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  return file.valid() && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A line: id parent device ROOT PATH options [more…] - TYPE source SUPER-OPTIONS
std::vector<Mount> mounts(const std::string& file) {
  std::vector<Mount> found;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string skipped, root, path, word, type, options;
    words >> skipped >> skipped >> skipped >> root >> path;
    while (words >> word && word != "-") {
    }
    words >> type >> skipped >> options;
    if (type == "cgroup2") found.push_back({.controller = "", .root = root, .path = path});
    if (type != "cgroup") continue;
    for (const char* controller : {"pids", "memory"}) {
      if (has_word(options, controller, ',')) found.push_back({.controller = controller, .root = root, .path = path});
    }
  }
  return found;
}

// Our own group of a controller, from lines ID:CONTROLLERS:PATH; that of version 2 names none.
std::optional<std::string> own_group(const std::string& file, const std::string& controller) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view list = std::string_view{line}.substr(first + 1, second - first - 1);
    if (controller.empty() ? list.empty() : has_word(list, controller, ',')) return line.substr(second + 1);
  }
  return std::nullopt;
}

// The folder of our own group; empty if it cannot be seen.
std::string own_folder(const Cgroups::Sources& sources, const std::vector<Mount>& all, const std::string& controller) {
  const auto group = own_group(sources.own, controller);
  if (!group) return "";
  for (const Mount& mount : all) {
    if (mount.controller != controller) continue;
    std::string_view rest = *group;
    // In a container the mount may show a part of the tree only.
    if (mount.root != "/") {
      if (!rest.starts_with(mount.root)) continue;
      rest.remove_prefix(mount.root.size());
    }
    std::string folder = mount.path + std::string{rest};
    while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
    return folder;
  }
  return "";
}

// Groups may be made there, and they have this file.
bool can_hold(const std::string& folder, const std::string& name, const std::string& file) {
  if (folder.empty()) return false;
  const std::string group = folder + "/" + name;
  if (::mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) return false;
  const bool usable = ::access((group + "/" + file).c_str(), W_OK) == 0;
  ::rmdir(group.c_str());
  return usable;
}

// Has `folder` hand both controllers down, for which it must not hold processes: this one moves below it.
bool hand_down(const std::string& folder, const std::string& server_name) {
  const std::string available = read_text(folder + "/cgroup.controllers");
  if (!has_word(available, "pids", ' ') || !has_word(available, "memory", ' ')) return false;
  const std::string control = folder + "/cgroup.subtree_control";
  const std::string handed_down = read_text(control);
  if (has_word(handed_down, "pids", ' ') && has_word(handed_down, "memory", ' ')) return true;
  if (::access(control.c_str(), W_OK) != 0) return false;

  const std::string own = folder + "/" + server_name;
  if (::mkdir(own.c_str(), 0755) != 0 && errno != EEXIST) return false;
  if (write_text(own + "/cgroup.procs", std::to_string(::getpid())) && write_text(control, "+pids +memory")) {
    return true;
  }
  // Others are in it, too: it is not ours alone.
  write_text(folder + "/cgroup.procs", std::to_string(::getpid()));
  ::rmdir(own.c_str());
  return false;
}

// The number behind `name` in lines NAME NUMBER.
std::int64_t number_of(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    std::int64_t number = 0;
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ' ') {
      std::from_chars(line.data() + name.size() + 1, line.data() + line.size(), number);
      return number;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}

}  // namespace

Cgroups Cgroups::find(const TaskLimits& limits, const std::string& key, const Sources& sources) {
  Cgroups groups;
  groups.limits_ = limits;
  groups.prefix_ = "pawl-" + sha256_hex(key).substr(0, 12) + "-";
  if (limits.processes <= 0 && limits.memory_bytes <= 0) return groups;
  const std::vector<Mount> all = mounts(sources.mounts);
  const std::string probe = groups.prefix_ + "probe";

  if (const std::string folder = own_folder(sources, all, "");
      !folder.empty() && hand_down(folder, groups.prefix_ + "server")) {
    if (limits.processes > 0 && can_hold(folder, probe, "pids.max")) groups.processes_ = folder;
    if (limits.memory_bytes > 0 && can_hold(folder, probe, "memory.max")) groups.memory_ = folder;
    if (groups.hold_processes() || groups.hold_memory()) groups.version_ = 2;
    return groups;
  }
  const std::string pids = own_folder(sources, all, "pids"), memory = own_folder(sources, all, "memory");
  if (limits.processes > 0 && can_hold(pids, probe, "pids.max")) groups.processes_ = pids;
  if (limits.memory_bytes > 0 && can_hold(memory, probe, "memory.limit_in_bytes")) groups.memory_ = memory;
  if (groups.hold_processes() || groups.hold_memory()) groups.version_ = 1;
  return groups;
}

namespace {

std::vector<pid_t> processes_in(const std::string& group) {
  std::ifstream file(group + "/cgroup.procs");
  std::vector<pid_t> pids;
  for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

// A number read a moment ago may be another process's by now: what it means is held first, and looked up again.
void kill_in(const std::string& group, pid_t pid) {
  const Descriptor process{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (!process.valid()) return;
  const auto there = processes_in(group);
  if (std::ranges::find(there, pid) != there.end())
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

// Guard and keepers are gone; where somebody has killed those too, what they watched over may live.
void end_all_in(const std::string& group) {
  const Duration until = elapsed() + give_up_after;
  for (auto left = processes_in(group); !left.empty(); left = processes_in(group)) {
    if (elapsed() > until) {
      log::error("processes of an earlier server cannot be killed",
                 {{"cgroup", group}, {"left", std::to_string(left.size())}});
      return;
    }
    write_text(group + "/cgroup.kill", "1");  // version 1 has no such file
    for (const pid_t pid : left) kill_in(group, pid);
    ::poll(nullptr, 0, 5);
  }
}

}  // namespace

void Cgroups::end_leftovers() const {
  for (const std::string* folder : {&processes_, &memory_}) {
    if (folder->empty()) continue;
    DIR* const entries = ::opendir(folder->c_str());
    if (entries == nullptr) continue;
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(entries)) names.emplace_back(entry->d_name);
    ::closedir(entries);
    for (const std::string& name : names) {
      if (!name.starts_with(prefix_) || name == prefix_ + "server") continue;
      end_all_in(*folder + "/" + name);
      ::rmdir((*folder + "/" + name).c_str());
    }
  }
}

TryGroups Cgroups::make(std::uint64_t serial) const {
  TryGroups groups;
  const std::string name = prefix_ + std::to_string(serial);
  const auto hold = [&](const std::string& folder, std::string& group, const char* file, std::int64_t limit) {
    if (folder.empty()) return;
    const std::string path = folder + "/" + name;
    if ((::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) && write_text(path + "/" + file, std::to_string(limit))) {
      group = path;
      return;
    }
    log::warning("no cgroup for a task; it is counted instead", {{"cgroup", path}, {"error", std::to_string(errno)}});
    ::rmdir(path.c_str());
  };
  hold(processes_, groups.processes, "pids.max", limits_.processes);
  hold(memory_, groups.memory, version_ == 2 ? "memory.max" : "memory.limit_in_bytes", limits_.memory_bytes);
  if (groups.memory.empty()) return groups;
  // Where swap is not counted there are no such files. Half a tree is of no use to anybody.
  if (version_ == 2) {
    write_text(groups.memory + "/memory.swap.max", "0");
    write_text(groups.memory + "/memory.oom.group", "1");
  } else {
    write_text(groups.memory + "/memory.memsw.limit_in_bytes", std::to_string(limits_.memory_bytes));
  }
  return groups;
}

int enter_groups(const TryGroups& groups) {
  const auto enter = [](const std::string& group) {
    if (group.empty()) return true;
    // In version 1, a thread that moves itself alone waits for nobody; `cgroup.procs` would wait some milliseconds for all
    // processors of the machine. Version 2 has no such file.
    return write_text(group + "/tasks", "0") || (errno == ENOENT && write_text(group + "/cgroup.procs", "0"));
  };
  const bool entered = enter(groups.processes) && (groups.memory == groups.processes || enter(groups.memory));
  return entered ? 0 : errno;
}

Descriptor refused_forks(const TryGroups& groups) {
  if (groups.processes.empty()) return Descriptor{};
  return Descriptor{::open((groups.processes + "/pids.events").c_str(), O_RDONLY | O_CLOEXEC)};
}

bool forks_were_refused(const Descriptor& events) {
  std::array<char, 256> buffer;
  const ssize_t size = ::pread(events.get(), buffer.data(), buffer.size(), 0);
  return size > 0 && number_of({buffer.data(), static_cast<std::size_t>(size)}, "max") > 0;
}

bool memory_ran_out(const TryGroups& groups) {
  if (groups.memory.empty()) return false;
  for (const char* file : {"/memory.events", "/memory.oom_control"}) {
    if (number_of(read_text(groups.memory + file), "oom_kill") > 0) return true;
  }
  return false;
}

void kill_group(const TryGroups& groups) {
  for (const std::string* group : {&groups.processes, &groups.memory}) {
    if (!group->empty()) write_text(*group + "/cgroup.kill", "1");
  }
}

void remove_groups(const TryGroups& groups) {
  for (const std::string* group : {&groups.processes, &groups.memory}) {
    if (!group->empty()) ::rmdir(group->c_str());
  }
}

}  // namespace pawl::runner
