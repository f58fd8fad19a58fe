#include "runner/process/discarded_folders.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/thread_name.h"
#include "runner/process/folder_removal.h"

namespace pawl::runner {
namespace {

// Hidden from the tasks of other runs, and no run's id.
constexpr std::string_view prefix = ".discarded-";
constexpr int most_of_one = 1000;  // folders of one run that wait for their removal
constexpr auto last_moment = std::chrono::seconds(2);

}  // namespace

DiscardedFolders::DiscardedFolders(std::string workspace, const Identity* user, std::function<bool(RunId)> ended_well)
    : workspace_(std::move(workspace)), user_(user), ended_well_(std::move(ended_well)) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    name_thread("pawl-discard");
    work(stop);
  });
}

void DiscardedFolders::discard(RunId run) {
  {
    const MutexLock lock(mutex_);
    put_aside(run);
  }
  changed_.notify_all();
}

void DiscardedFolders::put_aside(RunId run) {
  const std::string from = workspace_ + "/" + to_string(run);
  for (int again = 0; again < most_of_one; ++again) {
    std::string name = fmt::format("{}{}.{}", prefix, to_string(run), again);
    // In the same folder, so that the run's own needs no rights. Onto an empty one it would work: that one is gone then.
    if (std::rename(from.c_str(), (workspace_ + "/" + name).c_str()) == 0) {
      names_.push_back(std::move(name));
      return;
    }
    if (errno == ENOENT) return;
    if (errno != ENOTEMPTY && errno != EEXIST) break;
  }
  log::warning("the folder of a run that has ended stays", {{"run", to_string(run)}, {"why", std::strerror(errno)}});
}

void DiscardedFolders::keep(RunId run) {
  const MutexLock lock(mutex_);
  if (looking_) kept_.insert(run);
}

void DiscardedFolders::stop() {
  if (!thread_.joinable()) return;
  const auto end = std::chrono::steady_clock::now() + last_moment;
  mutex_.lock();
  ending_ = true;
  changed_.notify_all();
  while (!idle_ && changed_.wait_until(mutex_, end) == std::cv_status::no_timeout) {
  }
  mutex_.unlock();
  thread_.request_stop();
  changed_.notify_all();
  thread_.join();
}

void DiscardedFolders::work(const std::stop_token& stop) {
  look_for_leftovers(stop);
  ended_well_ = nullptr;
  mutex_.lock();
  looking_ = false;
  kept_.clear();
  while (!stop.stop_requested()) {
    if (names_.empty()) {
      if (ending_) break;
      changed_.wait(mutex_);
      continue;
    }
    const std::string name = std::move(names_.front());
    names_.pop_front();
    mutex_.unlock();
    if (const auto removed = remove_folder(workspace_, name, user_, stop); !removed && !stop.stop_requested())
      log::warning("something of a run that has ended stays: the next start tries again",
                   {{"folder", name}, {"why", removed.error().message}});
    mutex_.lock();
  }
  idle_ = true;
  mutex_.unlock();
  changed_.notify_all();
}

// What an earlier process had put aside, and what it was about to.
void DiscardedFolders::look_for_leftovers(const std::stop_token& stop) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(workspace_, error), none; !error && entry != none;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.starts_with(prefix)) {
      const MutexLock lock(mutex_);
      names_.push_back(name);
    } else if (const auto id = parse_uuid(name); id && ended_well_ && ended_well_(RunId{*id})) {
      const MutexLock lock(mutex_);
      if (!kept_.contains(RunId{*id})) put_aside(RunId{*id});
    }
    if (stop.stop_requested()) return;
  }
}

}  // namespace pawl::runner
