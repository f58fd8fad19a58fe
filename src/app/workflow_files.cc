#include "app/workflow_files.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/thread_name.h"
#include "definition/definition.h"
#include "zones/zones.h"

namespace pawl::app {
namespace {

namespace fs = std::filesystem;

// An editor writes a file in several steps, and a checkout many files: they are read when it has been quiet for so long,
// or after the longest time at the latest.
constexpr int quiet_ms = 100, longest_ms = 500;
// Where nothing tells of a change (some network file systems) it is seen by looking.
constexpr int look_anyway_ms = 30'000;
constexpr std::size_t shown_problems = 5;

bool is_definition(const fs::path& path) {
  const auto ending = path.extension();
  return (ending == ".yaml" || ending == ".yml" || ending == ".json") && !path.filename().native().starts_with('.');
}

// What tells one content of a file from another without reading it.
struct Stamp {
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;
  bool operator==(const Stamp&) const = default;
};

std::optional<Stamp> stamp_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const auto ns = [](const timespec& at) { return at.tv_sec * 1'000'000'000 + at.tv_nsec; };
  return Stamp{info.st_ino, info.st_size, ns(info.st_mtim), ns(info.st_ctim)};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(definition::max_text + 1, '\0');
  errno = 0;
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof())
    return fail(Code::unavailable, fmt::format("cannot be read: {}", std::strerror(errno == 0 ? EIO : errno)));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > definition::max_text)
    return fail(Code::invalid, fmt::format("is larger than a definition may be ({} bytes)", definition::max_text));
  return text;
}

class Watched final : public WorkflowFiles {
 public:
  Watched(std::string folder, driver::Inbox& inbox, store::Store& store)
      : folder_(std::move(folder)), inbox_(inbox), store_(store) {}
  ~Watched() override { stop(); }

  Result<void> start() override {
    if (folder_.empty()) return release_all();
    std::error_code error;
    const fs::path real = fs::canonical(folder_, error);
    if (error || !fs::is_directory(real, error))
      return fail(Code::unavailable,
                  fmt::format("--workflows {}: {}", folder_, error ? error.message() : std::string("is no folder")));
    folder_ = real.string();
    watch_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (watch_ < 0 || wake_ < 0)
      return fail(Code::overloaded,
                  fmt::format("--workflows {}: cannot be watched: {}", folder_, std::strerror(errno)));
    if (auto known = remember_stored(); !known) return known;
    look();
    thread_ = std::jthread([this](const std::stop_token& asked) {
      name_thread("pawl-files");
      run(asked);
    });
    return {};
  }

  void read_again() override {
    if (!thread_.joinable()) return log::info("there is no folder of workflows to reload: see --workflows");
    again_ = true;
    wake();
  }

  void stop() override {
    if (thread_.joinable()) {
      thread_.request_stop();
      wake();
      thread_.join();
    }
    for (int* descriptor : {&watch_, &wake_})
      if (*descriptor >= 0) ::close(std::exchange(*descriptor, -1));
  }

