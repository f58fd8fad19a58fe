#include "app/descriptors.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>

namespace pawl::app {
namespace {

constexpr std::size_t own = 40;  // the store and its readers, sockets to wake threads, the guard
// Its control socket, two pipes and its log, and a few more while it is started.
constexpr std::size_t a_process = 6;
constexpr std::size_t a_call = 2;  // one more while its host is looked up
constexpr std::size_t least_connections = 4, most_connections = 10'000;
constexpr std::size_t usual_processes = 64, usual_calls = 4096;

std::size_t limit(rlim_t rlimit::* which) {
  rlimit files{};
  return ::getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.*which : 1024;
}

// The number that was asked for; nullopt: the usual number, or as many as possible.
std::optional<std::size_t> number(const std::optional<std::int64_t>& asked) {
  return asked && *asked > 0 ? std::optional(static_cast<std::size_t>(*asked)) : std::nullopt;
}

std::size_t most_of(const std::optional<std::int64_t>& asked, std::size_t usual) {
  return asked ? static_cast<std::size_t>(cli::AtOnce::most) : usual;
}

std::string words(const cli::AtOnce& asked) {
  std::string text;
  if (number(asked.processes)) text = fmt::format("--max-processes {}", *asked.processes);
  if (number(asked.calls)) text += fmt::format("{}--max-http-calls {}", text.empty() ? "" : " and ", *asked.calls);
  return text;
}

}  // namespace

Result<DescriptorShares> share_out(std::size_t descriptors, const cli::AtOnce& asked) {
  const auto processes = number(asked.processes), calls = number(asked.calls);
  const std::size_t least = a_process * processes.value_or(1) + a_call * calls.value_or(1);
  std::size_t left = std::max(descriptors, fewest_descriptors) - own;
  if (least + least_connections > left)
    return fail(Code::unavailable,
                fmt::format("{} need{} {} file descriptors, but only {} are allowed: raise the limit (`ulimit -n`, or "
                            "LimitNOFILE= of systemd), or ask for fewer",
                            words(asked), processes && calls ? "" : "s", own + least + least_connections, descriptors),
                "too_few_descriptors");
  DescriptorShares shares;
  shares.connections = std::min(most_connections, std::clamp(left / 5, least_connections, left - least));
  left -= shares.connections;
  if (processes) left -= a_process * *processes;
  if (calls) left -= a_call * *calls;

  const std::size_t most_processes = most_of(asked.processes, usual_processes);
  const std::size_t most_calls = most_of(asked.calls, usual_calls);
  // A kind with 0 (as many as possible) gets what the usual number of the other kind leaves. If both are 0 or both are
  // not given, processes get half at most, and calls the rest.
  if (processes && calls) {
    shares.processes = *processes;
    shares.calls = *calls;
  } else if (processes) {
    shares.processes = *processes;
    shares.calls = std::min(most_calls, left / a_call);
  } else if (calls || (asked.processes && !asked.calls)) {
    shares.calls = calls ? *calls : std::min(most_calls, left / 2 / a_call);
    if (!calls) left -= a_call * shares.calls;
    shares.processes = std::min(most_processes, left / a_process);
  } else {
    shares.processes = std::min(most_processes, left / 2 / a_process);
    shares.calls = std::min(most_calls, (left - a_process * shares.processes) / a_call);
  }
  return shares;
}

std::size_t descriptor_limit() { return limit(&rlimit::rlim_cur); }
std::size_t hard_descriptor_limit() { return limit(&rlimit::rlim_max); }

void take_all_descriptors() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace pawl::app
