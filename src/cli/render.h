// Runs as people read them. All take the run as the API gives it (docs/api.md), from a server or from this process.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/console.h"
#include "cli/text.h"

namespace pawl::cli {

// The member as text that may be printed; empty if it is absent or no text.
std::string words(const Json& value, std::string_view member);
std::optional<Instant> instant(const Json& value, std::string_view member);
// From its start to its end, or to `now` while it runs; empty before.
std::string duration_of(const Json& value, Instant now);

// What a run or task waits for, with the limit if it waits for one; empty if it waits for nothing.
std::string waiting_words(const Json& work, const std::string& due, Instant now);

std::string id_of(const Json& run);
std::string name_of(const Json& run);  // NAME#42

// `✓ success`, painted.
std::string status_words(const Console& console, std::string_view status);

// `code: message`, and with `cause` what lies below it, a line each.
std::vector<std::string> error_lines(const Json& error, bool cause);

// The jobs of an attempt with their tasks, a line each; `collapse` leaves out the tasks of jobs that are over or have
// not begun. `width` 0: lines of any length.
std::vector<std::string> attempt_tree(const Console& console, const Json& attempt, Instant now, int width,
                                      bool collapse);

// A task of the newest attempt that waits for a person.
struct Question {
  std::string job, task;
  bool approval = false;  // else it was cut off and is held
  std::string text;  // what it is about; may be empty
};
std::vector<Question> open_questions(const Json& run);
std::string answer_command(const Question& question, std::string_view run);
// Whether nothing of the run goes on until somebody answers.
bool waits_for_people_alone(const Json& run);

// All of a run: `pawl show`.
std::string run_page(const Console& console, const Json& run, Instant now);

// `✓ hello #1 success in 1.2 s`, in at most `width` columns; 0: of any length.
std::string result_line(const Console& console, const Json& run, int width = 0);

// The newest attempt, or nullptr.
const Json* newest_attempt(const Json& run);
const json::array& elements(const Json& value, std::string_view member);

bool is_over(std::string_view status);  // of a run

}  // namespace pawl::cli
