#include "sim/shapes.h"

#include <fmt/format.h>

#include <vector>

namespace pawl::sim {
namespace {

class Drawing {
 public:
  explicit Drawing(SplitMix& random) : random_(random) {}

  std::string workflow(const std::string& name, const std::string& mark) {
    mark_ = mark;
    text_ = fmt::format("name: {}\ninputs:\n  n: {{type: int, default: 1}}\nvars: {{mark: '{}'}}\n", name, mark);
    if (random_.chance(0.3)) text_ += "env: {W: \"${{ vars.mark }}\"}\n";
    if (random_.chance(0.2)) text_ += fmt::format("timeout: {}s\n", 20 + random_.below(600));
    if (random_.chance(0.2)) text_ += fmt::format("cleanup-timeout: {}s\n", 10 + random_.below(60));
    if (random_.chance(0.4))
      text_ += fmt::format("recover: {{max: {}, window: 5m{}}}\n", random_.below(4),
                           random_.chance(0.4) ? ", then: hold" : "");
    if (random_.chance(0.1)) text_ += "keep-going: true\n";
    if (random_.chance(0.35)) concurrency();
    for (const char* reserved : {"on-failure", "always"}) {
      if (!random_.chance(0.25)) continue;
      text_ += fmt::format("{}:\n", reserved);
      tasks(2, "    ", false);
    }
    text_ += "jobs:\n";
    const int count = 1 + static_cast<int>(random_.below(4));
    for (int j = 0; j < count; ++j) job(j);
    return std::move(text_);
  }

 private:
  // The last one no longer holds in a later attempt, where nobody may ask again.
  static std::string draw_condition(std::uint64_t which) {
    return which < 2 ? fmt::format("    if: inputs.n > {}\n", which) : "    if: run.attempt == 1\n";
  }

  void concurrency() {
    const char* group = random_.chance(0.5) ? "shared" : "\"g-${{ inputs.n }}\"";
    text_ += fmt::format("concurrency: {{group: {}, limit: {}{}}}\n", group, 1 + random_.below(2),
                         random_.chance(0.25) ? ", on-conflict: cancel-running" : "");
  }

  void job(int j) {
    text_ += fmt::format("  j{}:\n", j);
    std::vector<int> needs;
    for (int k = 0; k < j; ++k)
      if (random_.chance(0.6)) needs.push_back(k);
    if (!needs.empty()) text_ += fmt::format("    needs: [j{}]\n", fmt::join(needs, ", j"));
    if (j > 0 && random_.chance(0.2))
      text_ += fmt::format("    if: {}\n", random_.chance(0.5) ? "always()" : "failure()");
    else if (random_.chance(0.15))
      text_ += draw_condition(random_.below(3));
    if (random_.chance(0.2)) text_ += "    resume: job\n";
    if (random_.chance(0.1)) text_ += "    keep-going: true\n";
    if (random_.chance(0.2)) text_ += fmt::format("    env: {{J: j{}}}\n", j);
    std::string many;  // a job with a matrix whose results are read
    std::string list;  // a job whose result is a list of instances
    for (const int need : needs) {
      if (is_matrix_[static_cast<std::size_t>(need)]) many = fmt::format("j{}", need);
      if (gives_list_[static_cast<std::size_t>(need)]) list = fmt::format("j{}", need);
    }
    const bool matrix = random_.chance(0.3);
    if (matrix) draw_matrix(list);
    text_ += "    tasks:\n";
    tasks(4, "      ", matrix, many);
    is_matrix_.push_back(matrix && first_gives_);
    gives_list_.push_back(!matrix && first_gives_);
  }

  void draw_matrix(const std::string& list) {
    if (!list.empty() && random_.chance(0.7)) {
      text_ += fmt::format("    matrix: \"${{{{ jobs.{}.tasks.t0.outputs.list }}}}\"\n", list);
    } else {
      const bool numbers = random_.chance(0.5);
      text_ += fmt::format("    matrix:\n      a: [{}]\n", numbers ? "1, 2, 3" : "x, y");
      if (random_.chance(0.3))
        text_ += fmt::format("      b: [u, v]\n      exclude: [{{a: {}, b: v}}]\n", numbers ? "2" : "x");
    }
    if (random_.chance(0.6)) text_ += fmt::format("    max-parallel: {}\n", 1 + random_.below(3));
    if (random_.chance(0.5)) text_ += "    fail-fast: false\n";
  }

