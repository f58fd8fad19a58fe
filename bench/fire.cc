// fire: schedules whose slots come due, through the server's own driver and store. A firing is the ledger's row, the
// schedule's new cursor and the run that it starts, in one commit; lateness is told from when a slot was due until that
// commit is durable.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <set>

#include "base/hash.h"
#include "base/random.h"
#include "bench/limits.h"
#include "bench/measure.h"
#include "bench/workloads.h"
#include "bench/world.h"

namespace pawl::bench {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

constexpr std::size_t at_once = 10'000;  // schedules that are stored in one commit
constexpr std::size_t million = 1'000'000;
constexpr int day = 86'400;

Instant wall_now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

// An expression for that second alone.
std::string only_at(Instant slot) {
  const auto midnight = floor<std::chrono::days>(slot);
  const std::chrono::year_month_day date(midnight);
  const std::chrono::hh_mm_ss time(floor<seconds>(slot - midnight));
  return fmt::format("{} {} {} {} {} ? {}", time.seconds().count(), time.minutes().count(), time.hours().count(),
                     static_cast<unsigned>(date.day()), static_cast<unsigned>(date.month()),
                     static_cast<int>(date.year()));
}

// Stores so many schedules of the workflow `tick`; `fill` gives each its rule and progress.
std::vector<ScheduleId> seed(store::Store& store, std::size_t count,
                             const std::function<void(ScheduleRow&, std::size_t)>& fill) {
  SplitMix random(count);
  std::vector<ScheduleId> ids;
  const Instant now = wall_now();
  for (std::size_t done = 0; done < count;) {
    auto changes = std::make_shared<ScheduleChanges>();
    for (const std::size_t end = std::min(count, done + at_once); done < end; ++done) {
      ScheduleRow row;
      row.id = {uuid_v7(now + Duration(static_cast<std::int64_t>(done)), random.next(), random.next())};
      row.workflow = "tick";
      row.name = fmt::format("s{}", done);
      row.rule.timezone = "UTC";
      row.rule.overlap = Overlap::allow;
      row.rule.misfire_threshold = std::chrono::hours(24);
      row.same = blake2b_hex(row.name);
      row.created_at = row.updated_at = now;
      fill(row, done);
      ids.push_back(row.id);
      changes->put.push_back(std::move(row));
    }
    const Changeset change{.schedules = std::move(changes)};
    need(store.commit({&change, 1}), "schedules");
  }
  return ids;
}

// A store with the workflow and its schedules, before the driver that fires them starts.
std::vector<ScheduleId> prepare(const std::string& folder, std::size_t count,
                                const std::function<void(ScheduleRow&, std::size_t)>& fill) {
  World world({.folder = folder});
  world.start();
  world.submit(chain(1, "tick"));
  world.stop();
  return seed(world.store(), count, fill);
}

// What has become durable, and when. Written by the thread that commits.
class Tally {
 public:
  explicit Tally(World& world) : world_(world) {
    world.store().on_durable = [this](std::span<const Changeset> changes) { note(changes); };
    world.on_end = [this](const Run& run) {
      must(run.status == RunStatus::success, "a run ended as " + std::string(to_string(run.status)));
      runs_at_ = Steady::now();
      runs_.fetch_add(1);
      runs_.notify_all();
    };
  }
  void wait_for_fired(std::size_t count) const { wait(fired_, count); }
  void wait_for_runs(std::size_t count) const { wait(runs_, count); }
  std::size_t fired() const { return fired_; }
  Steady::time_point fired_at() const { return fired_at_; }
  Steady::time_point runs_at() const { return runs_at_; }
  // In milliseconds, of those that were due at `since` or later.
  std::vector<double> lateness(Instant since) {
    const std::lock_guard lock(mutex_);
    std::vector<double> found;
    for (const auto& [due, late] : late_)
      if (due >= since) found.push_back(static_cast<double>(late.count()) / 1e3);
    return found;
  }

 private:
  static void wait(const std::atomic<std::size_t>& value, std::size_t count) {
    for (std::size_t seen; (seen = value.load()) < count;) value.wait(seen);
  }
  void note(std::span<const Changeset> changes) {
    const Instant now = world_.now();
    const std::lock_guard lock(mutex_);
    std::size_t found = 0;
    for (const Changeset& change : changes) {
      if (!change.schedules) continue;
      for (const LedgerRow& row : change.schedules->ledger) {
        must(row.outcome == SlotOutcome::fired, "a slot was passed over");
        const Instant due = row.at - row.lateness;
        late_.emplace_back(due, now - due);
        ++found;
      }
    }
    if (found == 0) return;
    fired_at_ = Steady::now();
    fired_ += found;
    fired_.notify_all();
  }

