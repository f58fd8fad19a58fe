#include "cli/render.h"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::cli {
namespace {

constexpr int widest_name = 40;

// Why it waits or was skipped, how often it was tried, what its title is.
std::string remarks(const Json& work, std::string_view id, Instant now) {
  std::vector<std::string> parts;
  if (const auto reason = words(work, "reason"); reason == "done")
    parts.push_back(fmt::format("done in attempt {}", find_int(work, "done_in_attempt").value_or(0)));
  else if (!reason.empty())
    parts.push_back(reason);
  const auto due = instant(work, "due");
  if (const auto waiting = waiting_words(work, due ? local_due(*due, now) : "", now); !waiting.empty())
    parts.push_back("waits " + waiting);
  if (const auto message = words(work, "message"); !message.empty()) parts.push_back("“" + message + "”");
  if (const Json* response = find(work, "response"); response && response->is_object()) {
    std::string said = words(*response, "answer");
    if (const auto user = words(*response, "user"); !user.empty()) said += " by " + user;
    if (const auto comment = words(*response, "comment"); !comment.empty()) said += " (" + comment + ")";
    parts.push_back(said);
  }
  if (const auto& instances = elements(work, "instances"); !instances.empty())
    parts.push_back(fmt::format("{} instances", instances.size()));
  if (const auto& tries = elements(work, "tries"); !tries.empty())
    if (const auto number = find_int(tries.back(), "try").value_or(1); number > 1)
      parts.push_back(fmt::format("try {}", number));
  if (const auto title = words(work, "name"); !title.empty() && title != id && !id.starts_with(title + '['))
    parts.push_back("(" + title + ")");
  return fmt::format("{}", fmt::join(parts, "  "));
}

struct Row {
  int indent = 0;
  const Json* work = nullptr;
  std::string id;
};

void add_cause(std::vector<std::string>& lines, const Json& cause) {
  const auto* members = cause.if_object();
  if (!members) return;
  for (const auto& member : *members) {
    const std::string key = printable(std::string_view(member.key().data(), member.key().size()));
    if (!member.value().is_string()) {
      lines.push_back(fmt::format("{}: {}", key, printable(to_text(member.value()))));
      continue;
    }
    const auto text = printable_lines(as_view(member.value()));
    if (text.size() == 1) lines.push_back(fmt::format("{}: {}", key, text[0]));
    if (text.size() < 2) continue;
    lines.push_back(key + ":");
    for (const std::string& line : text) lines.push_back("| " + line);
  }
}

// The schedule and the slot of it that a run was started for.
std::string schedule_of(const Json& run) {
  const Json* const schedule = find(run, "schedule");
  if (!schedule || !schedule->is_object()) return "";
  const auto slot = instant(*schedule, "slot");
  std::string text =
      fmt::format("{}/{}, slot {}", words(run, "workflow"), words(*schedule, "name"), slot ? local_time(*slot) : "");
  if (const auto backfill = words(*schedule, "backfill"); !backfill.empty()) text += ", of backfill " + backfill;
  return text;
}

std::string asked_by(const Json& who) {
  std::string text = words(who, "trigger");
  if (const auto user = words(who, "user"); !user.empty()) text += " by " + user;
  return text;
}

}  // namespace

std::string words(const Json& value, std::string_view member) { return printable(find_string(value, member)); }

std::optional<Instant> instant(const Json& value, std::string_view member) {
  const auto parsed = parse_rfc3339(find_string(value, member));
  return parsed ? std::optional(*parsed) : std::nullopt;
}

