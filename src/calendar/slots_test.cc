#include "calendar/slots.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "zones/zones.h"

namespace pawl::calendar {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const Zone> zone(std::string_view name) { return *zones::load(name); }

Slots slots(std::string_view text, std::string_view in = "UTC") {
  auto cron = Cron::parse(text);
  EXPECT_TRUE(cron) << text;
  return {std::move(*cron), zone(in)};
}

Instant at(std::string_view text) { return *parse_rfc3339(text); }

std::vector<std::string> following(const Slots& of, std::string_view after, std::size_t most) {
  std::vector<std::string> found;
  for (std::optional<Instant> slot = at(after); found.size() < most && (slot = of.next(*slot));)
    found.push_back(to_rfc3339(*slot).substr(0, 19));
  return found;
}
using Times = std::vector<std::string>;

TEST(Slots, AreStrictlyLaterAndStrictlyEarlier) {
  const Slots daily = slots("0 8 * * *");
  EXPECT_EQ(daily.next(at("2026-11-23T08:00:00Z")), at("2026-11-24T08:00:00Z"));
  EXPECT_EQ(daily.next(at("2026-11-23T07:59:59.999999Z")), at("2026-11-23T08:00:00Z"));
  EXPECT_EQ(daily.previous(at("2026-11-23T08:00:00Z")), at("2026-11-22T08:00:00Z"));
  EXPECT_EQ(daily.previous(at("2026-11-23T08:00:00.000001Z")), at("2026-11-23T08:00:00Z"));
}

TEST(Slots, OfATimeThatDoesNotExistAreAtTheFirstMinuteAfterTheGap) {
  const Slots night = slots("30 2 * * *", "Europe/Berlin");
  EXPECT_EQ(following(night, "2026-03-28T00:00:00Z", 3),
            (Times{"2026-03-28T01:30:00", "2026-03-29T01:00:00", "2026-03-30T00:30:00"}));
  EXPECT_EQ(night.shift(at("2026-03-29T01:00:00Z")), Slots::Shift::moved);
  EXPECT_EQ(night.shift(at("2026-03-28T01:30:00Z")), Slots::Shift::none);
  // Several are one, and one with a time of its own there is the same.
  EXPECT_EQ(following(slots("0,20,40 2 * * *", "Europe/Berlin"), "2026-03-28T12:00:00Z", 2),
            (Times{"2026-03-29T01:00:00", "2026-03-30T00:00:00"}));
  EXPECT_EQ(following(slots("0 2,3 * * *", "Europe/Berlin"), "2026-03-28T12:00:00Z", 2),
            (Times{"2026-03-29T01:00:00", "2026-03-30T00:00:00"}));
  // Seconds are kept.
  EXPECT_EQ(following(slots("10,50 30 2 * * ?", "Europe/Berlin"), "2026-03-28T12:00:00Z", 3),
            (Times{"2026-03-29T01:00:10", "2026-03-29T01:00:50", "2026-03-30T00:30:10"}));
  // Also where the next time that matches lies in the gap of another year.
  EXPECT_EQ(following(slots("10,50 30 2 ? 3 SUNL", "Europe/Berlin"), "2026-03-01T00:00:00Z", 3),
            (Times{"2026-03-29T01:00:10", "2026-03-29T01:00:50", "2027-03-28T01:00:10"}));
}

TEST(Slots, OfATimeThatIsShownTwiceAreAtTheFirst) {
  const Slots night = slots("30 2 * * *", "Europe/Berlin");
  EXPECT_EQ(following(night, "2026-10-24T12:00:00Z", 2), (Times{"2026-10-25T00:30:00", "2026-10-26T01:30:00"}));
  EXPECT_EQ(night.shift(at("2026-10-25T00:30:00Z")), Slots::Shift::first_of_two);
  EXPECT_EQ(night.next(at("2026-10-25T01:00:00Z")), at("2026-10-26T01:30:00Z"));
  EXPECT_EQ(night.previous(at("2026-10-25T01:10:00Z")), at("2026-10-25T00:30:00Z"));
}

TEST(Slots, OfAnIntervalFollowElapsedTime) {
  const Slots half = slots("*/30 * * * *", "Europe/Berlin");
  EXPECT_EQ(following(half, "2026-10-25T00:00:00Z", 4),
            (Times{"2026-10-25T00:30:00", "2026-10-25T01:00:00", "2026-10-25T01:30:00", "2026-10-25T02:00:00"}));
  EXPECT_EQ(half.shift(at("2026-10-25T00:30:00Z")), Slots::Shift::first_of_two);
  EXPECT_EQ(half.shift(at("2026-10-25T01:30:00Z")), Slots::Shift::second_of_two);
  EXPECT_EQ(half.count(at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z")), 50);
  EXPECT_EQ(half.count(at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")), 46);
  // Every two hours: 02 does not exist, 00 and 04 are three hours apart.
  EXPECT_EQ(following(slots("0 */2 * * *", "Europe/Berlin"), "2026-03-28T22:30:00Z", 3),
            (Times{"2026-03-28T23:00:00", "2026-03-29T02:00:00", "2026-03-29T04:00:00"}));
}

TEST(Slots, OfADayThatACountryLeftOutAreAtTheBeginningOfTheNext) {
  const Slots noon = slots("0 12 * * *", "Pacific/Apia");
  EXPECT_EQ(following(noon, "2011-12-29T00:00:00Z", 3),
            (Times{"2011-12-29T22:00:00", "2011-12-30T10:00:00", "2011-12-30T22:00:00"}));
}

TEST(Slots, AreFoundHoweverFarAwayAndNeverSlowly) {
  EXPECT_EQ(slots("0 0 0 29 2 ? 2196").next(at("1970-01-01T00:00:00Z")), at("2196-02-29T00:00:00Z"));
  EXPECT_EQ(slots("0 0 0 31 12 ? 2199", "Asia/Seoul").next(at("2026-01-01T00:00:00Z")), at("2199-12-30T15:00:00Z"));
  EXPECT_EQ(slots("0 0 * 31 12 ? 2199", "Europe/Berlin").next(at("2026-01-01T00:00:00Z")), at("2199-12-30T23:00:00Z"));
  EXPECT_EQ(slots("0 0 * 1 1 ? 1970", "Europe/Berlin").previous(at("2026-01-01T00:00:00Z")),
            at("1970-01-01T22:00:00Z"));
  EXPECT_EQ(slots("0 0 30 2 *").next(at("2026-01-01T00:00:00Z")), std::nullopt);
  EXPECT_EQ(slots("0 0 30 2 *").previous(at("2026-01-01T00:00:00Z")), std::nullopt);
  EXPECT_EQ(slots("0 0 30 2 *").count(at("1970-01-01T00:00:00Z"), at("2199-12-31T00:00:00Z")), 0);
  // A leap day on a Monday, by way of its number in the month.
  EXPECT_EQ(slots("0 0 0 ? 2 MON#5").next(at("2026-01-01T00:00:00Z")), at("2044-02-29T00:00:00Z"));
  // An interval that lies in gaps and nowhere else.
  EXPECT_EQ(slots("0 30 2/22 ? 3 SUNL", "Europe/Berlin").next(at("2026-01-01T00:00:00Z")), std::nullopt);
  EXPECT_EQ(slots("0 30 2/22 ? 3 SUNL", "Europe/Berlin").count(at("2026-01-01T00:00:00Z"), Instant::max()), 0);
  EXPECT_EQ(slots("0 30 2/22 29 3 ? 2026", "Europe/Berlin").next(at("2026-01-01T00:00:00Z")), std::nullopt);
  EXPECT_EQ(slots("0 30 2/22 29 3 ? 2026", "Europe/Berlin").previous(at("2030-01-01T00:00:00Z")), std::nullopt);
}

TEST(Slots, EndWithTheYears) {
  for (const char* text : {"* * * * *", "* * * * * ?", "30 2 * * *", "@every 90s"}) {
    const Slots all = slots(text, "America/New_York");
    EXPECT_EQ(all.next(Instant::max()), std::nullopt) << text;
    EXPECT_EQ(all.next(at("2200-01-02T00:00:00Z")), std::nullopt) << text;
    EXPECT_TRUE(all.next(Instant::min())) << text;
    EXPECT_EQ(all.previous(Instant::min()), std::nullopt) << text;
    EXPECT_TRUE(all.previous(Instant::max())) << text;
    EXPECT_GE(all.count(Instant::min(), Instant::max()), 80'000) << text;
  }
}

TEST(Slots, AreCountedWithoutBeingVisited) {
  EXPECT_EQ(slots("* * * * * ?").count(at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z")), 30 * 86'400);
  EXPECT_EQ(slots("* * * * * ?").count(at("1970-01-01T00:00:00Z"), at("2199-12-31T23:59:59Z")), 7'258'118'399);
  const Slots daily = slots("0 8 * * *");
  EXPECT_EQ(daily.count(at("2026-11-01T08:00:00Z"), at("2026-11-03T08:00:00Z")), 2);
  EXPECT_EQ(daily.count(at("2026-11-03T08:00:00Z"), at("2026-11-03T08:00:00Z")), 0);
  EXPECT_EQ(daily.count(at("2026-11-04T08:00:00Z"), at("2026-11-03T08:00:00Z")), 0);
}

TEST(Every, CountsFromItsAnchor) {
  const Slots every{*Cron::parse("@every 90s"), zone("UTC"), at("2026-11-23T08:00:00.7Z")};
  EXPECT_EQ(every.next(at("2026-11-23T07:00:00Z")), at("2026-11-23T08:00:00Z"));
  EXPECT_EQ(every.next(at("2026-11-23T08:00:00Z")), at("2026-11-23T08:01:30Z"));
  EXPECT_EQ(every.next(at("2026-11-23T08:01:29.5Z")), at("2026-11-23T08:01:30Z"));
  EXPECT_EQ(every.previous(at("2026-11-23T08:01:30Z")), at("2026-11-23T08:00:00Z"));
  EXPECT_EQ(every.previous(at("2026-11-23T08:00:00Z")), std::nullopt);
  EXPECT_EQ(every.count(at("2026-11-23T08:00:00Z"), at("2026-11-23T09:00:00Z")), 40);
  EXPECT_EQ(every.count(at("2026-11-23T07:00:00Z"), at("2026-11-23T08:00:00Z")), 1);
  EXPECT_EQ(every.shift(at("2026-11-23T08:01:30Z")), Slots::Shift::none);
}

// --- against a search second by second ---

class Dice {
 public:
  explicit Dice(unsigned seed) : random_(seed) {}
  int of(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  bool chance(int percent) { return of(1, 100) <= percent; }
  std::string one_of(const std::vector<std::string>& texts) {
    return texts[static_cast<std::size_t>(of(0, static_cast<int>(texts.size()) - 1))];
  }

 private:
  std::mt19937 random_;
};

std::string list(Dice& dice, int low, int high) {
  std::string text;
  for (int parts = dice.of(1, 3); parts > 0; --parts) {
    const int from = dice.of(low, high), to = dice.of(from, high);
    if (!text.empty()) text += ',';
    text += std::to_string(from);
    if (dice.chance(50)) text += "-" + std::to_string(to);
    if (dice.chance(30)) text += "/" + std::to_string(dice.of(1, (high - low) / 2));
  }
  return text;
}

std::string any_expression(Dice& dice) {
  const auto some = [&](int low, int high) { return dice.chance(30) ? "*" : list(dice, low, high); };
  const std::string seconds = dice.chance(40) ? "0" : list(dice, 0, 59);
  const std::string hours = dice.one_of({"*", "*/2", "0/3", "2", "1-3", "0,2,23", "0-5/2", list(dice, 0, 23)});
  std::string days = dice.one_of({"*", "*", "L", "LW", "15W", "1W", "L-2", list(dice, 1, 31)});
  std::string weekdays = "?";
  if (dice.chance(40)) {
    days = "?";
    weekdays = dice.one_of({"*", "1#2", "SUNL", "MON-FRI", "SAT-SUN", "1", list(dice, 1, 7)});
  }
  return seconds + " " + dice.one_of({"*", "*/20", "0", "30", list(dice, 0, 59)}) + " " + hours + " " + days + " " +
         some(1, 12) + " " + weekdays;
}

// All slots from `from` to `to`, by walking over every second of the wall clock and every instant.
std::set<std::int64_t> searched(const Cron& cron, const Zone& in, std::int64_t from, std::int64_t to) {
  std::set<std::int64_t> found;
  std::map<std::int64_t, std::int64_t> shown;  // wall-clock second: its first instant
  for (std::int64_t instant = from; instant <= to; ++instant) {
    const std::int64_t wall = instant + in.at(sys_seconds{seconds(instant)}).offset.count();
    shown.emplace(wall, instant);
    if (cron.follows_elapsed_time() && matches(cron, local_seconds{seconds(wall)})) found.insert(instant);
  }
  if (cron.follows_elapsed_time()) return found;
  for (std::int64_t wall = shown.begin()->first; wall <= shown.rbegin()->first; ++wall) {
    if (!matches(cron, local_seconds{seconds(wall)})) continue;
    const auto next = shown.lower_bound(wall);
    found.insert(next->first == wall ? next->second : next->second + wall % 60);
  }
  return found;
}

TEST(Slots, AgreeWithASearchThroughEverySecond) {
  // Around changes of all kinds: an hour, half an hour, two hours, a whole day left out, and none.
  struct Place {
    const char* zone;
    const char* around;
  };
  const auto places = std::to_array<Place>({{"Europe/Berlin", "2026-03-29T01:00:00Z"},
                                            {"Europe/Berlin", "2026-10-25T01:00:00Z"},
                                            {"America/Sao_Paulo", "2018-11-04T03:00:00Z"},
                                            {"America/Sao_Paulo", "2018-02-18T02:00:00Z"},
                                            {"Australia/Lord_Howe", "2026-10-03T15:30:00Z"},
                                            {"Australia/Lord_Howe", "2026-04-04T15:00:00Z"},
                                            {"Antarctica/Troll", "2026-03-29T01:00:00Z"},
                                            {"Pacific/Apia", "2011-12-30T10:00:00Z"},
                                            {"Asia/Kathmandu", "1985-12-31T18:30:00Z"},
                                            {"UTC", "2028-02-29T12:00:00Z"}});
  unsigned seed = 0;
  for (const Place& place : places) {
    for (int round = 0; round < 4; ++round) {
      Dice dice(++seed);
      const std::string text = any_expression(dice);
      SCOPED_TRACE(std::string(place.zone) + " " + place.around + " seed " + std::to_string(seed) + ": " + text);
      const Slots of = slots(text, place.zone);
      const std::int64_t middle = to_us(at(place.around)) / 1'000'000;
      const std::int64_t from = middle - 90'000, to = middle + 90'000;
      // The search begins a day before what is compared, and ends a minute after.
      const std::set<std::int64_t> all = searched(of.cron(), of.zone(), from - 90'000, to + 60);
      const std::vector<std::int64_t> wanted(all.upper_bound(from), all.upper_bound(to));
      std::vector<std::int64_t> found;
      const Instant first{seconds(from)}, last{seconds(to)};
      for (std::optional<Instant> slot = first; (slot = of.next(*slot)) && *slot <= last;)
        found.push_back(to_us(*slot) / 1'000'000);
      ASSERT_EQ(found, wanted);
      std::vector<std::int64_t> back;
      for (std::optional<Instant> slot = last + 1us; (slot = of.previous(*slot)) && *slot > first;)
        back.insert(back.begin(), to_us(*slot) / 1'000'000);
      ASSERT_EQ(back, wanted);
      ASSERT_EQ(of.count(first, last), static_cast<std::int64_t>(wanted.size()));
      for (int i = 0; i < 20; ++i) {
        const std::int64_t a = dice.of(0, 180'000) + from, b = dice.of(0, 180'000) + from;
        const auto between = std::distance(all.upper_bound(std::min(a, b)), all.upper_bound(std::max(a, b)));
        ASSERT_EQ(of.count(Instant{seconds(std::min(a, b))}, Instant{seconds(std::max(a, b))}), between);
        const auto later = all.upper_bound(a);
        if (later != all.end() && *later <= to) {
          ASSERT_EQ(of.next(Instant{seconds(a)}), Instant{seconds(*later)});
        }
        const auto earlier = all.lower_bound(b);
        if (earlier != all.begin() && *std::prev(earlier) > from) {
          ASSERT_EQ(of.previous(Instant{seconds(b)}), Instant{seconds(*std::prev(earlier))});
        }
      }
    }
  }
}

// A zone whose clock is changed as no country's is: often, by seconds, twice within minutes.
TEST(Slots, AgreeWithTheSearchInAZoneGoneMad) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    Dice dice(seed);
    const std::int64_t middle = 1'800'000'000;
    std::vector<Zone::Change> changes;
    for (std::int64_t when = middle - 60'000; when < middle + 60'000; when += dice.of(120, 30'000))
      changes.push_back({sys_seconds{seconds(when)}, seconds(dice.of(-200, 200) * 45)});
    const auto mad = std::make_shared<const Zone>("Mad", 0s, changes);
    const std::string text = any_expression(dice);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + text);
    const Slots of{*Cron::parse(text), mad};
    if (!of.cron().follows_elapsed_time()) continue;  // what moves where is said for whole minutes only
    const std::int64_t from = middle - 80'000, to = middle + 80'000;
    const std::set<std::int64_t> all = searched(of.cron(), of.zone(), from, to);
    const std::vector<std::int64_t> wanted(all.upper_bound(from), all.end());
    std::vector<std::int64_t> found, back;
    const Instant first{seconds(from)}, last{seconds(to)};
    for (std::optional<Instant> slot = first; (slot = of.next(*slot)) && *slot <= last;)
      found.push_back(to_us(*slot) / 1'000'000);
    for (std::optional<Instant> slot = last + 1us; (slot = of.previous(*slot)) && *slot > first;)
      back.insert(back.begin(), to_us(*slot) / 1'000'000);
    ASSERT_EQ(found, wanted);
    ASSERT_EQ(back, wanted);
    ASSERT_EQ(of.count(first, last), static_cast<std::int64_t>(wanted.size()));
  }
}

TEST(Slots, GoForthAndBackWithoutLosingOne) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    Dice dice(seed);
    const std::string text = any_expression(dice);
    const std::string in = dice.one_of({"UTC", "Europe/Berlin", "America/New_York", "Africa/Casablanca", "Asia/Seoul"});
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + text + " in " + in);
    const Slots of = slots(text, in);
    std::optional<Instant> slot = Instant{std::chrono::hours(24 * 365) * dice.of(1, 220)};
    for (int i = 0; i < 30; ++i) {
      const auto next = of.next(*slot);
      if (!next) break;
      ASSERT_GT(*next, *slot);
      ASSERT_EQ(of.previous(*next + 1us), next);
      ASSERT_EQ(of.count(*slot, *next), 1);
      const auto before = of.previous(*next);
      ASSERT_TRUE(!before || *before < *next);
      ASSERT_TRUE(!before || of.next(*before) == next);
      slot = next;
    }
  }
}

}  // namespace
}  // namespace pawl::calendar
