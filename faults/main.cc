// Plays a server's work again and again, each time with another call of the system that fails, and looks whether every
// promise was kept. See ./dev faults.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/number.h"
#include "base/random.h"
#include "faults/world.h"
#include "power/image.h"
#include "power/tape.h"

namespace pawl::faults {
namespace {

namespace fs = std::filesystem;

constexpr int without_memory = 3;  // the exit code that docs/operations.md promises
constexpr unsigned longest_seconds = 60;  // of one play
constexpr int images_of_a_cut = 2;

struct Kind {
  const char* text;
  What what;
  int error = EIO;
  bool torn = false;
  bool power_cut =
      false;  // some turns after the fault: what was not synced is gone, and what a failed sync was to make
                           // durable is gone for good
};
constexpr Kind kinds[] = {
    {"write: I/O error", What::write},
    {"write: I/O error half-way", What::write, EIO, true},
    {"write: no room", What::write, ENOSPC},
    {"write: no room half-way", What::write, ENOSPC, true},
    {"sync: I/O error", What::sync},
    {"sync: no room", What::sync, ENOSPC},
    {"sync: I/O error, then a power cut", What::sync, EIO, false, true},
    {"open, cut, rename, …: I/O error", What::entry},
    {"open, cut, rename, …: no room", What::entry, ENOSPC},
    {"read: I/O error", What::read},
    {"memory", What::memory, ENOMEM},
};

struct Point {
  const Kind* kind;
  std::uint64_t at;
  bool lasting;
  Lie lie = Lie::none;
};

struct Verdict {
  bool reached = false, died = false;
  std::uint32_t violations = 0;
  char first[400] = {};
};

template <class T>
T* shared(std::size_t count) {
  void* const memory = ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(memory != MAP_FAILED);
  return new (memory) T[count]{};
}

// A sync that failed, done again and said to be fine.
class Hushed final : public power::FileCalls {
 public:
  using FileCalls::FileCalls;
  int sync(int descriptor, bool data_only) override {
    const int result = FileCalls::sync(descriptor, data_only);
    return result == 0 ? 0 : FileCalls::sync(descriptor, data_only);
  }
};

[[noreturn]] void ended_by_exception() {
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    ::_exit(without_memory);
  } catch (...) {
    std::abort();
  }
  std::abort();
}

std::string image_of(const std::string& folder, int draw) { return fmt::format("{}-image-{}", folder, draw); }

// In a process of its own, which a fault may end.
[[noreturn]] void play_point(const Point& point, const std::string& folder, Ledger& ledger) {
  std::set_terminate(ended_by_exception);
  ::alarm(longest_seconds);
  const Kind& kind = *point.kind;
  const Play todo{
      .folder = folder,
      .fault = {.what = kind.what, .error = kind.error, .at = point.at, .lasting = point.lasting, .torn = kind.torn},
      .lie = point.lie,
      .turns_after = kind.power_cut ? static_cast<int>(point.at * 7 % 40) : -1};
  Injector injector;
  power::FileCalls* first = &injector;
  if (kind.power_cut) first = &power::start_tape(folder, &injector);
  Hushed hushed(first);
  power::watch_files(point.lie == Lie::hushed_sync ? &hushed : first);
  injector.begin(todo.fault, folder);
  play(todo, ledger, injector);
  if (kind.power_cut) {
    const power::Tape tape = power::stop_tape();
    power::Disk disk(tape);
    disk.go_to(tape.ops.size());
    SplitMix random(point.at);
    for (int draw = 0; draw < images_of_a_cut; ++draw) {
      fs::create_directory(image_of(folder, draw));
      power::write_image(disk.draw(random), image_of(folder, draw));
    }
  }
  ::_exit(0);
}

Verdict try_point(const Point& point, const std::string& folder, Ledger& ledger) {
  ledger = Ledger{};
  fs::create_directory(folder);
  const pid_t child = ::fork();
  check(child >= 0);
  if (child == 0) play_point(point, folder, ledger);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ledger.died = WIFEXITED(status) && WEXITSTATUS(status) == without_memory && point.kind->what == What::memory;
  if (!ledger.died && status != 0)
    ledger.wrong(WIFSIGNALED(status) ? fmt::format("the process was ended by signal {}", WTERMSIG(status))
                                     : fmt::format("the process ended with {}", WEXITSTATUS(status)));
  // A process that had no memory did not get to say that it was hit.
  Verdict verdict{.reached = ledger.hits > 0 || ledger.died, .died = ledger.died};
  const auto look = [&](const std::string& place) {
    Ledger promised = ledger;
    if (promised.violations == 0) look_at(place, promised);
    if (verdict.violations == 0) std::memcpy(verdict.first, promised.first, sizeof verdict.first);
    verdict.violations += promised.violations;
  };
  if (point.kind->power_cut && verdict.reached && status == 0) {
    for (int draw = 0; draw < images_of_a_cut; ++draw) look(image_of(folder, draw));
  } else {
    look(folder);
  }
  for (const auto& entry : fs::directory_iterator(fs::path(folder).parent_path())) fs::remove_all(entry.path());
  return verdict;
}

class Session {
 public:
  Session() {
    std::string name = fmt::format("{}/pawl-faults-XXXXXX", fs::is_directory("/dev/shm") ? "/dev/shm" : "/tmp");
    check(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~Session() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::vector<Verdict> run(const std::vector<Point>& points) {
    auto* const verdicts = shared<Verdict>(points.size());
    const unsigned count = std::max(1U, std::thread::hardware_concurrency());
    std::vector<pid_t> workers;
    std::fflush(stdout);
    for (unsigned worker = 0; worker < count; ++worker) {
      const pid_t pid = ::fork();
      check(pid >= 0);
      if (pid > 0) {
        workers.push_back(pid);
        continue;
      }
      const std::string place = fmt::format("{}/{}", folder_, worker);
      fs::create_directory(place);
      auto* const ledger = shared<Ledger>(1);
      for (std::size_t i = worker; i < points.size(); i += count)
        verdicts[i] = try_point(points[i], place + "/data", *ledger);
      ::_exit(0);
    }
    bool whole = true;
    for (const pid_t worker : workers) {
      int status = 0;
      while (::waitpid(worker, &status, 0) < 0 && errno == EINTR) {
      }
      whole = whole && status == 0;
    }
    std::vector<Verdict> all(verdicts, verdicts + points.size());
    ::munmap(verdicts, points.size() * sizeof(Verdict));
    if (!whole) {
      all.emplace_back().violations = 1;
      std::snprintf(all.back().first, sizeof all.back().first, "looking at what was left ended the program");
    }
    return all;
  }

  // How many calls there are if none fails.
  std::uint64_t calls(const Kind& kind) {
    std::uint64_t low = 0, high = 1;
    const auto reached = [&](std::uint64_t at) { return run({{&kind, at, false}}).front().reached; };
    while (reached(high)) {
      low = high;
      high *= 4;
    }
    while (high - low > std::max<std::uint64_t>(1, low / 100))
      (reached((low + high) / 2) ? low : high) = (low + high) / 2;
    return low;
  }

 private:
  std::string folder_;
};

struct Arguments {
  std::uint64_t points = 200;
  std::uint64_t at = 0;  // only this call, of all kinds
  std::string_view only;  // kinds with this in their names
  bool whole = false, planted = false;
};

bool report(const Kind& kind, const std::vector<Point>& points, const std::vector<Verdict>& verdicts) {
  std::uint64_t reached = 0, died = 0, violations = 0;
  for (const Verdict& verdict : verdicts) {
    reached += verdict.reached ? 1 : 0;
    died += verdict.died ? 1 : 0;
    violations += verdict.violations > 0 ? 1 : 0;
  }
  fmt::print("{:36} {:6} points, {:6} reached{}, {} violations\n", kind.text, points.size(), reached,
             kind.what == What::memory ? fmt::format(", {} ended the process", died) : "", violations);
  int told = 0;
  for (std::size_t i = 0; i < verdicts.size() && told < 5; ++i)
    if (verdicts[i].violations > 0) {
      const bool known = i < points.size();
      fmt::print("  call {}{}: {}\n", known ? points[i].at : 0, known && points[i].lasting ? " and all after it" : "",
                 verdicts[i].first);
      ++told;
    }
  std::fflush(stdout);
  return violations == 0;
}

bool all_kinds(const Arguments& arguments) {
  Session session;
  bool fine = true;
  std::uint64_t total = 0, fewest = ~std::uint64_t{0};
  for (const Kind& kind : kinds) {
    if (!std::string_view(kind.text).contains(arguments.only)) continue;
    std::vector<Point> points;
    const auto add = [&](std::uint64_t at) {
      points.push_back({&kind, at, false});
      points.push_back({&kind, at, true});
    };
    if (arguments.at > 0) {
      add(arguments.at);
    } else {
      for (std::uint64_t at = 1; at <= arguments.points; ++at) add(at);
      // Memory is asked for all the time, and the first calls are those of the start: as many more, all over the play.
      const bool spread = kind.what == What::memory;
      if (spread || arguments.whole) {
        const std::uint64_t calls = session.calls(kind);
        const std::uint64_t more = arguments.whole ? (spread ? 5000 : calls) : arguments.points;
        const std::uint64_t step = std::max<std::uint64_t>(1, calls / more);
        for (std::uint64_t at = arguments.points + 1; at <= calls; at += step) add(at);
      }
    }
    const auto verdicts = session.run(points);
    fine = report(kind, points, verdicts) && fine;
    std::uint64_t reached = 0;
    for (std::size_t i = 0; i < verdicts.size() && i < 2 * arguments.points; ++i)
      reached += verdicts[i].reached ? 1 : 0;
    fewest = std::min(fewest, reached);
    total += points.size();
  }
  if (arguments.at == 0 && !arguments.whole && fewest < 2 * arguments.points) {
    fmt::print("the work is too short: not every kind has {} calls\n", arguments.points);
    fine = false;
  }
  fmt::print("{} points\n", total);
  return fine;
}

// Each lie has to be found out by some of the faults that it is told about.
bool all_lies() {
  struct Told {
    Lie lie;
    const char* text;
    const char* kind;
  };
  constexpr Told lies[] = {
      {Lie::hushed_sync, "a sync that failed is done again and said to be fine", "sync: I/O error, then a power cut"},
      {Lie::repeated_commit, "after a failed sync the same store commits again", "sync: I/O error"},
      {Lie::no_room_is_fine, "a commit for which there was no room is acknowledged", "write: no room"},
      {Lie::unknown_is_refused, "an unknown outcome is told as a refusal", "write: I/O error"},
      {Lie::memory_is_fine, "a commit that found no memory is acknowledged", "memory"},
      {Lie::unsynced_logs, "output that could not be synced is promised", "sync: I/O error, then a power cut"},
  };
  Session session;
  bool fine = true;
  for (const Told& told : lies) {
    const Kind* const kind =
        std::ranges::find_if(kinds, [&](const Kind& one) { return std::string_view(one.text) == told.kind; });
    const bool memory = kind->what == What::memory;
    constexpr std::uint64_t most = 160, at_once = 16;
    std::size_t found = 0;
    std::string first;
    std::uint64_t tried = 0;
    while (tried < most && found == 0) {
      std::vector<Point> points;
      for (std::uint64_t end = tried + at_once; tried < end; ++tried)
        points.push_back({kind, memory ? 20'000 + 97 * tried : 3 * tried + 1, false, told.lie});
      for (const Verdict& verdict : session.run(points))
        if (verdict.violations > 0 && ++found == 1) first = verdict.first;
    }
    fmt::print("{}: {}\n", told.text,
               found > 0 ? fmt::format("found out by {} of {} calls ({})", found, tried, first) : "NOT FOUND OUT");
    std::fflush(stdout);
    fine = fine && found > 0;
  }
  return fine;
}

bool number(std::string_view text, std::uint64_t& value) { return parse_number(text, value) && value > 0; }

int usage() {
  fmt::print(stderr, "usage: pawl_faults [--points N] [--at N] [--only TEXT] [--long] [--planted]\n");
  return 2;
}

int main_program(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = values[i];
    const bool more = i + 1 < count;
    if (word == "--planted") {
      arguments.planted = true;
    } else if (word == "--long") {
      arguments.whole = true;
    } else if (more && word == "--only") {
      arguments.only = values[++i];
    } else if (more && word == "--points" && number(values[i + 1], arguments.points)) {
      ++i;
    } else if (more && word == "--at" && number(values[i + 1], arguments.at)) {
      ++i;
    } else {
      return usage();
    }
  }
  log::configure(log::Level::off, log::Format::text);
  const auto began = std::chrono::steady_clock::now();
  const bool fine = arguments.planted ? all_lies() : all_kinds(arguments);
  fmt::print("{:.1f} s\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  return fine ? 0 : 1;
}

}  // namespace
}  // namespace pawl::faults

int main(int count, char** values) { return pawl::faults::main_program(count, values); }
