#include "calendar/timetable.h"

#include <algorithm>

#include "base/hash.h"
#include "base/random.h"

namespace pawl::calendar {

Result<Timetable> Timetable::make(const ScheduleRule& rule, std::shared_ptr<const Zone> zone, ScheduleId id,
                                  Instant created_at) {
  auto cron = Cron::parse(rule.cron);
  if (!cron) return fail(Code::invalid, to_text(cron.error()), "cron_invalid");
  return make(rule, std::make_shared<const Cron>(std::move(*cron)), std::move(zone), id, created_at);
}

Timetable Timetable::of(ScheduleId id, Instant created_at) const {
  Timetable its = *this;
  its.slots_ = slots_.counted_from(start_.value_or(created_at));
  its.id_ = id;
  return its;
}

std::optional<Instant> Timetable::next(Instant after) const {
  if (start_ && after < *start_) after = *start_ - Duration(1);
  const auto slot = slots_.next(after);
  return slot && end_ && *slot > *end_ ? std::nullopt : slot;
}

std::optional<Instant> Timetable::previous(Instant before) const {
  if (end_ && before > *end_) before = *end_ + Duration(1);
  const auto slot = slots_.previous(before);
  return slot && start_ && *slot < *start_ ? std::nullopt : slot;
}

std::int64_t Timetable::count(Instant after, Instant until) const {
  if (start_ && after < *start_) after = *start_ - Duration(1);
  if (end_ && until > *end_) until = *end_;
  return after < until ? slots_.count(after, until) : 0;
}

Instant Timetable::due(Instant slot) const {
  if (jitter_ <= Duration{}) return slot;
  Duration most = jitter_;
  if (const auto following = slots_.next(slot)) most = std::min(most, *following - slot);
  std::uint64_t seed = static_cast<std::uint64_t>(to_us(slot));
  for (const std::uint8_t byte : id_.value.bytes) seed = seed * 131 + byte;
  return slot + Duration(static_cast<std::int64_t>(SplitMix(seed).fraction() * static_cast<double>(most.count())));
}

std::optional<Instant> Timetable::last_due(Instant after, Instant now) const {
  auto slot = previous(now + Duration(1));
  if (slot && due(*slot) > now) slot = previous(*slot);
  return slot && *slot > after ? slot : std::nullopt;
}

std::string rule_key(const ScheduleRule& rule) {
  std::string text;
  for (const char c : rule.cron)
    if (c != ' ' && c != '\t')
      text += c;
    else if (!text.empty() && text.back() != ' ')
      text += ' ';
  while (text.ends_with(' ')) text.pop_back();
  return blake2b_hex(text + '\n' + rule.timezone + '\n' + pawl::to_text(rule.inputs));
}

}  // namespace pawl::calendar
