// What a question about a cron expression costs: `./dev bench cron`, one JSON object a line. `absl_pairs` is the same in
// conversions of an instant to the wall clock and back by absl/time, measured in the same run: a machine's speed and its
// other work cancel out. `scan` lines are the same answer found minute by minute.
#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>

#include "base/check.h"
#include "calendar/slots.h"
#include "zones/zones.h"

namespace {

using namespace pawl;  // NOLINT(google-build-using-namespace): a program of its own
using calendar::Cron;
using calendar::Slots;

std::int64_t sink = 0;  // what was computed has to be used

// Nanoseconds a call, the median of rounds of some milliseconds each.
double measure(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto run = [&](std::int64_t calls) {
    const auto begin = Clock::now();
    for (std::int64_t i = 0; i < calls; ++i) call();
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
  };
  std::int64_t calls = 1;
  while (run(calls) < 2e6) calls *= 2;
  std::array<double, 15> rounds{};
  for (double& round : rounds) round = run(calls) / static_cast<double>(calls);
  std::ranges::sort(rounds);
  return rounds[rounds.size() / 2];
}

double pair_of_conversions() {
  absl::TimeZone berlin;
  check(absl::LoadTimeZone("Europe/Berlin", &berlin));
  std::int64_t at = 1'795'392'000;
  return measure([&] {
    const absl::CivilSecond civil = absl::ToCivilSecond(absl::FromUnixSeconds(at), berlin);
    sink += absl::ToUnixSeconds(absl::FromCivil(civil, berlin));
    at += 61;
  });
}

// As a loop over the minutes finds it.
double scan_for(int hour) {
  absl::TimeZone berlin;
  check(absl::LoadTimeZone("Europe/Berlin", &berlin));
  return measure([&] {
    std::int64_t at = 1'795'392'000;
    for (;; at += 60) {
      const absl::CivilSecond civil = absl::ToCivilSecond(absl::FromUnixSeconds(at), berlin);
      if (civil.hour() == hour && civil.minute() == 0) break;
    }
    sink += at;
  });
}

void print(std::string_view what, std::string_view cron, double ns, double pair) {
  fmt::print("{{\"workload\":\"cron\",\"what\":\"{}\",\"cron\":\"{}\",\"ns\":{:.0f},\"absl_pairs\":{:.2f}}}\n", what,
             cron, ns, ns / pair);
}

}  // namespace

int main() {
  const double pair = pair_of_conversions();
  print("absl pair", "", pair, pair);
  const auto berlin = *zones::load("Europe/Berlin");
  const Instant now{std::chrono::seconds(1'795'392'000)};
  const Instant year_later = now + std::chrono::hours(24 * 365);
  for (const char* text : {"* * * * * ?", "*/15 * * * *", "0 8 * * *", "0 0 8 ? * MON-FRI", "0 0 12 LW * ?",
                           "0 0 9 ? * FRI#3", "0 0 29 2 *", "0 0 0 ? 2 MON#5", "0 0 0 31 12 ? 2199",
                           "0 0 * 31 12 ? 2199", "0 30 2/22 29 3 ? 2026", "0 0 30 2 *", "@every 90s"}) {
    print("parse", text, measure([&] { sink += Cron::parse(text)->never() ? 1 : 0; }), pair);
    const Slots slots(*Cron::parse(text), berlin, now);
    Instant at = now;
    print("next", text, measure([&] {
            const auto slot = slots.next(at);
            at = slot.value_or(now);
            if (at > year_later) at = now;
            sink += to_us(at);
          }),
          pair);
    print("previous", text, measure([&] { sink += slots.previous(now) ? 1 : 0; }), pair);
    print("count a year", text, measure([&] { sink += slots.count(now, year_later); }), pair);
  }
  print("scan", "0 8 * * *", scan_for(8), pair);
  return sink == 0 ? 1 : 0;
}
