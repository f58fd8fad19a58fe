// W3: ten thousand unfinished runs, kill -9, restart. Processes of their own: one fills the store and is killed, the
// next takes up what it left. Each counts the successes of every step in a file that both map, which outlives them.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "bench/limits.h"
#include "bench/measure.h"
#include "bench/workloads.h"
#include "bench/world.h"

namespace pawl::bench {
namespace {

constexpr std::size_t runs = 10'000, steps_a_run = 10, parked_at = 5;
constexpr int retry_after = 8;  // seconds; all runs must be parked before the first is due

// How often each step of each run has been done.
class Ledger {
 public:
  explicit Ledger(const std::string& path) {
    const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    must(file >= 0 && ::ftruncate(file, size) == 0, "cannot make " + path);
    counts_ =
        static_cast<std::atomic<std::uint8_t>*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    must(counts_ != MAP_FAILED, "cannot map " + path);
    ::close(file);
  }
  ~Ledger() { ::munmap(counts_, size); }
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  void done(const StartTask& task) {
    if (task.workflow != "chain") return;
    counts_[(static_cast<std::size_t>(task.run_number) - 1) * steps_a_run + static_cast<std::size_t>(task.ref.task)]
        .fetch_add(1, std::memory_order_relaxed);
  }
  std::size_t lost() const {
    return count([](int times) { return times == 0; });
  }
  std::size_t twice() const {
    return count([](int times) { return times > 1; });
  }
  std::size_t steps() const {
    return count([](int times) { return times > 0; });
  }

