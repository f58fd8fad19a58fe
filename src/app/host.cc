#include "app/host.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "app/data_folder.h"
#include "app/system_ports.h"
#include "base/log.h"
#include "base/own_file.h"
#include "base/thread_annotations.h"
#include "driver/carried_time.h"
#include "driver/plan_cache.h"
#include "runner/http/http_runner.h"
#include "runner/process/process_runner.h"
#include "store/sqlite/sqlite_store.h"
#include "zones/zones.h"

namespace pawl::app {
namespace {

// Results of the runners, to a driver that is made after them.
class Gate final : public runner::Results {
 public:
  void open(runner::Results& to) { to_ = &to; }
  void finished(TaskFinished result) override {
    if (auto* const to = to_.load()) to->finished(std::move(result));
  }

 private:
  std::atomic<runner::Results*> to_ = nullptr;
};

class TaskLog final : public runner::LogSink {
 public:
  explicit TaskLog(store::LogStore& logs) : logs_(logs) {}
  void write(const StartTask& task, Stream stream, Instant at, std::string_view bytes) override {
    const auto kind = stream == Stream::out   ? store::LogStream::out
                      : stream == Stream::err ? store::LogStream::err
                                              : store::LogStream::note;
    Printed printed = take(task);
    printed.last = at;
    // A note is short and fits where nothing else does: without a pause there would be one for each write.
    const bool try_it = printed.missing == 0 || (at - printed.missed_at >= pause && say_what_is_missing(task, printed));
    const auto written =
        try_it ? append(task, kind, at, std::string(bytes)) : Result<void>(std::unexpected(printed.why));
    if (!written) {
      if (try_it) printed.missed_at = at;
      if (!std::exchange(printed.warned, true))
        log::error(
            "a task's log cannot be written",
            {{"run", to_string(task.run)}, {"task", task.job + "/" + task.task}, {"why", written.error().message}});
      printed.missing += bytes.size();
      printed.why = written.error();
    }
    const MutexLock lock(mutex_);
    printed_[key(task)] = std::move(printed);
  }
  bool sync(const StartTask& task) override {
    Printed printed;
    {
      const MutexLock lock(mutex_);
      const auto found = printed_.find(key(task));
      if (found == printed_.end()) return true;  // it printed nothing: no log can be wrong about it
      printed = std::move(found->second);
      printed_.erase(found);
    }
    const bool whole = say_what_is_missing(task, printed);
    const bool durable = logs_.sync(task.run).has_value();
    logs_.close(task.run);  // the next task of the run opens it again; an idle run keeps no descriptor
    return whole && durable;
  }

 private:
  // Of a try that has printed something.
  struct Printed {
    std::size_t missing = 0;  // bytes that the log has not taken, and does not tell of yet
    Error why;
    Instant missed_at{}, last{};
    bool warned = false;
  };
  static constexpr Duration pause = std::chrono::milliseconds(250);
  using Key = std::tuple<RunId, int, int, int>;

  static Key key(const StartTask& task) { return {task.run, task.ref.job, task.ref.task, task.try_number}; }
  Printed take(const StartTask& task) {
    const MutexLock lock(mutex_);
    const auto found = printed_.find(key(task));
    return found == printed_.end() ? Printed{} : found->second;
  }
  Result<void> append(const StartTask& task, store::LogStream stream, Instant at, std::string bytes) {
    return logs_.append(task.run, {task.job, task.task, task.try_number, stream, at, std::move(bytes)});
  }
  // False: there still is a gap that the log does not show.
  bool say_what_is_missing(const StartTask& task, Printed& printed) {
    if (printed.missing == 0) return true;
    const auto said = append(task, store::LogStream::note, printed.last,
                             fmt::format("{} bytes are missing here: {}", printed.missing,
                                         printed.why.name == "no_room" ? "there was no room" : printed.why.message));
    if (said) printed.missing = 0;
    return said.has_value();
  }

