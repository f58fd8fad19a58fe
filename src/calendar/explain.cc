#include "calendar/explain.h"

namespace pawl::calendar {

std::vector<Instant> next_slots(const Slots& slots, Instant after, std::int64_t count) {
  std::vector<Instant> times;
  for (std::optional<Instant> time = after;
       static_cast<std::int64_t>(times.size()) < count && (time = slots.next(*time));)
    times.push_back(*time);
  return times;
}

Json explain(const Slots& slots, std::span<const Instant> times, Language language) {
  json::array next;
  for (const Instant time : times)
    next.push_back(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
  json::object answer{{"cron", slots.cron().text()},
                      {"tz", slots.zone().name()},
                      {"description", describe(slots.cron(), language)},
                      {"next", std::move(next)}};
  if (!slots.cron().warnings().empty()) {
    json::array warnings;
    for (const Problem& warning : slots.cron().warnings()) warnings.push_back(to_json(warning));
    answer["warnings"] = std::move(warnings);
  }
  return answer;
}

json::object to_json(const Problem& problem) {
  return {{"field", to_string(problem.field)}, {"position", problem.position}, {"message", problem.message}};
}

}  // namespace pawl::calendar
