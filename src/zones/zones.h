// Time zones by their IANA names, from the system's zone files (package tzdata), and the name of the machine's own zone.
// Threads: any.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "calendar/zone.h"

namespace pawl::zones {

// The rules of a zone from 1970 to 2199. What was loaded once is kept, so a changed file is seen by a new process alone.
// UTC needs no file. Errors: not_found with the name `timezone_unknown`, and a near name if there is one; unavailable, if
// there are no zone files at all.
Result<std::shared_ptr<const calendar::Zone>> load(std::string_view name);

// What is wrong with the name, in one sentence that tells a near one; empty: nothing, it can be loaded.
// As definition::ParseOptions::zone_problem wants it.
std::string problem_of(std::string_view name);

// Of this machine: TZ if it is set, else what /etc/localtime points to, else /etc/timezone, else UTC.
// Error: not_found with the name `timezone_unknown`, if what is there names no zone.
Result<std::string> local_name();

// All names of the system's files, sorted.
std::vector<std::string> names();

// Such as 2026f; empty if the files do not say.
std::string data_version();

}  // namespace pawl::zones
