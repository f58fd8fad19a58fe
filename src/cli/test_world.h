// For tests: a console that keeps what is printed, and a whole engine in memory whose tasks end at once, as their
// script says: `fail` fails, `hang` goes on until it is stopped, anything else succeeds and prints its own text.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "base/check.h"
#include "cli/commands.h"
#include "driver/driver.h"
#include "driver/histories.h"
#include "store/memory/memory_store.h"

namespace pawl::cli {

inline constexpr const char* hello = R"(name: hello
inputs:
  who: {type: string, default: world}
  n: {type: int, default: 1}
jobs:
  main:
    tasks:
      - {id: greet, run: echo first}
      - {id: count, run: echo second}
)";

// A folder that is gone when the test is.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "pawl-cli-XXXXXX").string();
    check(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return *this / name;
  }

 private:
  std::filesystem::path path_;
};

struct Said {
  int exit = 0;
  std::string out, err;
};

inline Said call(const std::vector<std::string>& arguments, const Hooks& hooks = {}) {
  char *out = nullptr, *err = nullptr;
  std::size_t out_size = 0, err_size = 0;
  Console console;
  console.out = ::open_memstream(&out, &out_size);
  console.err = ::open_memstream(&err, &err_size);
  Said said;
  said.exit = run_on(console, arguments, hooks);
  std::fclose(console.out);
  std::fclose(console.err);
  said.out.assign(out, out_size);
  said.err.assign(err, err_size);
  std::free(out);
  std::free(err);
  return said;
}

class TestClock final : public driver::Clock {
 public:
  Instant now() override { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }
};

class TestRng final : public driver::Rng {
 public:
  std::uint64_t next() override { return next_ += 0x9E3779B97F4A7C15; }

 private:
  // Another one for each engine: ids of the same millisecond must differ.
  std::uint64_t next_ = std::random_device{}();
};

class ScriptRunner final : public runner::Runner {
 public:
  runner::Results* results = nullptr;
  store::LogStore* logs = nullptr;
  std::function<void()> on_hang;

  void start(StartTask task) override {
    const std::string& script = std::get<ProcessInput>(task.input).script;
    const auto print = [&](const std::string& text) {
      (void)logs->append(task.run, {task.job, task.task, task.try_number, store::LogStream::out, {}, text});
    };
    if (script.find("hang") != std::string::npos) {
      print("half a line");
      if (on_hang) on_hang();
      return;
    }
    ProcessExit exit;
    exit.outputs = json::object();
    print(script + "\n");
    if (script.find("fail") != std::string::npos) {
      exit.exit_code = 3;
      exit.stderr_tail = "one\ntwo \x1b[2J\n";
    }
    Outcome outcome;
    outcome.process = std::move(exit);
    results->finished({task.run, task.ref, task.try_number, std::move(outcome)});
  }
  void stop(StopTask task) override {
    Outcome outcome;
    outcome.end = Outcome::End::stopped;
    outcome.failure = {"cancelled", "it was stopped", nullptr};
    results->finished({task.run, task.ref, task.try_number, std::move(outcome)});
  }

 private:
  using Outcome = pawl::Outcome;
};

// Threads of the driver call the runner: it, like all below, has to outlive them.
class MemoryEngine final : public LocalEngine {
 public:
  MemoryEngine(std::shared_ptr<store::MemoryDisk> disk, store::LogStore& logs, driver::Observer* observer,
               const TakesUp& takes_up, std::function<void()> on_hang)
      : logs_(logs), store_(store::open_memory(std::move(disk))), reader_(*store_->reader()) {
    runner_.logs = &logs;
    runner_.on_hang = std::move(on_hang);
    driver::DriverOptions options;
    if (takes_up) {
      const auto only = takes_up(*reader_);
      if (!only) {
        error = only.error();
        return;
      }
      options.core.takes_up = [run = *only](RunId id) { return run && *run == id; };
    }
    driver_ = driver::make_driver(options, {*store_, runner_, clock_, rng_, plans_, observer, {}});
    runner_.results = driver_.get();
    histories_ = driver::make_histories(*store_, plans_);
    check(driver_->start().has_value());
  }
  ~MemoryEngine() override { stop(); }

  driver::Inbox& inbox() override { return *driver_; }
  driver::Histories& histories() override { return *histories_; }
  store::Reader& reader() override { return *reader_; }
  store::LogStore& logs() override { return logs_; }
  SeatCounts seats() const override { return driver_->seats(); }
  void stop() override {
    if (driver_) driver_->stop_now();
  }
  store::Store& store() { return *store_; }

  std::optional<Error> error;

 private:
  store::LogStore& logs_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  TestClock clock_;
  TestRng rng_;
  driver::PlanCache plans_;
  ScriptRunner runner_;
  std::unique_ptr<driver::Driver> driver_;
  std::unique_ptr<driver::Histories> histories_;
};

}  // namespace pawl::cli
