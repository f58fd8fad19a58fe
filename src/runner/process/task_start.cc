#include "runner/process/task_start.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "runner/process/call_filter.h"
#include "runner/process/fence.h"

namespace pawl::runner {
namespace {

// Runs the program as execvpe() would, but looks it up in the task's PATH and hands nothing to a shell. Returns only
// if it cannot.
int run_program(const Request& request) {
  const std::string_view name = request.arguments.front();
  if (name.empty()) return ENOENT;
  if (name.find('/') != std::string_view::npos) {
    ::execve(request.arguments.front(), request.arguments.data(), request.variables.data());
    return errno;
  }
  std::string_view path;
  for (const char* variable : request.variables) {
    if (variable != nullptr && std::string_view{variable}.starts_with("PATH=")) path = variable + 5;
  }
  int error = ENOENT;
  while (true) {
    const auto colon = std::min(path.find(':'), path.size());
    const std::string_view folder = path.substr(0, colon);
    const std::string file = (folder.empty() ? "." : std::string{folder}) + "/" + std::string{name};
    ::execve(file.c_str(), request.arguments.data(), request.variables.data());
    // What is found but may not be run is worth more in the message than what is found nowhere.
    if (errno == EACCES) error = EACCES;
    if (errno != EACCES && errno != ENOENT && errno != ENOTDIR) return errno;
    if (colon == path.size()) return error;
    path.remove_prefix(colon + 1);
  }
}

// Our own limits are not theirs: the server raises how many descriptors it may have, and programs that were written for
// 1,024 are slow or wrong with more.
constexpr rlim_t usual_open_files = 1024;

int set_limits(const TaskLimits& limits) {
  const auto bound = [](int resource, rlim_t soft, rlim_t hard) {
    rlimit now{};
    if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return errno;
    now.rlim_max = std::min(now.rlim_max, hard);
    now.rlim_cur = std::min(soft, now.rlim_max);
    return ::setrlimit(static_cast<__rlimit_resource>(resource), &now) == 0 ? 0 : errno;
  };
  const auto files = static_cast<rlim_t>(limits.open_files);
  int error = limits.open_files > 0 ? bound(RLIMIT_NOFILE, files, files)
                                    : bound(RLIMIT_NOFILE, usual_open_files, RLIM_INFINITY);
  if (error == 0 && limits.file_bytes > 0) {
    const auto bytes = static_cast<rlim_t>(limits.file_bytes);
    error = bound(RLIMIT_FSIZE, bytes, bytes);
  }
  return error;
}

// With one byte, because a message needs data to carry a descriptor.
struct DescriptorMessage {
  DescriptorMessage() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = space.data();
    header.msg_controllen = space.size();
  }
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr header{};
};

}  // namespace

bool send_descriptor(int socket, const Descriptor& descriptor) {
  DescriptorMessage message;
  cmsghdr* const passed = CMSG_FIRSTHDR(&message.header);
  passed->cmsg_level = SOL_SOCKET;
  passed->cmsg_type = SCM_RIGHTS;
  passed->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = descriptor.get();
  std::memcpy(CMSG_DATA(passed), &number, sizeof number);
  return ::sendmsg(socket, &message.header, MSG_NOSIGNAL) == 1;
}

Descriptor receive_descriptor(const Descriptor& socket) {
  DescriptorMessage message;
  if (::recvmsg(socket.get(), &message.header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1) return Descriptor{};
  const cmsghdr* const passed = CMSG_FIRSTHDR(&message.header);
  if (passed == nullptr || passed->cmsg_type != SCM_RIGHTS) return Descriptor{};
  int number = -1;
  std::memcpy(&number, CMSG_DATA(passed), sizeof number);
  return Descriptor{number};
}

std::optional<Request> read_request(const Descriptor& file, const StartMessage& message) {
  Request request;
  request.bytes.resize(message.request_bytes);
  for (std::size_t done = 0; done < request.bytes.size();) {
    const ssize_t got =
        ::pread(file.get(), request.bytes.data() + done, request.bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    done += static_cast<std::size_t>(got);
  }
  char* at = request.bytes.data();
  const auto next = [&at] { return std::exchange(at, at + std::strlen(at) + 1); };
  request.directory = next();
  request.run_folder = next();
  request.groups.processes = next();
  request.groups.memory = next();
  for (std::uint32_t i = 0; i < message.hidden; ++i) request.hidden.emplace_back(next());
  for (std::uint32_t i = 0; i < message.arguments; ++i) request.arguments.push_back(next());
  for (std::uint32_t i = 0; i < message.variables; ++i) request.variables.push_back(next());
  request.arguments.push_back(nullptr);
  request.variables.push_back(nullptr);
  return request;
}

void become_task(const StartMessage& message, const Request& request, const TaskDescriptors& descriptors,
                 const std::vector<sock_filter>& filter, pid_t keeper) {
  using Step = KeeperReport::Step;
  const auto give_up = [failures = descriptors.failures](Step step, int error) {
    const StartFailure failure{.step = step, .error = error};
    [[maybe_unused]] const ssize_t written = ::write(failures, &failure, sizeof failure);
    ::_exit(127);
  };
  const auto want = [&give_up](Step step, int error) {
    if (error != 0) give_up(step, error);
  };
  ::setsid();
  want(Step::limits, enter_groups(request.groups));
  want(Step::limits, set_limits(message.limits));
  // Built by us, who may look into more folders than the user may.
  Descriptor fence;
  if (message.fence == Fence::landlock || message.isolated) {
    fence = message.isolated ? make_isolation() : make_fence(request.hidden, request.run_folder);
    if (!fence.valid()) give_up(Step::fence, errno);
  }
  if (message.other_user) want(Step::user, become(message.user));
  // After the change of user, which takes it away. The keeper ends its tree in any case but its own death by KILL; for
  // the main process that is covered, too.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != keeper) ::_exit(127);

  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(descriptors.out, STDOUT_FILENO) < 0 ||
      ::dup2(descriptors.err, STDERR_FILENO) < 0) {
    give_up(Step::process, errno);
  }
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  if (message.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(Step::fence, errno);
  if (fence.valid()) want(Step::fence, enter_fence(fence));
  if (message.calls_filtered) {
    const Descriptor listener = enter_call_filter(filter);
    if (!listener.valid() || !send_descriptor(descriptors.listener_box, listener)) give_up(Step::fence, errno);
  }
  if (::chdir(request.directory) != 0) give_up(Step::directory, errno);

  // The C library keeps 32 and 33 from its own sigaction(), but hands their state on. All zero is the default.
  const std::array<std::uint64_t, 4> default_action{};
  for (int number = 1; number < NSIG; ++number) {
    ::syscall(SYS_rt_sigaction, number, default_action.data(), nullptr, sizeof(std::uint64_t));
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  give_up(Step::program, run_program(request));
  ::_exit(127);
}

}  // namespace pawl::runner
