// What the tests of the process runner share: a runner in a folder of its own, and what it hands on.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "base/log.h"
#include "runner/process/descriptor.h"
#include "runner/process/process_runner.h"

namespace pawl::runner::testing {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using End = Outcome::End;

// Far beyond what anything here takes; a test that waits so long has failed.
constexpr auto too_long = 60s;

class Inbox : public Results {
 public:
  void finished(TaskFinished result) override {
    const std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
    arrived_.notify_all();
  }
  // The next result; fails the test if none comes.
  TaskFinished next() {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, too_long, [&] { return !results_.empty(); })) {
      ADD_FAILURE() << "no result";
      return {};
    }
    TaskFinished result = std::move(results_.front());
    results_.pop_front();
    return result;
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return results_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<TaskFinished> results_;
};

class Log : public LogSink {
 public:
  void write(const StartTask& task, Stream stream, Instant, std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    ASSERT_LE(bytes.size(), 64u << 10);
    auto& text = texts_[{task.try_number, stream}];
    sizes_[{task.try_number, stream}] += bytes.size();
    if (text.size() < (1 << 20)) text.append(bytes);
    written_.notify_all();
  }
  bool sync(const StartTask&) override {
    const std::lock_guard lock(mutex_);
    ++syncs;
    return durable;
  }
  std::string text(Stream stream, int try_number = 1) {
    const std::lock_guard lock(mutex_);
    return texts_[{try_number, stream}];
  }
  std::size_t size(Stream stream, int try_number = 1) {
    const std::lock_guard lock(mutex_);
    return sizes_[{try_number, stream}];
  }
  // Waits until the task has printed this.
  void await(std::string_view part, int try_number = 1) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(written_.wait_for(lock, too_long,
                                  [&] { return texts_[{try_number, Stream::out}].find(part) != std::string::npos; }))
        << "never printed: " << part;
  }
  bool durable = true;
  int syncs = 0;

 private:
  std::mutex mutex_;
  std::condition_variable written_;
  std::map<std::pair<int, Stream>, std::string> texts_;
  std::map<std::pair<int, Stream>, std::size_t> sizes_;
};

inline bool alive(pid_t pid) {
  if (::kill(pid, 0) != 0) return false;
  // A dead one that its parent, which is not ours to speak for, has not yet taken note of.
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  return !line.empty() && line.find(") Z ") == std::string::npos;
}

inline std::vector<pid_t> numbers_in(const std::string& text) {
  std::istringstream in(text);
  std::vector<pid_t> numbers;
  for (pid_t number = 0; in >> number;) numbers.push_back(number);
  return numbers;
}

inline std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

// The parent of a process, from /proc; 0 if it is gone.
inline pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto end = line.rfind(") ");
  return end == std::string::npos ? 0 : std::stoi(line.substr(end + 4));
}

class ProcessRunnerTest : public ::testing::Test {
 protected:
  ProcessRunnerTest() {
    log::configure(log::Level::off, log::Format::text);
    std::string pattern = (fs::temp_directory_path() / "pawl-process-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directory(data());
    fs::permissions(data(), fs::perms::owner_all);
  }
  ~ProcessRunnerTest() override {
    runner_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  std::string data() const { return folder_ + "/data"; }  // the server's
  ProcessOptions options() const {
    ProcessOptions options;
    options.workspace = data() + "/work";
    options.guard_lock = data() + "/guard.lock";
    options.program = PAWL_PROCESS_TEST_PROGRAM;
    return options;
  }
  ProcessRunner& runner() {
    if (!runner_) use(options());
    return *runner_;
  }
  // What comes is run by a runner with these options.
  void use(const ProcessOptions& options) {
    runner_.reset();
    auto made = make_process_runner(options, inbox_, log_);
    ASSERT_TRUE(made) << made.error().message;
    runner_ = std::move(*made);
  }

  static ProcessInput script(std::string text) {
    ProcessInput input;
    input.script = std::move(text);
    input.shell = "bash";
    input.grace = 10s;
    input.want_stdout = true;
    return input;
  }
  StartTask task(ProcessInput input, int try_number = 1) const {
    StartTask task;
    task.run.value.bytes[0] = 1;
    task.ref = {.job = 0, .task = 2};
    task.try_number = try_number;
    task.workflow = "w";
    task.job = "j";
    task.task = "t";
    task.run_number = 5;
    task.trace_id = "0af7651916cd43dd8448eb211c80319c";
    task.idempotency_key = "key";
    task.input = std::move(input);
    return task;
  }
  std::string run_folder() const { return options().workspace + "/" + to_string(task({}).run); }
  void start(ProcessInput input, int try_number = 1) { runner().start(task(std::move(input), try_number)); }
  void stop(Duration grace, int try_number = 1) {
    const StartTask of = task({});
    runner().stop({.run = of.run, .ref = of.ref, .try_number = try_number, .grace = grace});
  }
  Outcome run(ProcessInput input) {
    start(std::move(input));
    return inbox_.next().outcome;
  }
  Outcome run(std::string text) { return run(script(std::move(text))); }

  // Blocks until the lock is free: nothing of any server is left then.
  void await_lock() {
    const Descriptor file{::open(options().guard_lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    ASSERT_EQ(::flock(file.get(), LOCK_EX), 0);
  }

  std::string folder_;
  Inbox inbox_;
  Log log_;
  std::unique_ptr<ProcessRunner> runner_;
};

}  // namespace pawl::runner::testing
