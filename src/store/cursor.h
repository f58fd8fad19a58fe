// Pages of runs, the same in every store.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "store/reader.h"

namespace pawl::store {

inline constexpr std::size_t page_limit = 200;

// What a page is asked for, checked: ids in [from, before), newest first.
struct PageRange {
  RunId from;                   // inclusive
  std::optional<RunId> before;  // exclusive; absent: no end
};

// Where the page after `last` goes on.
std::string cursor_after(RunId last);

// The range of ids that `filter` and `cursor` leave. Ids carry the instant at which they were made, so a span of time
// is a range of ids, widened by `id_slack`; created_at itself still has to be compared.
// Errors: invalid, for a cursor that cursor_after() did not make and for a limit outside 1 … page_limit.
Result<PageRange> page_range(const RunFilter& filter, std::size_t limit, const std::string& cursor);

}  // namespace pawl::store
