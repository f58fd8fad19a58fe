// What happens to a run, line by line, found by comparing what it is with what it was.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/console.h"
#include "cli/text.h"

namespace pawl::cli {

class Steps {
 public:
  // Attempts before `first` are passed over.
  explicit Steps(std::int64_t first_attempt = 1) : first_attempt_(first_attempt) {}

  // `12:00:01 analyse/keyword started`, for all that is new in `run` since the last call, by time.
  std::vector<std::string> update(const Json& run);

 private:
  struct Line {
    Instant at;
    std::string text;
    std::size_t order = 0;
  };
  struct Seen {
    std::size_t begun = 0, ended = 0;  // tries
    bool over = false;
    std::string waits_for;
  };
  void look_at_task(std::vector<Line>& lines, const Json& task, const std::string& path, Seen& seen, Instant otherwise);

  std::int64_t first_attempt_;
  std::map<std::string, Seen> seen_;  // by attempt, and by attempt/job/task
};

// What tasks print: bytes come in pieces, lines go out whole.
class LogLines {
 public:
  explicit LogLines(const Console& console, bool prefix = true) : console_(console), prefix_(prefix) {}

  // The lines that `text` ends, each as `job/task | line`.
  std::vector<std::string> add(const std::string& job, const std::string& task, std::string_view stream,
                               std::string_view text);
  // Lines that never ended.
  std::vector<std::string> rest();

 private:
  // A line without end is shown in pieces, so that no task can fill the memory.
  static constexpr std::size_t longest = 64 << 10;

  std::string one(const std::string& path, std::string_view line) const;

  const Console& console_;
  bool prefix_;
  std::map<std::pair<std::string, std::string>, std::string> begun_;  // by job/task and stream
};

}  // namespace pawl::cli
