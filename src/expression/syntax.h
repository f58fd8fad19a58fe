// The syntax tree of an expression. Inside of the room: others use expression.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "expression/expression.h"
#include "expression/functions.h"

namespace pawl::expression {

enum class Operator : std::uint8_t {
  or_,
  and_,
  equal,
  unequal,
  less,
  less_equal,
  greater,
  greater_equal,
  add,
  subtract,
  multiply,
  divide,
  remainder,
};

// What follows a value: `.name`, `[index]`, `.*`.
struct Step {
  enum class Kind : std::uint8_t { member, index, every };
  Kind kind = Kind::member;
  std::string name;       // member
  std::size_t child = 0;  // index: which of the node's children
  std::size_t begin = 0;  // in the text
};

struct Node {
  enum class Kind : std::uint8_t {
    literal,      // value
    omit,
    path,         // names, then steps; children: computed indexes
    access,       // steps on children[0]; other children: computed indexes
    negate,       // -child
    invert,       // !child
    chain,        // children[0] operators[0] children[1] …, all of one precedence, from left to right
    coalesce,     // the first of children that is not null
    conditional,  // children: condition, then, otherwise
    call,         // name(children)
    list,         // children
    object,       // names: children
  };
  Kind kind = Kind::literal;
  std::size_t begin = 0, end = 0;  // in the text
  Json value;
  std::string name;
  const Function* function = nullptr;  // of a call; nullptr: there is none of that name
  std::vector<std::string> names;
  std::vector<Step> steps;
  std::vector<Operator> operators;
  std::vector<Node> children;
};

struct Syntax {
  std::string text;
  Node root;
};

// Where the expression of a template ends: the offset of its `}}`, when it begins at `begin`, behind `${{`. Braces of
// objects and those in strings are no end.
Parsed<std::size_t> find_end(std::string_view text, std::size_t begin);

std::string_view symbol(Operator op);

}  // namespace pawl::expression
