// What was committed, told in words: `w0 #1: j0/t0 begins its try 1`.
#pragma once

#include <string>

#include "engine/state.h"
#include "model/record.h"
#include "sim/ledger.h"

namespace pawl::sim {

// `w0 #1`: how stories call a run.
std::string name_of_run(const Run& run);
// `before` may have no plan, if the run begins with this change.
// With names in place of the ids of runs.
std::string with_names(std::string line, const Ledger& ledger);
std::string tell(const engine::RunState& before, const Change& change);

}  // namespace pawl::sim
