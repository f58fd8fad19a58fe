// UTF-8: is it, and what to do with what is not.
#pragma once

#include <string>
#include <string_view>

namespace pawl {

// Length of the longest valid prefix: no overlong forms, no surrogates, nothing past U+10FFFF.
std::size_t valid_utf8_prefix(std::string_view bytes);
inline bool is_utf8(std::string_view bytes) { return valid_utf8_prefix(bytes) == bytes.size(); }

// Every byte that is no part of a valid character becomes U+FFFD.
std::string to_utf8_lossy(std::string_view bytes);

// At most `limit` bytes of valid text, cut between characters.
std::string_view cut_utf8(std::string_view text, std::size_t limit);

}  // namespace pawl
