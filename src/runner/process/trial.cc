#include "runner/process/trial.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "runner/process/call_filter.h"
#include "runner/process/cover.h"
#include "runner/process/descriptor.h"
#include "runner/process/fence.h"
#include "runner/process/guard_link.h"
#include "runner/process/spawn.h"
#include "runner/process/task_start.h"

namespace pawl::runner {
namespace {

// The exit code of a trial is an errno or one of these.
constexpr int still_open = 200;   // the files in the data folder can be read
constexpr int shut_out = 201;     // tasks cannot use the workspace
constexpr int no_difference = 202;  // a call that the filter should have stopped went through

std::optional<std::string> why(int exit_code) {
  switch (exit_code) {
    case 0: return std::nullopt;
    case still_open: return "files in the data folder can still be read";
    case shut_out: return "tasks could not use their workspace";
    case no_difference: return "it lets calls through";
    default: return std::strerror(exit_code);
  }
}

std::optional<std::string> run(const std::string& program, const std::vector<std::string>& arguments) {
  pid_t pid = -1;
  if (const int error = spawn_program(pid, program, arguments, {})) return std::strerror(error);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return std::strerror(errno);
  }
  if (WIFSIGNALED(status)) return std::string{"the trial was killed: "} + ::strsignal(WTERMSIG(status));
  return why(WEXITSTATUS(status));
}

// A file in the folder itself; one is made if there is none.
std::string some_file(const std::string& data, bool& made) {
  if (DIR* const entries = ::opendir(data.c_str())) {
    std::string found;
    while (const dirent* entry = ::readdir(entries)) {
      if (entry->d_type == DT_REG) found = data + "/" + entry->d_name;
    }
    ::closedir(entries);
    if (!found.empty()) return found;
  }
  const std::string path = data + "/.fence-trial";
  made = Descriptor{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)}.valid();
  return path;
}

// Runs in a process of its own, as a task would. Returns an exit code.
int go_behind(Fence fence, const std::string& data, const std::string& workspace, const std::string& file) {
  if (fence == Fence::cover) {
    if (const int error = raise_cover(data, workspace)) return error;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  if (fence == Fence::landlock) {
    const std::array<std::string, 2> hidden{data, workspace};
    const Descriptor ruleset = make_fence(hidden, workspace);
    if (!ruleset.valid()) return errno;
    if (const int error = enter_fence(ruleset)) return error;
  }
  const Descriptor opened{::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (opened.valid()) return still_open;
  const std::string made = workspace + "/.fence-trial-" + std::to_string(::getpid());
  const Descriptor work{::open(made.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  // Other errors, such as a full disk, are not due to the fence.
  if (!work.valid()) return errno == EACCES || errno == EPERM || errno == ENOENT || errno == EROFS ? shut_out : 0;
  return ::unlink(made.c_str()) == 0 ? 0 : errno;
}

// The process that enters the fence cannot leave it, so its parent clears away the file.
int try_fence_here(Fence fence, const std::string& data, const std::string& workspace) {
  bool made = false;
  const std::string file = some_file(data, made);
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) ::_exit(go_behind(fence, data, workspace, file));
  int status = 0;
  ::waitpid(child, &status, 0);
  if (made) ::unlink(file.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

// In the place of a task, which may change itself but not its keeper. Returns an exit code.
int change_both(const std::vector<sock_filter>& filter, int listener_box) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  const Descriptor listener = enter_call_filter(filter);
  if (!listener.valid() || !send_descriptor(listener_box, listener)) return errno;
  const rlimit limits{.rlim_cur = 0, .rlim_max = 0};
  const auto change = [&limits](pid_t pid) {
    return ::syscall(SYS_prlimit64, pid, RLIMIT_CORE, &limits, nullptr) == 0 ? 0 : errno;
  };
  if (const int error = change(::getpid())) return error;
  return change(::getppid()) == EPERM ? 0 : no_difference;
}

// In the place of the keeper.
int try_call_filter_here() {
  const auto filter = make_call_filter(true);
  const auto sockets = make_sockets();
  if (!filter || !sockets) return ENOSYS;
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) ::_exit(change_both(*filter, sockets->theirs.get()));
  CallJudge judge(::getppid(), ::getppid());
  Descriptor listener;
  int status = 0;
  for (pid_t ended = 0; ended == 0; ended = ::waitpid(child, &status, WNOHANG)) {
    pollfd wait{.fd = listener.valid() ? listener.get() : sockets->ours.get(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 10);
    if ((wait.revents & POLLIN) == 0) continue;
    if (!listener.valid()) {
      listener = receive_descriptor(sockets->ours);
    } else if (!judge.answer(listener)) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return ENOSYS;
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

}  // namespace

std::optional<std::string> try_fence(const std::string& program, Fence fence, const std::string& data,
                                     const std::string& workspace) {
  return run(program, {"try", fence == Fence::cover ? "cover" : "landlock", data, workspace});
}

std::optional<std::string> try_call_filter(const std::string& program) { return run(program, {"try", "calls"}); }

int run_trial(std::span<char* const> words) {
  const std::string_view what = words.empty() ? "" : words[0];
  if (what == "calls") return try_call_filter_here();
  if (words.size() != 3) return EINVAL;
  return try_fence_here(what == "cover" ? Fence::cover : Fence::landlock, words[1], words[2]);
}

}  // namespace pawl::runner
