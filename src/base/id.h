// Identifiers. Each kind is a type of its own, so that swapping two does not compile.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace pawl {

// 128 bits, ordered as their text is.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const Uuid&) const = default;
};

// 8-4-4-4-12 lower-case hex digits.
std::string to_string(const Uuid& uuid);
// Reads that text, in any case; nothing else.
std::optional<Uuid> parse_uuid(std::string_view text);

// Version 7 of RFC 9562: 48 bits of Unix milliseconds, then 12 and 62 of the given random bits. Ordered by time; instead of
// the first 12 a counter may be given, for an order within a millisecond.
Uuid uuid_v7(Instant now, std::uint64_t random_a, std::uint64_t random_b);

template <class Tag>
struct Id {
  Uuid value;
  auto operator<=>(const Id&) const = default;
};
template <class Tag>
std::string to_string(const Id<Tag>& id) {
  return to_string(id.value);
}

using RunId = Id<struct RunTag>;
using ScheduleId = Id<struct ScheduleTag>;
using BackfillId = Id<struct BackfillTag>;

// W3C trace id: 32 lower-case hex digits, not all zero. The first 12 are the time in ms, as in a version 7 id: an index of
// trace ids then grows at its end, where one of random ids would write a page for each new run. The last 7 bytes are
// random, as W3C Trace Context (level 2) asks.
std::string trace_id(Instant now, std::uint64_t random_a, std::uint64_t random_b);

}  // namespace pawl

template <class Tag>
struct std::hash<pawl::Id<Tag>> {
  std::size_t operator()(const pawl::Id<Tag>& id) const noexcept {
    // The low half of a version 7 id is random; that is all a hash needs.
    std::uint64_t low = 0;
    for (int i = 8; i < 16; ++i) low = low << 8 | id.value.bytes[static_cast<std::size_t>(i)];
    return static_cast<std::size_t>(low);
  }
};
