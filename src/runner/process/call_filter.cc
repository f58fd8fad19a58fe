#include "runner/process/call_filter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "runner/process/process_tree.h"

namespace pawl::runner {
namespace {

// ioprio_set(2); glibc has no header for it.
constexpr scmp_datum_t io_process = 1, io_group = 2, io_user = 3;

using Filter = std::unique_ptr<void, decltype(&::seccomp_release)>;

// Adds rules until one fails.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

  template <class... Conditions>
  void ask(const char* name, Conditions... conditions) {
    add(SCMP_ACT_NOTIFY, name, conditions...);
  }
  template <class... Conditions>
  void refuse(const char* name, Conditions... conditions) {
    add(SCMP_ACT_ERRNO(EPERM), name, conditions...);
  }
  int error() const { return error_; }

 private:
  template <class... Conditions>
  void add(std::uint32_t action, const char* name, Conditions... conditions) {
    if (error_ != 0) return;
    const std::array<scmp_arg_cmp, sizeof...(conditions)> list{conditions...};
    error_ = -::seccomp_rule_add_array(filter_, action, ::seccomp_syscall_resolve_name(name),
                                       static_cast<unsigned>(list.size()), list.data());
  }

  scmp_filter_ctx filter_;
  int error_ = 0;
};

scmp_arg_cmp is(unsigned argument, scmp_datum_t value) { return {argument, SCMP_CMP_MASKED_EQ, 0xffffffff, value}; }
scmp_arg_cmp is_not(unsigned argument, scmp_datum_t value) { return {argument, SCMP_CMP_NE, value, 0}; }

void add_rules(Rules& rules, bool signals) {
  // A null third argument only reads the limits.
  rules.ask("prlimit64", is_not(0, 0), is_not(2, 0));
  for (const char* name : {"sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity",  //
                           "migrate_pages", "move_pages"}) {
    rules.ask(name, is_not(0, 0));
  }
  rules.ask("setpriority", is(0, PRIO_PROCESS), is_not(1, 0));
  rules.ask("setpriority", is(0, PRIO_PGRP), is_not(1, 0));
  rules.ask("ioprio_set", is(0, io_process), is_not(1, 0));
  rules.ask("ioprio_set", is(0, io_group), is_not(1, 0));
  // These mean all processes of the user, ours included.
  rules.refuse("setpriority", is(0, PRIO_USER));
  rules.refuse("ioprio_set", is(0, io_user));
  if (!signals) return;
  rules.ask("kill", is_not(0, 0));
  for (const char* name : {"tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"}) {
    rules.ask(name);
  }
  // The kernel signals the owner of a descriptor when data comes. An owner that is passed in memory cannot be judged,
  // because it could change before the kernel reads it.
  for (const char* name : {"fcntl", "fcntl64"}) {
    rules.ask(name, is(1, F_SETOWN), is_not(2, 0));
    rules.refuse(name, is(1, F_SETOWN_EX));
  }
  for (const scmp_datum_t request : {0x8901UL /* FIOSETOWN */, 0x8902UL /* SIOCSPGRP */}) {
    rules.refuse("ioctl", is(1, request));
  }
}

std::string field_of(const std::string& path, std::string_view name) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 4096> buffer;
  const ssize_t size = file.valid() ? ::read(file.get(), buffer.data(), buffer.size()) : 0;
  const std::string_view text{buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  const auto at = text.find(fmt::format("\n{}:\t", name));
  if (at == std::string_view::npos) return {};
  const auto begin = at + name.size() + 3;
  return std::string{text.substr(begin, text.find('\n', begin) - begin)};
}

std::optional<pid_t> number(std::string_view text) {
  pid_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool exists(pid_t id) { return ::kill(id, 0) == 0 || errno == EPERM; }

// The process that a pidfd of `owner` refers to; -1: it has ended. nullopt: the descriptor is no pidfd. A folder of /proc is
// one for the kernel, too, but a task can mount one process's folder over that of another.
std::optional<pid_t> process_behind(pid_t owner, int descriptor) {
  std::array<char, 256> link;
  const ssize_t size = ::readlink(fmt::format("/proc/{}/fd/{}", owner, descriptor).c_str(), link.data(), link.size());
  const std::string_view target{link.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  if (target != "anon_inode:[pidfd]" && !target.starts_with("pidfd:[")) return std::nullopt;
  return number(field_of(fmt::format("/proc/{}/fdinfo/{}", owner, descriptor), "Pid"));
}

}  // namespace

Result<std::vector<sock_filter>> make_call_filter(bool signals) {
  const auto cannot = [](int error) {
    return fail(Code::unavailable, fmt::format("no filter for system calls: {}", std::strerror(error)));
  };
  const Filter filter{::seccomp_init(SCMP_ACT_ALLOW), &::seccomp_release};
  if (!filter) return cannot(ENOMEM);
  // Programs of the machine's other word size use other numbers for the same calls.
  switch (::seccomp_arch_native()) {
    case SCMP_ARCH_X86_64:
      ::seccomp_arch_add(filter.get(), SCMP_ARCH_X86);
      ::seccomp_arch_add(filter.get(), SCMP_ARCH_X32);
      break;
    case SCMP_ARCH_AARCH64: ::seccomp_arch_add(filter.get(), SCMP_ARCH_ARM); break;
  }
  Rules rules{filter.get()};
  add_rules(rules, signals);
  if (rules.error() != 0) return cannot(rules.error());
  const Descriptor file{::memfd_create("pawl-filter", MFD_CLOEXEC)};
  if (!file.valid()) return cannot(errno);
  if (const int error = ::seccomp_export_bpf(filter.get(), file.get())) return cannot(-error);
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size <= 0) return cannot(EIO);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size) return cannot(EIO);
  return program;
}

