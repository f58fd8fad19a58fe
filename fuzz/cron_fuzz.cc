// Any bytes as a cron expression: a problem lies in the text; what is taken has slots in order, forth and back, as many as are
// counted, and is explained in valid UTF-8. No input may be slow.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/utf8.h"
#include "calendar/slots.h"
#include "calendar/words.h"

namespace {

using namespace pawl;  // NOLINT(google-build-using-namespace): a program of its own
using namespace pawl::calendar;  // NOLINT(google-build-using-namespace)

// A zone with a change of each kind, some of them within days.
std::shared_ptr<const Zone> zone() {
  const auto at = [](std::int64_t unix_seconds) { return sys_seconds{seconds(unix_seconds)}; };
  static const auto made = std::make_shared<const Zone>("Fuzz", seconds(3600),
                                                        std::vector<Zone::Change>{{at(1'774'746'000), seconds(7200)},
                                                                                  {at(1'774'832'400), seconds(9000)},
                                                                                  {at(1'792'890'000), seconds(3600)},
                                                                                  {at(1'793'000'000), seconds(90'000)},
                                                                                  {at(4'000'000'000), seconds(-3600)}});
  return made;
}

void walk(const Slots& slots, Instant from) {
  std::optional<Instant> slot = from;
  std::int64_t steps = 0;
  for (; steps < 20; ++steps) {
    const auto next = slots.next(*slot);
    if (!next) break;
    check(*next > *slot && slots.previous(*next + Duration(1)) == next);
    const auto before = slots.previous(*next);
    check(!before || (*before < *next && slots.next(*before) == next));
    (void)slots.shift(*next);
    slot = next;
  }
  check(slots.count(from, *slot) == steps);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto cron = Cron::parse(text);
  if (!cron) {
    const Problem& problem = cron.error();
    check(problem.position >= 1 && problem.position <= static_cast<int>(size) + 1);
    check(!problem.message.empty() && is_utf8(to_text(problem)) && !to_string(problem.field).empty());
    return 0;
  }
  check(is_utf8(text) && size <= max_text);
  for (const Problem& warning : cron->warnings()) check(is_utf8(to_text(warning)));
  for (const Language language : {Language::english, Language::korean}) {
    const std::string words = describe(*cron, language);
    check(!words.empty() && is_utf8(words) && words.size() < 4096);
  }
  const bool never = cron->never();
  const Slots slots(std::move(*cron), zone(), from_us(1'774'700'000'000'000));
  check(!never || !slots.next(Instant::min()));
  for (const std::int64_t at :
       {0LL, 1'774'740'000LL, 1'792'880'000LL, 1'792'999'000LL, 3'999'990'000LL, 7'250'000'000LL})
    walk(slots, Instant{std::chrono::seconds(at)});
  return 0;
}
