#include "runner/process/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "runner/process/descriptor.h"

namespace pawl::runner {
namespace {

// Fields of /proc/PID/stat behind the name, which may itself hold blanks and brackets: state is 3, ppid 4, pgrp 5,
// num_threads 20, starttime 22, rss 24.
std::optional<Process> read_stat(pid_t pid) {
  const Descriptor file{::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file.valid()) return std::nullopt;
  std::array<char, 1024> buffer;
  const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
  if (size <= 0) return std::nullopt;
  const std::string_view text{buffer.data(), static_cast<std::size_t>(size)};
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 > text.size()) return std::nullopt;

  Process process{.pid = pid};
  std::string_view rest = text.substr(name_end + 2);
  for (int field = 3; field <= 24; ++field) {
    const auto blank = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, blank);
    if (field == 3 && !word.empty()) process.state = word.front();
    if (field == 4) std::from_chars(word.data(), word.data() + word.size(), process.parent);
    if (field == 5) std::from_chars(word.data(), word.data() + word.size(), process.group);
    if (field == 20) std::from_chars(word.data(), word.data() + word.size(), process.threads);
    if (field == 24) std::from_chars(word.data(), word.data() + word.size(), process.resident_pages);
    if (field == 22) std::from_chars(word.data(), word.data() + word.size(), process.started);
    rest.remove_prefix(std::min(blank + 1, rest.size()));
  }
  return process;
}

}  // namespace

std::optional<pid_t> parent_of(pid_t pid) {
  const auto process = read_stat(pid);
  if (!process) return std::nullopt;
  return process->parent;
}

std::vector<Process> all_processes() {
  std::vector<Process> all;
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return all;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    if (const auto process = read_stat(pid)) all.push_back(*process);
  }
  ::closedir(folder);
  return all;
}

std::vector<Process> processes_below(pid_t root, std::span<const pid_t> except) {
  std::vector<Process> all = all_processes();
  std::ranges::sort(all, {}, &Process::parent);
  std::vector<Process> below;
  const auto add_children = [&](pid_t parent) {
    for (const Process& child : std::ranges::equal_range(all, parent, {}, &Process::parent)) {
      if (std::ranges::find(except, child.pid) == except.end()) below.push_back(child);
    }
  };
  add_children(root);
  // The list was not taken at one instant, so it might hold a circle; more than all of them it cannot be.
  for (std::size_t i = 0; i < below.size() && below.size() <= all.size(); ++i) add_children(below[i].pid);
  return below;
}

void send_signal(const Process& process, int signal) {
  const Descriptor handle{static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0))};
  if (!handle.valid()) {
    // Handles may be forbidden or used up; the number is then all there is.
    if (errno != ESRCH) ::kill(process.pid, signal);
    return;
  }
  // The handle holds whoever has the number now. If that one was started when ours was, it is ours.
  const auto now = read_stat(process.pid);
  if (!now || now->started != process.started) return;
  ::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0);
}

namespace {

// The kernel signals a process group in one step that forks wait for, so this ends what no look at /proc would keep
// up with. All processes of a group are of one session, and a session below us began below us: no stranger is in it.
void kill_groups(std::span<const Process> found) {
  std::set<pid_t> killed{0, ::getpgrp()};
  for (const Process& process : found) {
    if (killed.contains(process.group) || process.state == 'Z') continue;
    // Stopped, it stays a member, and its group's number cannot go to another group.
    send_signal(process, SIGSTOP);
    const auto now = read_stat(process.pid);
    if (!now || now->started != process.started || now->group != process.group || now->state == 'Z') continue;
    killed.insert(process.group);
    ::kill(-process.group, SIGKILL);
  }
}

}  // namespace

void kill_below(pid_t root, std::span<const pid_t> except) {
  kill_groups(processes_below(root, except));
  // A stopped process does not fork: once a look finds none that is new, none is left out. The bound is for those that
  // are continued again as fast as they are stopped; the caller comes back for them.
  constexpr int looks = 50;
  std::set<std::pair<pid_t, std::uint64_t>> stopped;
  std::vector<Process> found;
  for (int look = 0; look < looks; ++look) {
    bool grown = false;
    found = processes_below(root, except);
    for (const Process& process : found) {
      if (!stopped.emplace(process.pid, process.started).second) continue;
      grown = true;
      // The main thread of a process may end before the others: that is a zombie, too, and is killed below.
      if (process.state != 'Z') send_signal(process, SIGSTOP);
    }
    if (!grown) break;
  }
  for (const Process& process : found) send_signal(process, SIGKILL);
}

}  // namespace pawl::runner
