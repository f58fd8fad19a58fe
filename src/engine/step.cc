#include "engine/step.h"

#include "base/planted.h"
#include "engine/record_codec.h"

namespace pawl::engine {

void Step::emit(Change change, const std::shared_ptr<const Plan>& new_plan) {
  if (broken()) return;
  const auto held_before = s.seats_held;
  if (const auto applied = apply(s, change, now, new_plan); !applied) {
    out.broken = applied.error().message;
    return;
  }
  const auto* tried = std::get_if<TryEnded>(&change);
  const bool leaks = planted(Planted::leaked_seat) && tried && tried->status == TryStatus::timed_out;
  for (std::size_t kind = 0; kind < held_before.size() && !leaks; ++kind)
    limits.used[kind] += s.seats_held[kind] - held_before[kind];
  if (const auto* ended = std::get_if<JobEnded>(&change); ended && job(ended->job).of < 0)
    for (const int dependent : plan(ended->job).dependents)
      if (progress(dependent).open_needs <= (planted(Planted::hasty_job) ? 1 : 0)) ready.push_back(dependent);
  changes_.push_back(std::move(change));
}

void Step::finish() {
  if (broken() || changes_.empty()) return;
  const bool row_changed = settle_row(s, now);
  ++s.seq;
  s.last_at = now;
  limits.note_waiting(s);
  limits.note_places(s.run);
  limits.note_probation(s);
  if (!s.held()) limits.wants_probation.erase(s.run.id);  // else it would be offered its turn for ever
  out.changes.record = RecordRow{s.run.id, s.seq, now, encode(changes_)};
  if (row_changed && !out.changes.new_run) out.changes.run = s.run;
  out.record = Record{s.seq, now, std::move(changes_)};
}

}  // namespace pawl::engine
