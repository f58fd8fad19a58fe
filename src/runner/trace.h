// W3C Trace Context of a task, the same for the header of an HTTP call and the environment of a process.
#pragma once

#include <string>

#include "model/command.h"

namespace pawl::runner {

// 00-TRACE-SPAN-01. The span is the work, not the try, so that all tries of a generation show as one.
std::string traceparent(const StartTask& task);

}  // namespace pawl::runner