std::string waiting_words(const Json& work, const std::string& due, Instant now) {
  const auto waits_for = words(work, "waits_for");
  if (waits_for.empty()) return "";
  std::string text = "for " + waits_for + (due.empty() ? "" : " until " + due);
  const Json* const limit = find(work, "limit");
  if (!limit || !limit->is_object()) return text;
  text += fmt::format(" {}, {} of {} taken", words(*limit, "name"), find_int(*limit, "taken").value_or(0),
                      find_int(*limit, "size").value_or(0));
  const Json* const oldest = find(*limit, "oldest");
  if (!oldest || !oldest->is_object()) return text;
  const auto since = instant(*oldest, "since");
  return fmt::format("{}, longest by {} {}/{}{}", text, name_of(*oldest), words(*oldest, "job"), words(*oldest, "task"),
                     since ? " for " + short_duration(now - *since) : "");
}

std::string id_of(const Json& run) { return std::string(find_string(run, "id")); }

std::string name_of(const Json& run) {
  return fmt::format("{}#{}", words(run, "workflow"), find_int(run, "number").value_or(0));
}

std::string duration_of(const Json& value, Instant now) {
  const auto from = instant(value, "started_at");
  if (!from) return "";
  return short_duration(instant(value, "finished_at").value_or(now) - *from);
}

const json::array& elements(const Json& value, std::string_view member) {
  static const json::array none;
  const Json* const found = find(value, member);
  return found && found->is_array() ? found->get_array() : none;
}

const Json* newest_attempt(const Json& run) {
  const auto& attempts = elements(run, "attempts");
  return attempts.empty() ? nullptr : &attempts.back();
}

bool is_over(std::string_view status) { return status == "success" || status == "failed" || status == "cancelled"; }

std::string status_words(const Console& console, std::string_view status) {
  const Mark sign = mark(console, status);
  return console.paint(sign.colour, fmt::format("{} {}", sign.shape, status));
}

std::vector<std::string> error_lines(const Json& error, bool cause) {
  std::vector<std::string> lines;
  if (!error.is_object()) return lines;
  for (const std::string& line : printable_lines(find_string(error, "message")))
    lines.push_back(lines.empty() ? words(error, "code") + ": " + line : "  " + line);
  if (lines.empty()) lines.push_back(words(error, "code"));
  if (const Json* below = find(error, "cause"); below && cause) add_cause(lines, *below);
  if (const std::string hint = words(error, "hint"); !hint.empty()) lines.push_back("hint: " + hint);
  return lines;
}

std::vector<Question> open_questions(const Json& run) {
  std::vector<Question> questions;
  const Json* const attempt = newest_attempt(run);
  if (!attempt) return questions;
  for (const Json& job : elements(*attempt, "job_runs"))
    for (const Json& task : elements(job, "task_runs")) {
      const auto waits_for = find_string(task, "waits_for");
      if (waits_for != "approval" && waits_for != "release") continue;
      questions.push_back({std::string(find_string(job, "job")), std::string(find_string(task, "task")),
                           waits_for == "approval", words(task, "message")});
    }
  return questions;
}

std::string answer_command(const Question& question, std::string_view run) {
  const std::string task = shell_word(printable(question.job + '/' + question.task));
  return question.approval ? fmt::format("pawl approve {} {} [--reject]", shell_word(run), task)
                           : fmt::format("pawl release {} {} done|rerun|fail", shell_word(run), task);
}

bool waits_for_people_alone(const Json& run) {
  const Json* const attempt = newest_attempt(run);
  if (find_string(run, "status") != "waiting" || !attempt) return false;
  bool asked = false;
  for (const Json& job : elements(*attempt, "job_runs"))
    for (const Json& task : elements(job, "task_runs")) {
      if (find_string(task, "status") != "waiting") continue;
      const auto waits_for = find_string(task, "waits_for");
      if (waits_for != "approval" && waits_for != "release") return false;
      asked = true;
    }
  return asked;
}

