// SHA-256, for stable names of work and the `hash` function of expressions.
#pragma once

#include <string>
#include <string_view>

namespace pawl {

// 64 lower-case hex digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace pawl
