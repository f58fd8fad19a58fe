#include "sim/shapes.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace pawl::sim {
namespace {

constexpr auto kinds = std::to_array<std::string_view>(
    {"env",      "timeout",  "cleanup", "recover",  "then-hold", "keep-going", "concurrency", "cancels", "on-failure",
     "always",   "job",      "needs",   "if",       "resume",    "matrix",     "list",        "poison",  "wait",
     "approval", "continue", "retry",   "on-crash", "task",      "retention",  "limit",       "of"});

// Of those that fire often there are more. Each is one that ticks.h reads.
constexpr auto crons = std::to_array<std::string_view>({"*/2 * * * * ?", "*/5 * * * * ?", "*/10 * * * * ?", "@every 7s",
                                                        "@every 40s", "0 * * * * ?", "0,20,45 */2 * * * ?",
                                                        "30 5-50/15 * * * ?", "0 0 * * * ?", "15 10 8-17 * * ?"});

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

class Drawing {
 public:
  Drawing(std::uint64_t seed, const ShapeOptions& options) : seed_(seed), options_(options), path_(options.mark) {}

  Shape draw() {
    text_ = fmt::format("name: {}\ninputs:\n  n: {{type: int, default: 1}}\nvars: {{mark: '{}'}}\n", options_.name,
                        options_.mark);
    if (has("env", 0.3)) text_ += "env: {W: \"${{ vars.mark }}\"}\n";
    if (has("timeout", 0.2)) text_ += fmt::format("timeout: {}s\n", 20 + below("timeout seconds", 600));
    if (has("cleanup", 0.2)) text_ += fmt::format("cleanup-timeout: {}s\n", 10 + below("cleanup seconds", 60));
    if (has("recover", 0.4))
      text_ += fmt::format("recover: {{max: {}, window: 5m{}}}\n", below("recover max", 4),
                           has("then-hold", 0.4) ? ", then: hold" : "");
    if (has("keep-going", 0.1)) text_ += "keep-going: true\n";
    if (has("retention", 0.25))
      text_ += fmt::format("retention: {}\n", chance("brief", 0.6) ? fmt::format("{}s", 1 + below("seconds", 90))
                                                                   : fmt::format("{}h", 1 + below("hours", 30)));
    if (has("concurrency", 0.35)) concurrency();
    if (has("schedule", 0.85)) schedules();
    for (const char* reserved : {"on-failure", "always"}) {
      if (!has(reserved, 0.25)) continue;
      text_ += fmt::format("{}:\n", reserved);
      const Below inside(*this, reserved);
      tasks(2, "    ", false);
    }
    text_ += "jobs:\n";
    const int count = 1 + static_cast<int>(below("jobs", 4));
    for (int j = 0; j < count; ++j) job(j);
    return {std::move(text_), std::move(parts_)};
  }

 private:
  // Names of all that is drawn while it lives begin with one word more.
  struct Below {
    Below(Drawing& whole, std::string_view word) : path(whole.path_), size(path.size()) {
      path += fmt::format("/{}", word);
    }
    ~Below() { path.resize(size); }
    Below(const Below&) = delete;
    Below& operator=(const Below&) = delete;
    std::string& path;
    std::size_t size;
  };

  SplitMix stream(std::string_view name) const {
    // The mark is not part of it: the same seed draws the same workflow.
    return SplitMix(seed_ ^ hash_of(fmt::format("{}/{}", path_.substr(options_.mark.size()), name)));
  }
  bool chance(std::string_view name, double probability) const { return stream(name).chance(probability); }
  std::uint64_t below(std::string_view name, std::uint64_t bound) const { return stream(name).below(bound); }
  // Whether it has a part that it could do without.
  bool has(std::string_view kind, double probability) { return has(kind, kind, probability); }
  bool has(std::string_view kind, std::string_view name, double probability) {
    if (options_.missing && options_.missing->contains(std::string(kind))) return false;
    if (!chance(name, probability)) return false;
    std::string part = fmt::format("{}/{}", path_, name);
    if (options_.may_have && !options_.may_have(part)) return false;
    parts_.push_back(std::move(part));
    return true;
  }

  // The last one no longer holds in a later attempt, where nobody may ask again.
  static std::string draw_condition(std::uint64_t which) {
    return which < 2 ? fmt::format("    if: inputs.n > {}\n", which) : "    if: run.attempt == 1\n";
  }

  void concurrency() {
    const char* group = chance("shared", 0.5) ? "shared" : "\"g-${{ inputs.n }}\"";
    text_ += fmt::format("concurrency: {{group: {}, limit: {}{}}}\n", group, 1 + below("limit", 2),
                         has("cancels", 0.25) ? ", on-conflict: cancel-running" : "");
  }