Descriptor enter_call_filter(const std::vector<sock_filter>& filter) {
  sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                     .filter = const_cast<sock_filter*>(filter.data())};  // NOLINT: the kernel only reads it
  // The filter is not a sandbox for untrusted code, so it need not turn on mitigations that slow the task down.
  constexpr unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  const auto load = [&program](unsigned with) {
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, with, &program));
  };
  // From Linux 5.19 on: a caller that gets many signals does not have to ask again after each.
  const int listener = load(flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  return Descriptor{listener < 0 && errno == EINVAL ? load(flags) : listener};
}

CallJudge::~CallJudge() {
  if (call_ != nullptr) ::seccomp_notify_free(call_, answer_);
}

bool CallJudge::answer(const Descriptor& listener) {
  if (call_ == nullptr && ::seccomp_notify_alloc(&call_, &answer_) != 0) return true;
  // The kernel wants it zeroed.
  std::memset(call_, 0, sizeof *call_);
  // This fails if the caller was killed meanwhile.
  if (::seccomp_notify_receive(listener.get(), call_) != 0) return true;
  answer_->id = call_->id;
  answer_->val = 0;
  const bool allowed = allows(*call_);
  answer_->error = allowed ? 0 : -EPERM;
  answer_->flags = allowed ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
  if (::seccomp_notify_respond(listener.get(), answer_) == 0 || errno != EINVAL) return true;
  answer_->error = -EPERM;
  answer_->flags = 0;
  ::seccomp_notify_respond(listener.get(), answer_);
  return false;
}

bool CallJudge::allows(const seccomp_notif& call) const {
  const auto caller = static_cast<pid_t>(call.pid);
  const auto argument = [&call](int at) { return static_cast<std::int32_t>(call.data.args[at]); };
  const std::unique_ptr<char, decltype(&::free)> name{::seccomp_syscall_resolve_num_arch(call.data.arch, call.data.nr),
                                                      &::free};
  const std::string_view word = name ? name.get() : "";
  // A descriptor may stand for a process of any namespace.
  if (word == "pidfd_send_signal") {
    if (argument(0) < 0) return true;  // the caller itself (PIDFD_SELF), or no descriptor
    const auto process = process_behind(caller, argument(0));
    return process && (*process <= 0 || may_change(*process));
  }
  // A caller in a process namespace of its own can only name processes of that namespace.
  if (field_of(fmt::format("/proc/{}/status", caller), "NSpid").find('\t') != std::string::npos) return true;
  // Only the lower half of the register counts, as for the kernel; the upper half may hold anything. 0 is the caller
  // itself.
  const bool names_a_kind = word == "setpriority" || word == "ioprio_set" || word.starts_with("fcntl");
  if (argument(word.starts_with("fcntl") ? 2 : names_a_kind ? 1 : 0) == 0) return true;
  if (word == "setpriority") {
    return argument(0) == PRIO_PROCESS ? may_change(argument(1)) : may_change_group(argument(1));
  }
  if (word == "ioprio_set") {
    return argument(0) == io_process ? may_change(argument(1)) : may_change_group(argument(1));
  }
  if (word == "fcntl" || word == "fcntl64") {
    return argument(2) > 0 ? may_change(argument(2)) : may_change_group(-argument(2));
  }
  if (word == "kill") return argument(0) > 0 ? may_change(argument(0)) : may_change_group(-argument(0));
  // The signal goes to this thread, so its process is the one to judge.
  if (word == "tgkill" || word == "rt_tgsigqueueinfo") return may_change(argument(1));
  return may_change(argument(0));
}

bool CallJudge::may_change(pid_t id) const {
  const auto process = number(field_of(fmt::format("/proc/{}/status", id), "Tgid"));
  // A process that cannot be seen is not judged, but one that does not exist is the kernel's to report.
  if (!process) return !exists(id);
  return *process != ::getpid() && !is_ours(*process, [](pid_t at) { return parent_of(at); });
}

template <class ParentOf>
bool CallJudge::is_ours(pid_t process, ParentOf parent_of) const {
  const pid_t keeper = ::getpid();
  for (pid_t at = process; at != keeper;) {
    if (at == server_ || at == guard_) return true;
    if (at <= 1) return false;
    // One that is hidden (hidepid=, proc(5)) or has just ended may have been a keeper.
    const std::optional<pid_t> parent = parent_of(at);
    if (!parent) return true;
    at = *parent;
  }
  return false;
}

bool CallJudge::may_change_group(pid_t group) const {
  // -1 names every process of the user.
  if (group <= 1 || group == ::getpgid(server_) || group == ::getpgid(guard_) || group == ::getpgrp()) return false;
  // One look for all, however many they are. They are sorted by pid for it.
  std::vector<Process> all = all_processes();
  std::ranges::sort(all, {}, &Process::pid);
  const auto parent_in = [&all](pid_t pid) -> std::optional<pid_t> {
    const auto found = std::ranges::lower_bound(all, pid, {}, &Process::pid);
    if (found == all.end() || found->pid != pid) return std::nullopt;
    return found->parent;
  };
  bool any = false;
  for (const Process& process : all) {
    if (process.group != group) continue;
    any = true;
    if (process.pid == ::getpid() || is_ours(process.pid, parent_in)) return false;
  }
  // A group with none that can be seen may be a hidden keeper's.
  return any || (::kill(-group, 0) != 0 && errno == ESRCH);
}

}  // namespace pawl::runner
