// pawl_bench: the workloads of docs/performance.md. One JSON object a line on standard output, progress on standard
// error; exit 0 if everything that can be measured was, 1 if a workload did not do its work, 2 for wrong usage.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/echo.h"
#include "bench/measure.h"
#include "bench/workloads.h"

namespace {

using namespace pawl::bench;

struct Workload {
  const char* name;
  void (*run)();
};

constexpr Workload workloads[] = {
    {"W1", many_at_once}, {"W2", one_at_a_time}, {"W3", restart},  {"W4", idle},
    {"W5", http_steps},   {"fire", fire},        {"grow", growth},
};

int usage() {
  fmt::print(stderr,
             "usage: pawl_bench [W1 W2 W3 W4 W5 fire grow all] [--store sqlite|postgres]\n"
             "       pawl_bench echo PORT     the echo server, until standard input ends\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc), chosen;
  if (!words.empty() && words[0] == "echo")
    return words.size() == 2 ? serve_echo(std::atoi(words[1].c_str())) : usage();
  if (!words.empty() && words[0] == "restart-child") return restart_child({words.begin() + 1, words.end()});
  if (!words.empty() && words[0] == "fire-child") return fire_child({words.begin() + 1, words.end()});
  std::string store = "sqlite";
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto* known = std::ranges::find_if(workloads, [&](const Workload& w) { return words[i] == w.name; });
    if (words[i] == "--store" && i + 1 < words.size())
      store = words[++i];
    else if (words[i] == "all" || known != std::end(workloads))
      chosen.push_back(words[i]);
    else
      return usage();
  }
  if (store != "sqlite" && store != "postgres") return usage();
  const bool all = chosen.empty() || std::ranges::find(chosen, "all") != chosen.end();
  for (const Workload& workload : workloads) {
    if (!all && std::ranges::find(chosen, workload.name) == chosen.end()) continue;
    if (store == "postgres")
      print_not_measured(workload.name, store, "there is no PostgreSQL store yet");
    else
      workload.run();
  }
  return 0;
}
