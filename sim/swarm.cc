#include "sim/swarm.h"

#include <utility>

#include "sim/shapes.h"

namespace pawl::sim {

Swarm::Swarm(SplitMix random) {
  // Half of the seeds know only some of the faults, and their workflows only some of the language.
  const bool is_calm = random.chance(0.5);
  const bool is_plain = random.chance(0.5);
  const auto draw = [&](What what, double most) {
    const double fraction = random.fraction();
    const bool exists = !random.chance(is_calm ? 0.5 : 0.1);
    rates[static_cast<std::size_t>(what)] = exists ? most * fraction : 0;
  };
  draw(What::crash, 0.04);
  draw(What::crash_before_commit, 0.05);
  draw(What::crash_after_commit, 0.05);
  draw(What::lost_ack, 0.03);
  draw(What::lost_commit, 0.03);
  draw(What::full, 0.1);
  draw(What::conflict, 0.03);
  draw(What::failing_read, 0.08);
  draw(What::failing_start, 0.3);
  draw(What::failure, 0.4);
  draw(What::timeout, 0.1);
  draw(What::refusal, 0.08);
  draw(What::stuck, 0.15);
  draw(What::twice, 0.2);
  draw(What::late, 0.2);
  draw(What::stop, 0.01);
  draw(What::seats, 0.4);
  draw(What::absence, 0.1);
  draw(What::pause, 0.02);
  draw(What::partition, 0.015);
  draw(What::one_way, 0.01);
  draw(What::delay, 0.03);
  draw(What::person, 0.25);
  draw(What::submit, 0.03);
  draw(What::schedule, 0.12);
  rates[static_cast<std::size_t>(What::clear)] = random.chance(0.8) ? 0.02 + 0.3 * random.fraction() : 0;

  const double busy = 0.5 + random.fraction();  // how much is asked, and how much time passes
  const double slow = 0.3 + random.fraction();
  load = {0.08 * busy, 0.37, 0.12 * slow, 0.1 * slow, 0};
  for (std::size_t i = 0; i + 1 < load.size(); ++i) load.back() += load[i];
  load.back() += 0.4;
  if (is_plain)
    for (const std::string_view part : shape_parts())
      if (random.chance(0.4)) missing.emplace(part);
  process_seats = 1 + static_cast<int>(random.below(random.chance(0.2) ? 12 : 3));
  http_seats = random.chance(0.3) ? 1 + static_cast<int>(random.below(4)) : 4096;
  workflows = 1 + static_cast<int>(random.below(3));
  heals_by_restart = random.chance(0.6);
  draw(What::unit_stop, 0.02);
}

void Swarm::no_more_faults() {
  for (std::size_t i = 0; i < what_count; ++i)
    if (is_fault(static_cast<What>(i))) rates[i] = 0;
  for (const What asked : {What::submit, What::person, What::schedule}) rates[static_cast<std::size_t>(asked)] = 0;
}

}  // namespace pawl::sim
