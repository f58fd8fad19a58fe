#include "base/hash.h"

#include <sodium.h>

#include <array>

namespace pawl {

namespace {

const unsigned char* as_bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

template <std::size_t Size>
std::string hex(const std::array<unsigned char, Size>& digest) {
  std::string text(2 * Size, '0');
  for (std::size_t i = 0; i < Size; ++i) {
    text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256(digest.data(), as_bytes(bytes), bytes.size());
  return hex(digest);
}

std::string blake2b_hex(std::string_view bytes) {
  std::array<unsigned char, 16> digest{};
  crypto_generichash(digest.data(), digest.size(), as_bytes(bytes), bytes.size(), nullptr, 0);
  return hex(digest);
}

}  // namespace pawl
