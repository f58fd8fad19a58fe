#include "base/id.h"

namespace pawl {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool dash_before(std::size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

}  // namespace

std::string to_string(const Uuid& uuid) {
  std::string text(36, '-');
  std::size_t at = 0;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (dash_before(i)) ++at;
    text[at++] = hex_digits[uuid.bytes[i] >> 4];
    text[at++] = hex_digits[uuid.bytes[i] & 15];
  }
  return text;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid;
  std::size_t at = 0;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (dash_before(i) && text[at++] != '-') return std::nullopt;
    const int high = hex_value(text[at++]);
    const int low = hex_value(text[at++]);
    if (high < 0 || low < 0) return std::nullopt;
    uuid.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return uuid;
}

Uuid uuid_v7(Instant now, std::uint64_t random_a, std::uint64_t random_b) {
  Uuid uuid;
  const auto ms = static_cast<std::uint64_t>(to_us(now) / 1000);
  for (std::size_t i = 0; i < 6; ++i) uuid.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  uuid.bytes[6] = static_cast<std::uint8_t>(0x70 | (random_a >> 8 & 0x0f));
  uuid.bytes[7] = static_cast<std::uint8_t>(random_a);
  for (std::size_t i = 8; i < 16; ++i) uuid.bytes[i] = static_cast<std::uint8_t>(random_b >> (8 * (15 - i)));
  uuid.bytes[8] = static_cast<std::uint8_t>(0x80 | (uuid.bytes[8] & 0x3f));
  return uuid;
}

std::string trace_id(Instant now, std::uint64_t random_a, std::uint64_t random_b) {
  random_a = static_cast<std::uint64_t>(to_us(now) / 1000) << 16 | (random_a & 0xffff);
  if (random_a == 0 && random_b == 0) random_b = 1;
  std::string text;
  text.reserve(32);
  for (const std::uint64_t half : {random_a, random_b})
    for (int shift = 60; shift >= 0; shift -= 4) text += hex_digits[half >> shift & 15];
  return text;
}

}  // namespace pawl
