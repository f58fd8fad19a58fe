// Which runs are meant: the parameters of GET runs, and the `filter` of POST runs/bulk.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>

#include "api/call.h"
#include "store/reader.h"

namespace pawl::api {

constexpr std::array<std::string_view, 6> run_filter_names{"workflow", "status", "trigger",
                                                           "since",    "until",  "trace_id"};

// `value` gives what stands for a name, empty: not given. 400 bad_parameter for what cannot be.
Outcome<store::RunFilter> read_run_filter(const std::function<std::string(std::string_view)>& value);

}  // namespace pawl::api
