// W2: one run of ten steps at a time.
#include <fmt/format.h>

#include "bench/limits.h"
#include "bench/measure.h"
#include "bench/syncs.h"
#include "bench/workloads.h"
#include "bench/world.h"

namespace pawl::bench {

void one_at_a_time() {
  constexpr std::size_t runs = 1'000, warm_up = 200;
  progress("W2: 1,000 runs of 10 steps, one at a time");
  const Folder folder;
  World world({.folder = folder.path});
  world.start();
  world.submit(chain(10));
  drive(world, "chain", warm_up, 1);

  const auto commits = world.store().commits();
  const auto synced = syncs();
  std::vector<double> milliseconds;
  const Stretch stretch;
  for (std::size_t i = 0; i < runs; ++i) {
    const auto begin = Steady::now();
    drive(world, "chain", 1, 1);
    milliseconds.push_back(seconds_since(begin) * 1e3);
  }
  const double cpu = stretch.cpu(), others = stretch.others_cores();
  const auto commits_a_run = static_cast<double>(world.store().commits() - commits) / runs;
  const auto syncs_a_run = static_cast<double>(syncs() - synced) / runs;
  world.stop();
  const Counted counted = count_rows(world.store());
  must(counted.runs == runs + warm_up, "W2: runs are missing");
  const double p99 = quantile(milliseconds, 0.99), p50 = quantile(milliseconds, 0.5);
  // A run of ten steps that follow each other is eleven commits: its start, and each end with the start after it.
  const double limit = 11 * 1e3 / append_syncs_per_second(folder.path);
  print({.workload = "W2",
         .value = p50,
         .unit = "ms",
         .cpu_us_per_step = cpu * 1e6 / (runs * 10),
         .limit = limit,
         .less_is_better = true,
         .more = {{"what", "p50"},
                  {"p99_ms", p99},
                  {"runs", runs},
                  {"commits_per_run", commits_a_run},
                  {"syncs_per_run", syncs_a_run},
                  {"runs_in_store", counted.runs},
                  {"limit_is", "11 appends of 4 KiB, each with fdatasync"},
                  {"others_cores", others}}});
}

}  // namespace pawl::bench
