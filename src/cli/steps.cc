#include "cli/steps.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "cli/render.h"

namespace pawl::cli {
namespace {

std::string took(const Json& work) {
  const std::string time = duration_of(work, wall_clock());
  return time.empty() ? "" : " (" + time + ")";
}

std::string because(const Json& work) {
  const Json* const error = find(work, "error");
  const auto lines = error ? error_lines(*error, false) : std::vector<std::string>();
  return lines.empty() ? "" : ": " + lines[0];
}

std::string skipped(const Json& work) {
  const std::string reason = words(work, "reason");
  if (reason == "done") return fmt::format("done in attempt {}", find_int(work, "done_in_attempt").value_or(0));
  return "skipped" + (reason.empty() ? "" : ": " + reason);
}

}  // namespace

void Steps::look_at_task(std::vector<Line>& lines, const Json& task, const std::string& path, Seen& seen,
                         Instant otherwise) {
  const auto say = [&](std::optional<Instant> at, std::string text) {
    lines.push_back({at.value_or(otherwise), path + ' ' + std::move(text)});
  };
  const auto& tries = elements(task, "tries");
  for (; seen.begun < tries.size(); ++seen.begun) {
    const auto number = find_int(tries[seen.begun], "try").value_or(1);
    say(instant(tries[seen.begun], "started_at"), number > 1 ? fmt::format("started, try {}", number) : "started");
  }
  for (; seen.ended < tries.size() && find_string(tries[seen.ended], "status") != "running"; ++seen.ended) {
    const Json& one = tries[seen.ended];
    say(instant(one, "finished_at"), words(one, "status") + took(one) + because(one));
  }
  const std::string status = words(task, "status"), waits_for = words(task, "waits_for");
  if (waits_for != seen.waits_for && !waits_for.empty()) {
    const auto due = instant(task, "due");
    const auto since = tries.empty() ? instant(task, "started_at") : instant(tries.back(), "finished_at");
    const std::string message = words(task, "message");
    const std::string waiting =
        waiting_words(task, due ? local_due(*due, since.value_or(otherwise)) : "", wall_clock());
    say(since, fmt::format("waits {}{}", waiting, message.empty() ? "" : ": " + message));
  }
  seen.waits_for = waits_for;
  const bool over = is_over(status) || status == "skipped";
  if (over && !seen.over && tries.empty())
    say(instant(task, "finished_at"), status == "skipped" ? skipped(task) : status + because(task));
  seen.over = over;
}

std::vector<std::string> Steps::update(const Json& run) {
  std::vector<Line> lines;
  for (const Json& attempt : elements(run, "attempts")) {
    const auto number = find_int(attempt, "attempt").value_or(1);
    if (number < first_attempt_) continue;
    const Instant created = instant(attempt, "created_at").value_or(Instant{});
    Seen& whole = seen_[std::to_string(number)];
    if (whole.begun == 0 && number > 1)
      lines.push_back({created, fmt::format("attempt {} started: {}", number, words(attempt, "trigger"))});
    whole.begun = 1;
    if (whole.over) continue;
    const Instant otherwise = instant(attempt, "finished_at").value_or(created);
    for (const Json& job : elements(attempt, "job_runs")) {
      const std::string id = words(job, "job"), key = fmt::format("{}/{}", number, id);
      Seen& of_job = seen_[key];
      if (of_job.over) continue;
      of_job.over = is_over(find_string(job, "status")) || find_string(job, "status") == "skipped";
      if (words(job, "status") == "skipped" && words(job, "reason") != "done") {
        lines.push_back({instant(job, "finished_at").value_or(otherwise), id + ' ' + skipped(job)});
        continue;
      }
      for (const Json& task : elements(job, "task_runs")) {
        const std::string task_id = words(task, "task");
        look_at_task(lines, task, id + '/' + task_id, seen_[key + '/' + task_id],
                     words(task, "reason") == "done" ? created : otherwise);
      }
    }
    whole.over = is_over(find_string(attempt, "status"));
    if (whole.over && &attempt != newest_attempt(run))
      lines.push_back({otherwise, fmt::format("attempt {} {}{}", number, words(attempt, "status"), because(attempt))});
  }
  // Of one instant in the order in which they were found: clang warns of std::stable_sort as g++ 12 has it.
  for (std::size_t i = 0; i < lines.size(); ++i) lines[i].order = i;
  std::ranges::sort(lines, {}, [](const Line& line) { return std::pair(line.at, line.order); });
  std::vector<std::string> texts;
  for (const Line& line : lines) texts.push_back(local_clock(line.at) + ' ' + line.text);
  return texts;
}

std::string LogLines::one(const std::string& path, std::string_view line) const {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::string text = printable(line, console_.log_colour);
  return prefix_ ? printable(path) + " | " + text : text;
}

std::vector<std::string> LogLines::add(const std::string& job, const std::string& task, std::string_view stream,
                                       std::string_view text) {
  std::vector<std::string> lines;
  const std::string path = job + '/' + task;
  std::string& begun = begun_[{path, std::string(stream)}];
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    begun += text.substr(0, end);
    lines.push_back(one(path, begun));
    begun.clear();
    text.remove_prefix(end + 1);
  }
  begun += text;
  if (begun.size() > longest) {
    const std::string_view piece = cut_utf8(begun, longest);
    lines.push_back(one(path, piece));
    begun.erase(0, std::max<std::size_t>(piece.size(), 1));
  }
  return lines;
}

std::vector<std::string> LogLines::rest() {
  std::vector<std::string> lines;
  for (const auto& [key, text] : begun_)
    if (!text.empty()) lines.push_back(one(key.first, text));
  begun_.clear();
  return lines;
}

}  // namespace pawl::cli
