#include "store/log_frame.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

namespace pawl::store {
namespace {

constexpr std::string_view magic = "PwL1";
constexpr std::size_t fixed_payload = 8 + 4 + 1 + 2 + 2;

// Eight bytes a step: table n gives the effect of a byte that n more bytes follow.
constexpr auto crc_tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t n = 1; n < 8; ++n)
    for (std::size_t byte = 0; byte < 256; ++byte)
      tables[n][byte] = tables[n - 1][byte] >> 8 ^ tables[0][tables[n - 1][byte] & 0xff];
  return tables;
}();

std::uint64_t little_endian(std::string_view bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

void append(std::string& out, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out += static_cast<char>(value >> (8 * i));
}

void put(std::string& out, std::size_t at, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[at + i] = static_cast<char>(value >> (8 * i));
}

// Of all of a frame but the four bytes where it stands itself.
std::uint32_t checksum(std::string_view frame, std::uint64_t offset) {
  std::string place;
  append(place, offset, 8);
  return crc32c(frame.substr(log_header_size), crc32c(frame.substr(0, 8), crc32c(place)));
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes, std::uint32_t so_far) {
  std::uint32_t crc = ~so_far;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    const std::uint64_t word = little_endian(bytes, 8) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= crc_tables[7 - i][word >> (8 * i) & 0xff];
  }
  for (const char c : bytes) crc = crc >> 8 ^ crc_tables[0][(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

Result<std::string> encode(const LogFrame& frame, std::uint64_t offset) {
  constexpr std::size_t name_limit = std::numeric_limits<std::uint16_t>::max();
  if (frame.job.size() > name_limit || frame.task.size() > name_limit)
    return fail(Code::invalid, "the name of a job or task is too long for a log");
  const std::size_t payload = fixed_payload + frame.job.size() + frame.task.size() + frame.bytes.size();
  if (payload > log_payload_limit)
    return fail(Code::invalid, fmt::format("{} bytes are too many for one frame of a log", frame.bytes.size()));
  std::string out;
  out.reserve(log_header_size + payload);
  out += magic;
  append(out, payload, 4);
  append(out, 0, 4);  // the checksum, once there is something to sum
  append(out, static_cast<std::uint64_t>(to_us(frame.at)), 8);
  append(out, static_cast<std::uint32_t>(frame.try_number), 4);
  append(out, static_cast<std::uint8_t>(frame.stream), 1);
  append(out, frame.job.size(), 2);
  append(out, frame.task.size(), 2);
  out += frame.job;
  out += frame.task;
  out += frame.bytes;
  put(out, 8, checksum(out, offset), 4);
  return out;
}

std::optional<std::size_t> frame_size(std::string_view bytes) {
  if (bytes.size() < log_header_size || !bytes.starts_with(magic)) return std::nullopt;
  const std::uint64_t payload = little_endian(bytes.substr(4), 4);
  if (payload < fixed_payload || payload > log_payload_limit) return std::nullopt;
  return log_header_size + payload;
}

bool is_whole(std::string_view bytes, std::size_t size, std::uint64_t offset) {
  return bytes.size() >= size && little_endian(bytes.substr(8), 4) == checksum(bytes.substr(0, size), offset);
}

std::optional<LogFrame> decode(std::string_view bytes) {
  const auto size = frame_size(bytes);
  if (!size) return std::nullopt;
  std::string_view payload = bytes.substr(log_header_size, *size - log_header_size);
  const auto take = [&](std::size_t count) {
    const std::string_view part = payload.substr(0, count);
    payload.remove_prefix(count);
    return part;
  };
  LogFrame frame;
  frame.at = from_us(static_cast<std::int64_t>(little_endian(take(8), 8)));
  frame.try_number = static_cast<int>(little_endian(take(4), 4));
  const std::uint64_t stream = little_endian(take(1), 1);
  const std::size_t job = little_endian(take(2), 2), task = little_endian(take(2), 2);
  if (stream > static_cast<std::uint64_t>(LogStream::note) || payload.size() < job + task) return std::nullopt;
  frame.stream = static_cast<LogStream>(stream);
  frame.job = take(job);
  frame.task = take(task);
  frame.bytes = payload;
  return frame;
}

}  // namespace pawl::store
