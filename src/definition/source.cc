#include "definition/source.h"

#include <algorithm>

namespace pawl::definition {
namespace {

constexpr std::size_t block = 64;  // bytes

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

}  // namespace

Source::Source(std::string_view text) : text_(text), line_starts_{0} {
  characters_.reserve(text.size() / block + 2);
  std::uint32_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % block == 0) characters_.push_back(characters);
    if (starts_character(text[i])) ++characters;
    const bool breaks = text[i] == '\n' || (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'));
    if (breaks) line_starts_.push_back(static_cast<std::uint32_t>(i + 1));
  }
  characters_.push_back(characters);
}

std::size_t Source::characters_before(std::size_t offset) const {
  const std::size_t in_block = offset / block;
  std::size_t count = characters_[in_block];
  for (std::size_t i = in_block * block; i < offset; ++i) count += starts_character(text_[i]) ? 1 : 0;
  return count;
}

Position Source::position(std::size_t offset) const {
  offset = std::min(offset, text_.size());
  const auto after = std::ranges::upper_bound(line_starts_, offset);
  const std::size_t start = *(after - 1);
  return {static_cast<int>(after - line_starts_.begin()),
          static_cast<int>(characters_before(offset) - characters_before(start)) + 1};
}

std::size_t Source::offset_of_character(std::size_t index) const {
  const auto after = std::ranges::upper_bound(characters_, index);
  const auto in_block = static_cast<std::size_t>(std::max<std::ptrdiff_t>(after - characters_.begin() - 1, 0));
  std::size_t offset = std::min(in_block * block, text_.size());
  std::size_t count = characters_[in_block];
  for (; offset < text_.size(); ++offset) {
    if (!starts_character(text_[offset])) continue;
    if (count == index) return offset;
    ++count;
  }
  return text_.size();
}

std::size_t Source::line_start(std::size_t offset) const {
  return *(std::ranges::upper_bound(line_starts_, std::min(offset, text_.size())) - 1);
}

std::size_t Source::line_end(std::size_t offset) const {
  const std::size_t end = text_.find_first_of("\r\n", std::min(offset, text_.size()));
  return end == std::string_view::npos ? text_.size() : end;
}

}  // namespace pawl::definition
