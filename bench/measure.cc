#include "bench/measure.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

extern char** environ;

namespace pawl::bench {
namespace {

namespace fs = std::filesystem;

double ticks() { return static_cast<double>(::sysconf(_SC_CLK_TCK)); }

struct Proc {
  pid_t parent = 0;
  double cpu = 0;
};

std::map<pid_t, Proc> processes() {
  std::map<pid_t, Proc> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto after = text.rfind(')');  // a name may hold anything
    if (after == std::string::npos) continue;
    std::istringstream fields(text.substr(after + 1));
    std::string skip;
    Proc proc;
    double user = 0, system = 0, children_user = 0, children_system = 0;
    fields >> skip >> proc.parent;
    for (int i = 0; i < 9; ++i) fields >> skip;
    fields >> user >> system >> children_user >> children_system;
    proc.cpu = (user + system + children_user + children_system) / ticks();
    all.emplace(static_cast<pid_t>(std::stol(name)), proc);
  }
  return all;
}

std::vector<pid_t> tree_of(pid_t root, const std::map<pid_t, Proc>& all) {
  std::vector<pid_t> tree{root};
  for (std::size_t i = 0; i < tree.size(); ++i)
    for (const auto& [pid, proc] : all)
      if (proc.parent == tree[i]) tree.push_back(pid);
  return tree;
}

}  // namespace

double monotonic_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double own_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double tree_cpu(pid_t process) {
  const auto all = processes();
  double cpu = 0;
  for (const pid_t pid : tree_of(process, all))
    if (const auto found = all.find(pid); found != all.end()) cpu += found->second.cpu;
  return cpu;
}

double machine_cpu() {
  std::ifstream file("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, waits = 0, irq = 0, soft_irq = 0;
  file >> name >> user >> nice >> system >> idle >> waits >> irq >> soft_irq;
  return (user + nice + system + irq + soft_irq) / ticks();
}

double tree_memory(pid_t process) {
  double kib = 0;
  for (const pid_t pid : tree_of(process, processes())) {
    std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(pid == process ? "Rss:" : "Pss:")) kib += std::stod(line.substr(4));
  }
  return kib / 1024;
}

double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size()));
  return values[std::min(at, values.size() - 1)];
}

namespace {

double rounded(double value) {
  const double unit = std::pow(10, std::floor(std::log10(std::max(std::abs(value), 1e-9))) - 3);
  return std::round(value / unit) * unit;
}

void put(const json::object& object) {
  std::string text;
  append_json(text, object);
  text += '\n';
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

void print(const Line& line, std::string_view store) {
  json::object out{{"workload", line.workload}, {"store", json::string_view(store.data(), store.size())}};
  out["value"] = rounded(line.value);
  out["unit"] = line.unit;
  out["cpu_us_per_step"] = line.cpu_us_per_step < 0 ? Json(nullptr) : Json(rounded(line.cpu_us_per_step));
  out["limit"] = line.limit < 0 ? Json(nullptr) : Json(rounded(line.limit));
  out["ratio"] = line.limit <= 0 || line.value <= 0
                     ? Json(nullptr)
                     : Json(rounded(line.less_is_better ? line.limit / line.value : line.value / line.limit));
  for (const auto& member : line.more)
    out[member.key()] = member.value().is_double() ? Json(rounded(member.value().get_double())) : member.value();
  put(out);
}

void print_not_measured(std::string_view workload, std::string_view store, std::string_view reason) {
  const auto text = [](std::string_view view) { return json::string_view(view.data(), view.size()); };
  put({{"workload", text(workload)}, {"store", text(store)}, {"not_measured", text(reason)}});
}

void progress(std::string_view text) { fmt::print(stderr, "bench: {}\n", text); }

void give_up(std::string_view what, const Error& error) {
  fmt::print(stderr, "pawl_bench: {}: {}\n", what, error.message);
  std::exit(1);
}

void must(bool good, std::string_view what) {
  if (good) return;
  fmt::print(stderr, "pawl_bench: {}\n", what);
  std::exit(1);
}

Folder::Folder() {
  // Not the temporary folder: that may be memory, where a sync costs nothing.
  const char* const wish = std::getenv("PAWL_BENCH_DIR");
  std::error_code error;
  const fs::path below = wish ? fs::path(wish) : fs::read_symlink("/proc/self/exe").parent_path() / "bench";
  fs::create_directories(below, error);
  std::string name = below / "XXXXXX";
  must(::mkdtemp(name.data()) != nullptr, "no folder can be made in " + below.string());
  path = name;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

Child::Child(const std::vector<std::string>& arguments) : Child("/proc/self/exe", arguments) {}

Child::Child(const std::string& program, const std::vector<std::string>& arguments) {
  int in[2], out[2];
  must(::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0, "no pipe can be made");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  started_ = monotonic_seconds();
  must(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ) == 0,
       program + " cannot be started");
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  in_ = in[1];
  out_ = out[0];
}

Child::~Child() {
  if (pid_ > 0) {
    signal(SIGKILL);
    wait();
  }
  ::close(out_);
}

std::string Child::line() {
  for (;;) {
    if (const auto end = buffer_.find('\n'); end != std::string::npos) {
      std::string first = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return first;
    }
    char bytes[4096];
    const ssize_t count = ::read(out_, bytes, sizeof bytes);
    if (count <= 0) return {};
    buffer_.append(bytes, static_cast<std::size_t>(count));
  }
}

void Child::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int Child::wait() {
  if (in_ >= 0) ::close(std::exchange(in_, -1));
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace pawl::bench