  std::string duration() {
    if (random_.chance(0.6)) return fmt::format("{}s", 1 + random_.below(40));
    return random_.chance(0.7) ? fmt::format("{}m", 1 + random_.below(50)) : fmt::format("{}h", 1 + random_.below(5));
  }

  void tasks(int most, std::string_view indent, bool in_matrix, const std::string& many = {}) {
    const int count = 1 + static_cast<int>(random_.below(static_cast<std::uint64_t>(most)));
    std::string before;  // the task before, if it hands on a token
    first_gives_ = false;
    for (int t = 0; t < count; ++t) {
      const bool poison = random_.chance(0.015);
      const bool named = poison || random_.chance(0.9);
      const std::string id = fmt::format("{}{}", poison ? "poison" : "t", t);
      const std::string more(indent.size() + 2, ' ');
      text_ += fmt::format("{}- ", indent);
      if (named) text_ += fmt::format("id: {}\n{}", id, more);
      const double kind = poison ? 1 : random_.fraction();
      std::string token;
      if (kind < 0.1) {
        text_ += random_.chance(0.2)
                     ? fmt::format("wait: {{until: '2026-11-23T0{}:{:02}:00Z'}}\n", random_.below(3), random_.below(60))
                     : fmt::format("wait: {}\n", duration());
      } else if (kind < 0.2) {
        text_ += random_.chance(0.5)
                     ? "approval: true\n"
                     : fmt::format("approval: {{message: \"Go ${{{{ run.number }}}}?\", expires: {}}}\n",
                                   random_.chance(0.8) ? duration() : "2d");
      } else {
        if (named) token = id;
        first_gives_ |= t == 0 && named && !poison;
        work(kind < 0.4, before, more, t == 0, in_matrix, many);
      }
      before = token;
      if (random_.chance(0.08)) text_ += more + "continue-on-error: true\n";
      if (t > 0 && random_.chance(0.2))
        text_ += fmt::format("{}if: {}\n", more,
                             random_.chance(0.4)   ? "always()"
                             : random_.chance(0.5) ? "failure()"
                                                   : "cancelled()");
    }
  }

  // A task that a runner carries out.
  void work(bool process, const std::string& before, const std::string& more, bool first, bool in_matrix,
            const std::string& many) {
    if (process) {
      first_gives_ = first_gives_ && !first;
      text_ += fmt::format("run: \"echo ${{{{ vars.mark }}}} {}\"\n{}outputs: {{token: stdout}}\n", mark_, more);
    } else {
      text_ += "http:\n" + more + "  method: POST\n" + more + "  url: 'http://worker/'\n" + more + "  json:\n";
      text_ += fmt::format("{}    mark: \"${{{{ vars.mark }}}}\"\n{}    made: {}\n", more, more, mark_);
      if (!before.empty())
        text_ += fmt::format("{}    after: {}\n{}    before: \"${{{{ tasks.{}.outputs.token }}}}\"\n", more, before,
                             more, before);
      if (in_matrix) text_ += more + "    value: \"${{ matrix.a }}\"\n";
      if (!many.empty())
        text_ += fmt::format("{}    of: {}\n{}    all: \"${{{{ jobs.{}.instances.*.tasks.t0.outputs.token }}}}\"\n",
                             more, many, more, many);
      text_ += more + "outputs: {token: \"${{ response.json.token }}\", list: \"${{ response.json.list }}\"}\n";
    }
    if (random_.chance(0.4)) {
      std::string shape;
      if (random_.chance(0.3)) shape = ", backoff: 3, max-delay: 2m, jitter: 0.5";
      text_ += fmt::format("{}retry: {{max: {}, delay: {}s{}}}\n", more, random_.below(4), random_.below(30), shape);
    }
    if (random_.chance(0.3)) text_ += fmt::format("{}on-crash: {}\n", more, random_.chance(0.5) ? "fail" : "hold");
  }

  SplitMix& random_;
  std::string text_;
  std::string mark_;
  bool first_gives_ = false;  // the first task of the job has an id and a list among its outputs
  std::vector<bool> is_matrix_, gives_list_;  // by job
};

}  // namespace

std::string draw_shape(SplitMix& random, const std::string& name, const std::string& mark) {
  return Drawing(random).workflow(name, mark);
}

}  // namespace pawl::sim
