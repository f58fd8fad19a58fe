#include <vector>

#include "base/json.h"
#include "definition/document.h"

namespace pawl::definition {
namespace {

// Where the string that begins at `at` ends, past its quote.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}

void read_string(std::string_view written, Node& node) {
  node.kind = Node::Kind::string;
  node.style = Node::Style::double_quoted;
  if (written.find('\\') == std::string_view::npos) {
    node.text = written.substr(1, written.size() - 2);
  } else if (const auto value = parse_json(written)) {
    node.text = as_view(*value);
  }
}

}  // namespace

bool compose_json(std::string_view text, std::deque<Node>& nodes, const Node*& root) {
  struct Open {
    Node* node;
    const Node* key = nullptr;
  };
  std::vector<Open> stack;
  const auto attach = [&](const Node* node) {
    if (stack.empty()) {
      root = node;
      return;
    }
    Open& parent = stack.back();
    if (parent.node->kind == Node::Kind::list) {
      parent.node->items.push_back(node);
    } else if (!parent.key) {
      parent.key = node;
      return;
    } else {
      parent.node->entries.push_back({parent.key, node});
      parent.key = nullptr;
    }
    parent.node->height = std::max(parent.node->height, node->height + 1);
    parent.node->weight += node->weight;
  };
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (std::string_view(" \t\r\n,:").find(c) != std::string_view::npos) {
      ++at;
      continue;
    }
    if (c == '}' || c == ']') {
      Node* node = stack.back().node;
      stack.pop_back();
      node->end = static_cast<std::uint32_t>(++at);
      attach(node);
      continue;
    }
    if (nodes.size() >= max_nodes) return false;
    Node& node = nodes.emplace_back();
    node.begin = static_cast<std::uint32_t>(at);
    if (c == '{' || c == '[') {
      node.kind = c == '{' ? Node::Kind::map : Node::Kind::list;
      stack.push_back({&node, nullptr});
      ++at;
      continue;
    }
    const std::size_t end =
        c == '"' ? string_end(text, at) : std::min(text.find_first_of(" \t\r\n,]}", at), text.size());
    node.end = static_cast<std::uint32_t>(end);
    if (c == '"') {
      read_string(text.substr(at, end - at), node);
    } else {
      node.text = text.substr(at, end - at);
      node.kind = resolve_plain(node.text);
    }
    at = end;
    attach(&node);
  }
  return true;
}

}  // namespace pawl::definition
