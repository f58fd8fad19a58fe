#include "definition/quoting.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace pawl::definition {
namespace {

constexpr std::size_t longest_shown = 200;
// Lines are looked at a bounded way around a place: a file of one line of 1 MiB is a file too.
constexpr std::size_t farthest = 4096;
constexpr std::string_view opening = "${{";

// What the characters of one line mean, from its beginning: quotes, flow collections, expressions.
struct LineState {
  char quote = 0;            // inside such quotes
  int flow = 0;              // open { and [
  std::size_t value = 0;     // where the value begins that the scan is in
  std::size_t expression = std::string_view::npos;  // the first ${{ outside of quotes, and its value
  std::size_t expression_value = 0;
  bool expression_in_flow = false;
};

std::size_t skip_spaces(std::string_view text, std::size_t at, std::size_t end) {
  while (at < end && (text[at] == ' ' || text[at] == '\t')) ++at;
  return at;
}

// Scans from the beginning of the line to `stop`.
LineState scan_line(const Source& source, std::size_t stop) {
  const std::string_view text = source.text();
  std::size_t at = source.line_start(stop);
  if (stop - at > farthest) at = stop - farthest;
  LineState line;
  at = skip_spaces(text, at, stop);
  while (at + 1 < stop && (text[at] == '-' || text[at] == '?') && text[at + 1] == ' ')
    at = skip_spaces(text, at + 1, stop);
  line.value = at;
  bool block_key_seen = false;
  while (at < stop) {
    const char c = text[at];
    if (line.quote != 0) {
      if (c == '\\' && line.quote == '"')
        ++at;
      else if (c == line.quote)
        line.quote = 0;
      ++at;
      continue;
    }
    if (text.substr(at, 3) == opening) {
      if (line.expression == std::string_view::npos) {
        line.expression = at;
        line.expression_value = line.value;
        line.expression_in_flow = line.flow > 0;
      }
      const std::size_t close = text.substr(0, stop).find("}}", at + 3);
      at = close == std::string_view::npos ? stop : close + 2;
      continue;
    }
    if ((c == '"' || c == '\'') && at == line.value)
      line.quote = c;
    else if (c == '{' || c == '[')
      ++line.flow, line.value = skip_spaces(text, at + 1, stop);
    else if ((c == '}' || c == ']') && line.flow > 0)
      --line.flow;
    else if (c == ',' && line.flow > 0)
      line.value = skip_spaces(text, at + 1, stop);
    else if (c == ':' && at + 1 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\t') &&
             (line.flow > 0 || !block_key_seen)) {
      block_key_seen = true;
      line.value = skip_spaces(text, at + 1, stop);
    }
    ++at;
  }
  return line;
}

std::size_t bounded_line_end(const Source& source, std::size_t at) {
  return std::min(source.line_end(at), at + farthest);
}

Problem needs_quotes(const Source& source, std::size_t begin, bool flow, std::string message) {
  const Position at = source.position(begin);
  return {at.line, at.column, std::move(message), "put it in quotes: " + quoted(meant_value(source, begin, flow))};
}

}  // namespace

std::string_view meant_value(const Source& source, std::size_t begin, bool flow) {
  const std::string_view text = source.text();
  const std::size_t line_end = bounded_line_end(source, begin);
  flow = flow || scan_line(source, begin).flow > 0;
  std::size_t end = line_end;
  if (flow) {
    int open = 0;
    for (std::size_t at = begin; at < line_end;) {
      if (text.substr(at, 3) == opening) {
        const std::size_t close = text.substr(0, line_end).find("}}", at + 3);
        at = close == std::string_view::npos ? line_end : close + 2;
        continue;
      }
      if (text[at] == '(' || text[at] == '[' || text[at] == '{') ++open;
      if (text[at] == ')' || text[at] == ']' || text[at] == '}') --open;
      if (open < 0 || (open == 0 && text[at] == ',')) {
        end = at;
        break;
      }
      ++at;
    }
  }
  while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
  return text.substr(begin, end - begin);
}

std::string quoted(std::string_view value) {
  const std::string_view shown = cut_utf8(value, longest_shown);
  const std::string_view more = shown.size() < value.size() ? "…" : "";
  if (shown.find_first_of("\"\\") == std::string_view::npos) return fmt::format("\"{}{}\"", shown, more);
  std::string text = "'";
  for (const char c : shown) {
    text += c;
    if (c == '\'') text += c;
  }
  return text.append(more) + "'";
}

bool swallowed_by_comment(const Source& source, std::size_t end) {
  const std::string_view text = source.text();
  const std::size_t hash = skip_spaces(text, end, text.size());
  // A comment proper has a space after its #.
  if (hash + 1 >= text.size() || text[hash] != '#' || text[hash + 1] == ' ' || text[hash + 1] == '#') return false;
  const std::size_t line_end = source.line_end(hash);
  return text.substr(hash, line_end - hash).find(opening) != std::string_view::npos;
}

std::optional<Problem> missing_quotes(const Source& source, std::size_t offset, std::size_t context, bool flow) {
  const std::string_view text = source.text();
  if (offset < text.size()) {
    const char c = text[offset];
    if (c == '\t') {
      const Position at = source.position(offset);
      return Problem{at.line, at.column, "a tab cannot indent in YAML", "use spaces"};
    }
    if (c == '@' || c == '`' || c == '%')
      return needs_quotes(source, offset, flow, fmt::format("YAML lets no plain text begin with `{}`", c));
  }
  constexpr std::string_view indicators = "*!&";
  if (context < text.size() && indicators.find(text[context]) != std::string_view::npos) {
    // `!a && b` fails at its second word.
    std::size_t begin = scan_line(source, context).value;
    if (indicators.find(text[begin]) == std::string_view::npos) begin = context;
    const std::string_view what = text[begin] == '*' ? "an alias" : text[begin] == '!' ? "a tag" : "an anchor";
    return needs_quotes(source, begin, flow,
                        fmt::format("YAML reads `{}` here as the beginning of {}", text[begin], what));
  }
  for (const std::size_t near : {offset, context}) {
    const std::size_t end = bounded_line_end(source, near);
    const LineState line = scan_line(source, end);
    if (line.expression == std::string_view::npos) continue;
    // In a block most expressions do well without quotes; then the error is another one.
    const bool in_flow = flow || line.expression_in_flow;
    const std::string_view value = meant_value(source, line.expression_value, in_flow);
    if (!in_flow && value.find(": ") == std::string_view::npos && !value.ends_with(':')) continue;
    return needs_quotes(source, line.expression_value, in_flow,
                        "YAML misreads this `${{ … }}`, which stands without quotes");
  }
  return std::nullopt;
}

}  // namespace pawl::definition