 private:
  struct File {
    Stamp stamp;
    std::string workflow;  // that it gave last; empty: none yet
  };
  struct Told {
    std::string workflow, file;  // of a definition that was sent
    std::future<std::string> refusal;  // empty: none
  };

  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
  }

  // Nobody watches files any more, so nobody else could change those workflows.
  Result<void> release_all() {
    if (auto known = remember_stored(); !known) return known;
    std::vector<Told> answers;
    for (const auto& [path, file] : files_) tell(WorkflowFileLost{file.workflow, path, {}, true}, answers);
    for (auto& answer : answers) answer.refusal.wait();
    return {};
  }

  // Which workflow each file had when the server stopped: those that are not there any more have vanished meanwhile.
  Result<void> remember_stored() {
    auto reader = store_.reader();
    if (!reader) return std::unexpected(reader.error());
    const auto rows = (*reader)->workflows();
    if (!rows) return std::unexpected(rows.error());
    for (const WorkflowRow& row : *rows)
      if (!row.file.empty()) files_[row.file].workflow = row.name;
    return {};
  }

  void run(const std::stop_token& asked) {
    while (!asked.stop_requested()) {
      wait(look_anyway_ms);
      // What comes in short order is taken together.
      for (int waited = 0; waited < longest_ms && !asked.stop_requested(); waited += quiet_ms)
        if (!wait(quiet_ms)) break;
      if (!asked.stop_requested()) look();
    }
  }

  // True: something has happened.
  bool wait(int most_ms) {
    std::array<pollfd, 2> descriptors{{{watch_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    const int ready = ::poll(descriptors.data(), descriptors.size(), most_ms);
    std::array<char, 4096> events;
    for (const int descriptor : {watch_, wake_})
      while (::read(descriptor, events.data(), events.size()) > 0) {
      }
    return ready > 0;
  }

  // Folders that came in meanwhile are watched too; one that is watched already stays so.
  std::vector<std::string> find_files() {
    std::vector<std::string> found;
    const auto watch = [this](const std::string& folder) {
      constexpr auto changes =
          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | IN_DELETE_SELF;
      if (::inotify_add_watch(watch_, folder.c_str(), changes) < 0 && errno != ENOENT && !std::exchange(told_, true))
        log::warning("a folder of workflows cannot be watched: it is looked at twice a minute",
                     {{"folder", folder}, {"why", std::strerror(errno)}});
    };
    watch(folder_);
    std::error_code error, ignored;
    for (fs::recursive_directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
      if (entry->is_directory(ignored)) {
        if (entry->path().filename().native().starts_with('.'))
          entry.disable_recursion_pending();
        else
          watch(entry->path().string());
      } else if (is_definition(entry->path())) {
        found.push_back(entry->path().string());
      }
    }
    if (error) {
      log::warning("the folder of workflows cannot be read; all stays as it is",
                   {{"folder", folder_}, {"why", error.message()}});
      return {};
    }
    std::ranges::sort(found);
    readable_ = true;
    return found;
  }

  void look() {
    readable_ = false;
    const bool again = again_.exchange(false);
    const std::vector<std::string> found = find_files();
    if (!readable_) return;
    if (again)
      for (auto& [path, file] : files_) file.stamp = {};
    // What has vanished first, so that a workflow whose file was renamed is taken from its new one.
    std::vector<Told> answers;
    std::set<std::string> left;
    for (auto file = files_.begin(); file != files_.end();) {
      if (std::ranges::binary_search(found, file->first)) {
        ++file;
        continue;
      }
      log::info("a workflow's file has vanished: the workflow is disabled",
                {{"file", file->first}, {"workflow", file->second.workflow}});
      if (!file->second.workflow.empty())
        tell(WorkflowFileLost{file->second.workflow, file->first, {}, false}, answers);
      left.insert(file->second.workflow);
      file = files_.erase(file);
    }
    for (const std::string& path : found) {
      const auto stamp = stamp_of(path);
      if (!stamp) continue;
      File& file = files_[path];
      // One that was refused because of a file that has now vanished is taken in its place.
      if (file.stamp == *stamp && !left.contains(file.workflow)) continue;
      file.stamp = *stamp;
      take(path, file, answers);
    }
    std::vector<Told> refused;
    for (auto& answer : answers)
      if (const std::string why = answer.refusal.get(); !why.empty() && !answer.file.empty())
        tell(WorkflowFileLost{answer.workflow, answer.file, why, false}, refused);
    for (auto& answer : refused) answer.refusal.wait();
    if (again)
      log::info("the folder of workflows was reloaded", {{"folder", folder_}, {"files", std::to_string(found.size())}});
  }

  void take(const std::string& path, File& file, std::vector<Told>& answers) {
    const auto broken = [&](const std::string& why) {
      log::error("a workflow's file cannot be taken", {{"file", path}, {"why", why}});
      if (!file.workflow.empty()) tell(WorkflowFileLost{file.workflow, path, why, false}, answers);
    };
    auto text = read_file(path);
    if (!text) return broken(text.error().message);
    auto parsed = definition::parse(*text, {.zone_problem = zones::problem_of});
    if (!parsed) {
      std::string why;
      for (std::size_t i = 0; i < parsed.error().size() && i < shown_problems; ++i)
        why += (i == 0 ? "" : "\n") + definition::to_text(parsed.error()[i], fs::path(path).filename().string());
      if (parsed.error().size() > shown_problems)
        why += fmt::format("\nand {} more", parsed.error().size() - shown_problems);
      return broken(why);
    }
    // Another name in the same file: that workflow is gone from it.
    if (!file.workflow.empty() && file.workflow != parsed->workflow.name)
      tell(WorkflowFileLost{file.workflow, path, {}, false}, answers);
    file.workflow = parsed->workflow.name;
    WorkflowSubmitted event;
    event.workflow = std::make_shared<const Workflow>(std::move(parsed->workflow));
    event.text = std::move(*text);
    event.mode = WorkflowSubmitted::Mode::create_or_replace;
    event.who.client = "system-files";
    event.file = path;
    tell(std::move(event), answers);
  }

  void tell(Event event, std::vector<Told>& answers) {
    auto done = std::make_shared<std::promise<std::string>>();
    const auto* submitted = std::get_if<WorkflowSubmitted>(&event);
    const std::string workflow = submitted ? submitted->workflow->name : std::string();
    const std::string file = submitted ? submitted->file : std::string();
    answers.push_back({workflow, file, done->get_future()});
    const auto posted = inbox_.post(std::move(event), [done, workflow, file](const Result<Answer>& answer) {
      const auto* accepted = answer ? std::get_if<WorkflowAccepted>(&*answer) : nullptr;
      if (!answer)
        log::error("a workflow's file cannot be taken", {{"file", file}, {"why", answer.error().message}});
      else if (accepted && !file.empty() && !accepted->unchanged)
        log::info("a workflow was read from its file",
                  {{"file", file}, {"workflow", workflow}, {"version", std::to_string(accepted->version)}});
      done->set_value(answer ? std::string() : answer.error().message);
    });
    if (!posted) done->set_value({});
  }

  std::string folder_;
  driver::Inbox& inbox_;
  store::Store& store_;
  int watch_ = -1, wake_ = -1;
  bool told_ = false, readable_ = false;
  std::atomic<bool> again_ = false;
  std::map<std::string, File> files_;  // by path
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<WorkflowFiles> watch_workflow_files(std::string folder, driver::Inbox& inbox, store::Store& store) {
  return std::make_unique<Watched>(std::move(folder), inbox, store);
}

}  // namespace pawl::app
