#include "engine/groups.h"

#include "base/planted.h"

namespace pawl::engine {

void Groups::note(const Run& run) {
  const bool rests = planted(Planted::place_of_waiting) && run.status == RunStatus::waiting;
  // Who stands in line behind an earlier run of its schedule does not ask for a place yet.
  const bool in_line = run.slot && run.slot->in_line;
  if (run.group.empty() || is_final(run.status) || rests || in_line) return forget(run.id);
  const Place place{run.group_since.value_or(run.created_at), run.number, run.id};
  if (const auto found = members_.find(run.id);
      found != members_.end() && found->second.holds == run.group_held && found->second.place == place)
    return;
  forget(run.id);
  members_.emplace(run.id, Member{run.group, place, run.group_held});
  Group& group = groups_[run.group];
  if (run.group_held) {
    group.holders.insert(run.id);
  } else {
    group.queue.emplace(place, Waiter{run.group_limit, run.group_cancels});
    ++waiting_;
  }
  settle(run.group);
}

void Groups::forget(RunId run) {
  const auto found = members_.find(run);
  if (found == members_.end()) return;
  const Member member = found->second;
  members_.erase(found);
  Group& group = groups_[member.group];
  group.told.erase(run);
  if (member.holds) {
    group.holders.erase(run);
  } else {
    waiting_ -= group.queue.erase(member.place);
    group.told.clear();  // what was told may not have been stored; being told twice changes nothing
  }
  settle(member.group);
  if (group.holders.empty() && group.queue.empty()) groups_.erase(member.group);
}

bool Groups::may_take(const Run& run) const {
  const auto found = groups_.find(run.group);
  if (found == groups_.end()) return true;
  const Group& group = found->second;
  const int limit = run.group_limit + (planted(Planted::crowded_group) ? 1 : 0);
  if (group.holders.size() >= static_cast<std::size_t>(limit)) return false;
  if (planted(Planted::queue_jumper)) return true;
  return group.queue.empty() || std::get<RunId>(group.queue.begin()->first) == run.id;
}

std::vector<RunId> Groups::to_cancel(const std::string& name) {
  std::vector<RunId> runs;
  Group& group = groups_[name];
  for (const RunId run : group.holders)
    if (group.told.insert(run).second) runs.push_back(run);
  settle(name);
  return runs;
}

std::optional<RunId> Groups::first_of(const std::string& group) const {
  return std::get<RunId>(groups_.at(group).queue.begin()->first);
}

void Groups::settle(const std::string& name) {
  const Group& group = groups_.at(name);
  bool ready = false;
  if (!group.queue.empty()) {
    const Waiter& first = group.queue.begin()->second;
    ready = group.holders.size() < static_cast<std::size_t>(first.limit) ||
            (first.cancels && group.told.size() < group.holders.size());
  }
  if (ready)
    ready_.insert(name);
  else
    ready_.erase(name);
}

}  // namespace pawl::engine
