#include "runner/process/process_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
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
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "runner/held_results.h"
#include "runner/process/cgroups.h"
#include "runner/process/descriptor.h"
#include "runner/process/discarded_folders.h"
#include "runner/process/environment.h"
#include "runner/process/folder_removal.h"
#include "runner/process/guard_link.h"
#include "runner/process/guard_wire.h"
#include "runner/process/process_try.h"
#include "runner/process/protection.h"
#include "runner/process/task_files.h"

namespace pawl::runner {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// When the guard has a lot to read.
constexpr milliseconds full_pause = 20ms;
// When nothing of a try lives, its pipes end at once; unless it gave them to a process that is not below it.
constexpr milliseconds drain_time = 2s;

std::string error_text(int error) { return std::strerror(error); }

// For held_results.h.
Duration since_boot() { return std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()); }

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

// The texts of a request, each ended by a NUL.
class RequestText {
 public:
  void add(const std::string& text) { bytes_.append(text).push_back('\0'); }
  void add(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) add(text);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

Result<Descriptor> memory_file(const std::string& bytes) {
  Descriptor file{::memfd_create("pawl-request", MFD_CLOEXEC)};
  if (!file.valid()) return fail(Code::unavailable, "cannot make a memory file: " + error_text(errno));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(Code::unavailable, "cannot write a memory file: " + error_text(errno));
    done += static_cast<std::size_t>(written);
  }
  return file;
}

// Removes the groups, unless they are handed on.
class OwnedGroups {
 public:
  explicit OwnedGroups(TryGroups groups) : groups_(std::move(groups)) {}
  ~OwnedGroups() { remove_groups(groups_); }
  OwnedGroups(const OwnedGroups&) = delete;
  OwnedGroups& operator=(const OwnedGroups&) = delete;
  const TryGroups& get() const { return groups_; }
  TryGroups release() { return std::exchange(groups_, {}); }

 private:
  TryGroups groups_;
};

bool same_try(const StartTask& a, const StopTask& b) {
  return a.run == b.run && a.ref == b.ref && a.try_number == b.try_number;
}

class GuardedProcessRunner final : public ProcessRunner {
 public:
  GuardedProcessRunner(ProcessOptions options, Protection protection, Cgroups cgroups, Results& results, LogSink& log,
                       Descriptor epoll, Descriptor wake)
      : options_(std::move(options)),
        protection_(std::move(protection)),
        cgroups_(std::move(cgroups)),
        results_(results),
        log_(log),
        epoll_(std::move(epoll)),
        wake_(std::move(wake)),
        environment_(server_environment()),
        guard_(options_.program, protection_.guard_arguments(), options_.guard_lock,
               [this] { cgroups_.end_leftovers(); }),
        discarded_(options_.workspace, protection_.identity(), options_.ended_well) {
    if (protection_.user) environment_.home = protection_.user->home;
    watch(wake_, wake_channel);
    thread_ = std::jthread([this] { loop(); });
  }
  ~GuardedProcessRunner() override { shutdown(); }

  void start(StartTask command) override {
    check(std::holds_alternative<ProcessInput>(command.input), "the process runner starts `run` tasks only");
    post(std::move(command));
  }
  void stop(StopTask command) override { post(std::move(command)); }
  void discard(RunId run) override { post(Discard{run}); }
  void server_stops() override {
    {
      const std::lock_guard lock(mutex_);
      if (!server_stops_at_) server_stops_at_ = since_boot();
    }
    wake();
  }

  Result<void> remove_folder(RunId run, const std::stop_token& stop) override {
    return runner::remove_folder(options_.workspace, to_string(run), protection_.identity(), stop);
  }

  void shutdown() override {
    const std::lock_guard once(shutdown_mutex_);
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
    discarded_.stop();
  }

 private:
  // What an event of epoll is about: the low two bits say which descriptor, the others whose.
  enum : std::uint64_t { control_channel = 0, out_channel = 1, err_channel = 2 };
  static constexpr std::uint64_t wake_channel = 0, guard_channel = 1;  // serials begin with 1, so these are free

