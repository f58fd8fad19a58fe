// Answers for tests/cron/oracle_test.py: each line of standard input is one question, and gets one line.
//
//   times ZONE FROM TO EXPR    SHA-256 of the slots from FROM to before TO, as 64-bit little-endian Unix seconds
//   rules ZONE FROM TO         the changes of offset between, each as INSTANT:OFFSET, the offset at FROM first
//
// Words are separated by tabs; what is wrong is answered with `error: …`.
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "calendar/slots.h"
#include "zones/zones.h"

namespace {

using namespace pawl;  // NOLINT(google-build-using-namespace): a program of its own

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find('\t', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::string hash_of_times(const calendar::Slots& slots, std::int64_t from, std::int64_t to) {
  std::string bytes;
  std::int64_t before = from - 1;
  const Instant end{std::chrono::seconds(to)};
  for (std::optional<Instant> slot = Instant{std::chrono::seconds(before)};
       (slot = slots.next(*slot)) && *slot < end;) {
    const auto time =
        static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(*slot).time_since_epoch().count());
    for (int byte = 0; byte < 8; ++byte) bytes += static_cast<char>(time >> (8 * byte) & 0xFF);
  }
  return sha256_hex(bytes);
}

std::string rules_of(const calendar::Zone& zone, std::int64_t from, std::int64_t to) {
  std::string text;
  for (const calendar::Stretch& stretch : zone.stretches()) {
    const std::int64_t begin = std::max(from, stretch.begin.time_since_epoch().count());
    if (stretch.end.time_since_epoch().count() > from && begin < to)
      text += std::to_string(begin) + ":" + std::to_string(stretch.offset.count()) + " ";
  }
  return text;
}

std::string answer(const std::vector<std::string>& words) {
  if (words.size() < 4) return "error: too few words";
  const auto zone = zones::load(words[1]);
  if (!zone) return "error: " + zone.error().message;
  const std::int64_t from = std::stoll(words[2]), to = std::stoll(words[3]);
  if (words[0] == "rules") return rules_of(**zone, from, to);
  if (words.size() != 5) return "error: five words are needed";
  auto cron = calendar::Cron::parse(words[4]);
  if (!cron) return "error: " + calendar::to_text(cron.error());
  return hash_of_times({std::move(*cron), *zone}, from, to);
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << answer(split(line)) << std::endl;
}
