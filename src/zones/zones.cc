#include "zones/zones.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/thread_annotations.h"
#include "base/utf8.h"
#include "expression/expression.h"

namespace pawl::zones {
namespace {

namespace fs = std::filesystem;

// Where absl looks, too.
fs::path folder() {
  const char* const named = std::getenv("TZDIR");
  return named && *named ? named : "/usr/share/zoneinfo";
}

// absl would open absolute paths, `file:` names and whatever lies above the folder. Names of zones begin with a capital
// letter, which the folder's other files (posix/, right/, localtime, zone.tab) do not.
bool looks_like_a_name(std::string_view name) {
  constexpr std::size_t longest = 64;
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
  return !name.empty() && name.size() <= longest && name.front() >= 'A' && name.front() <= 'Z' &&
         name.find_first_not_of(allowed) == std::string_view::npos && !name.ends_with('/') &&
         name.find("//") == std::string_view::npos && name != "Factory";
}

bool has_file(std::string_view name) {
  std::error_code error;
  return fs::is_regular_file(folder() / name, error);
}

std::string in_lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string last_part(std::string_view name) { return in_lower_case(name.substr(name.rfind('/') + 1)); }

// The zone that may be meant: Seoul or asia/seoul for Asia/Seoul, and what differs by a letter or two.
std::string near_name(std::string_view name) {
  if (name.size() > 64) return "";
  const std::vector<std::string> known = names();
  const std::string wanted = in_lower_case(name), part = last_part(name);
  for (const std::string& one : known)
    if (in_lower_case(one) == wanted) return one;
  for (const std::string& one : known)
    if (last_part(one) == part) return one;
  return expression::nearest(name, known);
}

Error unknown(std::string_view name) {
  std::string message = fmt::format("`{}` is no time zone", cut_utf8(to_utf8_lossy(name), 64));
  if (const std::string near = near_name(name); !near.empty())
    message += fmt::format("; did you mean {}?", near);
  else
    message += ": write an IANA name, such as Asia/Seoul or UTC";
  return {Code::not_found, std::move(message), "timezone_unknown"};
}

std::int64_t unix_seconds(absl::Time time) { return absl::ToUnixSeconds(time); }

calendar::Zone read(std::string name, const absl::TimeZone& zone) {
  using namespace calendar;
  const auto noon = [](int year, int month, int day) {
    return absl::FromCivil(absl::CivilHour(year, month, day, 12), absl::UTCTimeZone());
  };
  absl::Time at = noon(first_year - 1, 12, 1);
  const absl::Time end = noon(last_year + 1, 2, 1);
  const seconds first(zone.At(at).offset);
  std::vector<Zone::Change> changes;
  absl::TimeZone::CivilTransition change;
  while (zone.NextTransition(at, &change)) {
    const absl::Time next = zone.At(change.to).trans;
    if (next <= at || next >= end) break;
    at = next;
    changes.push_back({sys_seconds{seconds(unix_seconds(at))}, seconds(zone.At(at).offset)});
  }
  return {std::move(name), first, changes};
}

struct Cache {
  Mutex mutex;
  std::map<std::string, std::shared_ptr<const calendar::Zone>, std::less<>> zones GUARDED_BY(mutex);
};
Cache& cache() {
  static Cache kept;
  return kept;
}

std::string first_word_of(const fs::path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

// What follows `zoneinfo/` in a path, without the folders of other ways to count leap seconds.
std::string name_in_path(std::string_view path) {
  constexpr std::string_view mark = "zoneinfo/";
  const std::size_t found = path.rfind(mark);
  if (found == std::string_view::npos) return "";
  std::string_view name = path.substr(found + mark.size());
  for (const std::string_view variant : {"posix/", "right/"})
    if (name.starts_with(variant)) name.remove_prefix(variant.size());
  return std::string(name);
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> found;
  const fs::path root = folder();
  std::error_code error, ignored;
  for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().lexically_relative(root).string();
    if (entry->is_directory(ignored)) {
      if (!looks_like_a_name(name)) entry.disable_recursion_pending();
    } else if (looks_like_a_name(name) && entry->is_regular_file(ignored)) {
      found.push_back(name);
    }
  }
  std::ranges::sort(found);
  return found;
}

Result<std::shared_ptr<const calendar::Zone>> load(std::string_view name) {
  Cache& kept = cache();
  {
    const MutexLock lock(kept.mutex);
    if (const auto found = kept.zones.find(name); found != kept.zones.end()) return found->second;
  }
  absl::TimeZone zone = absl::UTCTimeZone();
  if (name != "UTC") {
    if (!looks_like_a_name(name)) return std::unexpected(unknown(name));
    const std::string text(name);
    if (!has_file(name)) {
      std::error_code error;
      if (!fs::is_directory(folder(), error))
        return fail(Code::unavailable,
                    fmt::format("there are no time zone files in {}: install tzdata", folder().string()),
                    "timezones_missing");
      return std::unexpected(unknown(name));
    }
    if (!absl::LoadTimeZone(text, &zone))
      return fail(Code::unavailable, fmt::format("the file of time zone {} cannot be read", name), "timezones_missing");
  }
  auto made = std::make_shared<const calendar::Zone>(read(std::string(name), zone));
  const MutexLock lock(kept.mutex);
  return kept.zones.emplace(std::string(name), std::move(made)).first->second;
}

std::string problem_of(std::string_view name) {
  const auto zone = load(name);
  return zone ? "" : zone.error().message;
}

Result<std::string> local_name() {
  std::string name;
  if (const char* const set = std::getenv("TZ")) {
    std::string_view text = set;
    if (text.starts_with(':')) text.remove_prefix(1);
    if (text.empty()) return "UTC";
    name = text.starts_with('/') ? name_in_path(text) : std::string(text);
    if (name == "localtime") name.clear();
    if (!name.empty() && (name == "UTC" || (looks_like_a_name(name) && has_file(name)))) return name;
    if (text != "/etc/localtime" && text != "localtime") {
      Error error = unknown(text);
      error.message = "the variable TZ: " + error.message;
      return std::unexpected(std::move(error));
    }
  }
  std::error_code error;
  const fs::path link = fs::read_symlink("/etc/localtime", error);
  if (error && !fs::exists("/etc/localtime", error)) return "UTC";  // as the C library has it
  // A link may lead through others: the name is that of the first that lies among the zones.
  name = name_in_path(link.string());
  if (name.empty()) name = first_word_of("/etc/timezone");
  if (name.empty()) name = name_in_path(fs::canonical("/etc/localtime", error).string());
  if (name == "UTC" || (looks_like_a_name(name) && has_file(name))) return name;
  return fail(Code::not_found, "the time zone of this machine has no name: set TZ, such as TZ=Asia/Seoul",
              "timezone_unknown");
}

std::string data_version() {
  std::ifstream file(folder() / "tzdata.zi");
  std::string hash, word, version;
  file >> hash >> word >> version;
  return hash == "#" && word == "version" ? version : "";
}

}  // namespace pawl::zones
