// The words of a run's life, spelled the same in code, database, JSON and UI (docs/semantics.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pawl {

enum class RunStatus : std::uint8_t { queued, running, waiting, success, failed, cancelled };  // runs and attempts
enum class WorkStatus : std::uint8_t {
  pending,
  running,
  waiting,
  success,
  failed,
  skipped,
  cancelled
};  // job and task runs
enum class TryStatus : std::uint8_t { running, success, failed, timed_out, interrupted, cancelled };
enum class SkipReason : std::uint8_t { none, condition, upstream, done, interrupted };
enum class WaitsFor : std::uint8_t { none, timer, retry, approval, release, child, group, limit, node };
enum class Trigger : std::uint8_t { manual, api, schedule, webhook, workflow, late, recovery, resume, rerun };

// What a person said to a task that waited for it.
enum class Answered : std::uint8_t { approved, rejected, done, rerun, fail };

constexpr bool is_final(RunStatus s) {
  return s == RunStatus::success || s == RunStatus::failed || s == RunStatus::cancelled;
}
constexpr bool is_final(WorkStatus s) {
  return s == WorkStatus::success || s == WorkStatus::failed || s == WorkStatus::skipped || s == WorkStatus::cancelled;
}
constexpr bool is_final(TryStatus s) { return s != TryStatus::running; }

std::string_view to_string(RunStatus status);
std::string_view to_string(WorkStatus status);
std::string_view to_string(TryStatus status);
std::string_view to_string(SkipReason reason);  // empty for none
std::string_view to_string(WaitsFor waits_for);  // empty for none
std::string_view to_string(Trigger trigger);
std::string_view to_string(Answered answer);

// The enumerator spelled so; nullopt for any other text. Empty text is `none` where there is one.
template <class Enum>
std::optional<Enum> from_string(std::string_view text);

}  // namespace pawl