  store::LogStore& logs_;
  Mutex mutex_;
  std::map<Key, Printed> printed_ GUARDED_BY(mutex_);
};

// Hands each task to the runner of its kind. A stop goes to both: one that does not know the try ignores it.
class Runners final : public runner::Runner {
 public:
  Runners(runner::Runner& process, runner::Runner& http) : process_(process), http_(http) {}
  void start(StartTask command) override {
    (std::holds_alternative<HttpInput>(command.input) ? http_ : process_).start(std::move(command));
  }
  void stop(StopTask command) override {
    process_.stop(command);
    http_.stop(std::move(command));
  }
  void discard(RunId run) override { process_.discard(run); }
  void server_stops() override { process_.server_stops(); }

 private:
  runner::Runner& process_;
  runner::Runner& http_;
};

// The log of a run and its folder.
class RunFiles final : public driver::Remains {
 public:
  RunFiles(store::LogStore& logs, runner::ProcessRunner& process) : logs_(logs), process_(process) {}

  Result<void> remove(RunId run, const std::stop_token& stop) override {
    const auto folder = process_.remove_folder(run, stop);
    if (!folder && folder.error().code == Code::overloaded) return folder;
    for (const auto& removed : {folder, logs_.remove(run)})
      if (!removed)
        log::warning("retention leaves something behind: remove it by hand",
                     {{"run", to_string(run)}, {"why", removed.error().message}});
    return {};
  }

 private:
  store::LogStore& logs_;
  runner::ProcessRunner& process_;
};

// Whether a run is a success, by a reader that lives as long as the function.
std::function<bool(RunId)> success_by(store::Store& store) {
  return [&store, reader = std::shared_ptr<store::Reader>()](RunId id) mutable {
    if (!reader) {
      auto opened = store.reader();
      if (!opened) return false;
      reader = std::move(*opened);
    }
    const auto run = reader->run(id);
    return run && *run && (*run)->status == RunStatus::success;
  };
}

class OpenHost final : public Host {
 public:
  explicit OpenHost(HostOptions options) : options_(std::move(options)) {}
  ~OpenHost() override { stop_now(); }

  Result<void> open() {
    if (const auto made = make_data_folder(options_.data, !options_.run_as.empty()); !made) return made;
    auto store = store::open_sqlite({.path = options_.data + "/pawl.db"});
    if (!store) return std::unexpected(store.error());
    store_ = std::move(*store);
    if (auto set = set_clock(); !set) return set;
    auto logs = store::open_log_files(options_.data + "/logs");
    if (!logs) return std::unexpected(logs.error());
    logs_ = std::move(*logs);
    task_log_ = std::make_unique<TaskLog>(*logs_);
    if (options_.workspace.empty()) options_.workspace = options_.data + "/workspace";
    std::error_code absolute;
    options_.workspace = std::filesystem::absolute(options_.workspace, absolute).string();
    auto process = runner::make_process_runner({.workspace = options_.workspace,
                                                .guard_lock = options_.data + "/guard.lock",
                                                .program = {},
                                                .now = [this] { return clock_.now(); },
                                                .limits = options_.limits,
                                                .run_as = options_.run_as,
                                                .data = options_.for_others ? options_.data : "",
                                                .fence = options_.fence,
                                                .ended_well = success_by(*store_)},
                                               gate_, *task_log_);
    if (!process) return std::unexpected(process.error());
    process_ = std::move(*process);
    runner::HttpOptions http_options;
    http_options.egress = options_.egress;
    http_options.max_connections = options_.shares.calls;
    http_ = runner::make_http_runner(std::move(http_options), gate_);
    runners_ = std::make_unique<Runners>(*process_, *http_);
    histories_ = driver::make_histories(*store_, plans_);

    driver::DriverOptions driver_options;
    driver_options.stop_timeout = options_.stop_timeout;
    driver_options.core.environment = options_.environment;
    driver_options.core.process_seats = static_cast<int>(options_.shares.processes);
    driver_options.core.http_seats = static_cast<int>(options_.shares.calls);
    if (options_.for_others)
      log::info("how many tasks run at once", {{"processes", std::to_string(options_.shares.processes)},
                                               {"http_calls", std::to_string(options_.shares.calls)},
                                               {"connections", std::to_string(options_.shares.connections)},
                                               {"descriptors", std::to_string(descriptor_limit())}});
    if (options_.takes_up) {
      auto reader = store_->reader();
      if (!reader) return std::unexpected(reader.error());
      auto takes_up = options_.takes_up(**reader);
      if (!takes_up) return std::unexpected(takes_up.error());
      driver_options.core.takes_up = std::move(*takes_up);
    }
    driver_options.core.sweeps_once = !options_.for_others;
    driver_options.core.fires = options_.for_others;
    if (auto zone = zones::local_name())
      driver_options.core.timezone = std::move(*zone);
    else
      log::warning("the machine's time zone is none that is known: schedules without one of their own are in UTC",
                   {{"why", zone.error().message}});
    run_files_ = std::make_unique<RunFiles>(*logs_, *process_);
    driver_ = driver::make_driver(std::move(driver_options), {.store = *store_,
                                                              .runner = *runners_,
                                                              .clock = clock_,
                                                              .rng = rng_,
                                                              .plans = plans_,
                                                              .observer = options_.observer,
                                                              .on_fatal = options_.on_fatal,
                                                              .remains = run_files_.get()});
    gate_.open(*driver_);
    return {};
  }

