// W4: the server binary with nothing to do.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "bench/limits.h"
#include "bench/measure.h"
#include "bench/workloads.h"

namespace pawl::bench {

void idle() {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "pawl";
  must(std::filesystem::exists(program), program + " is missing: build it first");
  const Folder folder;
  constexpr int starts = 5;
  constexpr unsigned seconds = 20;
  std::vector<double> empty, existing;
  double memory = 0, cpu = 0;
  progress(fmt::format("W4: {} starts, then {} s of nothing", 2 * starts, seconds));
  for (int i = 0; i < starts; ++i) {
    const std::string data = folder / fmt::format("data{}", i);
    for (auto* times : {&empty, &existing}) {
      Child server(program, {"serve", "--data", data, "--listen", "127.0.0.1:0"});
      must(server.line().find(" ready on ") != std::string::npos, "W4: the server does not start");
      times->push_back((monotonic_seconds() - server.started()) * 1e3);
      if (i + 1 == starts && times == &existing) {
        const double before = tree_cpu(server.pid());
        ::sleep(seconds);
        cpu = (tree_cpu(server.pid()) - before) / seconds * 100;
        memory = tree_memory(server.pid());
      }
      server.signal(SIGTERM);
      must(server.wait() == 0, "W4: the server does not stop as it should");
    }
  }
  const double spawn = 1e3 / spawns_per_second();
  const auto report = [](const char* what, double value, const char* unit, double limit, const char* limit_is) {
    print({.workload = "W4",
           .value = value,
           .unit = unit,
           .limit = limit,
           .less_is_better = true,
           .more = {{"what", what}, {"limit_is", limit_is}}});
  };
  report("ready", quantile(empty, 0.5), "ms", spawn, "start and end of /bin/true");
  report("ready_again", quantile(existing, 0.5), "ms", spawn, "start and end of /bin/true");
  report("rss", memory, "MiB", -1, "none");
  report("idle_cpu", cpu, "%", -1, "none");
}

}  // namespace pawl::bench
