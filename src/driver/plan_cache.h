// Compiled definitions by workflow and version, read from the store when first asked for.
// Threads: any.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/thread_annotations.h"
#include "engine/plan.h"
#include "store/reader.h"

namespace pawl::driver {

class PlanCache {
 public:
  // Error: corrupt, if the stored text is no definition; not_found; or what the reader says.
  Result<std::shared_ptr<const engine::Plan>> get(store::Reader& reader, const std::string& workflow, int version);
  void put(const std::string& workflow, std::shared_ptr<const engine::Plan> plan);

 private:
  Mutex mutex_;
  std::map<std::pair<std::string, int>, std::shared_ptr<const engine::Plan>> plans_ GUARDED_BY(mutex_);
};

}  // namespace pawl::driver
