#include "runner/process/process_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "runner/process/captured_output.h"
#include "runner/process/descriptor.h"
#include "runner/process/environment.h"
#include "runner/process/guard_wire.h"
#include "runner/process/task_files.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A dead server's guard is gone within milliseconds, as a rule.
constexpr milliseconds lock_pause = 20ms;
// When nothing of a try lives, its pipes end at once; unless it gave them to a process that is not below it.
constexpr milliseconds drain_time = 2s;
// How long shutdown() waits for processes that cannot be killed.
constexpr auto shutdown_time = 30s;

std::string error_text(int error) { return std::strerror(error); }

struct Pipe {
  Descriptor read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(Code::unavailable, "cannot make a pipe: " + error_text(errno));
  Pipe pipe{.read = Descriptor{ends[0]}, .write = Descriptor{ends[1]}};
  // Only our end: a task may rely on its writes not to fail with EAGAIN.
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

struct SocketPair {
  Descriptor ours, theirs;
};

Result<SocketPair> make_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail(Code::unavailable, "cannot make a socket: " + error_text(errno));
  }
  return SocketPair{.ours = Descriptor{ends[0]}, .theirs = Descriptor{ends[1]}};
}

// The lock, or nothing while another holds it.
Result<std::optional<Descriptor>> try_lock(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!file.valid()) return fail(Code::unavailable, fmt::format("cannot open {}: {}", path, error_text(errno)));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
    return fail(Code::unavailable, fmt::format("cannot lock {}: {}", path, error_text(errno)));
  }
  // Locked is the file we opened; another may stand at its path by now.
  struct stat opened{}, standing{};
  if (::fstat(file.get(), &opened) != 0 || ::stat(path.c_str(), &standing) != 0 || opened.st_ino != standing.st_ino ||
      opened.st_dev != standing.st_dev) {
    return std::nullopt;
  }
  return file;
}

struct GuardProcess {
  pid_t pid = -1;
  Descriptor socket;
};

Result<GuardProcess> spawn_guard(const std::string& program, const Descriptor& lock) {
  auto sockets = make_sockets();
  if (!sockets) return std::unexpected(sockets.error());
  ::fcntl(sockets->ours.get(), F_SETFL, O_NONBLOCK);
  // Out of the way of the numbers that the guard gets.
  const Descriptor socket_copy{::fcntl(sockets->theirs.get(), F_DUPFD_CLOEXEC, 10)};
  const Descriptor lock_copy{::fcntl(lock.get(), F_DUPFD_CLOEXEC, 10)};
  if (!socket_copy.valid() || !lock_copy.valid()) {
    return fail(Code::unavailable, "cannot start the guard: " + error_text(errno));
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_RDWR, 0);
  }
  ::posix_spawn_file_actions_adddup2(&actions, socket_copy.get(), guard_socket);
  ::posix_spawn_file_actions_adddup2(&actions, lock_copy.get(), guard_lock);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, guard_lock + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string name = program, word = "__guard";
  std::array<char*, 3> arguments{name.data(), word.data(), nullptr};
  // Tasks could read the guard's environment: it holds nothing but what the binary may need to load.
  std::string library_path;
  std::array<char*, 2> environment{nullptr, nullptr};
  if (const char* value = ::getenv("LD_LIBRARY_PATH"); value != nullptr) {
    library_path = std::string{"LD_LIBRARY_PATH="} + value;
    environment[0] = library_path.data();
  }
  GuardProcess guard;
  const int error =
      ::posix_spawn(&guard.pid, program.c_str(), &actions, &attributes, arguments.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(Code::unavailable, fmt::format("cannot start the guard {}: {}", program, error_text(error)));
  }
  guard.socket = std::move(sockets->ours);
  return guard;
}

Result<Descriptor> write_request(const std::string& directory, const std::vector<std::string>& arguments,
                                 const std::vector<std::string>& variables, std::uint64_t& size) {
  std::string bytes = directory + '\0';
  for (const auto* list : {&arguments, &variables}) {
    for (const std::string& text : *list) bytes.append(text).push_back('\0');
  }
  Descriptor file{::memfd_create("pawl-request", MFD_CLOEXEC)};
  if (!file.valid()) return fail(Code::unavailable, "cannot make a memory file: " + error_text(errno));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(Code::unavailable, "cannot write a memory file: " + error_text(errno));
    done += static_cast<std::size_t>(written);
  }
  size = bytes.size();
  return file;
}

