// The text of a definition and the places in it. Inside of the room.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace pawl::definition {

struct Position {
  int line = 1;    // from 1
  int column = 1;  // from 1, in characters
};

// Keeps a view: the text has to outlive it. Offsets count bytes. A lookup costs the logarithm of the text's length,
// however long its lines are.
class Source {
 public:
  // `text` is valid UTF-8.
  explicit Source(std::string_view text);

  std::string_view text() const { return text_; }
  Position position(std::size_t offset) const;
  // Where the character of that index, from 0, begins.
  std::size_t offset_of_character(std::size_t index) const;
  std::size_t line_start(std::size_t offset) const;
  // End of the line of `offset`, before its break.
  std::size_t line_end(std::size_t offset) const;

 private:
  std::size_t characters_before(std::size_t offset) const;

  std::string_view text_;
  std::vector<std::uint32_t> line_starts_;
  std::vector<std::uint32_t> characters_;  // [k]: characters in the first k blocks
};

}  // namespace pawl::definition
