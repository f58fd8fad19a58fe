#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace pawl::cli {
namespace {

std::string_view sequence(Colour colour) {
  switch (colour) {
    case Colour::none: return "";
    case Colour::red: return "\x1b[31m";
    case Colour::green: return "\x1b[32m";
    case Colour::yellow: return "\x1b[33m";
    case Colour::blue: return "\x1b[34m";
    case Colour::dim: return "\x1b[2m";
    case Colour::bold: return "\x1b[1m";
  }
  return "";
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value = environment(name);
    if (value.empty()) continue;
    for (char& c : value) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

winsize window_of(std::FILE* file) {
  winsize size{};
  if (::ioctl(::fileno(file), TIOCGWINSZ, &size) != 0) return {};
  return size;
}

}  // namespace

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

void Console::note_error(bool failed) {
  if (failed && first_error_ == 0) first_error_ = errno == 0 ? EIO : errno;
}

void Console::print(std::string_view text) { note_error(std::fwrite(text.data(), 1, text.size(), out) != text.size()); }

void Console::line(std::string_view text) {
  print(text);
  note_error(std::fputc('\n', out) == EOF);
  // Whoever reads a pipe of ours wants a line when it happens.
  flush();
}

void Console::flush() { note_error(std::fflush(out) != 0); }

void Console::complain(std::string_view text) {
  flush();
  std::fwrite(text.data(), 1, text.size(), err);
  std::fputc('\n', err);
  std::fflush(err);
}

int Console::write_error() {
  flush();
  return first_error_;
}

std::string Console::paint(Colour wanted, std::string_view text) const {
  const std::string_view begin = colour ? sequence(wanted) : "";
  if (begin.empty() || text.empty()) return std::string(text);
  return std::string(begin) + std::string(text) + "\x1b[0m";
}

int Console::columns() const {
  const int columns = window_of(out).ws_col;
  return columns > 0 ? columns : 80;
}

int Console::rows() const {
  const int rows = window_of(out).ws_row;
  return rows > 0 ? rows : 24;
}

Console standard_console() {
  Console console;
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const bool dumb = environment("TERM") == "dumb" || environment("TERM").empty();
  const bool no_colour = !environment("NO_COLOR").empty();
  console.colour = terminal && !dumb && !no_colour;
  console.log_colour = !no_colour;
  console.redraws = terminal && !dumb;
  console.unicode = locale_is_utf8();
  return console;
}

}  // namespace pawl::cli
