// Where the commands print, and what the place can show.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace pawl::cli {

enum class Colour { none, red, green, yellow, blue, dim, bold };

struct Console {
  std::FILE* out = stdout;
  std::FILE* err = stderr;
  bool colour = false;      // our own colours on `out`
  bool log_colour = false;  // colours that tasks print pass
  bool unicode = false;     // else marks are ASCII
  bool redraws = false;     // `out` is a terminal on which lines can be drawn again

  // Errors of writing show in write_error().
  void print(std::string_view text);
  void line(std::string_view text);
  void flush();
  void complain(std::string_view text);  // a line on `err`
  // Flushes `out`. Returns the errno of the first write that failed; 0: everything was written.
  int write_error();

  std::string paint(Colour colour, std::string_view text) const;
  int columns() const;
  int rows() const;

 private:
  void note_error(bool failed);
  int first_error_ = 0;
};

// Standard output and error. Colour on a terminal unless NO_COLOR is set or TERM is dumb; Unicode if the locale's name
// says UTF-8.
Console standard_console();

// The value of an environment variable, empty if it is not set.
std::string environment(const char* name);

}  // namespace pawl::cli
