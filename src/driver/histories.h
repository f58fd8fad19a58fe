// Committed runs, read from the store and folded. Threads: any; each call takes a reader from a small pool.
#pragma once

#include <memory>

#include "driver/inbox.h"
#include "driver/plan_cache.h"
#include "store/store.h"

namespace pawl::driver {

// Both must outlive it.
std::unique_ptr<Histories> make_histories(store::Store& store, PlanCache& plans);

}  // namespace pawl::driver