 private:
  static constexpr std::size_t size = runs * steps_a_run;
  template <class Is>
  std::size_t count(Is is) const {
    std::size_t found = 0;
    for (std::size_t i = 0; i < size; ++i) found += is(counts_[i]) ? 1 : 0;
    return found;
  }
  std::atomic<std::uint8_t>* counts_;
};

// Ten steps; the sixth fails the first time and is tried again later.
std::string parking_chain() {
  std::string yaml = "name: chain\njobs:\n  steps:\n    tasks:\n";
  for (std::size_t i = 0; i < steps_a_run; ++i)
    yaml += i == parked_at ? fmt::format("      - {{run: ':', retry: {{max: 1, delay: {}s}}}}\n", retry_after)
                           : "      - run: ':'\n";
  return yaml;
}

Outcome failure_of_step() {
  Outcome outcome;
  outcome.process = ProcessExit{};
  outcome.process->exit_code = 1;
  return outcome;
}

void say(std::string_view text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

// Fills the store with `runs` runs. `park`: until the sixth step of all is waiting; else it steps on until it is killed.
int fill(const std::string& folder, bool park) {
  Ledger ledger(folder + "/ledger");
  std::atomic<std::size_t> failed = 0, done = 0;
  World world({.folder = folder, .outcome = [&](const StartTask& task) {
                 if (park && task.ref.task == static_cast<int>(parked_at) && task.try_number == 1) {
                   if (++failed == runs) failed.notify_all();
                   return failure_of_step();
                 }
                 ledger.done(task);
                 if (++done == runs * steps_a_run / 2) done.notify_all();
                 return success(80);
               }});
  world.start();
  world.submit(park ? parking_chain() : chain(steps_a_run));
  for (std::size_t i = 0; i < runs; ++i) world.request("chain");
  if (park) {
    for (std::size_t seen; (seen = failed.load()) < runs;) failed.wait(seen);
    // A start queues behind all their results: when it is answered, those are durable.
    world.submit(chain(1, "last"));
    world.request_and_wait("last");
  } else {
    for (std::size_t seen; (seen = done.load()) < runs * steps_a_run / 2;) done.wait(seen);
  }
  say("now");
  ::pause();  // until it is killed
  return 1;
}

// Fills the store with open runs: `wait` for a retry that is due tomorrow, or with a try that never ends.
int fill_open(const std::string& folder, bool wait, std::size_t open) {
  std::atomic<std::size_t> started = 0;
  World world({.folder = folder, .outcome = [&](const StartTask&) -> std::optional<Outcome> {
                 if (++started == open) started.notify_all();
                 if (!wait) return std::nullopt;
                 return failure_of_step();
               }});
  world.start();
  world.submit(
      "name: open\njobs:\n  steps:\n    tasks:\n      - {run: ':', retry: {max: 1, delay: 1d}}\n      - run: ':'\n");
  world.submit(chain(1, "last"));
  for (std::size_t i = 0; i < open; ++i) world.request("open");
  for (std::size_t seen; (seen = started.load()) < open;) started.wait(seen);
  world.request_and_wait("last");
  say("now");
  ::pause();
  return 1;
}

int take_up(const std::string& folder) {
  Ledger ledger(folder + "/ledger");
  const std::size_t before = ledger.steps();
  std::atomic<double> first = 0;
  std::atomic<std::size_t> ended = 0;
  World world({.folder = folder, .outcome = [&](const StartTask& task) {
                 double none = 0;
                 if (first == 0) first.compare_exchange_strong(none, monotonic_seconds());
                 ledger.done(task);
                 return success(80);
               }});
  world.on_end = [&](const Run& run) {
    must(run.status == RunStatus::success, "a run ended as " + std::string(to_string(run.status)));
    if (run.workflow == "chain") {
      ++ended;
      ended.notify_all();
    }
  };
  std::size_t open = 0;
  need(need(world.store().reader(), "reader")->open_runs([&](Run&& run) {
    return open += run.workflow == "chain", true;
  }),
       "open runs");
  world.start();
  for (std::size_t seen; (seen = ended.load()) < open;) ended.wait(seen);
  const double all = monotonic_seconds(), cpu = own_cpu();
  world.stop();
  const Counted counted = count_rows(world.store());
  say(fmt::format("{:.6f} {:.6f} {} {} {} {:.6f} {} {}", first.load(), all, ledger.lost(), ledger.twice(), open, cpu,
                  ledger.steps() - before, counted.steps));
  return 0;
}

void measure(bool park) {
  const Folder folder;
  progress(park ? "W3: 10,000 runs, all waiting half-way, kill -9"
                : "W3: 10,000 runs in the middle of their steps, kill -9");
  {
    Child filling({"restart-child", park ? "park" : "step", folder.path});
    must(filling.line() == "now", "W3: the store was not filled");
    filling.signal(SIGKILL);
    filling.wait();
  }
  // Until all are due: as when a server was down for a while.
  if (park) ::sleep(retry_after);
  const Stretch stretch;
  Child taking({"restart-child", "take-up", folder.path});
  double first = 0, all = 0, cpu = 0;
  std::size_t lost = 0, twice = 0, open = 0, steps = 0, stored = 0;
  const std::string line = taking.line();
  must(std::sscanf(line.c_str(), "%lf %lf %zu %zu %zu %lf %zu %zu", &first, &all, &lost, &twice, &open, &cpu, &steps,
                   &stored) == 8,
       "W3: the restart failed");
  must(taking.wait() == 0, "W3: the restart failed");
  must(lost == 0, fmt::format("W3: {} steps were lost", lost));
  const double others = stretch.others_cores(cpu);
  const double rows = sqlite_rows_per_second(folder.path, 500, 80);
  const auto report = [&](const char* what, double value, double limit, const char* limit_is) {
    print({.workload = "W3",
           .value = value,
           .unit = "s",
           .cpu_us_per_step = cpu * 1e6 / static_cast<double>(std::max<std::size_t>(1, steps)),
           .limit = limit,
           .less_is_better = true,
           .more = {{"what", what},
                    {"state", park ? "parked" : "stepping"},
                    {"open_runs", open},
                    {"steps_left", steps},
                    {"lost", lost},
                    {"run_twice", twice},
                    {"steps_in_store", stored},
                    {"limit_is", limit_is},
                    {"others_cores", others}}});
  };
  report("first", first - taking.started(), -1, "none");
  report("all", all - taking.started(), static_cast<double>(steps) / rows,
         "SQLite rows/s at 500 a transaction, for each step left");
}

}  // namespace

int restart_child(const std::vector<std::string>& arguments) {
  must(arguments.size() >= 2, "restart-child STAGE FOLDER [RUNS]");
  if (arguments[0] == "take-up") return take_up(arguments[1]);
  if (arguments.size() == 3) return fill_open(arguments[1], arguments[0] == "wait", std::stoul(arguments[2]));
  return fill(arguments[1], arguments[0] == "park");
}

void restart() {
  measure(true);
  measure(false);
}

}  // namespace pawl::bench
