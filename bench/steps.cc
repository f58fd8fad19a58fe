// W1 and W5: many runs of ten steps at once.
#include <fmt/format.h>

#include <algorithm>

#include "bench/limits.h"
#include "bench/measure.h"
#include "bench/syncs.h"
#include "bench/workloads.h"
#include "bench/world.h"

namespace pawl::bench {
namespace {

constexpr std::size_t steps_a_run = 10;
constexpr std::size_t step_bytes = 80;  // what a step gives, and a row of the limit's table

struct Load {
  std::string workload;
  std::string yaml;
  std::size_t runs = 0, at_once = 0;
  bool http = false;
};

// Runs the load on a new store; the line lacks only its limit.
Line run(const Load& load, const std::string& folder, double& rows_a_commit,
         const std::function<double()>& helpers_cpu) {
  World world({.folder = folder, .http = load.http});
  world.start();
  world.submit(load.yaml);
  // The file grows to a size at which later writes fall on blocks that are there already, and caches fill.
  const std::size_t warm_up = load.runs / 5;
  drive(world, "chain", warm_up, load.at_once);

  const auto commits = world.store().commits(), changesets = world.store().changesets();
  const auto synced = syncs();
  const double helpers = helpers_cpu();
  const Stretch stretch;
  drive(world, "chain", load.runs, load.at_once);
  const double wall = stretch.wall(), cpu = stretch.cpu(), helped = helpers_cpu() - helpers;
  const double others = stretch.others_cores(helped);
  const auto steps = static_cast<double>(load.runs * steps_a_run);
  const auto made = world.store().commits() - commits, written = world.store().changesets() - changesets;
  const auto made_syncs = syncs() - synced;
  world.stop();

  progress(fmt::format("{}: reading back what was written", load.workload));
  const Counted counted = count_rows(world.store());
  const std::size_t all = load.runs + warm_up;
  must(counted.runs == all && counted.steps == all * steps_a_run,
       fmt::format("{}: {} runs and {} steps are in the store instead of {} and {}", load.workload, counted.runs,
                   counted.steps, all, all * steps_a_run));
  rows_a_commit = static_cast<double>(written) / static_cast<double>(std::max<std::uint64_t>(1, made));
  return {.workload = load.workload,
          .value = steps / wall,
          .unit = "steps/s",
          .cpu_us_per_step = cpu * 1e6 / steps,
          .more = {{"runs", load.runs},
                   {"at_once", load.at_once},
                   {"steps", load.runs * steps_a_run},
                   {"commits", made},
                   {"syncs", made_syncs},
                   {"changesets", written},
                   {"steps_in_store", counted.steps},
                   {"records_in_store", counted.records},
                   {"others_cores", others}}};
}

}  // namespace

void many_at_once() {
  const Folder folder;
  double rows_a_commit = 1;
  progress("W1: 20,000 runs of 10 steps, 1,000 at once");
  Line line = run({"W1", chain(steps_a_run), 20'000, 1'000}, folder.path, rows_a_commit, [] { return 0.0; });
  line.limit = sqlite_rows_per_second(folder.path, static_cast<std::size_t>(rows_a_commit), step_bytes);
  line.more["limit_is"] = fmt::format("SQLite rows/s at {:.0f} a transaction", rows_a_commit);
  line.more["fdatasyncs_per_second"] = append_syncs_per_second(folder.path);
  print(line);
}

void http_steps() {
  const Folder folder;
  Child echo({"echo", "0"});
  const std::string said = echo.line();
  must(said.starts_with("listening "), "the echo server does not start");
  const int port = std::stoi(said.substr(10));
  std::string yaml = "name: chain\njobs:\n  steps:\n    tasks:\n";
  for (std::size_t i = 0; i < steps_a_run; ++i)
    yaml +=
        fmt::format("      - http: {{method: POST, url: 'http://127.0.0.1:{}/step', json: {{step: {}}}}}\n", port, i);
  double rows_a_commit = 1;
  progress("W5: 5,000 runs of 10 HTTP steps, 128 at once");
  Line line = run({"W5", yaml, 5'000, 128, true}, folder.path, rows_a_commit, [&] { return tree_cpu(echo.pid()); });
  line.limit = echo_posts_per_second(port);
  line.more["limit_is"] = "POSTs/s of the echo server, 64 connections";
  line.more["fdatasyncs_per_second"] = append_syncs_per_second(folder.path);
  line.more["spawns_per_second"] = spawns_per_second();
  print(line);
}

}  // namespace pawl::bench