  World& world_;
  std::mutex mutex_;
  std::vector<std::pair<Instant, Duration>> late_;
  std::atomic<std::size_t> fired_ = 0, runs_ = 0;
  std::atomic<Steady::time_point> fired_at_{}, runs_at_{};
};

// Every schedule has so many rows in the ledger, each with a run of its own that is there. Ends the program otherwise.
void check_ledger(store::Store& store, const std::vector<ScheduleId>& ids, std::size_t slots) {
  const auto reader = need(store.reader(), "reader");
  std::set<RunId> runs;
  std::string cursor;
  do {
    const auto page = need(reader->runs({}, 200, cursor), "runs");
    for (const Run& run : page.items) runs.insert(run.id);
    cursor = page.next_cursor;
  } while (!cursor.empty());
  must(runs.size() == ids.size() * slots, fmt::format("fire: {} runs in the store", runs.size()));
  for (const ScheduleId id : ids) {
    const auto rows = need(reader->ledger(id, {}, slots + 1), "ledger");
    must(rows.size() == slots, fmt::format("fire: {} rows for a schedule with {} slots", rows.size(), slots));
    for (const LedgerRow& row : rows)
      must(row.run && runs.erase(*row.run) == 1, "fire: a row of the ledger without a run of its own");
  }
}

// All slots are due when the driver starts. `ends`: the runs end, too.
void burst(bool ends) {
  constexpr std::size_t count = 100'000;
  progress(fmt::format("fire: {} slots that are due at once, {}", count,
                       ends ? "and their runs" : "with tries that do not end"));
  const Folder folder;
  const Instant slot = floor<seconds>(wall_now()) - seconds(1);
  const auto ids = prepare(folder.path, count, [&](ScheduleRow& row, std::size_t) {
    row.rule.cron = only_at(slot);
    row.progress = {.cursor = slot - seconds(1), .next_at = slot};
  });
  World world({.folder = folder.path,
               .outcome = [&](const StartTask&) { return ends ? std::optional(success(80)) : std::nullopt; },
               .waits = ends});
  Tally tally(world);
  const auto begin = Steady::now();
  const Stretch stretch;
  world.start();
  tally.wait_for_fired(count);
  if (ends) tally.wait_for_runs(count);
  const double cpu = stretch.cpu(), others = stretch.others_cores();
  const auto commits = world.store().commits();
  world.stop();
  check_ledger(world.store(), ids, 1);
  const auto rate = [&](Steady::time_point end) { return count / std::chrono::duration<double>(end - begin).count(); };
  json::object more{{"what", ends ? "burst_with_runs" : "burst"}, {"schedules", count}, {"commits", commits}};
  if (ends) {
    must(count_rows(world.store()).runs == count, "fire: a run has not ended in success");
    more["runs_per_second"] = rate(tally.runs_at());
  }
  more["limit_is"] = "SQLite rows/s at 500 a transaction";
  more["others_cores"] = others;
  print({.workload = "fire",
         .value = rate(tally.fired_at()),
         .unit = "fires/s",
         .cpu_us_per_step = cpu * 1e6 / count,
         .limit = sqlite_rows_per_second(folder.path, 500, 80),
         .more = std::move(more)});
}

// Schedules that fire each second, for so long; with jitter their slots are due all over the second.
void every_second(const char* what, std::size_t count, std::size_t for_seconds, Duration jitter) {
  progress(fmt::format("fire: {} schedules each second for {} s{}", count, for_seconds,
                       jitter > Duration{} ? ", spread over the second" : ""));
  const Folder folder;
  // Storing them takes a while; the first slots are not measured, so that nothing is cold.
  constexpr std::size_t warm_up = 2;
  const std::size_t slots = for_seconds + warm_up;
  const Instant from = floor<seconds>(wall_now()) + seconds(4);
  const auto ids = prepare(folder.path, count, [&](ScheduleRow& row, std::size_t) {
    row.rule.cron = "* * * * * ?";
    row.rule.jitter = jitter;
    row.rule.end = from + seconds(slots);
    row.progress = {.cursor = from, .next_at = from + seconds(1)};
  });
  World world({.folder = folder.path});
  Tally tally(world);
  must(world.now() < from + seconds(1), "fire: the schedules were stored too late");
  world.start();
  tally.wait_for_fired(count * warm_up);
  const auto commits = world.store().commits();
  const Stretch stretch;
  tally.wait_for_fired(count * slots);
  const double cpu = stretch.cpu(), others = stretch.others_cores(), wall = stretch.wall();
  const auto fires = static_cast<double>(count * for_seconds);
  tally.wait_for_runs(count * slots);
  world.stop();
  const auto commits_made = world.store().commits() - commits;
  check_ledger(world.store(), ids, slots);
  auto late = tally.lateness(from + seconds(warm_up + 1));
  const double p99 = quantile(late, 0.99), p50 = quantile(late, 0.5);
  print({.workload = "fire",
         .value = p50,
         .unit = "ms",
         .cpu_us_per_step = cpu * 1e6 / fires,
         .limit = 1e3 / append_syncs_per_second(folder.path),
         .less_is_better = true,
         .more = {{"what", what},
                  {"p99_ms", p99},
                  {"most_ms", late.back()},
                  {"schedules", count},
                  {"fires_per_second", fires / wall},
                  {"commits", commits_made},
                  {"limit_is", "an append of 4 KiB with fdatasync"},
                  {"others_cores", others}}});
}

// Daily schedules, spread evenly over the day, of a million; only those of the first `most` seconds from `from` on.
void prepare_daily(const std::string& folder, Instant from, int most) {
  const auto first = (floor<seconds>(from) - floor<std::chrono::days>(from)).count();
  const auto count = static_cast<std::size_t>(static_cast<double>(million) * most / day);
  prepare(folder, count, [&](ScheduleRow& row, std::size_t i) {
    const auto ahead = static_cast<long>(i * day / million) + 1;
    const auto second = (first + ahead) % day;
    row.rule.cron = fmt::format("{} {} {} * * ?", second % 60, second / 60 % 60, second / 3600);
    row.progress = {.cursor = floor<seconds>(from), .next_at = floor<seconds>(from) + seconds(ahead)};
  });
}

void say(std::string_view text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

// What is due among them, as it comes.
int fire_daily(const std::string& folder) {
  constexpr unsigned long_enough = 20;  // seconds
  World world({.folder = folder});
  Tally tally(world);
  world.start();
  tally.wait_for_fired(1);
  say(fmt::format("{:.6f}", monotonic_seconds()));
  ::sleep(3);  // what was due before is gone
  const Instant since = world.now();
  const std::size_t before = tally.fired();
  const Stretch stretch;
  ::sleep(long_enough);
  const double cpu = stretch.cpu();
  auto late = tally.lateness(since);
  const auto fires = static_cast<double>(tally.fired() - before);
  say(fmt::format("{:.6f} {:.6f} {:.6f} {:.6f}", fires, quantile(late, 0.5), quantile(late, 0.99), cpu));
  ::pause();  // until it is killed
  return 1;
}

void daily(int most) {
  const auto count = static_cast<std::size_t>(static_cast<double>(million) * most / day);
  progress(fmt::format("fire: {} daily schedules, 11 or 12 of them each second", count));
  const Folder folder;
  const auto begin = Steady::now();
  prepare_daily(folder.path, wall_now(), most);
  const double stored = seconds_since(begin);
  const Stretch stretch;
  Child child({"fire-child", folder.path});
  double first = 0, fires = 0, p50 = 0, p99 = 0, cpu = 0;
  must(std::sscanf(child.line().c_str(), "%lf", &first) == 1, "fire: no slot fires");
  const double memory = tree_memory(child.pid());
  must(std::sscanf(child.line().c_str(), "%lf %lf %lf %lf", &fires, &p50, &p99, &cpu) == 4, "fire: too few slots fire");
  const double others = stretch.others_cores(cpu), memory_later = tree_memory(child.pid());
  child.signal(SIGKILL);
  child.wait();
  const auto report = [&](const char* what, double value, const char* unit, json::object more = {}) {
    more["what"] = what;
    more["schedules"] = count;
    more["others_cores"] = others;
    print({.workload = "fire",
           .value = value,
           .unit = unit,
           .cpu_us_per_step = cpu * 1e6 / std::max(1.0, fires),
           .less_is_better = true,
           .more = std::move(more)});
  };
  const bool all = count == million;
  report(all ? "million_first" : "few_first", first - child.started(), "s", {{"stored_in_s", stored}});
  report(all ? "million_rss" : "few_rss", memory, "MiB", {{"later_mib", memory_later}});
  report(all ? "million_late" : "few_late", p50, "ms", {{"p99_ms", p99}, {"fires", fires}});
}

}  // namespace

int fire_child(const std::vector<std::string>& arguments) {
  must(arguments.size() == 1, "fire-child FOLDER");
  return fire_daily(arguments[0]);
}

void fire() {
  burst(false);
  burst(true);
  every_second("at_200", 200, 30, {});
  every_second("at_200_spread", 200, 30, seconds(1));
  every_second("at_5000", 5'000, 20, {});
  daily(300);
  daily(day);
}

}  // namespace pawl::bench
