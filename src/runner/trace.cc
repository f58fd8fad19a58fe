#include "runner/trace.h"

#include <fmt/format.h>

#include "base/hash.h"

namespace pawl::runner {

std::string traceparent(const StartTask& task) {
  return fmt::format("00-{}-{}-01", task.trace_id, sha256_hex(task.idempotency_key).substr(0, 16));
}

}  // namespace pawl::runner
