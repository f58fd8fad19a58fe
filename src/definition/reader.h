// What all parts of the definition are read with: problems, known keys, typed values, and the list of places where
// expressions stand. Inside of the room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "definition/document.h"
#include "model/workflow.h"

namespace pawl::definition {

// A key that a map may have, or why it may not.
struct Key {
  enum class Use : std::uint8_t { known, later, foreign };
  std::string_view name;
  Use use = Use::known;
  std::string_view hint = {};
};
constexpr Key later(std::string_view name, std::string_view hint = {}) { return {name, Key::Use::later, hint}; }
constexpr Key foreign(std::string_view name, std::string_view hint) { return {name, Key::Use::foreign, hint}; }

// Where an expression stands, which says what it may name.
enum class Place : std::uint8_t {
  vars,
  workflow_env,
  concurrency,
  job_if,
  matrix,
  job_env,
  task_if,
  task_env,
  run_script,
  run_argument,
  wait,
  approval,
  http_request,
  success_when,
  outputs,
  trigger,
  schedule_inputs,
};

// What a text is at its place.
enum class Form : std::uint8_t {
  text,        // a template
  expression,  // one expression, with or without ${{ }}
  output,      // a template if it has ${{, else an expression
  script,      // a template for a shell
};

struct Site {
  const Node* node = nullptr;
  Place place = Place::vars;
  Form form = Form::text;
  int job = -1, task = -1;  // positions
  int item = -1;            // of vars: which
};

class Fields;

class Reader {
 public:
  // Both outlive it.
  Reader(const Document& source, const ParseOptions& how) : document(source), options_(how) {}
  bool reads_schedules() const { return options_.schedules; }

  const Document& document;
  std::vector<Site> sites;
  std::vector<Problem> warnings;
  int job = -1, task = -1;  // what is being read

  // Problems beyond the first 1000 are dropped.
  void problem(const Node& node, std::string message, std::string hint = {});
  void problem_at(std::size_t offset, std::string message, std::string hint = {});
  void warn(const Node& node, std::string message, std::string hint = {});
  void warn_at(std::size_t offset, std::string message, std::string hint = {});
  void take_over(std::span<const Problem> problems);
  bool full() const;
  bool failed() const { return !problems_.empty(); }
  std::vector<Problem> take_problems();

  // "did you mean `x`?", or nothing. Bounded over a whole file.
  std::string did_you_mean(std::string_view word, std::span<const std::string> known);

  // What is wrong with the name of a zone; empty: nothing that is known.
  std::string zone_problem(std::string_view name);

  // The values below return nothing after a problem; `what` names the value in it.
  bool is_map(const Node& node, std::string_view what);
  std::optional<std::string> text(const Node& node, std::string_view what);
  // Also numbers and bools, as they are spelled.
  std::optional<std::string> scalar(const Node& node, std::string_view what);
  // A text for people, which takes no expressions.
  std::optional<std::string> plain(const Node& node, std::string_view what, std::size_t longest);
  std::optional<bool> boolean(const Node& node, std::string_view what);
  std::optional<std::int64_t> integer(const Node& node, std::string_view what, std::int64_t least, std::int64_t most);
  std::optional<double> number(const Node& node, std::string_view what, double least, double most);
  std::optional<Duration> duration(const Node& node, std::string_view what, bool zero = false);
  std::optional<std::size_t> word(const Node& node, std::string_view what, std::span<const std::string_view> words);
  // Notes the place as well.
  std::string templated(const Node& node, std::string_view what, Place place, Form form = Form::text);
  // Names as in ids; `environment`: as environment variables have them.
  TextMap templates(const Node& node, std::string_view what, Place place, Form form, bool environment);
  // The value as JSON, with its templates noted if there is a place.
  Json json(const Node& node, const Place* place);
  // The scalar as JSON; a number whose spelling JSON would not keep, such as 3.10, is a text.
  Json spelled(const Node& node);

  void note(const Node& node, Place place, Form form, int item = -1);
  void wrong_type(const Node& node, std::string_view what, std::string_view wanted);

 private:
  const ParseOptions& options_;
  std::vector<Problem> problems_;
  int suggestions_ = 0;
  int unknown_zones_ = 0;
};

// The members of a map, by their keys. Keys that are not among `keys` are reported, but for those that begin with x-.
class Fields {
 public:
  // `what`: such as "a task".
  Fields(Reader& reader, const Node& map, std::string_view what, std::span<const Key> keys);
  // nullptr: not given.
  const Node* value(std::string_view name) const;
  const Node* key(std::string_view name) const;
  // A key was given that is not supported yet.
  bool postponed() const { return postponed_; }

 private:
  const Entry* find(std::string_view name) const;
  std::vector<const Entry*> known_;
  bool postponed_ = false;
};

// [A-Za-z_][A-Za-z0-9_-]*, at most 100 characters.
bool is_id(std::string_view text);
bool is_environment_name(std::string_view text);
std::string_view type_name(const Node& node);
// Without white space around it.
std::string_view trimmed(std::string_view text);

}  // namespace pawl::definition