  void schedules() {
    std::string list;
    const int count = 1 + static_cast<int>(below("schedules", 2));
    bool tells = false;
    for (int i = 0; i < count; ++i) {
      const std::string name = fmt::format("s{}", i);
      if (i > 0 && !has("schedule", name, 1)) continue;
      const Below inside(*this, name);
      // Two of a workflow differ in their inputs at least.
      list += fmt::format(
          "    - {{id: {}, cron: '{}', inputs: {{n: {}}}", name, drawn_crons()[below("cron", drawn_crons().size())],
          chance("wrong", 0.03) ? fmt::format("\"${{{{ schedule.name }}}}{}\"", i) : std::to_string(1 + i));
      if (has("misfire", 0.7)) {
        list += fmt::format(", misfire: {}", std::array{"run-once", "run-all", "skip"}[below("which misfire", 3)]);
        list += fmt::format(", misfire-threshold: {}s", 1 + below("threshold", 30));
        if (chance("window", 0.5)) list += fmt::format(", misfire-window: {}m", 1 + below("minutes", 90));
      }
      list += fmt::format(", max-catch-up: {}", 1 + below("catch up", 5));
      if (has("overlap", 0.6))
        list += fmt::format(", overlap: {}", std::array{"skip", "allow", "cancel-running"}[below("which overlap", 3)]);
      if (has("jitter", 0.2)) list += fmt::format(", jitter: {}s", 1 + below("most", 90));
      if (has("late-after", 0.3)) {
        list += fmt::format(", late-after: {}s", 1 + below("late seconds", 60));
        tells = true;
      }
      if (has("start", 0.15)) list += fmt::format(", start: '2026-11-23T00:{:02}:00Z'", below("minute", 5));
      if (has("end", 0.1))
        list += fmt::format(", end: '2026-11-23T0{}:{:02}:00Z'", 1 + below("hour", 9), below("minute", 60));
      list += "}\n";
    }
    text_ += "on:\n  schedule:\n" + list;
    if (!tells && !chance("nobody is late", 0.1)) return;
    text_ += "on-late:\n";
    const Below inside(*this, "on-late");
    tasks(2, "    ", false);
  }

  struct Known {
    int number = 0;
    bool is_matrix = false;   // its first task gives a token
    bool gives_list = false;  // the first task of the job has an id and a list among its outputs
  };

  void job(int j) {
    const std::string name = fmt::format("j{}", j);
    if (j > 0 && !has("job", name, 1)) return;
    const Below inside(*this, name);
    text_ += fmt::format("  {}:\n", name);
    std::vector<int> needs;
    std::string many;  // a job with a matrix whose results are read
    std::string list;  // a job whose result is a list of instances
    for (const Known& known : known_) {
      if (!has("needs", fmt::format("needs j{}", known.number), 0.6)) continue;
      needs.push_back(known.number);
      if (known.is_matrix) many = fmt::format("j{}", known.number);
      if (known.gives_list) list = fmt::format("j{}", known.number);
    }
    if (!needs.empty()) text_ += fmt::format("    needs: [j{}]\n", fmt::join(needs, ", j"));
    if (const double kind = stream("which if").fraction(); kind < 0.32 && (j > 0 || kind > 0.2) && has("if", 1))
      text_ += kind < 0.1   ? "    if: always()\n"
               : kind < 0.2 ? "    if: failure()\n"
                            : draw_condition(below("condition", 3));
    if (has("resume", 0.2)) text_ += "    resume: job\n";
    if (has("keep-going", 0.1)) text_ += "    keep-going: true\n";
    if (has("env", 0.2)) text_ += fmt::format("    env: {{J: {}}}\n", name);
    const bool matrix = has("matrix", 0.3);
    if (matrix) draw_matrix(list);
    text_ += "    tasks:\n";
    tasks(4, "      ", matrix, many);
    known_.push_back({j, matrix && first_gives_, !matrix && first_gives_});
  }

  void draw_matrix(const std::string& list) {
    if (!list.empty() && has("list", 0.7)) {
      text_ += fmt::format("    matrix: \"${{{{ jobs.{}.tasks.t0.outputs.list }}}}\"\n", list);
    } else {
      const bool numbers = chance("numbers", 0.5);
      text_ += fmt::format("    matrix:\n      a: [{}]\n", numbers ? "1, 2, 3" : "x, y");
      if (chance("two axes", 0.3))
        text_ += fmt::format("      b: [u, v]\n      exclude: [{{a: {}, b: v}}]\n", numbers ? "2" : "x");
    }
    if (chance("max-parallel", 0.6)) text_ += fmt::format("    max-parallel: {}\n", 1 + below("at once", 3));
    if (chance("no fail-fast", 0.5)) text_ += "    fail-fast: false\n";
  }

