// The expressions of tests/cron, whose fire times are known from elsewhere.
#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "calendar/slots.h"
#include "zones/zones.h"

namespace pawl::calendar {
namespace {

std::vector<Json> lines_of(const std::string& name) {
  std::ifstream file("tests/cron/" + name);
  EXPECT_TRUE(file) << "tests/cron/" << name << " is looked for from the project's root";
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) lines.push_back(*parse_json(line));
  return lines;
}

Slots slots_of(const Json& line) {
  auto cron = Cron::parse(find_string(line, "cron"));
  EXPECT_TRUE(cron) << find_string(line, "cron") << ": " << (cron ? "" : cron.error().message);
  return {std::move(*cron), *zones::load(find_string(line, "tz"))};
}

Instant at(std::int64_t unix_seconds) { return Instant{std::chrono::seconds(unix_seconds)}; }

std::vector<std::int64_t> wanted(const Json& line) {
  std::vector<std::int64_t> times;
  for (const Json& time : find(line, "next")->get_array()) times.push_back(time.to_number<std::int64_t>());
  return times;
}

// What follows `after`, and whether looking back from the last of them finds the same.
void play(const std::string& file, std::size_t most, std::size_t at_least) {
  const std::vector<Json> lines = lines_of(file);
  EXPECT_GE(lines.size(), at_least);
  for (const Json& line : lines) {
    SCOPED_TRACE(pawl::to_text(line));
    const Slots slots = slots_of(line);
    const Instant after = at(*find_int(line, "after"));
    const std::vector<std::int64_t> times = wanted(line);
    std::vector<std::int64_t> found;
    std::optional<Instant> slot = after;
    while (found.size() < most && (slot = slots.next(*slot))) found.push_back(to_us(*slot) / 1'000'000);
    EXPECT_EQ(found, times);
    if (times.empty()) continue;
    std::vector<std::int64_t> back{times.back()};
    for (slot = at(times.back()); (slot = slots.previous(*slot)) && *slot > after;)
      back.insert(back.begin(), to_us(*slot) / 1'000'000);
    EXPECT_EQ(back, times);
    EXPECT_EQ(slots.count(after, at(times.back())), static_cast<std::int64_t>(times.size()));
  }
}

TEST(Vectors, SixAndSevenFieldsFireAsInQuartz) { play("quartz.jsonl", 8, 1400); }
TEST(Vectors, FiveFieldsFireAsInCrontab) { play("unix.jsonl", 8, 300); }
TEST(Vectors, ChangesOfTheClockLoseAndDoubleNothing) { play("dst.jsonl", 6, 200); }

TEST(Vectors, WhatIsNoExpressionIsRefusedWithFieldAndPosition) {
  const std::vector<Json> lines = lines_of("invalid.jsonl");
  EXPECT_GE(lines.size(), 25U);
  for (const Json& line : lines) {
    const std::string_view text = find_string(line, "cron");
    const auto cron = Cron::parse(text);
    ASSERT_FALSE(cron) << text;
    EXPECT_GE(cron.error().position, 1) << text;
    EXPECT_LE(cron.error().position, static_cast<int>(text.size()) + 1) << text;
    EXPECT_FALSE(cron.error().message.empty());
    EXPECT_FALSE(to_string(cron.error().field).empty());
  }
}

}  // namespace
}  // namespace pawl::calendar
