// Whether what a power cut left keeps every promise made before it.
#pragma once

#include <string>
#include <vector>

#include "power/workload.h"

namespace pawl::power {

// `folder` holds an image of the disk after `length` ops of the tape. Opens it as a server would; `go_on`: commits to it
// too, and opens it again. What is wrong, a sentence each.
std::vector<std::string> check_image(const Played& played, std::size_t length, const std::string& folder, bool go_on);

}  // namespace pawl::power
