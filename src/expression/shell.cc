#include "expression/shell.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace pawl::expression {
namespace {

constexpr std::size_t most_problems = 100;

std::string_view program(std::string_view shell) { return shell.substr(shell.rfind('/') + 1); }

bool blank(char c) { return c == ' ' || c == '\t'; }
bool ends_word(char c) {
  return blank(c) || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')' || c == '<' || c == '>';
}

// The last name of the expression's first path, as environment variables are spelled: inputs.dry-run is DRY_RUN.
std::string variable_name(std::string_view text) {
  const auto part_of_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  const auto first =
      std::ranges::find_if(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
  const auto last = std::find_if(first, text.end(), [&](char c) { return !part_of_name(c) && c != '.'; });
  std::string_view path(first, last);
  while (path.ends_with('.')) path.remove_suffix(1);
  std::string name;
  for (const char c : path.substr(path.rfind('.') + 1).substr(0, 40))
    name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  const bool fits = !name.empty() && !(name[0] >= '0' && name[0] <= '9') && !name.starts_with("PAWL_");
  return fits ? name : "VALUE";
}

// The script with one placeholder character for each expression.
struct Flat {
  std::string text;
  std::vector<std::size_t> places;  // of the placeholders, rising
  std::vector<const Template::Part*> parts;
};

Flat flatten(const Template& script) {
  Flat flat;
  for (const Template::Part& part : script.parts()) {
    if (part.expression) {
      flat.places.push_back(flat.text.size());
      flat.parts.push_back(&part);
      flat.text += 'x';
    } else {
      flat.text += part.text;
    }
  }
  return flat;
}

class Scanner {
 public:
  Scanner(const Flat& flat, std::string_view shell) : flat_(flat), text_(flat.text), shell_(shell) {
    frames_.push_back({Kind::command});
  }

  std::expected<ShellScript, std::vector<Problem>> run() {
    while (at_ < text_.size()) step();
    if (!problems_.empty()) return std::unexpected(std::move(problems_));
    return std::move(script_);
  }

 private:
  enum class Kind : std::uint8_t { command, backtick, double_quoted, single_quoted, ansi_quoted, brace, arithmetic };
  struct Frame {
    Kind kind;
    int parens = 0;  // open ones inside
  };
  struct HereDocument {
    std::string delimiter;
    bool quoted = false;
    bool strip_tabs = false;
  };

  bool at_place() const { return next_place_ < flat_.places.size() && flat_.places[next_place_] == at_; }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool sees(std::string_view word) const { return text_.substr(at_, word.size()) == word; }

  void copy(std::size_t count) {
    script_.text += text_.substr(at_, count);
    at_ += count;
  }

  void refuse(std::string message) {
    const Template::Part& part = *flat_.parts[next_place_];
    if (problems_.size() < most_problems)
      problems_.push_back({part.offset, std::move(message), env_hint(part.expression->text(), shell_)});
    ++next_place_;
    ++at_;
  }

  // Only in bash and sh, where it is allowed.
  void replace(bool quotes) {
    const Template::Part& part = *flat_.parts[next_place_];
    if (in_test_with_arithmetic())
      return refuse(
          "bash evaluates what stands in `[[ … ]]` beside -eq, -lt and the like: an expression cannot stand there");
    const auto [known, fresh] = variables_.emplace(part.expression->text(), script_.variables.size() + 1);
    if (fresh) script_.variables.push_back(*part.expression);
    const std::string variable = fmt::format("${{PAWL_E{}}}", known->second);
    script_.text += quotes ? "\"" + variable + "\"" : variable;
    ++next_place_;
    ++at_;
  }

  // `[[ $x -gt 3 ]]` evaluates the value of x as arithmetic, in which an index may run commands.
  bool in_test_with_arithmetic() const {
    constexpr std::size_t farthest = 1000;
    const std::size_t from = at_ > farthest ? at_ - farthest : 0;
    const std::string_view before = text_.substr(from, at_ - from);
    const std::size_t open = before.rfind("[[");
    if (open == std::string_view::npos || before.find("]]", open) != std::string_view::npos) return false;
    const std::string_view after = text_.substr(at_, farthest);
    const std::string_view test =
        text_.substr(from + open, at_ - from - open + std::min(after.find("]]"), after.size()));
    if (test.find("\n\n") != std::string_view::npos) return false;
    constexpr auto operators = std::to_array<std::string_view>({" -eq ", " -ne ", " -lt ", " -le ", " -gt ", " -ge "});
    return std::ranges::any_of(operators, [&](std::string_view op) { return test.find(op) != std::string_view::npos; });
  }

  void escape() {
    copy(1);
    if (at_place()) return refuse("a backslash cannot stand before an expression");
    if (at_ < text_.size()) copy(1);
  }

  // What opens inside of commands, double quotes and ${ } alike. False if nothing does.
  bool open_expansion() {
    const auto push = [&](Kind kind, std::size_t count) {
      copy(count);
      frames_.push_back({kind});
      return true;
    };
    if (peek() == '`' && frames_.back().kind != Kind::backtick) return push(Kind::backtick, 1);
    if (peek() != '$') return false;
    if (sees("$((")) return push(Kind::arithmetic, 3);
    if (sees("$(")) return push(Kind::command, 2);
    if (sees("${")) return push(Kind::brace, 2);
    return false;
  }

  void step() {
    switch (frames_.back().kind) {
      case Kind::command:
      case Kind::backtick: return step_command();
      case Kind::double_quoted: return step_double_quoted();
      case Kind::single_quoted:
      case Kind::ansi_quoted: return step_single_quoted();
      case Kind::brace: return step_brace();
      case Kind::arithmetic: return step_arithmetic();
    }
  }

  void pop() {
    copy(1);
    frames_.pop_back();
  }

  void push(Kind kind, std::size_t count) {
    copy(count);
    frames_.push_back({kind});
  }

  void step_command() {
    if (at_place()) return replace(true);
    const char c = peek();
    Frame& frame = frames_.back();
    if (c == '\\') return escape();
    if (c == '\'') return push(Kind::single_quoted, 1);
    if (c == '"') return push(Kind::double_quoted, 1);
    if (sees("$'")) return push(Kind::ansi_quoted, 2);
    if (c == '`' && frame.kind == Kind::backtick) return pop();
    if (open_expansion()) return;
    if (c == '#' && (at_ == 0 || ends_word(text_[at_ - 1]))) return comment();
    if (c == '\n') {
      copy(1);
      return here_documents();
    }
    if (sees("<<<")) return copy(3);
    if (sees("<<")) return here_document_starts();
    if (sees("((") && (at_ == 0 || ends_word(text_[at_ - 1]))) return push(Kind::arithmetic, 2);
    if (c == '(') ++frame.parens;
    if (c == ')') {
      if (frame.parens == 0 && frames_.size() > 1 && frame.kind == Kind::command) return pop();
      frame.parens = std::max(0, frame.parens - 1);
    }
    copy(1);
  }

  void step_double_quoted() {
    if (at_place()) return replace(false);
    if (peek() == '\\') return escape();
    if (peek() == '"') return pop();
    if (!open_expansion()) copy(1);
  }

  void step_single_quoted() {
    if (at_place()) return refuse("an expression cannot stand in single quotes: the shell expands nothing there");
    if (peek() == '\\' && frames_.back().kind == Kind::ansi_quoted) {
      copy(1);
      if (!at_place() && at_ < text_.size()) copy(1);
      return;
    }
    if (peek() == '\'') return pop();
    copy(1);
  }

  void step_brace() {
    if (at_place()) return refuse("an expression cannot stand inside of `${…}`");
    if (peek() == '\\') return escape();
    if (peek() == '}') return pop();
    if (peek() == '"') return push(Kind::double_quoted, 1);
    // In double quotes a single one is an ordinary character.
    const bool quoted = frames_.size() > 1 && frames_[frames_.size() - 2].kind == Kind::double_quoted;
    if (peek() == '\'' && !quoted) return push(Kind::single_quoted, 1);
    if (!open_expansion()) copy(1);
  }

  void step_arithmetic() {
    if (at_place())
      return refuse(
          "an expression cannot stand in shell arithmetic, which evaluates values: compute in the expression");
    Frame& frame = frames_.back();
    if (peek() == '\\') return escape();
    if (open_expansion()) return;
    if (peek() == '(') ++frame.parens;
    if (peek() == ')' && frame.parens-- == 0) {
      frames_.pop_back();
      return copy(sees("))") ? 2 : 1);
    }
    copy(1);
  }

  // A newline inside of the expression would end the comment, so that it stands there on one line.
  void comment() {
    while (at_ < text_.size() && peek() != '\n') {
      if (!at_place()) {
        copy(1);
        continue;
      }
      std::string source(flat_.parts[next_place_]->expression->text());
      std::ranges::replace(source, '\n', ' ');
      script_.text += "${{" + source + "}}";
      ++next_place_;
      ++at_;
    }
  }

  // `<<` or `<<-` and the word that will end the text.
  void here_document_starts() {
    HereDocument document;
    copy(2);
    if (peek() == '-') {
      document.strip_tabs = true;
      copy(1);
    }
    while (blank(peek())) copy(1);
    char quote = 0;
    while (at_ < text_.size()) {
      if (at_place()) return refuse("an expression cannot end a here-document");
      const char c = peek();
      if (quote == 0 && ends_word(c)) break;
      if (c == quote && quote != 0)
        quote = 0;
      else if (quote == 0 && (c == '\'' || c == '"'))
        quote = c, document.quoted = true;
      else if (quote == 0 && c == '\\')
        document.quoted = true;
      else if (c == '\n')
        break;
      else
        document.delimiter += c;
      copy(1);
    }
    if (!document.delimiter.empty() || document.quoted) pending_.push_back(std::move(document));
  }

  void here_documents() {
    for (const HereDocument& document : std::exchange(pending_, {})) here_document(document);
  }

  void here_document(const HereDocument& document) {
    while (at_ < text_.size()) {
      const std::size_t end = std::min(text_.find('\n', at_), text_.size());
      std::size_t begin = at_;
      while (document.strip_tabs && begin < end && text_[begin] == '\t') ++begin;
      const bool has_place = next_place_ < flat_.places.size() && flat_.places[next_place_] < end;
      if (!has_place && text_.substr(begin, end - begin) == document.delimiter)
        return copy(std::min(end + 1, text_.size()) - at_);
      while (at_ < end) {
        if (!at_place()) {
          if (peek() == '\\' && !document.quoted)
            escape();
          else
            copy(1);
        } else if (document.quoted) {
          refuse(
              "an expression cannot stand in a here-document with a quoted end word: the shell expands nothing there");
        } else {
          replace(false);
        }
      }
      if (at_ < text_.size() && at_ == end) copy(1);
    }
  }

  const Flat& flat_;
  std::string_view text_;
  std::string_view shell_;
  std::size_t at_ = 0;
  std::size_t next_place_ = 0;
  std::vector<Frame> frames_;
  std::vector<HereDocument> pending_;
  std::map<std::string_view, std::size_t> variables_;
  ShellScript script_;
  std::vector<Problem> problems_;
};

}  // namespace

bool expands_variables(std::string_view shell) { return program(shell) == "bash" || program(shell) == "sh"; }

std::string env_hint(std::string_view expression, std::string_view shell) {
  const std::size_t first = expression.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos)
    expression = expression.substr(first, expression.find_last_not_of(" \t\r\n") - first + 1);
  const std::string name = variable_name(expression);
  std::string source(cut_utf8(expression, 100));
  std::ranges::replace(source, '\n', ' ');
  std::string value;
  if (source.find_first_of("\"\\") == std::string::npos) {
    value = fmt::format("\"${{{{ {} }}}}\"", source);
  } else {
    std::string doubled;
    for (const char c : source) doubled += c == '\'' ? std::string("''") : std::string(1, c);
    value = fmt::format("'${{{{ {} }}}}'", doubled);
  }
  std::string use = fmt::format("the environment variable {} in the script", name);
  if (expands_variables(shell))
    use = fmt::format("\"${}\" in the script", name);
  else if (program(shell).starts_with("python"))
    use = fmt::format("os.environ[\"{}\"] in the script", name);
  else if (program(shell).starts_with("node"))
    use = fmt::format("process.env.{} in the script", name);
  return fmt::format("write env: {{{}: {}}} beside it and {}", name, value, use);
}

std::expected<ShellScript, std::vector<Problem>> shell_script(const Template& script, std::string_view shell) {
  if (script.is_literal()) return ShellScript{script.literal(), {}};
  std::vector<const Template::Part*> expressions;
  for (const Template::Part& part : script.parts())
    if (part.expression) expressions.push_back(&part);
  if (expressions.size() > max_script_expressions)
    return std::unexpected(
        std::vector{Problem{expressions[max_script_expressions]->offset,
                            fmt::format("more than {} expressions in one script", max_script_expressions),
                            {}}});
  if (expands_variables(shell)) {
    const Flat flat = flatten(script);
    return Scanner(flat, shell).run();
  }
  std::vector<Problem> problems;
  for (const Template::Part* part : expressions) {
    if (problems.size() == most_problems) break;
    problems.push_back({part->offset, fmt::format("an expression cannot stand in a script of {}", program(shell)),
                        env_hint(part->expression->text(), shell)});
  }
  return std::unexpected(std::move(problems));
}

}  // namespace pawl::expression
