// Digests: SHA-256 where people see it and may want to compute it too (the `hash` function of expressions), BLAKE2b
// where only we do and it is on the way of every task.
#pragma once

#include <string>
#include <string_view>

namespace pawl {

// 64 lower-case hex digits.
std::string sha256_hex(std::string_view bytes);
// BLAKE2b of 128 bits: 32 lower-case hex digits, at a sixth of the work.
std::string blake2b_hex(std::string_view bytes);

}  // namespace pawl
