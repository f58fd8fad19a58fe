// Finds out which fences work on this machine, in a process that enters one as a task would. What the kernel claims to
// support is not enough: a host may grant a namespace and refuse the mount in it, and the root of a chroot is not a
// mount point.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "runner/process/guard_wire.h"

namespace pawl::runner {

// Runs `PROGRAM __guard try …` and waits for it. nullopt: the fence closes the files in `data` and leaves `workspace`
// usable; otherwise the reason why not, for the log. Both folders exist; their paths are absolute and free of links.
// Threads: any.
std::optional<std::string> try_fence(const std::string& program, Fence fence, const std::string& data,
                                     const std::string& workspace);
// The same for the filter of call_filter.h.
std::optional<std::string> try_call_filter(const std::string& program);

// Runs in that process, with the arguments after `try`. Returns its exit code.
int run_trial(std::span<char* const> words);

}  // namespace pawl::runner
