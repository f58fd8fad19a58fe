// Layouts: https://www.sqlite.org/fileformat2.html#walformat and https://www.sqlite.org/walformat.html
#include "store/sqlite/wal_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "store/descriptor.h"

namespace pawl::store {
namespace {

constexpr std::size_t header_size = 32, frame_header_size = 24;
constexpr std::uint32_t magic = 0x377f0682;  // the lowest bit: checksums are of big-endian words
constexpr std::uint32_t format_version = 3'007'000;

using Bytes = std::vector<unsigned char>;
using Salts = std::array<unsigned char, 8>;

std::uint32_t big_endian(const unsigned char* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

template <class Number>
Number native(const unsigned char* at) {
  Number number{};
  std::memcpy(&number, at, sizeof number);
  return number;
}

struct Checksum {
  std::uint32_t one = 0, two = 0;
  bool operator==(const Checksum&) const = default;

  // `size` is a multiple of eight.
  Checksum over(const unsigned char* at, std::size_t size, bool big) const {
    Checksum sum = *this;
    const auto word = [big](const unsigned char* p) {
      const auto value = native<std::uint32_t>(p);
      return big == (std::endian::native == std::endian::big) ? value : __builtin_bswap32(value);
    };
    for (const unsigned char* const end = at + size; at < end; at += 8) {
      sum.one += word(at) + sum.two;
      sum.two += word(at + 4) + sum.one;
    }
    return sum;
  }
};

Checksum stored_checksum(const unsigned char* at) { return {big_endian(at), big_endian(at + 4)}; }

// At most `size` bytes from `at` on; fewer only at the end of the file.
Result<Bytes> bytes_of(const Descriptor& file, const std::string& path, std::uint64_t at, std::size_t size) {
  Bytes bytes(size);
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got = ::pread(file.get(), bytes.data() + have, size - have, static_cast<off_t>(at + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "read", path);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

// What the index (-shm) of the last process knew. It is written after a commit was synced, so the log holds at least this
// much, if it still is the log that the index is of.
struct Index {
  std::uint32_t frames = 0;  // up to the last commit
  std::uint32_t copied = 0;  // of these, into the database
  Salts salts{};
};

// nullopt: there is none, or nothing can be said by it.
std::optional<Index> read_index(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return std::nullopt;
  constexpr std::size_t copy = 48;
  const auto bytes = bytes_of(file, path, 0, 2 * copy + 4);
  if (!bytes || bytes->size() < 2 * copy + 4) return std::nullopt;
  const unsigned char* const at = bytes->data();
  const bool whole =
      std::memcmp(at, at + copy, copy) == 0 && native<std::uint32_t>(at) == format_version && at[12] == 1;
  const Checksum sum = Checksum{}.over(at, 40, std::endian::native == std::endian::big);
  if (!whole || sum != Checksum{native<std::uint32_t>(at + 40), native<std::uint32_t>(at + 44)}) return std::nullopt;
  Index index{.frames = native<std::uint32_t>(at + 16), .copied = native<std::uint32_t>(at + 2 * copy), .salts = {}};
  std::memcpy(index.salts.data(), at + 32, index.salts.size());
  return index;
}

class Wal {
 public:
  Wal(const Descriptor& file, const std::string& path, std::uint64_t size) : file_(file), path_(path), size_(size) {}

  // Gives what check_wal() does.
  Result<WalEnd> check(const std::optional<Index>& index) {
    const auto header = bytes_of(file_, path_, 0, header_size);
    if (!header) return std::unexpected(header.error());
    if (header->size() < header_size) return WalEnd{};
    const unsigned char* const at = header->data();
    page_size_ = big_endian(at + 8);
    big_ = (big_endian(at) & 1) != 0;
    const bool possible = page_size_ >= 512 && page_size_ <= 65'536 && std::has_single_bit(page_size_);
    const bool sound = possible && (big_endian(at) & ~1U) == magic && big_endian(at + 4) == format_version &&
                       Checksum{}.over(at, 24, big_) == stored_checksum(at + 24);
    if (!sound) {
      // As a rule: pages of 4 KiB, and checksums of little-endian words.
      page_size_ = 4096;
      big_ = std::endian::native == std::endian::big;
      if (auto fine = without_header(index); !fine) return std::unexpected(fine.error());
      return WalEnd{.is_void = true};
    }
    Salts salts{};
    std::memcpy(salts.data(), at + 16, salts.size());
    std::uint64_t n = 0, committed = 0, before_last = 0;
    Checksum sum = stored_checksum(at + 24);
    for (; n < count(); ++n) {
      const auto frame = frame_at(n);
      if (!frame) return std::unexpected(frame.error());
      if (!follows(*frame, salts, sum)) break;
      sum = stored_checksum(frame->data() + 16);
      if (commits(*frame)) before_last = std::exchange(committed, n + 1);
    }
    if (index && index->salts == salts && index->frames > committed && index->frames > index->copied)
      return damage(place(committed), "and what was committed there is lost");
    if (n < count())
      if (auto fine = nothing_follows(n, place(n), [&](const Bytes& frame) { return is_of(frame, salts); }); !fine)
        return std::unexpected(fine.error());
    // The header of a new log is written with its first frames.
    return WalEnd{.last_begins = before_last == 0 ? 0 : place(before_last),
                  .last_ends = committed == 0 ? 0 : place(committed)};
  }

 private:
  std::size_t frame_size() const { return frame_header_size + page_size_; }
  std::uint64_t count() const { return (size_ - header_size) / frame_size(); }
  std::uint64_t place(std::uint64_t frame) const { return header_size + frame * frame_size(); }

  Result<Bytes> frame_at(std::uint64_t n) const { return bytes_of(file_, path_, place(n), frame_size()); }
  static bool commits(const Bytes& frame) { return big_endian(frame.data() + 4) != 0; }
  static bool is_of(const Bytes& frame, const Salts& salts) {
    return std::memcmp(frame.data() + 8, salts.data(), salts.size()) == 0;
  }
  // Is it a frame that was written right behind one with the checksum `before`?
  bool follows(const Bytes& frame, const Salts& salts, Checksum before) const {
    if (frame.size() < frame_size() || big_endian(frame.data()) == 0 || !is_of(frame, salts)) return false;
    const Checksum sum = before.over(frame.data(), 8, big_).over(frame.data() + frame_header_size, page_size_, big_);
    return sum == stored_checksum(frame.data() + 16);
  }

  std::unexpected<Error> damage(std::uint64_t at, std::string_view what) const {
    return fail(Code::corrupt, fmt::format("{} is damaged at byte {}, {}: restore a backup of the whole folder, or see "
                                           "'Damaged files' in docs/operations.md",
                                           path_, at, what));
  }

  // The chain is broken at frame `n`. A crash breaks it in the last transaction only: when the next one begins, all
  // before it is synced. So a frame that follows a commit, at or behind the break, proves that this is damage.
  template <class Counts>
  Result<void> nothing_follows(std::uint64_t n, std::uint64_t at, const Counts& counts) const {
    std::optional<Bytes> before;
    for (std::uint64_t i = n; i < count(); ++i) {
      auto frame = frame_at(i);
      if (!frame) return std::unexpected(frame.error());
      if (before && commits(*before) && counts(*before) &&
          follows(*frame, salts_of(*before), stored_checksum(before->data() + 16)))
        return damage(at, "and commits stand behind it");
      before = std::move(*frame);
    }
    return {};
  }
  static Salts salts_of(const Bytes& frame) {
    Salts salts{};
    std::memcpy(salts.data(), frame.data() + 8, salts.size());
    return salts;
  }

  // Of a new log the header is synced before its frames are. It is written over the old log once the database has all of
  // that, and the index is told before: what is older than the index says is not needed any more, also where only half
  // of the header could be written.
  Result<void> without_header(const std::optional<Index>& index) const {
    if (!index) return nothing_follows(0, 0, [](const Bytes&) { return true; });
    if (index->frames > index->copied) return damage(0, "and what was committed there is lost");
    // With each new log the first salt is one more; it may begin again at 0.
    const std::uint32_t newest = big_endian(index->salts.data());
    return nothing_follows(index->frames > 0 ? index->frames - 1 : 0, 0, [&](const Bytes& frame) {
      return static_cast<std::int32_t>(big_endian(frame.data() + 8) - newest) >= 0;
    });
  }

  const Descriptor& file_;
  const std::string& path_;
  const std::uint64_t size_;
  std::uint32_t page_size_ = 4096;
  bool big_ = false;
};

}  // namespace

Result<WalEnd> check_wal(const std::string& path) {
  const std::string wal = path + "-wal";
  const auto index = read_index(path + "-shm");
  const bool needed = index && index->frames > index->copied;
  const Descriptor file(::open(wal.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file && errno != ENOENT) return system_error(errno, "open", wal);
  struct stat status{};
  if (file && ::fstat(file.get(), &status) != 0) return system_error(errno, "read", wal);
  if (file && !S_ISREG(status.st_mode)) return fail(Code::corrupt, wal + " is no file");
  if (static_cast<std::size_t>(status.st_size) < header_size) {
    if (!needed) return WalEnd{};
    return fail(
        Code::corrupt,
        fmt::format("{0} is {1}, and with it what was committed last: put it back, restore a backup of the whole "
                    "folder, or remove {2}-shm to go on with what {2} holds",
                    wal, file ? "cut off" : "missing", path));
  }
  return Wal(file, wal, static_cast<std::uint64_t>(status.st_size)).check(index);
}

Result<void> renew_wal(const std::string& path, const WalEnd& end) {
  if (!end.is_void && end.last_begins == end.last_ends) return {};
  const std::string wal = path + "-wal";
  const Descriptor file(::open(wal.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!file) return system_error(errno, "open", wal);
  // SQLite would make an index that says nothing of it, and the next start could not tell it from a damaged one.
  if (end.is_void && ::ftruncate(file.get(), 0) != 0) return system_error(errno, "cut", wal);
  constexpr std::size_t piece = 1 << 20;
  for (std::uint64_t at = end.last_begins; at < end.last_ends;) {
    const auto bytes =
        bytes_of(file, wal, at, static_cast<std::size_t>(std::min<std::uint64_t>(piece, end.last_ends - at)));
    if (!bytes) return std::unexpected(bytes.error());
    if (bytes->empty()) return fail(Code::unavailable, wal + " was cut off by somebody else");
    const ssize_t written = ::pwrite(file.get(), bytes->data(), bytes->size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error(written < 0 ? errno : EIO, "write", wal);
    at += static_cast<std::uint64_t>(written);
  }
  if (::fdatasync(file.get()) != 0) return system_error(errno, "sync", wal);
  return {};
}

}  // namespace pawl::store
