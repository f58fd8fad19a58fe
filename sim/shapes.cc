#include "sim/shapes.h"

#include <fmt/format.h>

namespace pawl::sim {

Shape draw_shape(SplitMix& random, const std::string& name, const std::string& mark) {
  std::string text =
      fmt::format("name: {}\ninputs:\n  n: {{type: int, default: 1}}\nvars: {{mark: '{}'}}\n", name, mark);
  if (random.chance(0.3)) text += "timeout: 10m\n";
  if (random.chance(0.3)) text += fmt::format("recover: {{max: {}, window: 5m}}\n", 1 + random.below(3));
  text += "jobs:\n";
  const int jobs = 1 + static_cast<int>(random.below(4));
  for (int j = 0; j < jobs; ++j) {
    text += fmt::format("  j{}:\n", j);
    std::string needs;
    for (int k = 0; k < j; ++k)
      if (random.chance(0.6)) needs += fmt::format("{}j{}", needs.empty() ? "" : ", ", k);
    if (!needs.empty()) text += fmt::format("    needs: [{}]\n", needs);
    if (j > 0 && random.chance(0.2))
      text += fmt::format("    if: {}\n", random.chance(0.5) ? "always()" : "failure()");
    else if (random.chance(0.15))
      text += fmt::format("    if: inputs.n > {}\n", random.below(3));
    if (random.chance(0.2)) text += "    resume: job\n";
    text += "    tasks:\n";
    const int tasks = 1 + static_cast<int>(random.below(4));
    std::string before = "null";  // what the task before hands on
    for (int t = 0; t < tasks; ++t) {
      const bool poison = random.chance(0.02);
      const bool process = !poison && random.chance(0.25);
      const std::string id = fmt::format("{}{}", poison ? "poison" : "t", t);
      text += fmt::format("      - id: {}\n", id);
      if (process) {
        text += "        run: \"echo ${{ vars.mark }}\"\n        outputs: {token: stdout}\n";
      } else {
        text += fmt::format(
            "        http: {{method: POST, url: 'http://worker/', json: {{mark: \"${{{{ vars.mark }}}}\", before: "
            "{}}}}}\n"
            "        outputs: {{token: \"${{{{ response.json.token }}}}\"}}\n",
            before);
      }
      before = fmt::format("\"${{{{ tasks.{}.outputs.token }}}}\"", id);
      if (random.chance(0.4))
        text += fmt::format("        retry: {{max: {}, delay: {}s}}\n", random.below(4), random.below(30));
      if (random.chance(0.2)) text += "        on-crash: fail\n";
      if (t > 0 && random.chance(0.2))
        text += fmt::format("        if: {}\n", random.chance(0.4)   ? "always()"
                                                : random.chance(0.5) ? "failure()"
                                                                     : "cancelled()");
    }
  }
  return {name, text};
}

}  // namespace pawl::sim
