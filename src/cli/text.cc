#include "cli/text.h"

#include <fmt/format.h>
#include <locale.h>
#include <time.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.h"

namespace pawl::cli {
namespace {

// The widths of characters belong to a locale; the program's own stays "C".
class Utf8Locale {
 public:
  Utf8Locale() : before_(locale() ? ::uselocale(locale()) : locale_t{}) {}
  ~Utf8Locale() {
    if (before_) ::uselocale(before_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t locale() {
    static const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{});
    return utf8;
  }
  locale_t before_;
};

// The character at `at` of valid UTF-8, and moves on.
char32_t next_character(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t character = length == 1 ? first : first & (0x7F >> length);
  for (std::size_t i = 1; i < length && at + i < text.size(); ++i) character = character << 6 | (byte(at + i) & 0x3F);
  at = std::min(at + length, text.size());
  return character;
}

int width_of(char32_t character) { return std::max(0, ::wcwidth(static_cast<wchar_t>(character))); }

bool turns_direction(char32_t c) {
  return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}
bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || turns_direction(c);
}

// Length of the SGR sequence that begins `text`, 0 if none does.
std::size_t sgr_length(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const std::size_t end = text.find_first_not_of("0123456789;:", 2);
  return end != std::string_view::npos && text[end] == 'm' ? end + 1 : 0;
}

std::tm local(Instant instant) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(instant.time_since_epoch()).count();
  std::tm fields{};
  ::localtime_r(&seconds, &fields);
  return fields;
}

struct MarkRow {
  std::string_view status, unicode, ascii;
  Colour colour;
};
constexpr auto marks = std::to_array<MarkRow>({
    {"queued", "○", "o", Colour::dim},
    {"pending", "·", ".", Colour::dim},
    {"running", "▶", ">", Colour::blue},
    {"waiting", "◷", "~", Colour::yellow},
    {"success", "✓", "+", Colour::green},
    {"failed", "✗", "x", Colour::red},
    {"timed_out", "✗", "x", Colour::red},
    {"interrupted", "↯", "!", Colour::red},
    {"cancelled", "⊘", "/", Colour::yellow},
    {"skipped", "↷", "-", Colour::dim},
    {"fired", "✓", "+", Colour::green},
    {"misfired", "✗", "x", Colour::yellow},
});

}  // namespace

int display_width(std::string_view text) {
  const Utf8Locale locale;
  int width = 0;
  for (std::size_t at = 0; at < text.size();) width += width_of(next_character(text, at));
  return width;
}

std::string fit(const Console& console, std::string_view text, int width) {
  if (display_width(text) <= width) return std::string(text);
  const std::string_view more = console.unicode ? "…" : "...";
  const int room = width - display_width(more);
  if (room < 0) return "";
  const Utf8Locale locale;
  int taken = 0;
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size(); end = at) {
    taken += width_of(next_character(text, at));
    if (taken > room) break;
  }
  return std::string(text.substr(0, end)) + std::string(more);
}

std::string pad(std::string_view text, int width) {
  std::string padded(text);
  padded.append(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ');
  return padded;
}

std::string printable(std::string_view text, bool colours) {
  const std::string valid = to_utf8_lossy(text);
  const std::string_view rest(valid);
  std::string out;
  bool coloured = false;
  for (std::size_t at = 0; at < rest.size();) {
    if (const std::size_t length = sgr_length(rest.substr(at)); length > 0) {
      if (colours) out += rest.substr(at, length);
      coloured = coloured || colours;
      at += length;
      continue;
    }
    const std::size_t begin = at;
    const char32_t character = next_character(rest, at);
    if (character == '\t' || !is_control(character))
      out += rest.substr(begin, at - begin);
    else if (character < 0x100)
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(character));
    else
      out += fmt::format("\\u{{{:x}}}", static_cast<unsigned>(character));
  }
  if (coloured) out += "\x1b[0m";
  return out;
}

std::vector<std::string> printable_lines(std::string_view text, bool colours) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view one = text.substr(0, end);
    if (one.ends_with('\r')) one.remove_suffix(1);
    lines.push_back(printable(one, colours));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string short_duration(Duration duration) {
  using namespace std::chrono;
  const auto ms = std::max<std::int64_t>(0, duration_cast<milliseconds>(duration).count());
  if (ms < 1'000) return fmt::format("{} ms", ms);
  if (ms < 10'000) return fmt::format("{}.{} s", ms / 1'000, ms % 1'000 / 100);
  const std::int64_t s = ms / 1'000;
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3'600) return fmt::format("{}m {:02}s", s / 60, s % 60);
  if (s < 86'400) return fmt::format("{}h {:02}m", s / 3'600, s / 60 % 60);
  return fmt::format("{}d {:02}h", s / 86'400, s / 3'600 % 24);
}

std::string local_time(Instant instant) {
  const std::tm t = local(instant);
  return fmt::format("{:04}-{:02}-{:02} {}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, local_clock(instant));
}

std::string local_clock(Instant instant) {
  const std::tm t = local(instant);
  return fmt::format("{:02}:{:02}:{:02}", t.tm_hour, t.tm_min, t.tm_sec);
}

std::string local_due(Instant due, Instant now) {
  return due - now < std::chrono::hours(12) ? local_clock(due) : local_time(due);
}

Instant wall_clock() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

std::optional<Instant> parse_instant(std::string_view text) {
  constexpr std::int64_t most = 1'000'000'000'000;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size())
    return seconds >= -most && seconds <= most ? std::optional(Instant{std::chrono::seconds(seconds)}) : std::nullopt;
  const auto instant = parse_rfc3339(text);
  return instant ? std::optional(*instant) : std::nullopt;
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!text.empty() && text.find_first_not_of(plain) == std::string_view::npos) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

Mark mark(const Console& console, std::string_view status) {
  const auto found = std::ranges::find(marks, status, &MarkRow::status);
  if (found == marks.end()) return {"?", Colour::none};
  return {console.unicode ? found->unicode : found->ascii, found->colour};
}

std::string table(const Console& console, const std::vector<std::vector<Cell>>& rows) {
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i].text));
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      const Cell& cell = rows[r][i];
      const bool last = i + 1 == rows[r].size();
      out += console.paint(r == 0 ? Colour::bold : cell.colour, cell.text);
      if (!last) out.append(static_cast<std::size_t>(widths[i] - display_width(cell.text) + 2), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace pawl::cli
