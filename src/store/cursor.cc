#include "store/cursor.h"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::store {
namespace {

// By how much the instant inside an id may differ from the run's created_at: ids that must rise are made a little
// ahead of a clock that was set back.
constexpr Duration id_slack = std::chrono::minutes(1);

// The lowest id made in this millisecond.
RunId first_id_at(Instant instant) {
  constexpr std::int64_t last_ms = (std::int64_t{1} << 48) - 1;
  const auto ms = static_cast<std::uint64_t>(std::clamp(to_us(instant) / 1000, std::int64_t{0}, last_ms));
  RunId id;
  for (std::size_t i = 0; i < 6; ++i) id.value.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  return id;
}

// Sums that would leave the range of instants stop at its ends.
Instant plus(Instant instant, Duration by) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(to_us(instant), by.count(), &sum)) return by.count() < 0 ? Instant::min() : Instant::max();
  return from_us(sum);
}

}  // namespace

std::string cursor_after(RunId last) { return to_string(last); }

Result<PageRange> page_range(const RunFilter& filter, std::size_t limit, const std::string& cursor) {
  if (limit < 1 || limit > page_limit) return fail(Code::invalid, fmt::format("limit must be 1 to {}", page_limit));
  PageRange range;
  if (!cursor.empty()) {
    const auto id = parse_uuid(cursor);
    if (!id) return fail(Code::invalid, "cursor is none that a page of this server gave");
    range.before = RunId{*id};
  }
  if (filter.since) range.from = first_id_at(plus(*filter.since, -id_slack));
  if (filter.until) {
    const RunId end = first_id_at(plus(*filter.until, id_slack + std::chrono::milliseconds(1)));
    if (!range.before || end < *range.before) range.before = end;
  }
  return range;
}

}  // namespace pawl::store
