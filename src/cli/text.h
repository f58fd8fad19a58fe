// Text for terminals: widths, cutting, escaping, times and tables.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "cli/console.h"

namespace pawl::cli {

// Columns that `text` (one line, printable) takes: two for a Korean syllable, none for a combining mark.
int display_width(std::string_view text);
// At most `width` columns; what is cut ends with `…` (or ... without Unicode).
std::string fit(const Console& console, std::string_view text, int width);
std::string pad(std::string_view text, int width);

// What may stand on a terminal: control characters, those that turn the direction of writing, and bytes that are no
// UTF-8 are made visible, as \x1b or \u{202e}; a tab stays. Only with `colours` do SGR sequences (ESC [ … m) pass, and
// are switched off at the end; without it they are left out.
std::string printable(std::string_view text, bool colours = false);
// Its lines, each printable; a last line break opens no line.
std::vector<std::string> printable_lines(std::string_view text, bool colours = false);

// 340 ms · 4.2 s · 42 s · 3m 12s · 2h 05m · 3d 04h
std::string short_duration(Duration duration);
// In the time zone of the machine: 2026-11-23 08:00:01, and 08:00:01.
std::string local_time(Instant instant);
std::string local_clock(Instant instant);
std::string local_due(Instant due, Instant now);  // the clock alone if it is less than half a day away
Instant wall_clock();
// T on the command line: Unix seconds or RFC 3339.
std::optional<Instant> parse_instant(std::string_view text);

// In single quotes if a shell would not take it as one plain word.
std::string shell_word(std::string_view text);

// Shape, colour and word of a status, whichever thing it is of.
struct Mark {
  std::string_view shape;
  Colour colour = Colour::none;
};
Mark mark(const Console& console, std::string_view status);

struct Cell {
  std::string text;  // printable
  Colour colour = Colour::none;
};
// Columns as wide as their widest cell, two blanks between, nothing after the last. The first row is the head.
std::string table(const Console& console, const std::vector<std::vector<Cell>>& rows);

}  // namespace pawl::cli