  std::string duration() {
    const double kind = stream("unit").fraction();
    if (kind < 0.6) return fmt::format("{}s", 1 + below("seconds", 40));
    return kind < 0.88 ? fmt::format("{}m", 1 + below("minutes", 50)) : fmt::format("{}h", 1 + below("hours", 5));
  }

  void tasks(int most, std::string_view indent, bool in_matrix, const std::string& many = {}) {
    const int count = 1 + static_cast<int>(below("tasks", static_cast<std::uint64_t>(most)));
    std::string before;  // the task before, if it hands on a token
    first_gives_ = false;
    bool is_first = true;
    for (int t = 0; t < count; ++t) {
      if (t > 0 && !has("task", fmt::format("t{}", t), 1)) continue;
      const Below inside(*this, fmt::format("t{}", t));
      task(t, indent, is_first, in_matrix, many, before);
      is_first = false;
    }
  }

  void task(int t, std::string_view indent, bool is_first, bool in_matrix, const std::string& many,
            std::string& before) {
    const bool poison = has("poison", 0.015);
    const bool named = poison || chance("named", 0.9);
    const std::string id = fmt::format("{}{}", poison ? "poison" : "t", t);
    const std::string more(indent.size() + 2, ' ');
    text_ += fmt::format("{}- ", indent);
    if (named) text_ += fmt::format("id: {}\n{}", id, more);
    std::string token;
    if (!poison && has("wait", 0.1)) {
      text_ += chance("until", 0.2)
                   ? fmt::format("wait: {{until: '2026-11-23T0{}:{:02}:00Z'}}\n", below("hour", 3), below("minute", 60))
                   : fmt::format("wait: {}\n", duration());
    } else if (!poison && has("approval", 0.11)) {
      text_ += chance("simple", 0.5)
                   ? "approval: true\n"
                   : fmt::format("approval: {{message: \"Go ${{{{ run.number }}}}?\", expires: {}}}\n",
                                 chance("soon", 0.8) ? duration() : "2d");
    } else {
      if (named) token = id;
      const bool process = !poison && chance("process", 0.25);
      // A list is read from an HTTP answer only.
      first_gives_ |= is_first && named && !poison && !process;
      work(process, before, more, in_matrix, many);
    }
    before = token;
    if (has("continue", 0.08)) text_ += more + "continue-on-error: true\n";
    if (t > 0 && has("if", 0.2)) {
      const double kind = stream("which if").fraction();
      text_ += fmt::format("{}if: {}\n", more, kind < 0.4 ? "always()" : kind < 0.7 ? "failure()" : "cancelled()");
    }
  }

  // A task that a runner carries out.
  void work(bool process, const std::string& before, const std::string& more, bool in_matrix, const std::string& many) {
    if (process) {
      text_ +=
          fmt::format("run: \"echo ${{{{ vars.mark }}}} {}\"\n{}outputs: {{token: stdout}}\n", options_.mark, more);
    } else {
      text_ += "http:\n" + more + "  method: POST\n" + more + "  url: 'http://worker/'\n" + more + "  json:\n";
      text_ += fmt::format("{}    mark: \"${{{{ vars.mark }}}}\"\n{}    made: {}\n", more, more, options_.mark);
      if (!before.empty())
        text_ += fmt::format("{}    after: {}\n{}    before: \"${{{{ tasks.{}.outputs.token }}}}\"\n", more, before,
                             more, before);
      if (in_matrix) text_ += more + "    value: \"${{ matrix.a }}\"\n";
      if (!many.empty() && has("of", 1))
        text_ += fmt::format("{}    of: {}\n{}    all: \"${{{{ jobs.{}.instances.*.tasks.t0.outputs.token }}}}\"\n",
                             more, many, more, many);
      text_ += more + "outputs: {token: \"${{ response.json.token }}\", list: \"${{ response.json.list }}\"}\n";
    }
    if (has("limit", 0.2)) text_ += fmt::format("{}timeout: {}s\n", more, 1 + below("timeout seconds", 60));
    if (has("retry", 0.4))
      text_ += fmt::format("{}retry: {{max: {}, delay: {}s{}}}\n", more, below("max", 4), below("delay", 30),
                           chance("backoff", 0.3) ? ", backoff: 3, max-delay: 2m, jitter: 0.5" : "");
    if (has("on-crash", 0.3)) text_ += fmt::format("{}on-crash: {}\n", more, chance("fail", 0.5) ? "fail" : "hold");
  }

  const std::uint64_t seed_;
  const ShapeOptions& options_;
  std::string path_;
  std::string text_;
  std::vector<std::string> parts_;
  bool first_gives_ = false;
  std::vector<Known> known_;
};

}  // namespace

std::span<const std::string_view> shape_parts() { return kinds; }
std::span<const std::string_view> drawn_crons() { return crons; }

Shape draw_shape(std::uint64_t seed, const ShapeOptions& options) { return Drawing(seed, options).draw(); }

}  // namespace pawl::sim
