// An engine with all it needs on one data folder: store, logs, runners, driver. The server and `pawl run` are built on it.
//
//   DATA/pawl.db(.lock -wal -shm)   the store             DATA/logs/        what tasks print
//   DATA/workspace/                 folders of the runs   DATA/guard.lock   held while processes of tasks live
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/descriptors.h"
#include "base/json.h"
#include "base/result.h"
#include "driver/driver.h"
#include "driver/histories.h"
#include "runner/http/egress.h"
#include "runner/process/process_runner.h"
#include "store/log_store.h"
#include "store/store.h"

namespace pawl::app {

struct HostOptions {
  std::string data;  // folder, made with its parents, mode 0700
  std::string workspace;  // empty: DATA/workspace
  Json environment = json::object{};  // what `env` may name
  Duration stop_timeout = std::chrono::seconds(30);
  std::shared_ptr<const runner::EgressPolicy> egress;  // whom http tasks may call, complete before start(); null: all
  runner::TaskLimits limits;
  DescriptorShares shares;  // how many tasks run at once
  std::string run_as;  // user that tasks run as; empty: our own
  // Others may write workflows than who runs this program: their tasks are kept out of `data` as far as `run_as` and
  // `fence` (see runner::ProcessOptions) do it, and what they are not kept from is told.
  bool for_others = false;
  runner::FenceMode fence = runner::FenceMode::off;
  driver::Observer* observer = nullptr;
  std::function<void(const Error&)> on_fatal;
  // Which open runs are taken up, asked once when the store is open; empty: all.
  std::function<Result<std::function<bool(RunId)>>(store::Reader&)> takes_up;
};

class Host {
 public:
  virtual ~Host() = default;  // stop_now(), then everything is closed
  virtual driver::Driver& driver() = 0;
  virtual driver::Histories& histories() = 0;
  virtual store::Store& store() = 0;
  virtual store::LogStore& logs() = 0;
  // Checks that the locks and the database are still the files that were opened. Error: conflict, one was removed or
  // replaced, so another server could open the folder, or writes could be lost. Cheap. Threads: one.
  virtual Result<void> still_ours() = 0;
  // Starts the engine: from here on runs go on. Once.
  virtual Result<void> start() = 0;
  // Announces the stop to all parts and returns at once: driver::Driver::begin_stop(). Call stop() next.
  virtual void begin_stop(driver::StopRequest request) = 0;
  // Lets running tasks finish for the stop timeout, cuts off the rest and joins. Safe twice.
  virtual void stop() = 0;
  virtual void stop_now() = 0;
};

// Opens everything and starts nothing. Error: what the store says; conflict, if another process holds the folder; refused,
// if something in it is not ours (app/data_folder.h).
Result<std::unique_ptr<Host>> open_host(HostOptions options);

// Makes a folder with its parents; what it makes is for this user alone.
Result<void> make_folder(const std::string& path);

}  // namespace pawl::app
