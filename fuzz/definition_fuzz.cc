// Any bytes as a workflow file: they become a workflow that its canonical JSON describes again, or problems with a
// place each, in order.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include "base/check.h"
#include "base/utf8.h"
#include "definition/definition.h"

namespace {

using pawl::check;
using pawl::definition::Problem;

void check_problems(const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) {
    check(problem.line >= 1 && problem.column >= 1 && !problem.message.empty());
    check(pawl::is_utf8(problem.message) && pawl::is_utf8(problem.hint));
  }
  const auto place = [](const Problem& problem) { return std::tuple(problem.line, problem.column); };
  check(std::ranges::is_sorted(problems, {}, place));
}

void check_round_trip(const pawl::Workflow& workflow) {
  const std::string canonical = pawl::to_text(pawl::definition::to_json(workflow));
  // With its defaults spelled out, and aliases written out, it may pass the limits.
  if (canonical.size() > pawl::definition::max_text / 4) return;
  const auto again = pawl::definition::parse(canonical);
  check(again.has_value());
  check(pawl::to_text(pawl::definition::to_json(again->workflow)) == canonical);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto parsed = pawl::definition::parse(text);
  if (!parsed) {
    check(!parsed.error().empty());
    check_problems(parsed.error());
    return 0;
  }
  check_problems(parsed->warnings);
  check_round_trip(parsed->workflow);
  (void)pawl::definition::check_inputs(parsed->workflow, pawl::json::object(), true);
  return 0;
}
