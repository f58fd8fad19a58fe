// YAML text as a tree of nodes that know where they stand: libyaml's events, YAML 1.2 core schema, anchors, aliases and
// merge keys, all within budgets. Inside of the room.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "definition/definition.h"
#include "definition/source.h"

namespace pawl::definition {

constexpr std::size_t max_depth = 100;
constexpr std::size_t max_nodes = 250'000;
// Of all nodes with their texts, each alias counted as all that it stands for.
constexpr std::size_t max_weight = 400'000;

struct Node;

struct Entry {
  const Node* key = nullptr;  // a scalar
  const Node* value = nullptr;
};

struct Node {
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, list, map };
  enum class Style : std::uint8_t { plain, single_quoted, double_quoted, literal, folded };

  Kind kind = Kind::null;
  Style style = Style::plain;
  bool misread = false;  // a trap: its content is not worth a look
  std::uint32_t begin = 0, end = 0;  // offsets in the source, without anchor
  std::string text;  // of a scalar; numbers and bools as they are spelled
  std::vector<const Node*> items;  // of a list
  std::vector<Entry> entries;  // of a map, merge keys resolved; no key twice
  std::uint32_t height = 1;  // levels, itself included
  std::uint32_t weight = 1;  // nodes and text, itself included, aliases as what they stand for

  bool is_scalar() const { return kind != Kind::list && kind != Kind::map; }
};

class Document {
 public:
  // Fails with what keeps the text from being one tree, and with the traps, in order of their places. Never slower than
  // linear, give or take a logarithm. `text` has to outlive the document.
  static std::expected<Document, std::vector<Problem>> read(std::string_view text);

  const Node& root() const { return *root_; }
  const Source& source() const { return source_; }
  // Problems that leave the tree whole: keys given twice, values that YAML reads otherwise than their author meant.
  const std::vector<Problem>& traps() const { return traps_; }
  // Where the byte `at` of a scalar's text stands: exact for scalars on one line and for literal blocks, otherwise where
  // the scalar begins.
  std::size_t offset_in(const Node& scalar, std::size_t at) const;

 private:
  friend class Composer;
  friend class JsonComposer;
  explicit Document(std::string_view text) : source_(text) {}

  Source source_;
  std::deque<Node> nodes_;
  const Node* root_ = nullptr;
  std::vector<Problem> traps_;
};

// By line and column.
void sort_by_place(std::vector<Problem>& problems);

// What YAML's core schema makes of a plain scalar.
Node::Kind resolve_plain(std::string_view text);

// Strict JSON, already known to be valid and free of double keys: libyaml refuses the surrogate pairs in its escapes.
// False if its depth or its number of nodes passes the budgets.
bool compose_json(std::string_view text, std::deque<Node>& nodes, const Node*& root);

}  // namespace pawl::definition
