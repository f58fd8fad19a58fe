// A run in this process as it goes on, on a screen that is drawn again or line by line.
// Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/steps.h"

namespace pawl::cli {

enum class Show { nothing, lines, tree };

// Draws lines over the ones it drew before.
class Screen {
 public:
  explicit Screen(Console& console) : console_(console) {}
  void draw(const std::vector<std::string>& lines);
  void typed_a_line() { ++drawn_; }  // somebody did, below what was drawn

 private:
  Console& console_;
  std::size_t drawn_ = 0;
};

class Progress {
 public:
  Progress(Console& console, LocalEngine& engine, RunId id, Show show, std::int64_t first_attempt,
           std::uint64_t log_offset);

  // Reads the run anew. Error: corrupt.
  Result<void> look();
  bool may_look() const { return Time::now() >= next_look_; }
  bool over() const;
  const Json& run() const { return run_; }

  // What changes without a commit: output, and the time that goes by.
  void tick();

  void say(const std::string& text);
  // Below the tree until it is taken back with an empty text; a line of its own where no tree is drawn.
  void ask(const std::string& question);
  void answered() { screen_.typed_a_line(); }

  // The last words; the exit code.
  int finish();
  // Leaves the screen as it is, for other words to follow.
  void leave();

 private:
  using Time = std::chrono::steady_clock;
  void print_logs();
  void draw(bool whole);

  Console& console_;
  LocalEngine& engine_;
  const RunId id_;
  const Show show_;
  Screen screen_;
  Steps steps_;
  LogLines log_lines_;
  std::uint64_t offset_;
  Json run_;
  std::string note_, question_;
  bool news_ = true;  // that are not drawn yet
  Time::time_point next_look_{}, next_draw_{};
};

}  // namespace pawl::cli
