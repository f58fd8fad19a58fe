// What is worth something on this machine as a fence, found out by a process that goes behind it as a task would. What the
// kernel says of itself is not enough: a host may grant a namespace and refuse the mount in it, and a root that was changed
// is no mount at all.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "runner/process/guard_wire.h"

namespace pawl::runner {

// Runs `PROGRAM __guard try …` and waits for it. Nothing: tasks are kept from the files in `data` and work in `workspace`;
// else why not, in the system's words. Both are folders that exist, absolute and free of links. Threads: any.
std::optional<std::string> try_fence(const std::string& program, Fence fence, const std::string& data,
                                     const std::string& workspace);
// Likewise for call_filter.h.
std::optional<std::string> try_call_filter(const std::string& program);

// The inside of that process: the words behind `try`. Returns its exit code.
int run_trial(std::span<char* const> words);

}  // namespace pawl::runner
