#include "definition/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/utf8.h"

namespace pawl::definition {
namespace {

constexpr int most_cycles = 10;
constexpr std::size_t most_names = 12;

// `a -> b -> a`, from the path of the search that came back to its element `first`.
std::string cycle_text(const Workflow& workflow, const std::vector<int>& path, std::size_t first) {
  const auto name = [&](int job) {
    return std::string(cut_utf8(workflow.jobs[static_cast<std::size_t>(job)].id, 100));
  };
  std::string text;
  for (std::size_t i = first; i < path.size(); ++i) {
    if (i - first == most_names && path.size() - i > 1) {
      text += "… -> ";
      i = path.size() - 1;
    }
    text += name(path[i]) + " -> ";
  }
  return text + name(path[first]);
}

// Depth first, on a stack of its own.
void find_cycles(Reader& reader, const Workflow& workflow, const std::vector<std::vector<Need>>& needs) {
  enum class Mark : std::uint8_t { fresh, open, done };
  std::vector<Mark> marks(workflow.jobs.size(), Mark::fresh);
  std::vector<int> path;
  std::vector<std::size_t> next;  // of the path's job at the same place: which need comes next
  int cycles = 0;
  for (std::size_t start = 0; start < marks.size(); ++start) {
    if (marks[start] != Mark::fresh) continue;
    path.push_back(static_cast<int>(start));
    next.push_back(0);
    marks[start] = Mark::open;
    while (!path.empty()) {
      const auto job = static_cast<std::size_t>(path.back());
      const std::vector<int>& targets = workflow.jobs[job].needs;
      if (next.back() == targets.size()) {
        marks[job] = Mark::done;
        path.pop_back();
        next.pop_back();
        continue;
      }
      const int target = targets[next.back()++];
      const auto index = static_cast<std::size_t>(target);
      if (marks[index] == Mark::fresh) {
        marks[index] = Mark::open;
        path.push_back(target);
        next.push_back(0);
      } else if (marks[index] == Mark::open && ++cycles <= most_cycles) {
        const auto first = static_cast<std::size_t>(std::ranges::find(path, target) - path.begin());
        const auto need = std::ranges::find(needs[job], std::string_view(workflow.jobs[index].id), &Need::name);
        reader.problem(*need->node, fmt::format("the jobs wait for each other: {}", cycle_text(workflow, path, first)));
      }
    }
  }
}

}  // namespace

void connect_jobs(Reader& reader, Workflow& workflow, const std::vector<std::vector<Need>>& needs) {
  std::map<std::string_view, int> positions;
  std::vector<std::string> names;
  for (const Job& job : workflow.jobs) {
    positions.emplace(job.id, static_cast<int>(positions.size()));
    names.push_back(job.id);
  }
  for (std::size_t job = 0; job < needs.size(); ++job) {
    std::vector<int>& targets = workflow.jobs[job].needs;
    for (const auto& [name, node] : needs[job]) {
      const auto found = positions.find(name);
      if (found != positions.end())
        targets.push_back(found->second);
      else
        reader.problem(*node, fmt::format("there is no job `{}` to need", cut_utf8(name, 100)),
                       name == "on-failure" || name == "always" ? "nobody can need it: it runs after all jobs"
                       : name == "on-late"                      ? "nobody can need it: it runs alone"
                                                                : reader.did_you_mean(name, names));
    }
    std::ranges::sort(targets);
    if (const auto twice = std::ranges::unique(targets); !twice.empty()) {
      targets.erase(twice.begin(), twice.end());
      reader.warn(*needs[job].front().node, "a job is needed twice");
    }
  }
  find_cycles(reader, workflow, needs);
}

Ancestors::Ancestors(const Workflow& workflow)
    : words_((workflow.jobs.size() + 63) / 64), bits_(words_ * workflow.jobs.size()) {
  // Each job after all that it needs, by counting.
  const std::size_t count = workflow.jobs.size();
  missing_.resize(count);
  std::vector<std::vector<std::size_t>> needed_by(count);
  std::vector<std::size_t> ready;
  for (std::size_t job = 0; job < count; ++job) {
    missing_[job] = workflow.jobs[job].needs.size();
    for (const int need : workflow.jobs[job].needs) needed_by[static_cast<std::size_t>(need)].push_back(job);
    if (missing_[job] == 0) ready.push_back(job);
  }
  while (!ready.empty()) {
    const std::size_t job = ready.back();
    ready.pop_back();
    for (const int need : workflow.jobs[job].needs) {
      const auto from = static_cast<std::size_t>(need);
      for (std::size_t w = 0; w < words_; ++w) bits_[job * words_ + w] |= bits_[from * words_ + w];
      bits_[job * words_ + from / 64] |= std::uint64_t{1} << (from % 64);
    }
    for (const std::size_t later_job : needed_by[job])
      if (--missing_[later_job] == 0) ready.push_back(later_job);
  }
}

bool Ancestors::contains(int job, int ancestor) const {
  const auto bit = static_cast<std::size_t>(ancestor);
  return missing_[static_cast<std::size_t>(job)] > 0 ||
         (bits_[static_cast<std::size_t>(job) * words_ + bit / 64] >> (bit % 64) & 1) != 0;
}

}  // namespace pawl::definition
