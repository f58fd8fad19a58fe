// The fence around a task: Landlock (Linux 5.13 and later) keeps it out of the server's folders, for good and for all that
// it starts, whichever user it runs as.
//
// What a fenced task cannot do:
//   - open, change, make or remove a file in the hidden folders, but for the open one among them. Their names can be
//     listed: Landlock only knows what is allowed below a folder, so what must be possible in `/` is possible in all of it.
//   - make or remove entries directly in a folder that holds a hidden one, or open what others made there after it began
//   - trace a process outside the fence or look into its memory, its environment or its descriptors (/proc/PID/environ)
//   - from Linux 6.12 on: signal a process outside the fence
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "runner/process/descriptor.h"

namespace pawl::runner {

// What the kernel knows of Landlock, 1 and more; 0: nothing, or it is not for us.
int landlock_version();
// It keeps a fenced process from signalling others.
constexpr int landlock_that_holds_signals = 6;

// A fence for one task. The paths are absolute and free of links. Invalid, with errno set, if the kernel makes none.
Descriptor make_fence(std::span<const std::string> hidden, const std::string& open);

// From this version on, the kernel can isolate a task without closing files to it.
constexpr int landlock_that_isolates = 2;
// Closes no file, but keeps a task from tracing or inspecting processes outside, and from signalling them where the
// kernel supports that. Without it, the root folder of another process of the user (/proc/PID/root) is a way around a
// cover.
Descriptor make_isolation();

// Puts this process inside, for ever. Needs no_new_privs, or a process that may do anything. Returns an errno, or 0.
int enter_fence(const Descriptor& fence);

}  // namespace pawl::runner
