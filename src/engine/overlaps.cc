#include "engine/overlaps.h"

#include "base/planted.h"

namespace pawl::engine {

void Overlaps::note(const Run& run) {
  if (!run.slot || is_final(run.status) || run.who.trigger == Trigger::late) return forget(run.id);
  const SlotOrigin& slot = *run.slot;
  const Place place{slot.slot, run.number, run.id};
  if (const auto found = members_.find(run.id); found != members_.end() && found->second.in_line == slot.in_line)
    return;
  forget(run.id);
  members_.emplace(run.id, Member{slot.schedule, place, slot.in_line, slot.backfill});
  if (slot.backfill) {
    ++backfills_[*slot.backfill];
    return;
  }
  Line& line = lines_[slot.schedule];
  if (slot.in_line)
    line.waiting.emplace(place, slot.cancels);
  else
    line.open.insert(run.id);
  settle(slot.schedule);
}

void Overlaps::forget(RunId run) {
  const auto found = members_.find(run);
  if (found == members_.end()) return;
  const Member member = found->second;
  members_.erase(found);
  if (member.backfill) {
    if (--backfills_[*member.backfill] == 0) backfills_.erase(*member.backfill);
    return;
  }
  Line& line = lines_[member.schedule];
  line.told.erase(run);
  if (member.in_line) {
    line.waiting.erase(member.place);
    line.told.clear();  // what was told may not have been stored; being told twice changes nothing
  } else {
    line.open.erase(run);
  }
  settle(member.schedule);
  if (line.open.empty() && line.waiting.empty()) lines_.erase(member.schedule);
}

bool Overlaps::any_open(ScheduleId schedule) const { return lines_.contains(schedule); }

bool Overlaps::any_in_line(ScheduleId schedule) const {
  const auto found = lines_.find(schedule);
  return found != lines_.end() && !found->second.waiting.empty();
}

bool Overlaps::may_begin(RunId run) const {
  const auto member = members_.find(run);
  if (member == members_.end() || !member->second.in_line || planted(Planted::crowded_schedule)) return true;
  const Line& line = lines_.at(member->second.schedule);
  return line.open.empty() && std::get<RunId>(line.waiting.begin()->first) == run;
}

std::vector<RunId> Overlaps::untold(const Line& line, const Place& place) const {
  std::vector<RunId> runs;
  for (const RunId run : line.open)
    if (!line.told.contains(run)) runs.push_back(run);
  for (const auto& [other, cancels] : line.waiting)
    if (other < place && !line.told.contains(std::get<RunId>(other))) runs.push_back(std::get<RunId>(other));
  return runs;
}

std::vector<RunId> Overlaps::to_cancel(RunId run) {
  const auto member = members_.find(run);
  if (member == members_.end() || !member->second.in_line) return {};
  Line& line = lines_.at(member->second.schedule);
  if (!line.waiting.at(member->second.place)) return {};
  std::vector<RunId> runs = untold(line, member->second.place);
  line.told.insert(runs.begin(), runs.end());
  settle(member->second.schedule);
  return runs;
}

std::optional<RunId> Overlaps::next() const {
  if (ready_.empty()) return std::nullopt;
  const Line& line = lines_.at(*ready_.begin());
  // Whoever cancels is the last: those before it in line go as well.
  if (line.open.empty()) return std::get<RunId>(line.waiting.begin()->first);
  return std::get<RunId>(line.waiting.rbegin()->first);
}

int Overlaps::open_of(BackfillId backfill) const {
  const auto found = backfills_.find(backfill);
  return found == backfills_.end() ? 0 : found->second;
}

void Overlaps::settle(ScheduleId schedule) {
  const Line& line = lines_.at(schedule);
  bool ready = !line.waiting.empty() && line.open.empty();
  if (!ready && !line.waiting.empty() && line.waiting.rbegin()->second)
    ready = !untold(line, line.waiting.rbegin()->first).empty();
  if (ready)
    ready_.insert(schedule);
  else
    ready_.erase(schedule);
}

}  // namespace pawl::engine