  struct Discard {
    RunId run;
  };
  using Order = std::variant<StartTask, StopTask, Discard>;

  void post(Order order) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      orders_.push_back(std::move(order));
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
      if (!take_orders()) break;
      launch_waiting();
      settle();
      const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), next_look());
      for (int i = 0; i < count; ++i) dispatch(events[static_cast<std::size_t>(i)].data.u64);
    }
    tear_down();
  }

  // False: we are to stop.
  bool take_orders() {
    std::vector<Order> orders;
    bool stopping = false;
    std::vector<TaskFinished> let_go;
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
      orders.swap(orders_);
      // Under the lock, so that a later stop cannot change a result that is due now.
      let_go = server_stops_at_ ? held_.server_stops(*server_stops_at_) : held_.due(since_boot());
    }
    for (TaskFinished& result : let_go) results_.finished(std::move(result));
    for (Order& order : orders) {
      if (auto* discard = std::get_if<Discard>(&order)) {
        discarded_.discard(discard->run);
      } else if (stopping) {
        continue;
      } else if (auto* start = std::get_if<StartTask>(&order)) {
        waiting_.push_back(std::move(*start));
      } else {
        take_stop(std::get<StopTask>(order));
      }
    }
    return !stopping;
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
    if (auto result = held_.release(stop)) results_.finished(std::move(*result));
  }

  void tell_keeper(const ProcessTry& running, Duration grace) {
    // One that does not take it is gone, and its end says so.
    const StopMessage message{.grace_us = std::max<std::int64_t>(grace.count(), 0)};
    ::send(running.control.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  // Starts what waits, if there is a guard; gets one, if there is none.
  void launch_waiting() {
    guard_full_ = false;
    while (!waiting_.empty() && !guard_full_) {
      if (!guard_.running() && !get_guard()) return;
      StartTask command = std::move(waiting_.front());
      waiting_.pop_front();
      launch(std::move(command));
    }
  }

  // False: not yet, or not at all; then nothing waits any more.
  bool get_guard() {
    const auto started = guard_.start();
    if (started && *started) watch(guard_.socket(), guard_channel);
    if (started) return *started;
    log::error("no guard for processes", {{"error", started.error().message}});
    const auto given_up = std::exchange(waiting_, {});
    for (const StartTask& command : given_up) answer(command, failed_try("guard_unavailable", started.error().message));
    return false;
  }

  void launch(StartTask command) {
    const auto& input = std::get<ProcessInput>(command.input);
    discarded_.keep(command.run);
    auto files = TaskFiles::make(options_.workspace, command, protection_.identity());
    if (!files) return answer(command, failed_try("workspace_unavailable", files.error().message));
    if (const auto error = launch_in(*files, command, input)) {
      files->remove();
      answer(command, failed_try(error->name, error->message));
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
                         .hidden = static_cast<std::uint32_t>(protection_.hidden.size()),
                         .arguments = static_cast<std::uint32_t>(arguments->size()),
                         .variables = static_cast<std::uint32_t>(variables->size()),
                         .no_new_privileges = protection_.no_new_privileges,
                         .fence = protection_.fence,
                         .isolated = protection_.isolated,
                         .calls_filtered = protection_.calls_filtered,
                         .signals_filtered = protection_.signals_filtered,
                         .other_user = protection_.user.has_value(),
                         .user = protection_.user ? protection_.user->identity : Identity{},
                         .limits = options_.limits};
    // Removed again when the try is not started after all.
    OwnedGroups groups(cgroups_.make(message.serial));
    RequestText text;
    text.add(files.start_folder());
    text.add(files.run_folder());
    text.add(groups.get().processes);
    text.add(groups.get().memory);
    text.add(protection_.hidden);
    text.add(*arguments);
    text.add(*variables);
    message.request_bytes = text.bytes().size();
    auto request = memory_file(text.bytes());
    if (!request) return failure(request.error().message);
    auto out = make_pipe();
    if (!out) return failure(out.error().message);
    auto err = make_pipe();
    if (!err) return failure(err.error().message);
    auto control = make_sockets();
    if (!control) return failure(control.error().message);

    const int error = guard_.send(message, {request->get(), out->write.get(), err->write.get(), control->theirs.get()});
    if (error == EAGAIN) {
      // The guard has a lot to read; this one goes back to the front.
      guard_full_ = true;
      files.remove();
      waiting_.push_front(std::move(command));
      return std::nullopt;
    }
    if (error == EPIPE) {
      const bool worked = guard_.has_worked();
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

    const std::size_t kept = input.want_stdout ? max_output_value : preview_bytes;
    auto& running = running_.try_emplace(message.serial, std::move(command), kept).first->second;
    running.files = std::move(files);
    running.groups = groups.release();
    running.limits = options_.limits;
    running.closed_folders = protection_.closed_folders;
    running.program = arguments->front();
    running.control = std::move(control->ours);
    running.out = std::move(out->read);
    running.err = std::move(err->read);
    watch(running.control, message.serial << 2 | control_channel);
    watch(running.out, message.serial << 2 | out_channel);
    watch(running.err, message.serial << 2 | err_channel);
    return std::nullopt;
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
    ProcessTry& running = found->second;
    switch (channel & 3) {
      case control_channel: return hear_keeper(running);
      case out_channel: return take_output(running, running.out, LogSink::Stream::out);
      case err_channel: return take_output(running, running.err, LogSink::Stream::err);
    }
  }

  void hear_guard() {
    while (guard_.running()) {
      GuardMessage message;
      switch (guard_.receive(message)) {
        case GuardLink::Heard::message: break;
        case GuardLink::Heard::nothing: return;
        case GuardLink::Heard::end: return lose_guard();
      }
      const auto found = running_.find(message.serial);
      if (found == running_.end()) continue;
      ProcessTry& running = found->second;
      switch (message.kind) {
        case GuardMessage::Kind::swept: running.swept = true; break;
        case GuardMessage::Kind::not_started:
          running.report =
              KeeperReport{.why = KeeperReport::Why::not_started, .step = message.step, .error = message.error};
          break;
      }
    }
  }

  // The guard was killed. Its keepers live and still hold the lock: each ends its try, and the next guard waits for
  // the last of them.
  void lose_guard() {
    const int status = guard_.bury();
    log::error("the guard process ended; its tries are stopped", {{"wait_status", std::to_string(status)}});
    for (auto& [serial, running] : running_) {
      if (running.report) continue;
      running.guard_lost = true;
      tell_keeper(running, Duration::zero());
    }
  }

  void hear_keeper(ProcessTry& running) {
    KeeperReport report;
    const ssize_t size = ::recv(running.control.get(), &report, sizeof report, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size == sizeof report && !running.report) running.report = report;
    running.control.reset();
  }

  void take_output(ProcessTry& running, Descriptor& pipe, LogSink::Stream stream) {
    const ssize_t size = ::read(pipe.get(), buffer_.data(), buffer_.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return pipe.reset();
    running.take(stream, {buffer_.data(), static_cast<std::size_t>(size)}, now(), log_);
  }

  // Answers the tries of which nothing more will come.
  void settle() {
    for (auto at = running_.begin(); at != running_.end();) {
      ProcessTry& running = at->second;
      const bool ended = running.has_ended();
      if (ended && !running.drain_until) running.drain_until = Clock::now() + drain_time;
      if (!ended || (!running.is_drained() && Clock::now() < *running.drain_until)) {
        ++at;
        continue;
      }
      auto node = running_.extract(at++);
      finish(node.mapped());
    }
  }

  void finish(ProcessTry& running) {
    Outcome outcome = running.outcome();
    if (running.report && running.report->left > 0) {
      log_.write(running.command, LogSink::Stream::note, now(),
                 fmt::format("{} processes could not be killed", running.report->left));
    }
    running.files.remove();
    // The keeper has done it, if it was not killed.
    remove_groups(running.groups);
    const bool durable = log_.sync(running.command);
    const bool as_by_stop = ended_as_by_stop(outcome);
    if (!durable && outcome.end == Outcome::End::completed) {
      outcome = failed_try("log_unavailable", "the log of this try could not be made durable");
    }
    TaskFinished result{.run = running.command.run,
                        .ref = running.command.ref,
                        .try_number = running.command.try_number,
                        .outcome = std::move(outcome),
                        .attempt = running.command.attempt};
    if (as_by_stop) {
      auto now = held_.take(std::move(result), since_boot());
      if (!now) return;
      result = std::move(*now);
    }
    results_.finished(std::move(result));
  }

  // A try that never ran has no log to make durable.
  void answer(const StartTask& command, Outcome outcome) {
    results_.finished({.run = command.run,
                       .ref = command.ref,
                       .try_number = command.try_number,
                       .outcome = std::move(outcome),
                       .attempt = command.attempt});
  }

  // Milliseconds until something has to be looked at without an event; -1: never.
  int next_look() const {
    std::optional<Clock::time_point> next;
    const auto consider = [&next](Clock::time_point at) { next = next ? std::min(*next, at) : at; };
    if (!waiting_.empty() && !guard_.running()) consider(guard_.next_try());
    if (guard_full_) consider(Clock::now() + full_pause);
    for (const auto& [serial, running] : running_) {
      if (running.drain_until) consider(*running.drain_until);
    }
    if (const auto due = held_.next()) consider(Clock::time_point(*due));
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
    if (guard_.running()) {
      guard_.end();
    } else if (!running_.empty()) {
      guard_.await_lock();  // Keepers of a guard that was killed.
    }
    for (auto& [serial, running] : running_) {
      running.files.remove();
      remove_groups(running.groups);
    }
    running_.clear();
    waiting_.clear();
  }

  const ProcessOptions options_;
  const Protection protection_;
  const Cgroups cgroups_;
  Results& results_;
  LogSink& log_;
  const Descriptor epoll_, wake_;
  ServerEnvironment environment_;

  std::mutex mutex_;
  std::vector<Order> orders_;  // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::optional<Duration> server_stops_at_;  // guarded by mutex_
  std::mutex shutdown_mutex_;

  // The rest belongs to the thread.
  std::deque<StartTask> waiting_;  // for a guard
  std::map<std::uint64_t, ProcessTry> running_;  // by serial
  std::uint64_t last_serial_ = 0;
  GuardLink guard_;
  DiscardedFolders discarded_;
  HeldResults held_;
  bool guard_full_ = false;  // its queue took no more
  std::array<char, 64 << 10> buffer_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<ProcessRunner>> make_process_runner(ProcessOptions options, Results& results, LogSink& log) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (options.program.empty()) options.program = "/proc/self/exe";
  for (std::string* path : {&options.workspace, &options.guard_lock, &options.data}) {
    if (path->empty()) continue;
    *path = fs::absolute(*path, error).lexically_normal();
    if (error) return fail(Code::unavailable, fmt::format("{}: {}", *path, error.message()));
    while (path->size() > 1 && path->ends_with('/')) path->pop_back();
  }
  if (::access("/proc/self/stat", R_OK) != 0) {
    return fail(Code::unavailable, "/proc is not mounted: the processes of a task could not be found");
  }
  auto protection = protect(options);
  if (!protection) return std::unexpected(protection.error());
  Cgroups cgroups = Cgroups::find(options.limits, options.guard_lock);
  tell(*protection, options, cgroups.version(), cgroups.hold_memory());
  Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  Descriptor wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!epoll.valid() || !wake.valid()) {
    return fail(Code::unavailable, "cannot make a process runner: " + error_text(errno));
  }
  return std::make_unique<GuardedProcessRunner>(std::move(options), std::move(*protection), std::move(cgroups), results,
                                                log, std::move(epoll), std::move(wake));
}

}  // namespace pawl::runner
