#include "model/status.h"

#include <array>

#include "base/check.h"

namespace pawl {
namespace {

template <class Enum>
struct Names;
template <>
struct Names<RunStatus> {
  static constexpr auto list =
      std::to_array<std::string_view>({"queued", "running", "waiting", "success", "failed", "cancelled"});
};
template <>
struct Names<WorkStatus> {
  static constexpr auto list =
      std::to_array<std::string_view>({"pending", "running", "waiting", "success", "failed", "skipped", "cancelled"});
};
template <>
struct Names<TryStatus> {
  static constexpr auto list =
      std::to_array<std::string_view>({"running", "success", "failed", "timed_out", "interrupted", "cancelled"});
};
template <>
struct Names<SkipReason> {
  static constexpr auto list = std::to_array<std::string_view>({"", "condition", "upstream", "done", "interrupted"});
};
template <>
struct Names<WaitsFor> {
  static constexpr auto list =
      std::to_array<std::string_view>({"", "timer", "retry", "approval", "release", "child", "group", "limit", "node"});
};
template <>
struct Names<Trigger> {
  static constexpr auto list = std::to_array<std::string_view>(
      {"manual", "api", "schedule", "webhook", "workflow", "late", "recovery", "resume", "rerun"});
};
template <>
struct Names<Answered> {
  static constexpr auto list = std::to_array<std::string_view>({"approved", "rejected", "done", "rerun", "fail"});
};

template <class Enum>
std::string_view name(Enum value) {
  const auto index = static_cast<std::size_t>(value);
  check(index < Names<Enum>::list.size());
  return Names<Enum>::list[index];
}

}  // namespace

std::string_view to_string(RunStatus status) { return name(status); }
std::string_view to_string(WorkStatus status) { return name(status); }
std::string_view to_string(TryStatus status) { return name(status); }
std::string_view to_string(SkipReason reason) { return name(reason); }
std::string_view to_string(WaitsFor waits_for) { return name(waits_for); }
std::string_view to_string(Trigger trigger) { return name(trigger); }
std::string_view to_string(Answered answer) { return name(answer); }

template <class Enum>
std::optional<Enum> from_string(std::string_view text) {
  const auto& list = Names<Enum>::list;
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}

template std::optional<RunStatus> from_string(std::string_view);
template std::optional<WorkStatus> from_string(std::string_view);
template std::optional<TryStatus> from_string(std::string_view);
template std::optional<SkipReason> from_string(std::string_view);
template std::optional<WaitsFor> from_string(std::string_view);
template std::optional<Trigger> from_string(std::string_view);
template std::optional<Answered> from_string(std::string_view);

}  // namespace pawl
