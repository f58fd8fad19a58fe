// The parts of a definition, each read from its node. Inside of the room.
#pragma once

#include <optional>
#include <vector>

#include "definition/reader.h"

namespace pawl::definition {

// What `defaults` says for the tasks below it.
struct Defaults {
  Retry retry;
  std::optional<Duration> timeout;
};

// An entry of `needs`.
struct Need {
  std::string_view name;
  const Node* node = nullptr;
};

// Reads the whole file; what is wrong with the text, and with names in it that are not in expressions, is in the reader.
Workflow read_workflow(Reader& reader, const Node& root);

// parts: read_workflow.cc, read_task.cc, read_triggers.cc
std::vector<Task> read_tasks(Reader& reader, const Node& node, const Defaults& defaults);
Retry read_retry(Reader& reader, const Node& node);
void read_triggers(Reader& reader, const Node& node, Workflow& workflow);

// Whether the map has the key at all, known or not.
bool has_key(const Node& map, std::string_view name);

}  // namespace pawl::definition
