#include "api/run_filter.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace pawl::api {
namespace {

template <class Enum>
Outcome<std::optional<Enum>> enumerator(std::string_view name, const std::string& given) {
  if (given.empty()) return std::nullopt;
  const auto value = from_string<Enum>(given);
  if (!value) return refuse("bad_parameter", fmt::format("{} cannot be '{}'", name, cut_utf8(given, 100)));
  return value;
}

}  // namespace

Outcome<store::RunFilter> read_run_filter(const std::function<std::string(std::string_view)>& value) {
  store::RunFilter filter;
  filter.workflow = value("workflow");
  filter.trace_id = value("trace_id");
  const auto status = enumerator<RunStatus>("status", value("status"));
  if (!status) return std::unexpected(status.error());
  filter.status = *status;
  const auto trigger = enumerator<Trigger>("trigger", value("trigger"));
  if (!trigger) return std::unexpected(trigger.error());
  filter.trigger = *trigger;
  const auto since = time_value("since", value("since")), until = time_value("until", value("until"));
  if (!since) return std::unexpected(since.error());
  if (!until) return std::unexpected(until.error());
  filter.since = *since;
  filter.until = *until;
  return filter;
}

}  // namespace pawl::api
