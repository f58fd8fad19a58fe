// For tests: gzip (RFC 1952) without a library, plain and as a bomb.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pawl::runner::test {

// gzip of at most 64 KiB, stored and not compressed.
inline std::string gzip(std::string_view text) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : text) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  crc = ~crc;
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  const auto put = [&](std::size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  };
  put(1, 1);  // last block, stored
  put(text.size(), 2);
  put(~text.size(), 2);
  out += text;
  put(crc, 4);
  put(text.size(), 4);
  return out;
}

// `matches` times 258 zeros: 13 bits each (RFC 1951, fixed codes: length 258 is code 285, then distance 1).
inline std::string gzip_bomb(std::size_t matches) {
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  std::uint32_t bits = 0;
  int count = 0;
  const auto bit = [&](unsigned value) {
    bits |= value << count;
    if (++count == 8) {
      out += static_cast<char>(bits);
      bits = 0;
      count = 0;
    }
  };
  const auto code = [&](unsigned value, int length) {
    for (int i = length - 1; i >= 0; --i) bit(value >> i & 1);
  };
  bit(1);
  bit(1);
  bit(0);           // last block, fixed codes
  code(0x30, 8);    // a zero
  for (std::size_t i = 0; i < matches; ++i) {
    code(0xc5, 8);
    code(0, 5);
  }
  code(0, 7);
  while (count != 0) bit(0);
  return out;
}

}  // namespace pawl::runner::test
