// Workflows that the simulator runs: drawn from a seed, as text, so that definition and expressions are in the play too.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace pawl::sim {

// The kinds of parts that a workflow may do without.
std::span<const std::string_view> shape_parts();
// The expressions of schedules.
std::span<const std::string_view> drawn_crons();

struct ShapeOptions {
  std::string name;
  // Its tasks carry it in their bodies, so that a later version can be told from it. Also the first word of the names of
  // its parts: `w0@3/j1/t2/retry`.
  std::string mark;
  const std::set<std::string>* missing = nullptr;  // kinds of parts that it has not
  std::function<bool(const std::string& part)> may_have = {};  // empty: anything
};
struct Shape {
  std::string text;
  std::vector<std::string> parts;  // that it could do without
};

// A workflow with some of all that the language has; its tasks hand on tokens of the tasks before them. A task called
// `poison` kills the server; one in a few workflows has such a task. Groups have the same names in all workflows. Each part
// is drawn on a stream of its own, so that one can be left out and the others stay.
Shape draw_shape(std::uint64_t seed, const ShapeOptions& options);

}  // namespace pawl::sim
