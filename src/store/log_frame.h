// Frames of log files as bytes; docs/formats/log.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/log_store.h"

namespace pawl::store {

inline constexpr std::size_t log_header_size = 12;
inline constexpr std::size_t log_payload_limit = std::size_t{16} << 20;

// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t so_far = 0);

// As it stands at byte `offset` of its file. The checksum covers the offset too: a copy of a frame elsewhere, such as in
// the output of a task that prints a log, is none. Error: invalid, for what does not fit into a frame.
Result<std::string> encode(const LogFrame& frame, std::uint64_t offset);

// The size of the frame at the beginning of `bytes`, if its header is there and can be one: what to read before
// decode(). No more than log_header_size bytes are looked at.
std::optional<std::size_t> frame_size(std::string_view bytes);
// True if `bytes`, from byte `offset` of their file on, begin with a whole, undamaged frame of that size.
bool is_whole(std::string_view bytes, std::size_t size, std::uint64_t offset);
// The frame that `bytes`, which is_whole(), begin with; nullopt if its payload has no sense all the same.
std::optional<LogFrame> decode(std::string_view bytes);

}  // namespace pawl::store
