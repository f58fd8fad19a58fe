#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/run_json.h"
#include "cli/render.h"
#include "cli/trouble.h"

namespace pawl::cli {
namespace {

constexpr auto draw_pause = std::chrono::milliseconds(100);

}  // namespace

void Screen::draw(const std::vector<std::string>& lines) {
  std::string frame = drawn_ > 0 ? fmt::format("\x1b[{}F\x1b[J", drawn_) : "";
  for (const std::string& line : lines) frame += line + '\n';
  drawn_ = lines.size();
  console_.print(frame);
  console_.flush();
}

Progress::Progress(Console& console, LocalEngine& engine, RunId id, Show show, std::int64_t first_attempt,
                   std::uint64_t log_offset)
    : console_(console),
      engine_(engine),
      id_(id),
      show_(show),
      screen_(console),
      steps_(first_attempt),
      log_lines_(console),
      offset_(log_offset) {}

Result<void> Progress::look() {
  const auto began = Time::now();
  const auto history = engine_.histories().history(id_);
  if (!history) return std::unexpected(history.error());
  run_ = api::run_to_json(*history, engine_.seats());
  news_ = true;
  if (show_ == Show::lines) {
    print_logs();
    if (over())
      for (const std::string& line : log_lines_.rest()) console_.line(line);
    for (const std::string& line : steps_.update(run_)) console_.line(line);
  }
  // A long run costs more to read: it is read less often.
  next_look_ = Time::now() + std::max<Time::duration>((Time::now() - began) * 4, std::chrono::milliseconds(20));
  return {};
}

bool Progress::over() const { return is_over(find_string(run_, "status")); }

void Progress::tick() {
  if (show_ == Show::lines) print_logs();
  // Not under the hands of somebody who types an answer.
  if (show_ == Show::tree && Time::now() >= next_draw_ && (news_ || question_.empty())) {
    draw(false);
    news_ = false;
    next_draw_ = Time::now() + draw_pause;
  }
}

void Progress::say(const std::string& text) {
  if (show_ == Show::lines) console_.line(local_clock(wall_clock()) + ' ' + text);
  note_ = text;
}

void Progress::ask(const std::string& question) {
  if (question == question_) return;
  question_ = question;
  news_ = true;
  if (show_ == Show::lines && !question_.empty()) console_.line(question_);
}

int Progress::finish() {
  if (show_ == Show::nothing) {
    console_.line(to_text(run_));
  } else {
    if (show_ == Show::tree) draw(true);
    console_.line(result_line(console_, run_));
    if (const Json* error = find(run_, "error"))
      for (const std::string& line : error_lines(*error, show_ == Show::tree)) console_.line("  " + line);
    console_.line("  run " + to_string(id_));
  }
  return find_string(run_, "status") == "success" ? Exit::fine : Exit::failed;
}

void Progress::leave() {
  if (show_ == Show::tree) draw(true);
}

void Progress::print_logs() {
  const auto next = engine_.logs().read(id_, offset_, [&](store::LogFrame&& frame) {
    const std::string_view stream = frame.stream == store::LogStream::out   ? "out"
                                    : frame.stream == store::LogStream::err ? "err"
                                                                            : "note";
    for (const std::string& line :
         log_lines_.add(frame.job, frame.task, fmt::format("{}/{}", stream, frame.try_number), frame.bytes))
      console_.line(line);
    return true;
  });
  // A log that cannot be read does not stop the run; `pawl logs` would say why.
  if (next) offset_ = *next;
}

void Progress::draw(bool whole) {
  const int width = console_.columns() - 1;
  std::vector<std::string> lines{result_line(console_, run_, width)};
  if (const Json* attempt = newest_attempt(run_)) {
    if (const auto number = find_int(*attempt, "attempt").value_or(1); number > 1)
      lines.push_back(fmt::format("  attempt {}: {}", number, words(*attempt, "trigger")));
    auto tree = attempt_tree(console_, *attempt, wall_clock(), width, false);
    const std::size_t room = static_cast<std::size_t>(std::max(3, console_.rows() - 6));
    if (!whole && tree.size() > room) tree = attempt_tree(console_, *attempt, wall_clock(), width, true);
    if (!whole && tree.size() > room) {
      const std::size_t hidden = tree.size() - room + 1;
      tree.resize(room - 1);
      tree.push_back(fmt::format("  and {} more", hidden));
    }
    lines.insert(lines.end(), tree.begin(), tree.end());
  }
  if (!note_.empty() && !whole) lines.push_back(fit(console_, note_, width));
  if (!question_.empty() && !whole) lines.push_back(fit(console_, question_, width));
  // The result line stands below the tree in the end.
  if (whole) lines.erase(lines.begin());
  screen_.draw(lines);
}

}  // namespace pawl::cli
