#include "driver/seating.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/log.h"

namespace pawl::driver {
namespace {

// The list may hold this many ended tries more than running ones, so that clearing it costs almost nothing per start.
constexpr std::size_t slack = 64;

void warn(Seat seat, const SeatCount& count) {
  const std::string oldest = count.oldest ? fmt::format("{}#{} {}/{}", count.oldest->workflow, count.oldest->number,
                                                        count.oldest->job, count.oldest->task)
                                          : "";
  log::warning("runs wait, and a limit has been reached for 5 minutes",
               {{"limit", std::string(limit_name(seat))},
                {"size", std::to_string(count.size)},
                {"waiting", std::to_string(count.waiting)},
                {"oldest", oldest},
                {"run", count.oldest ? to_string(count.oldest->run) : ""},
                {"since", count.oldest ? to_rfc3339(count.oldest->since) : ""}});
}

}  // namespace

Seating::Seating(std::array<int, seat_kinds> sizes, Find find, Show show)
    : find_(std::move(find)), show_(std::move(show)) {
  for (std::size_t k = 0; k < seat_kinds; ++k) kinds_[k].size = kinds_[k].shown.size = sizes[k];
}

bool Seating::holds(const Held& held) const {
  const engine::RunState* const state = find_(held.run);
  return state && state->in_flight.contains(held.ref) && state->task(held.ref).last_try == held.try_number;
}

void Seating::taken(const StartTask& start, Instant now, const engine::Limits& limits) {
  const Seat seat = std::holds_alternative<HttpInput>(start.input) ? Seat::http : Seat::process;
  auto& held = kinds_[static_cast<std::size_t>(seat)].held;
  held.push_back({start.run, start.ref, start.try_number, now});
  if (held.size() > 2 * static_cast<std::size_t>(limits.used[static_cast<std::size_t>(seat)]) + slack)
    std::erase_if(held, [this](const Held& one) { return !holds(one); });
}

void Seating::show(Seat seat, Kind& kind, const engine::Limits& limits) {
  while (!kind.held.empty() && !holds(kind.held.front())) kind.held.pop_front();
  const auto oldest = kind.held.empty() ? std::nullopt : std::optional(kind.held.front());
  const int used = limits.used[static_cast<std::size_t>(seat)];
  const std::size_t waiting = limits.waiting[static_cast<std::size_t>(seat)].size();
  if (used == kind.shown.taken && waiting == kind.shown.waiting && oldest == kind.shown_oldest) return;
  kind.shown.taken = used;
  kind.shown.waiting = waiting;
  if (oldest != kind.shown_oldest) {
    kind.shown_oldest = oldest;
    kind.shown.oldest.reset();
    if (oldest) {
      const engine::RunState& state = *find_(oldest->run);
      kind.shown.oldest = SeatHolder{.run = oldest->run,
                                     .workflow = state.run.workflow,
                                     .number = state.run.number,
                                     .job = state.job_name(oldest->ref.job),
                                     .task = state.plan_of(oldest->ref).task->id,
                                     .since = oldest->since};
    }
  }
  if (show_) show_(seat, kind.shown);
}

void Seating::look(const engine::Limits& limits, Instant now, bool settled) {
  for (std::size_t k = 0; k < seat_kinds; ++k) {
    Kind& kind = kinds_[k];
    const bool wanted = !limits.waiting[k].empty();
    if (!wanted && kind.shown.waiting == 0) continue;
    const auto seat = static_cast<Seat>(k);
    show(seat, kind, limits);
    const bool full = limits.used[k] >= kind.size;
    if (!wanted || (!full && settled)) {
      kind.full_since.reset();
      kind.warned = false;
    } else if (full && !kind.full_since) {
      kind.full_since = now;
    }
    if (kind.full_since && !kind.warned && now - *kind.full_since >= patience) {
      kind.warned = true;
      warn(seat, kind.shown);
    }
  }
}

}  // namespace pawl::driver