  driver::Driver& driver() override { return *driver_; }
  driver::Histories& histories() override { return *histories_; }
  store::Store& store() override { return *store_; }
  store::LogStore& logs() override { return *logs_; }
  Result<void> still_ours() override {
    if (auto kept = store_->still_ours(); !kept) return kept;
    // Made with the first task, and never removed by us.
    const auto lock = file_id(options_.data + "/guard.lock");
    if (!lock || *lock == guard_lock_) return {};
    if (guard_lock_)
      return fail(Code::conflict, options_.data +
                                      "/guard.lock was removed or replaced: the next server could not tell whether "
                                      "processes of tasks still run");
    guard_lock_ = *lock;
    return {};
  }
  Result<void> start() override { return driver_->start(); }
  void begin_stop(driver::StopRequest request) override { driver_->begin_stop(std::move(request)); }
  void stop() override {
    if (driver_) driver_->stop();
    end_runners();
  }
  void stop_now() override {
    if (driver_) driver_->stop_now();
    end_runners();
  }

 private:
  // No earlier than what an earlier process has written down.
  Result<void> set_clock() {
    auto reader = store_->reader();
    if (!reader) return std::unexpected(reader.error());
    const auto node = (*reader)->node();
    if (!node) return std::unexpected(node.error());
    Instant seen = node->heartbeat.value_or(Instant{});
    // One that cannot be read is that run's misfortune, and told when somebody looks at it.
    for (const Run& run : (*reader)->runs({}, 1, "").value_or(store::RunPage{}).items)
      seen = std::max({seen, run.created_at, run.started_at.value_or(Instant{}), run.finished_at.value_or(Instant{})});
    const Duration behind = clock_.go_on_from(seen);
    if (behind > driver::small_correction)
      log::warning(behind > driver::most_carried
                       ? "the machine's clock is far behind what is stored: it is followed"
                       : "the machine's clock is behind what is stored: time goes on from that",
                   {{"by", to_text(behind)}, {"stored", to_rfc3339(seen)}});
    return {};
  }

  void end_runners() {
    if (process_) process_->shutdown();
    if (http_) http_->shutdown();
  }

  HostOptions options_;
  std::optional<FileId> guard_lock_;  // as it was first seen
  SystemClock clock_;
  SystemRng rng_;
  Gate gate_;
  driver::PlanCache plans_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::LogStore> logs_;
  std::unique_ptr<TaskLog> task_log_;
  std::unique_ptr<driver::Histories> histories_;
  std::unique_ptr<RunFiles> run_files_;
  std::unique_ptr<driver::Driver> driver_;
  std::unique_ptr<runner::ProcessRunner> process_;
  std::unique_ptr<runner::HttpRunner> http_;
  std::unique_ptr<Runners> runners_;
};

}  // namespace

Result<void> make_folder(const std::string& path) {
  const mode_t before = umask(0077);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  umask(before);
  if (error) return fail(Code::unavailable, fmt::format("the folder {} cannot be made: {}", path, error.message()));
  return {};
}

Result<std::unique_ptr<Host>> open_host(HostOptions options) {
  auto host = std::make_unique<OpenHost>(std::move(options));
  if (const auto opened = host->open(); !opened) return std::unexpected(opened.error());
  return host;
}

}  // namespace pawl::app
