// The parts of a definition, each read from its node. Inside of the room.
#pragma once

#include <optional>
#include <vector>

#include "definition/reader.h"

namespace pawl::definition {

// What the workflow says for the jobs and tasks below it.
struct Defaults {
  Retry retry;
  std::optional<Duration> timeout;
  bool keep_going = false;
};

// An entry of `needs`.
struct Need {
  std::string_view name;
  const Node* node = nullptr;
};

// Reads the whole file; what is wrong with the text, and with names in it that are not in expressions, is in the reader.
Workflow read_workflow(Reader& reader, const Node& root);

// parts: read_workflow.cc, read_task.cc, read_matrix.cc, read_triggers.cc
// `what`: the key that holds them.
std::vector<Task> read_tasks(Reader& reader, const Node& node, std::string_view what, const Defaults& defaults);
std::optional<Matrix> read_matrix(Reader& reader, const Node& node);
// Instances that the matrix has, those left out counted too; 1 for what only an expression knows.
std::size_t combinations(const Matrix& matrix);
Retry read_retry(Reader& reader, const Node& node);
void read_triggers(Reader& reader, const Node& node, Workflow& workflow);

// `on.schedule`; the workflow's inputs and jobs have been read. part: read_schedules.cc
void read_schedules(Reader& reader, const Node& node, Workflow& workflow);

// The maps of a definition that have fixed keys, for the test that compares them with the schema.
struct KeyTable {
  std::string_view name;
  std::span<const Key> keys;
};
std::span<const KeyTable> workflow_key_tables();
std::span<const KeyTable> task_key_tables();
std::span<const KeyTable> trigger_key_tables();
std::span<const KeyTable> schedule_key_tables();
std::span<const Key> input_keys();

// Whether the map has the key at all, known or not.
bool has_key(const Node& map, std::string_view name);

}  // namespace pawl::definition
