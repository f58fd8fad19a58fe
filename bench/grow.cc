// How cost grows with what is open, what is stored, and how large it is.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "bench/measure.h"
#include "bench/workloads.h"
#include "bench/world.h"

namespace pawl::bench {
namespace {

struct Rate {
  double steps_per_second = 0, cpu_us_per_step = 0, others_cores = 0;
};

Rate rate_of(World& world, const std::string& workflow, std::size_t runs, std::size_t at_once,
             std::size_t steps_a_run) {
  const Stretch stretch;
  drive(world, workflow, runs, at_once);
  const auto steps = static_cast<double>(runs * steps_a_run);
  return {steps / stretch.wall(), stretch.cpu() * 1e6 / steps, stretch.others_cores()};
}

void report(const char* series, std::size_t x, const Rate& rate, json::object more = {}) {
  more["series"] = series;
  more["x"] = x;
  more["others_cores"] = rate.others_cores;
  print({.workload = "grow",
         .value = rate.steps_per_second,
         .unit = "steps/s",
         .cpu_us_per_step = rate.cpu_us_per_step,
         .more = std::move(more)});
}

void runs_at_once() {
  for (const std::size_t at_once : {10UL, 100UL, 1'000UL, 10'000UL}) {
    progress(fmt::format("grow: {} runs at once", at_once));
    const Folder folder;
    World world({.folder = folder.path});
    world.start();
    world.submit(chain(10));
    drive(world, "chain", std::max(at_once, 1'000UL), at_once);
    report("runs_at_once", at_once, rate_of(world, "chain", std::max(3 * at_once, 5'000UL), at_once, 10));
  }
}

void finished_runs() {
  const Folder folder;
  World world({.folder = folder.path});
  world.start();
  world.submit(chain(10));
  world.submit(chain(1, "filler"));
  std::size_t finished = 0;
  for (const std::size_t wanted : {1'000UL, 10'000UL, 100'000UL, 1'000'000UL}) {
    progress(fmt::format("grow: {} finished runs in the store", wanted));
    drive(world, "filler", wanted - finished, 1'000);
    const Rate rate = rate_of(world, "chain", 3'000, 1'000, 10);
    finished = wanted + 3'000;
    // What a person waits for who looks at the newest runs of all.
    const auto reader = need(world.store().reader(), "reader");
    const auto begin = Steady::now();
    const auto page = need(reader->runs({}, 50, ""), "runs");
    must(page.items.size() == 50, "a page of runs is not full");
    report("finished_runs", wanted, rate, {{"list_ms", seconds_since(begin) * 1e3}});
  }
}

// `tasks` trivial tasks in jobs of ten, all at once. As data: the text would be longer than a definition may be.
Workflow wide(std::size_t tasks) {
  Workflow workflow;
  workflow.name = fmt::format("wide-{}", tasks);
  for (std::size_t j = 0; j < tasks / 10; ++j) {
    Job job;
    job.id = fmt::format("job{}", j);
    for (std::size_t t = 0; t < 10; ++t) {
      Task task;
      task.id = fmt::format("task-{}", t + 1);
      task.action = ProcessAction{.script = ":"};
      job.tasks.push_back(std::move(task));
    }
    workflow.jobs.push_back(std::move(job));
  }
  return workflow;
}

void tasks_in_run() {
  for (const std::size_t tasks : {10UL, 100UL, 1'000UL, 10'000UL, 100'000UL}) {
    progress(fmt::format("grow: {} tasks in a run", tasks));
    const Folder folder;
    World world({.folder = folder.path});
    world.start();
    world.submit(wide(tasks));
    const std::size_t runs = std::max(1UL, 50'000 / tasks);
    report("tasks_in_run", tasks, rate_of(world, fmt::format("wide-{}", tasks), runs, std::min(runs, 100UL), tasks));
  }
}

void output_size() {
  for (const std::size_t bytes : {100UL, 1UL << 10, 10UL << 10, 100UL << 10, (1UL << 20) - 100}) {
    progress(fmt::format("grow: outputs of {} bytes", bytes));
    const Folder folder;
    World world({.folder = folder.path, .outcome = [bytes](const StartTask&) { return success(bytes); }});
    world.start();
    world.submit(chain(10));
    const std::size_t runs = std::clamp(20'000'000 / bytes, 20UL, 5'000UL);
    report("output_size", bytes, rate_of(world, "chain", runs, std::min(runs, 100UL), 10));
  }
}

void start_up(const char* series, const char* stage) {
  for (const std::size_t open : {0UL, 1'000UL, 10'000UL, 100'000UL}) {
    progress(fmt::format("grow: start with {} open runs ({})", open, series));
    const Folder folder;
    if (open > 0) {
      Child filling({"restart-child", stage, folder.path, std::to_string(open)});
      must(filling.line() == "now", "the store was not filled");
      filling.signal(SIGKILL);
      filling.wait();
    }
    const Stretch stretch;
    World world({.folder = folder.path});
    world.start();
    while (!world.recovered()) ::usleep(100);
    print({.workload = "grow",
           .value = stretch.wall(),
           .unit = "s",
           .more = {
               {"series", series}, {"x", open}, {"cpu_s", stretch.cpu()}, {"others_cores", stretch.others_cores()}}});
  }
}

}  // namespace

void growth() {
  runs_at_once();
  finished_runs();
  tasks_in_run();
  output_size();
  start_up("startup_waiting", "wait");
  start_up("startup_cut_off", "hang");
}

}  // namespace pawl::bench
