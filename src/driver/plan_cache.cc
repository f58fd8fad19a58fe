#include "driver/plan_cache.h"

#include <fmt/format.h>

#include "definition/definition.h"

namespace pawl::driver {
namespace {

// Far more than are in use at once; runs hold on to theirs by themselves.
constexpr std::size_t most_plans = 1'000;

}  // namespace

Result<std::shared_ptr<const engine::Plan>> PlanCache::get(store::Reader& reader, const std::string& workflow,
                                                           int version) {
  {
    const MutexLock lock(mutex_);
    if (const auto found = plans_.find({workflow, version}); found != plans_.end()) return found->second;
  }
  auto row = reader.version(workflow, version);
  if (!row) return std::unexpected(row.error());
  if (!*row) return fail(Code::not_found, fmt::format("version {} of workflow '{}' is not stored", version, workflow));
  auto parsed = definition::parse((*row)->text, {.zone_problem = {}, .schedules = false});
  if (!parsed)
    return fail(Code::corrupt, fmt::format("version {} of workflow '{}' cannot be read any more: {}", version, workflow,
                                           definition::to_text(parsed.error().front(), workflow)));
  auto plan = engine::compile(std::make_shared<const Workflow>(std::move(parsed->workflow)), version);
  if (!plan) return std::unexpected(plan.error());
  put(workflow, *plan);
  return plan;
}

void PlanCache::put(const std::string& workflow, std::shared_ptr<const engine::Plan> plan) {
  const MutexLock lock(mutex_);
  if (plans_.size() >= most_plans) plans_.erase(plans_.begin());
  const int version = plan->version;
  plans_[{workflow, version}] = std::move(plan);
}

}  // namespace pawl::driver