// One try that the guard was asked for.
struct Running {
  Running(StartTask task, std::size_t kept) : command(std::move(task)), captured(kept) {}
  const ProcessInput& input() const { return std::get<ProcessInput>(command.input); }

  StartTask command;
  TaskFiles files;
  std::string program;  // for messages
  Descriptor control, out, err;
  CapturedOutput captured;
  std::size_t logged = 0;
  bool log_cut = false;
  bool stop_asked = false;
  bool guard_lost = false;  // its guard was killed; it is being stopped for that
  bool swept = false;       // its keeper was killed, and nothing is left
  std::optional<KeeperReport> report;
  std::optional<Clock::time_point> drain_until;
};

Outcome failed(std::string code, std::string message) {
  return {.end = Outcome::End::failed,
          .failure = {.code = std::move(code), .message = std::move(message), .cause = nullptr},
          .process = std::nullopt,
          .reply = std::nullopt};
}

bool same_try(const StartTask& a, const StopTask& b) {
  return a.run == b.run && a.ref == b.ref && a.try_number == b.try_number;
}

class GuardedProcessRunner final : public ProcessRunner {
 public:
  GuardedProcessRunner(ProcessOptions options, Results& results, LogSink& log, Descriptor epoll, Descriptor wake)
      : options_(std::move(options)),
        results_(results),
        log_(log),
        epoll_(std::move(epoll)),
        wake_(std::move(wake)),
        environment_(server_environment()) {
    watch(wake_, wake_channel);
    thread_ = std::jthread([this] { loop(); });
  }
  ~GuardedProcessRunner() override { shutdown(); }

  void start(StartTask command) override {
    check(std::holds_alternative<ProcessInput>(command.input), "the process runner starts `run` tasks only");
    post(std::move(command));
  }
  void stop(StopTask command) override { post(std::move(command)); }

  void shutdown() override {
    const std::lock_guard once(shutdown_mutex_);
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
  }

 private:
  // What an event of epoll is about: the low two bits say which descriptor, the others whose.
  enum : std::uint64_t { control_channel = 0, out_channel = 1, err_channel = 2 };
  static constexpr std::uint64_t wake_channel = 0, guard_channel = 1;  // serials begin with 1, so these are free