std::vector<std::string> attempt_tree(const Console& console, const Json& attempt, Instant now, int width,
                                      bool collapse) {
  std::vector<Row> rows;
  for (const Json& job : elements(attempt, "job_runs")) {
    rows.push_back({2, &job, words(job, "job")});
    const auto status = find_string(job, "status");
    if (collapse && status != "running" && status != "waiting" && status != "failed") continue;
    for (const Json& task : elements(job, "task_runs")) rows.push_back({4, &task, words(task, "task")});
    if (!find_string(job, "next_cursor").empty()) rows.push_back({4, nullptr, "… more tasks"});
  }
  int names = 0;
  for (const Row& row : rows) names = std::max(names, row.indent + std::min(display_width(row.id), widest_name));
  std::vector<std::string> lines;
  for (const Row& row : rows) {
    const std::string indent(static_cast<std::size_t>(row.indent), ' ');
    if (!row.work) {
      lines.push_back(indent + row.id);
      continue;
    }
    const std::string status = words(*row.work, "status");
    const Mark sign = mark(console, status);
    std::string rest = fmt::format("{}  {:<9}  {:<7}  {}", pad(fit(console, row.id, widest_name), names - row.indent),
                                   status, duration_of(*row.work, now), remarks(*row.work, row.id, now));
    rest.erase(rest.find_last_not_of(' ') + 1);
    if (width > 0) rest = fit(console, rest, width - row.indent - 3);
    lines.push_back(indent + console.paint(sign.colour, sign.shape) + ' ' +
                    (status == "pending" || status == "skipped" ? console.paint(Colour::dim, rest) : rest));
    const Json* const error = find(*row.work, "error");
    if (width > 0 || !error || row.indent == 2) continue;
    for (const std::string& line : error_lines(*error, true)) lines.push_back("        " + line);
  }
  return lines;
}

std::string result_line(const Console& console, const Json& run, int width) {
  const std::string status = words(run, "status");
  const Mark sign = mark(console, status);
  std::string text = fmt::format("{} #{} {}", words(run, "workflow"), find_int(run, "number").value_or(0), status);
  if (const auto time = duration_of(run, wall_clock()); !time.empty() && is_over(status)) text += " in " + time;
  text = fmt::format("{} {}", sign.shape, text);
  return console.paint(sign.colour, width > 0 ? fit(console, text, width) : text);
}

std::string run_page(const Console& console, const Json& run, Instant now) {
  std::string page = fmt::format("{} {}  {}  version {}\n", console.paint(Colour::bold, words(run, "workflow")),
                                 console.paint(Colour::bold, fmt::format("#{}", find_int(run, "number").value_or(0))),
                                 status_words(console, words(run, "status")), find_int(run, "version").value_or(0));
  const auto field = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) page += fmt::format("  {:<9}{}\n", name, value);
  };
  const auto time = [&](std::string_view member) {
    const auto at = instant(run, member);
    return at ? local_time(*at) : std::string();
  };
  field("id", words(run, "id"));
  field("trace", words(run, "trace_id"));
  field("asked", asked_by(run));
  field("schedule", schedule_of(run));
  field("created", time("created_at"));
  field("started", time("started_at"));
  field("finished", time("finished_at"));
  field("took", duration_of(run, now));
  const auto due = instant(run, "due");
  field("waits", waiting_words(run, due ? local_time(*due) : "", now));
  if (const Json* inputs = find(run, "inputs"); inputs && inputs->is_object() && !inputs->get_object().empty())
    field("inputs", printable(to_text(*inputs)));
  for (const Json& attempt : elements(run, "attempts")) {
    page +=
        fmt::format("\n{}  {}  {}",
                    console.paint(Colour::bold, fmt::format("attempt {}", find_int(attempt, "attempt").value_or(0))),
                    status_words(console, words(attempt, "status")), asked_by(attempt));
    if (const auto took = duration_of(attempt, now); !took.empty()) page += "  " + took;
    page += '\n';
    if (const Json* error = find(attempt, "error"))
      for (const std::string& line : error_lines(*error, false)) page += "  " + line + '\n';
    for (const std::string& line : attempt_tree(console, attempt, now, 0, false)) page += line + '\n';
  }
  for (const Question& question : open_questions(run))
    page += fmt::format("\n{}\n", answer_command(question, name_of(run)));
  return page;
}

}  // namespace pawl::cli
