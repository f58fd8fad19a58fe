// Limits that engine and runners share (docs/semantics.md): what a runner keeps is what the engine may store.
#pragma once

#include <cstddef>

namespace pawl {

constexpr std::size_t max_output_value = 1 << 20;  // bytes of one output's value
constexpr std::size_t preview_bytes = 16 << 10;    // first bytes kept for looking at of what is no value

}  // namespace pawl