  void post(Command command) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      commands_.push_back(std::move(command));
    }
    wake();
  }
  void wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  }
  Instant now() const {
    if (options_.now) return options_.now();
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }

  void watch(const Descriptor& fd, std::uint64_t channel) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = channel}};
    check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) == 0, "epoll_ctl");
  }

  void loop() {
    // Signals are for the threads of whoever made us.
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::array<epoll_event, 64> events;
    while (true) {
      if (!take_commands()) break;
      launch_waiting();
      settle();
      const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), next_look());
      for (int i = 0; i < count; ++i) dispatch(events[static_cast<std::size_t>(i)].data.u64);
    }
    tear_down();
  }

  // False: we are to stop.
  bool take_commands() {
    std::vector<Command> commands;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      commands.swap(commands_);
    }
    for (Command& command : commands) {
      if (auto* start = std::get_if<StartTask>(&command)) {
        waiting_.push_back(std::move(*start));
      } else {
        take_stop(std::get<StopTask>(command));
      }
    }
    return true;
  }

  void take_stop(const StopTask& stop) {
    for (auto task = waiting_.begin(); task != waiting_.end(); ++task) {
      if (!same_try(*task, stop)) continue;
      const StartTask command = std::move(*task);
      waiting_.erase(task);
      Outcome outcome;
      outcome.end = Outcome::End::stopped;
      outcome.failure = {.code = "cancelled", .message = "stopped before it was started", .cause = nullptr};
      answer(command, std::move(outcome));
      return;
    }
    for (auto& [serial, running] : running_) {
      if (!same_try(running.command, stop)) continue;
      running.stop_asked = true;
      tell_keeper(running, stop.grace);
      return;
    }
  }

  void tell_keeper(const Running& running, Duration grace) {
    // One that does not take it is gone, and its end says so.
    const StopMessage message{.grace_us = std::max<std::int64_t>(grace.count(), 0)};
    ::send(running.control.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  // Starts what waits, if there is a guard; gets one, if there is none.
  void launch_waiting() {
    guard_full_ = false;
    while (!waiting_.empty() && !guard_full_) {
      if (!guard_ && !get_guard()) return;
      StartTask command = std::move(waiting_.front());
      waiting_.pop_front();
      launch(std::move(command));
    }
  }

  // False: not yet, or not at all; then nothing waits any more.
  bool get_guard() {
    if (Clock::now() < next_lock_try_) return false;
    auto lock = try_lock(options_.guard_lock);
    if (lock && !*lock) {
      next_lock_try_ = Clock::now() + lock_pause;
      if (!lock_wanted_since_) lock_wanted_since_ = lock_told_at_ = Clock::now();
      if (Clock::now() - lock_told_at_ >= 10s) {
        lock_told_at_ = Clock::now();
        const auto waited = std::chrono::duration_cast<Duration>(Clock::now() - *lock_wanted_since_);
        log::warning("processes of an earlier server are still alive; tasks wait for their end",
                     {{"lock", options_.guard_lock}, {"waited", to_text(waited)}});
      }
      return false;
    }
    lock_wanted_since_.reset();
    std::optional<Error> error;
    if (!lock) {
      error = lock.error();
    } else if (auto guard = spawn_guard(options_.program, **lock); !guard) {
      error = guard.error();
    } else {
      guard_ = std::move(*guard);
      guard_started_any_ = false;
      watch(guard_->socket, guard_channel);
      return true;
    }
    log::error("no guard for processes", {{"error", error->message}});
    const auto given_up = std::exchange(waiting_, {});
    for (const StartTask& command : given_up) answer(command, failed("guard_unavailable", error->message));
    return false;
  }

  void launch(StartTask command) {
    const auto& input = std::get<ProcessInput>(command.input);
    auto files = TaskFiles::make(options_.workspace, command);
    if (!files) return answer(command, failed("workspace_unavailable", files.error().message));
    if (const auto error = launch_in(*files, command, input)) {
      files->remove();
      answer(command, failed(error->name, error->message));
    }
  }

  // Hands the try to the guard and notes it as running, or says why not.
  std::optional<Error> launch_in(TaskFiles& files, StartTask& command, const ProcessInput& input) {
    const TaskPaths paths{.workspace = files.run_folder(), .output = files.output(), .script = files.script()};
    const auto failure = [](std::string message) {
      return Error{.code = Code::unavailable, .message = std::move(message), .name = "spawn_failed"};
    };
    const auto arguments = task_arguments(input, paths);
    if (!arguments) return failure(arguments.error().message);
    const auto variables = task_environment(command, environment_, paths);
    if (!variables) return failure(variables.error().message);
    if (input.working_directory.find('\0') != std::string::npos) {
      return failure("the name of the working directory holds a NUL byte");
    }
    StartMessage message{.serial = ++last_serial_,
                         .timeout_us = command.timeout ? std::max<std::int64_t>(command.timeout->count(), 0) : -1,
                         .grace_us = std::max<std::int64_t>(input.grace.count(), 0),
                         .request_bytes = 0,
                         .arguments = static_cast<std::uint32_t>(arguments->size()),
                         .variables = static_cast<std::uint32_t>(variables->size())};
    auto request = write_request(files.start_folder(), *arguments, *variables, message.request_bytes);
    if (!request) return failure(request.error().message);
    auto out = make_pipe();
    if (!out) return failure(out.error().message);
    auto err = make_pipe();
    if (!err) return failure(err.error().message);
    auto control = make_sockets();
    if (!control) return failure(control.error().message);

    const int error = send_start(message, {request->get(), out->write.get(), err->write.get(), control->theirs.get()});
    if (error == EAGAIN) {
      // The guard has a lot to read; this one goes back to the front.
      guard_full_ = true;
      files.remove();
      waiting_.push_front(std::move(command));
      return std::nullopt;
    }
    if (error == EPIPE || error == ECONNRESET) {
      const bool worked = guard_started_any_;
      lose_guard();
      // One that never did anything would not do better the next time.
      if (!worked) {
        return Error{.code = Code::unavailable, .message = "the guard process ended at once", .name = "guard_lost"};
      }
      files.remove();
      waiting_.push_front(std::move(command));
      return std::nullopt;
    }
    if (error != 0) return failure("cannot reach the guard process: " + error_text(error));
    guard_started_any_ = true;

    const std::size_t kept = input.want_stdout ? max_output_value : preview_bytes;
    auto& running = running_.try_emplace(message.serial, std::move(command), kept).first->second;
    running.files = std::move(files);
    running.program = arguments->front();
    running.control = std::move(control->ours);
    running.out = std::move(out->read);
    running.err = std::move(err->read);
    watch(running.control, message.serial << 2 | control_channel);
    watch(running.out, message.serial << 2 | out_channel);
    watch(running.err, message.serial << 2 | err_channel);
    return std::nullopt;
  }

  int send_start(StartMessage& message, const std::array<int, start_descriptors>& descriptors) {
    iovec part{.iov_base = &message, .iov_len = sizeof message};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof descriptors)> space{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = space.data();
    header.msg_controllen = space.size();
    cmsghdr* passed = CMSG_FIRSTHDR(&header);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(sizeof descriptors);
    std::memcpy(CMSG_DATA(passed), descriptors.data(), sizeof descriptors);
    // ETOOMANYREFS: too many descriptors on their way at once. It passes, like a full queue.
    if (::sendmsg(guard_->socket.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
    return errno == ETOOMANYREFS || errno == EINTR || errno == ENOBUFS ? EAGAIN : errno;
  }

  void dispatch(std::uint64_t channel) {
    if (channel == wake_channel) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
      return;
    }
    if (channel == guard_channel) return hear_guard();
    const auto found = running_.find(channel >> 2);
    if (found == running_.end()) return;
    Running& running = found->second;
    switch (channel & 3) {
      case control_channel: return hear_keeper(running);
      case out_channel: return take_output(running, running.out, LogSink::Stream::out);
      case err_channel: return take_output(running, running.err, LogSink::Stream::err);
    }
  }

  void hear_guard() {
    while (guard_) {
      GuardMessage message;
      const ssize_t size = ::recv(guard_->socket.get(), &message, sizeof message, MSG_DONTWAIT);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (size != sizeof message) return lose_guard();
      const auto found = running_.find(message.serial);
      if (found == running_.end()) continue;
      Running& running = found->second;
      switch (message.kind) {
        case GuardMessage::Kind::swept: running.swept = true; break;
        case GuardMessage::Kind::not_started:
          running.report = KeeperReport{.why = KeeperReport::Why::not_started, .error = message.error};
          break;
      }
    }
  }

  // The guard was killed. Its keepers live and still hold the lock: each ends its try, and the next guard waits for
  // the last of them.
  void lose_guard() {
    int status = 0;
    while (::waitpid(guard_->pid, &status, 0) < 0 && errno == EINTR) {
    }
    log::error("the guard process ended; its tries are stopped", {{"wait_status", std::to_string(status)}});
    guard_.reset();
    for (auto& [serial, running] : running_) {
      if (running.report) continue;
      running.guard_lost = true;
      tell_keeper(running, Duration::zero());
    }
  }

  void hear_keeper(Running& running) {
    KeeperReport report;
    const ssize_t size = ::recv(running.control.get(), &report, sizeof report, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size == sizeof report && !running.report) running.report = report;
    running.control.reset();
  }

  void take_output(Running& running, Descriptor& pipe, LogSink::Stream stream) {
    const ssize_t size = ::read(pipe.get(), buffer_.data(), buffer_.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return pipe.reset();
    const std::string_view bytes{buffer_.data(), static_cast<std::size_t>(size)};
    if (stream == LogSink::Stream::out) {
      running.captured.out(bytes);
    } else {
      running.captured.err(bytes);
    }
    const std::string_view fitting = bytes.substr(0, max_log - running.logged);
    if (!fitting.empty()) log_.write(running.command, stream, now(), fitting);
    running.logged += fitting.size();
    if (fitting.size() < bytes.size() && !std::exchange(running.log_cut, true)) {
      log_.write(running.command, LogSink::Stream::note, now(), "log cut at 10 MiB");
    }
  }

  // Answers the tries of which nothing more will come.
  void settle() {
    for (auto at = running_.begin(); at != running_.end();) {
      Running& running = at->second;
      // Without a report we wait for the guard's word that nothing is left; without a guard there is none to wait for.
      const bool ended = running.report || running.swept || (running.guard_lost && !running.control.valid());
      if (ended && !running.drain_until) running.drain_until = Clock::now() + drain_time;
      const bool drained = !running.out.valid() && !running.err.valid();
      if (!ended || (!drained && Clock::now() < *running.drain_until)) {
        ++at;
        continue;
      }
      auto node = running_.extract(at++);
      finish(node.mapped());
    }
  }

  void finish(Running& running) {
    Outcome outcome = outcome_of(running);
    if (running.report && running.report->left > 0) {
      log_.write(running.command, LogSink::Stream::note, now(),
                 fmt::format("{} processes could not be killed", running.report->left));
    }
    running.files.remove();
    const bool durable = log_.sync(running.command);
    if (!durable && outcome.end == Outcome::End::completed) {
      outcome = failed("log_unavailable", "the log of this try could not be made durable");
    }
    results_.finished({.run = running.command.run,
                       .ref = running.command.ref,
                       .try_number = running.command.try_number,
                       .outcome = std::move(outcome)});
  }

  // A try that never ran has no log to make durable.
  void answer(const StartTask& command, Outcome outcome) {
    results_.finished(
        {.run = command.run, .ref = command.ref, .try_number = command.try_number, .outcome = std::move(outcome)});
  }

  Outcome outcome_of(const Running& running) {
    Outcome outcome;
    outcome.end = Outcome::End::failed;
    if (!running.report) {
      if (running.stop_asked) return stopped(running);
      if (running.guard_lost)
        return because(running, "guard_lost", "the guard process was killed, and this try with it");
      return because(running, "keeper_lost", "the process that watched this try was killed, and the try with it");
    }
    switch (running.report->why) {
      case KeeperReport::Why::exited: return completed(running);
      case KeeperReport::Why::stopped:
        if (running.guard_lost && !running.stop_asked) {
          return because(running, "guard_lost", "the guard process was killed, and this try with it");
        }
        return stopped(running);
      case KeeperReport::Why::timed_out:
        outcome = because(running, "timeout", "no end after " + to_text(running.command.timeout.value_or(0s)));
        outcome.end = Outcome::End::timed_out;
        return outcome;
      case KeeperReport::Why::not_started: return not_started(running);
    }
    unreachable();
  }

  Outcome completed(const Running& running) {
    const int status = running.report->wait_status;
    ProcessExit exit;
    exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    exit.exit_code = exit.signal != 0 ? 128 + exit.signal : WEXITSTATUS(status);
    // What a failed task managed to write is kept if it can be read; that it failed is the news.
    auto outputs = running.files.outputs();
    if (!outputs && exit.exit_code == 0) return because(running, outputs.error().name, outputs.error().message);
    exit.outputs = outputs ? std::move(*outputs) : json::object{};
    auto out = running.captured.out_text();
    exit.stdout_text = std::move(out.text);
    exit.stdout_cut = out.cut;
    exit.stderr_tail = running.captured.err_tail();
    Outcome outcome;
    outcome.process = std::move(exit);
    return outcome;
  }

  Outcome stopped(const Running& running) {
    Outcome outcome = because(running, "cancelled", "stopped");
    outcome.end = Outcome::End::stopped;
    return outcome;
  }

  Outcome not_started(const Running& running) {
    const std::string error = error_text(running.report->error);
    switch (running.report->step) {
      case KeeperReport::Step::process: return failed("spawn_failed", "cannot start a process: " + error);
      case KeeperReport::Step::directory:
        return failed("spawn_failed",
                      fmt::format("cannot enter the working directory {}: {}", running.files.start_folder(), error));
      case KeeperReport::Step::program:
        return failed("spawn_failed", fmt::format("cannot start `{}`: {}", running.program, error));
    }
    unreachable();
  }

  // A failure whose cause is what is known of the process.
  static Outcome because(const Running& running, std::string code, std::string message) {
    Outcome outcome = failed(std::move(code), std::move(message));
    json::object cause;
    if (running.report && running.report->ended) {
      const int status = running.report->wait_status;
      cause["exit_code"] = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      if (WIFSIGNALED(status)) cause["signal"] = WTERMSIG(status);
    }
    if (std::string tail = running.captured.err_tail(); !tail.empty()) cause["stderr"] = std::move(tail);
    if (!cause.empty()) outcome.failure.cause = std::move(cause);
    return outcome;
  }

  // Milliseconds until something has to be looked at without an event; -1: never.
  int next_look() const {
    std::optional<Clock::time_point> next;
    const auto consider = [&next](Clock::time_point at) { next = next ? std::min(*next, at) : at; };
    if (!waiting_.empty() && !guard_) consider(next_lock_try_);
    if (guard_full_) consider(Clock::now() + lock_pause);
    for (const auto& [serial, running] : running_) {
      if (running.drain_until) consider(*running.drain_until);
    }
    if (!next) return -1;
    return static_cast<int>(std::max<std::int64_t>(0, std::chrono::ceil<milliseconds>(*next - Clock::now()).count()));
  }

  void tear_down() {
    // Keepers see the end of their control, the guard that of its socket, and each kills all below it.
    for (auto& [serial, running] : running_) {
      running.control.reset();
      running.out.reset();
      running.err.reset();
    }
    if (guard_) {
      const pid_t pid = std::exchange(guard_->pid, -1);
      guard_.reset();
      await_end(pid);
    } else if (!running_.empty()) {
      // Keepers of a guard that was killed: the lock says when the last has gone.
      const auto until = Clock::now() + shutdown_time;
      for (auto lock = try_lock(options_.guard_lock); lock && !*lock && Clock::now() < until;
           lock = try_lock(options_.guard_lock)) {
        std::this_thread::sleep_for(lock_pause);
      }
    }
    for (auto& [serial, running] : running_) running.files.remove();
    running_.clear();
    waiting_.clear();
  }

  void await_end(pid_t guard) {
    const Descriptor handle{static_cast<int>(::syscall(SYS_pidfd_open, guard, 0))};
    pollfd wait{.fd = handle.get(), .events = POLLIN, .revents = 0};
    if (handle.valid()) ::poll(&wait, 1, static_cast<int>(milliseconds(shutdown_time).count()));
    if (::waitpid(guard, nullptr, handle.valid() ? WNOHANG : 0) != 0) return;
    log::warning("processes that cannot be killed outlive this server", {{"guard", std::to_string(guard)}});
  }

  const ProcessOptions options_;
  Results& results_;
  LogSink& log_;
  const Descriptor epoll_, wake_;
  const ServerEnvironment environment_;

  std::mutex mutex_;
  std::vector<Command> commands_;  // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::mutex shutdown_mutex_;

  // The rest belongs to the thread.
  std::deque<StartTask> waiting_;  // for a guard
  std::map<std::uint64_t, Running> running_;  // by serial
  std::uint64_t last_serial_ = 0;
  std::optional<GuardProcess> guard_;
  bool guard_full_ = false;  // its queue took no more
  bool guard_started_any_ = false;  // it took a start
  Clock::time_point next_lock_try_{};
  std::optional<Clock::time_point> lock_wanted_since_;
  Clock::time_point lock_told_at_{};
  std::array<char, 64 << 10> buffer_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<ProcessRunner>> make_process_runner(ProcessOptions options, Results& results, LogSink& log) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (options.program.empty()) options.program = "/proc/self/exe";
  for (std::string* path : {&options.workspace, &options.guard_lock}) {
    *path = fs::absolute(*path, error).lexically_normal();
    if (error) return fail(Code::unavailable, fmt::format("{}: {}", *path, error.message()));
    while (path->size() > 1 && path->ends_with('/')) path->pop_back();
  }
  if (::access("/proc/self/stat", R_OK) != 0) {
    return fail(Code::unavailable, "/proc is not mounted: the processes of a task could not be found");
  }
  for (const fs::path& folder : {fs::path{options.workspace}, fs::path{options.guard_lock}.parent_path()}) {
    const bool made = fs::create_directories(folder, error);
    if (error) return fail(Code::unavailable, fmt::format("cannot make {}: {}", folder.string(), error.message()));
    if (made) fs::permissions(folder, fs::perms::owner_all, error);
  }
  Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  Descriptor wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!epoll.valid() || !wake.valid()) {
    return fail(Code::unavailable, "cannot make a process runner: " + error_text(errno));
  }
  return std::make_unique<GuardedProcessRunner>(std::move(options), results, log, std::move(epoll), std::move(wake));
}

}  // namespace pawl::runner
