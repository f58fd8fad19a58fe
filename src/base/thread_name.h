// Names a thread of ours, so that `top -H`, a debugger and a profile tell who is at work.
#pragma once

#include <pthread.h>

namespace pawl {

// The calling thread; at most 15 characters.
inline void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), name); }

}  // namespace pawl
