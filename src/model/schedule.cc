#include "model/schedule.h"

#include <fmt/format.h>

#include <array>

#include "base/check.h"

namespace pawl {
namespace {

constexpr int most_at_once = 1'000;  // runs of a backfill

template <class Enum>
struct Words;
template <>
struct Words<Misfire> {
  static constexpr auto list = std::to_array<std::string_view>({"run-once", "run-all", "skip"});
};
template <>
struct Words<Overlap> {
  static constexpr auto list = std::to_array<std::string_view>({"queue", "skip", "allow", "cancel-running"});
};
template <>
struct Words<SlotOutcome> {
  static constexpr auto list = std::to_array<std::string_view>({"fired", "misfired", "skipped"});
};
template <>
struct Words<SlotReason> {
  static constexpr auto list =
      std::to_array<std::string_view>({"", "misfired", "overlap", "disabled", "end", "invalid"});
};
template <>
struct Words<BackfillStatus> {
  static constexpr auto list = std::to_array<std::string_view>({"running", "success", "cancelled"});
};

template <class Enum>
std::string_view word(Enum value) {
  const auto index = static_cast<std::size_t>(value);
  check(index < Words<Enum>::list.size());
  return Words<Enum>::list[index];
}

}  // namespace

std::string_view to_string(Misfire misfire) { return word(misfire); }
std::string_view to_string(Overlap overlap) { return word(overlap); }
std::string_view to_string(SlotOutcome outcome) { return word(outcome); }
std::string_view to_string(SlotReason reason) { return word(reason); }
std::string_view to_string(BackfillStatus status) { return word(status); }

template <class Enum>
std::optional<Enum> schedule_word(std::string_view text) {
  const auto& list = Words<Enum>::list;
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}

template std::optional<Misfire> schedule_word(std::string_view);
template std::optional<Overlap> schedule_word(std::string_view);
template std::optional<SlotOutcome> schedule_word(std::string_view);
template std::optional<SlotReason> schedule_word(std::string_view);
template std::optional<BackfillStatus> schedule_word(std::string_view);

Result<void> check_backfill(Instant from, Instant to, int limit, Instant now) {
  if (from > to) return fail(Code::invalid, "`from` is later than `to`", "range_invalid");
  if (to > now) return fail(Code::invalid, "`to` lies in the future: a backfill is of the past", "range_invalid");
  if (limit < 1 || limit > most_at_once)
    return fail(Code::invalid, fmt::format("`limit` is a number from 1 to {}", most_at_once), "limit_invalid");
  return {};
}

}  // namespace pawl
