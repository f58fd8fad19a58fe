// The records of a run as sentences for people.
#pragma once

#include <vector>

#include "api/run_json.h"
#include "model/record.h"

namespace pawl::api {

// One entry a change: {type, text} and, where it is about one, attempt, job, task, try. The tasks that a new attempt
// finds done are entries of their own, with the attempt that did the work. One object a record: {seq, at, entries}.
json::array sentences(const RunHistory& history, const std::vector<Record>& records, std::int64_t after,
                      std::size_t limit);

}  // namespace pawl::api
