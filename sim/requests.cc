#include "sim/requests.h"

#include <fmt/format.h>

namespace pawl::sim {
namespace {

constexpr std::string_view prefix = "asks ";

}  // namespace

std::string Requests::name(std::string_view what) { return fmt::format("{}{} {}", prefix, what, ++count_); }

void Requests::refused(const std::string& name) {
  refused_.insert(name);
  if (const auto stored = stored_.find(name); stored != stored_.end())
    report_("request", stored->second, name + " was refused, and stands in the store");
}

void Requests::started(const std::string& workflow, const std::string& key, const Json& inputs, RunId run) {
  if (key.empty()) return;
  const std::pair known{run, to_text(inputs)};
  const auto& [first, said] = keys_.try_emplace({workflow, key}, known).first->second;
  if (first != run) report_("key", run, fmt::format("the key '{}' has started {} already", key, to_string(first)));
  if (said != known.second) report_("key", run, fmt::format("the key '{}' was given with other inputs", key));
}

void Requests::stands(const std::string& name, RunId run) {
  if (!name.starts_with(prefix)) return;
  if (refused_.contains(name)) report_("request", run, name + " was refused, and is carried out");
  if (!stored_.try_emplace(name, run).second) report_("request", run, name + " is carried out twice");
}

void Requests::read(RunId run, const Change& change) {
  if (const auto* started = std::get_if<AttemptStarted>(&change)) {
    if (started->who.trigger != Trigger::recovery) stands(started->who.user, run);
  } else if (const auto* stop = std::get_if<StopAsked>(&change)) {
    // The end of a run's time, and a run that wants its place in a group, are told in the name of another request.
    if (stop->who.user.starts_with(fmt::format("{}cancel", prefix))) stands(stop->who.user, run);
  } else if (const auto* answered = std::get_if<TaskAnswered>(&change)) {
    stands(answered->response.who.user, run);
  }
}

}  // namespace pawl::sim
