#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/utf8.h"
#include "expression/syntax.h"

namespace pawl::expression {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Bytes of other scripts are letters: names of members may be written in any.
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_name(char c) { return is_letter(c) || is_digit(c); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Longest first. One with a hint is none of ours: people bring it from elsewhere.
struct Symbol {
  std::string_view text;
  std::string_view hint = {};
};
constexpr auto symbols = std::to_array<Symbol>({
    {"${{", "an expression stands here already: leave out ${{ and }}"},
    {"===", "write == to compare"},
    {"!==", "write != to compare"},
    {"==", {}},
    {"!=", {}},
    {"<=", {}},
    {">=", {}},
    {"&&", {}},
    {"||", {}},
    {"??", {}},
    {"?.", "write a plain dot: a member of null is null"},
    {"<>", "write != to compare"},
    {"=~", "there are no patterns: use contains, startsWith or endsWith"},
    {"**", "there is no power operator"},
    {"=", "write == to compare"},
    {"&", "write && for 'and'"},
    {"|", "write || for 'or'; a filter is a function: name(value)"},
    {"\xe2\x80\x98", "write straight quotes: '…'"},
    {"\xe2\x80\x99", "write straight quotes: '…'"},
    {"\xe2\x80\x9c", "write straight quotes: \"…\""},
    {"\xe2\x80\x9d", "write straight quotes: \"…\""},
    {"\xc2\xa0", "this is a no-break space: write a plain one"},
    {"`", "write text in quotes: '…'"},
    {"$", "names stand without $"},
    {"?", {}},
    {"<", {}},
    {">", {}},
    {"!", {}},
    {"+", {}},
    {"-", {}},
    {"*", {}},
    {"/", {}},
    {"%", {}},
    {"(", {}},
    {")", {}},
    {"[", {}},
    {"]", {}},
    {"{", {}},
    {"}", {}},
    {",", {}},
    {":", {}},
    {".", {}},
});

// From loose to tight: || && ==, <, ??, + -, * /. That `n ?? 0 > 3` compares what ?? gives, and that `a ?? b + c` adds
// first, is what Swift and Kotlin made of it.
struct Level {
  std::string_view symbol;
  Operator op;
  int precedence;
};
constexpr int lowest = 0, above_coalesce = 3, below_coalesce = 4, highest = 5;
constexpr auto levels = std::to_array<Level>({
    {"||", Operator::or_, lowest},
    {"&&", Operator::and_, 1},
    {"==", Operator::equal, 2},
    {"!=", Operator::unequal, 2},
    {"<", Operator::less, above_coalesce},
    {"<=", Operator::less_equal, above_coalesce},
    {">", Operator::greater, above_coalesce},
    {">=", Operator::greater_equal, above_coalesce},
    {"+", Operator::add, below_coalesce},
    {"-", Operator::subtract, below_coalesce},
    {"*", Operator::multiply, highest},
    {"/", Operator::divide, highest},
    {"%", Operator::remainder, highest},
});

struct Token {
  enum class Kind : std::uint8_t { end, name, number, string, symbol };
  Kind kind = Kind::end;
  std::size_t begin = 0, end = 0;
  std::string_view text;  // as written
  Json value;             // of a number
  std::string string;     // what a string says
  bool is(std::string_view s) const { return kind == Kind::symbol && text == s; }
};

std::unexpected<Problem> problem(std::size_t offset, std::string message, std::string_view hint = {}) {
  return std::unexpected(Problem{offset, std::move(message), std::string(hint)});
}

std::unexpected<Problem> unclosed_string(std::size_t offset, char quote) {
  return problem(offset, "this string has no end", fmt::format("close it with {}", quote));
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6), put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 0x3f)), put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 0x3f)), put(0x80 | (c >> 6 & 0x3f)), put(0x80 | (c & 0x3f));
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Parsed<Token> next() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    Token token;
    token.begin = at_;
    if (at_ == text_.size()) {
      token.end = at_;
      return token;
    }
    const char c = text_[at_];
    if (c == '\'' || c == '"') return read_string(std::move(token));
    if (is_digit(c)) return read_number(std::move(token));
    for (const Symbol& s : symbols) {
      if (!text_.substr(at_).starts_with(s.text)) continue;
      if (!s.hint.empty()) return problem(at_, fmt::format("'{}' has no meaning here", s.text), s.hint);
      at_ += s.text.size();
      return finish(std::move(token), Token::Kind::symbol);
    }
    if (is_letter(c)) {
      while (at_ < text_.size() && (is_name(text_[at_]) || is_inner_dash())) ++at_;
      return finish(std::move(token), Token::Kind::name);
    }
    const auto byte = static_cast<unsigned char>(c);
    return problem(at_, byte < 0x20 || byte == 0x7f
                            ? fmt::format("the control character {:#04x} has no meaning here", byte)
                            : fmt::format("'{}' has no meaning here", c));
  }

 private:
  // A `-` between letters or digits belongs to the name: tasks.cool-down.
  bool is_inner_dash() const {
    return text_[at_] == '-' && at_ > 0 && is_name(text_[at_ - 1]) && at_ + 1 < text_.size() && is_name(text_[at_ + 1]);
  }

  Token finish(Token token, Token::Kind kind) const {
    token.kind = kind;
    token.end = at_;
    token.text = text_.substr(token.begin, at_ - token.begin);
    return token;
  }

  void skip_digits() {
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  }

  Parsed<Token> read_number(Token token) {
    skip_digits();
    bool whole = true;
    if (at_ + 1 < text_.size() && text_[at_] == '.' && is_digit(text_[at_ + 1])) {
      whole = false;
      ++at_;
      skip_digits();
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      const bool sign = at_ + 1 < text_.size() && (text_[at_ + 1] == '+' || text_[at_ + 1] == '-');
      const std::size_t first = at_ + (sign ? 2 : 1);
      if (first < text_.size() && is_digit(text_[first])) {
        whole = false;
        at_ = first;
        skip_digits();
      }
    }
    if (at_ < text_.size() && is_letter(text_[at_]))
      return problem(token.begin, "letters follow a number", "text needs quotes, durations too: '5m'");
    token = finish(std::move(token), Token::Kind::number);
    const char* const first = token.text.data();
    const char* const last = first + token.text.size();
    if (token.text.size() > 1 && token.text[0] == '0' && is_digit(token.text[1]))
      return problem(token.begin, "a number has no zero in front", "text needs quotes: '007'");
    if (whole) {
      std::uint64_t value = 0;
      if (std::from_chars(first, last, value).ec != std::errc{})
        return problem(token.begin, "this integer is beyond 64 bits");
      if (value <= static_cast<std::uint64_t>(INT64_MAX)) {
        token.value = static_cast<std::int64_t>(value);
      } else {
        token.value = value;
      }
      return token;
    }
    double value = 0;
    if (std::from_chars(first, last, value).ec != std::errc{} || !std::isfinite(value))
      return problem(token.begin, "this number is out of the range of doubles");
    token.value = value;
    return token;
  }

  Parsed<Token> read_string(Token token) {
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == quote) {
        ++at_;
        // A doubled quote is one quote, as in YAML and in GitHub's expressions.
        if (at_ == text_.size() || text_[at_] != quote) return finish(std::move(token), Token::Kind::string);
        token.string += quote;
        ++at_;
      } else if (c == '\\') {
        if (auto wrong = read_escape(token.string)) return std::unexpected(std::move(*wrong));
      } else {
        token.string += c;
        ++at_;
      }
    }
    return unclosed_string(token.begin, quote);
  }

  bool read_hex(std::uint32_t& value) {
    if (at_ + 4 > text_.size()) return false;
    const char* const first = text_.data() + at_;
    const auto [end, error] = std::from_chars(first, first + 4, value, 16);
    if (error != std::errc{} || end != first + 4) return false;
    at_ += 4;
    return true;
  }

  std::optional<Problem> read_escape(std::string& out) {
    static constexpr std::string_view names = "nrtbf/\\'\"";
    static constexpr std::string_view meanings = "\n\r\t\b\f/\\'\"";
    const std::size_t begin = at_++;
    const auto wrong = [&](std::string message) {
      return Problem{begin, std::move(message),
                     "known are \\n \\r \\t \\b \\f \\\\ \\' \\\" \\/ \\u0000; a backslash is \\\\"};
    };
    if (at_ == text_.size()) return wrong("a backslash ends the text");
    const char c = text_[at_++];
    if (const std::size_t i = names.find(c); i != std::string_view::npos) {
      out += meanings[i];
      return std::nullopt;
    }
    if (c != 'u') return wrong("no such escape in a string");
    std::uint32_t code = 0;
    if (!read_hex(code)) return wrong("\\u needs four hex digits");
    if (code >= 0xd800 && code < 0xdc00) {
      std::uint32_t low = 0;
      if (!text_.substr(at_).starts_with("\\u") || (at_ += 2, !read_hex(low)) || low < 0xdc00 || low > 0xdfff)
        return wrong("half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      return wrong("half a surrogate pair");
    }
    append_utf8(out, code);
    return std::nullopt;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// Recursive descent. Every way down that a text can repeat goes through a Deeper, so the stack is bounded.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), lexer_(text) {}

  Parsed<Node> parse() {
    if (text_.size() > max_text) return problem(0, fmt::format("an expression has at most {} bytes", max_text));
    if (const std::size_t valid = valid_utf8_prefix(text_); valid < text_.size())
      return problem(valid, "this is not UTF-8");
    if (!advance()) return take_problem();
    if (token_.kind == Token::Kind::end) return problem(0, "the expression is empty");
    auto root = parse_expression();
    if (!root) return root;
    if (token_.kind != Token::Kind::end) return unexpected_token("the end or an operator");
    return root;
  }

 private:
  using Kind = Node::Kind;

  struct Deeper {
    explicit Deeper(Parser& p) : parser(p) { ++parser.depth_; }
    ~Deeper() { --parser.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    Parser& parser;
  };
  bool too_deep() const { return depth_ > max_depth; }
  std::unexpected<Problem> depth_problem() const {
    return problem(token_.begin, fmt::format("an expression is nested at most {} deep", max_depth));
  }

  bool advance() {
    auto next = lexer_.next();
    if (!next) {
      problem_ = std::move(next.error());
      return false;
    }
    before_ = std::move(token_);
    token_ = std::move(*next);
    return true;
  }
  std::unexpected<Problem> take_problem() { return std::unexpected(std::move(problem_)); }

  // What people write who come from another language.
  std::string_view hint_for(const Token& token) const {
    struct Word {
      std::string_view word, hint;
    };
    static constexpr auto words = std::to_array<Word>({
        {"and", "write && for 'and'"},
        {"AND", "write && for 'and'"},
        {"or", "write || for 'or'"},
        {"OR", "write || for 'or'"},
        {"in", "write contains(list, value)"},
        {"is", "write == to compare"},
        {"eq", "write == to compare"},
        {"ne", "write != to compare"},
        {"if", "write condition ? value : other"},
        {"then", "write condition ? value : other"},
        {"else", "write condition ? value : other"},
    });
    if (before_.kind == Token::Kind::name && (before_.text == "not" || before_.text == "NOT"))
      return "write ! for 'not'";
    if (token.kind == Token::Kind::name) {
      for (const Word& w : words)
        if (w.word == token.text) return w.hint;
    }
    if (token.kind == Token::Kind::string && before_.kind == Token::Kind::string)
      return "join strings with + or with format; a quote in a string is \\'";
    if (token.is("(") && (before_.kind == Token::Kind::name)) return "functions stand alone: name(value)";
    if (token.is("{")) return "an object has no name before it";
    return {};
  }

  std::unexpected<Problem> unexpected_token(std::string_view expected) const {
    if (token_.kind == Token::Kind::end)
      return problem(token_.begin, fmt::format("the expression ends where {} should stand", expected));
    return problem(token_.begin, fmt::format("'{}' stands where {} should", cut_utf8(token_.text, 40), expected),
                   hint_for(token_));
  }

  // Moves past `symbol`, or says that it is missing.
  std::optional<Problem> expect(std::string_view symbol) {
    if (!token_.is(symbol)) return unexpected_token(fmt::format("'{}'", symbol)).error();
    if (!advance()) return std::move(problem_);
    return std::nullopt;
  }

  Parsed<Node> make(Kind kind, std::size_t begin) {
    if (++nodes_ > max_nodes) return problem(begin, fmt::format("an expression has at most {} parts", max_nodes));
    Node node;
    node.kind = kind;
    node.begin = begin;
    return node;
  }

  Parsed<Node> parse_expression() {
    const Deeper deeper(*this);
    if (too_deep()) return depth_problem();
    auto condition = parse_chain(lowest);
    if (!condition || !token_.is("?")) return condition;
    auto node = make(Kind::conditional, condition->begin);
    if (!node) return node;
    if (!advance()) return take_problem();
    auto then = parse_expression();
    if (!then) return then;
    if (auto wrong = expect(":")) return std::unexpected(std::move(*wrong));
    auto otherwise = parse_expression();
    if (!otherwise) return otherwise;
    node->end = otherwise->end;
    node->children.reserve(3);
    node->children.push_back(std::move(*condition));
    node->children.push_back(std::move(*then));
    node->children.push_back(std::move(*otherwise));
    return node;
  }

  const Level* operator_of(int precedence) const {
    for (const Level& level : levels)
      if (level.precedence == precedence && token_.is(level.symbol)) return &level;
    return nullptr;
  }

  Parsed<Node> parse_operand(int precedence) {
    if (precedence == highest) return parse_unary();
    return precedence == above_coalesce ? parse_coalesce() : parse_chain(precedence + 1);
  }

  Parsed<Node> parse_chain(int precedence) {
    auto first = parse_operand(precedence);
    if (!first) return first;
    const Level* level = operator_of(precedence);
    if (!level) return first;
    auto node = make(Kind::chain, first->begin);
    if (!node) return node;
    node->children.push_back(std::move(*first));
    for (; level; level = operator_of(precedence)) {
      node->operators.push_back(level->op);
      if (!advance()) return take_problem();
      auto operand = parse_operand(precedence);
      if (!operand) return operand;
      node->end = operand->end;
      node->children.push_back(std::move(*operand));
    }
    return node;
  }

  Parsed<Node> parse_unary() {
    if (!token_.is("!") && !token_.is("-")) return parse_postfix();
    const Deeper deeper(*this);
    if (too_deep()) return depth_problem();
    auto node = make(token_.is("!") ? Kind::invert : Kind::negate, token_.begin);
    if (!node) return node;
    if (!advance()) return take_problem();
    auto operand = parse_unary();
    if (!operand) return operand;
    node->end = operand->end;
    node->children.push_back(std::move(*operand));
    return node;
  }

  Parsed<Node> parse_coalesce() {
    auto first = parse_chain(below_coalesce);
    if (!first || !token_.is("??")) return first;
    auto node = make(Kind::coalesce, first->begin);
    if (!node) return node;
    node->children.push_back(std::move(*first));
    while (token_.is("??")) {
      if (!advance()) return take_problem();
      auto operand = parse_chain(below_coalesce);
      if (!operand) return operand;
      node->end = operand->end;
      node->children.push_back(std::move(*operand));
    }
    return node;
  }

  Parsed<Node> parse_postfix() {
    auto primary = parse_primary();
    if (!primary) return primary;
    Node node = std::move(*primary);
    std::size_t stars = 0;
    while (token_.is(".") || token_.is("[")) {
      if (node.kind != Kind::path && node.kind != Kind::access) {
        auto access = make(Kind::access, node.begin);
        if (!access) return access;
        access->children.push_back(std::move(node));
        node = std::move(*access);
      }
      Step step;
      step.begin = token_.begin;
      const bool dot = token_.is(".");
      if (!advance()) return take_problem();
      if (dot) {
        if (token_.is("*")) {
          step.kind = Step::Kind::every;
          if (++stars > max_depth) return depth_problem();
        } else if (token_.kind == Token::Kind::name) {
          step.name = token_.text;
        } else if (token_.kind == Token::Kind::number) {
          return problem(token_.begin, "a name cannot begin with a digit here",
                         "write [0] for an element, ['0'] for a member");
        } else {
          return unexpected_token("a name or '*'");
        }
        node.end = token_.end;
        if (!advance()) return take_problem();
      } else {
        if (token_.is("*")) return problem(token_.begin, "'[*]' has no meaning here", "write .* for every element");
        auto index = parse_expression();
        if (!index) return index;
        node.end = token_.end;
        if (auto wrong = expect("]")) return std::unexpected(std::move(*wrong));
        if (index->kind == Kind::literal && index->value.is_string()) {
          step.name = as_view(index->value);
        } else {
          step.kind = Step::Kind::index;
          step.child = node.children.size();
          node.children.push_back(std::move(*index));
        }
      }
      if (++nodes_ > max_nodes)
        return problem(step.begin, fmt::format("an expression has at most {} parts", max_nodes));
      if (node.kind == Kind::path && node.steps.empty() && step.kind == Step::Kind::member) {
        node.names.push_back(std::move(step.name));
      } else {
        node.steps.push_back(std::move(step));
      }
    }
    return node;
  }

  Parsed<Node> parse_primary() {
    const std::size_t begin = token_.begin;
    if (token_.kind == Token::Kind::number || token_.kind == Token::Kind::string) {
      auto node = make(Kind::literal, begin);
      if (!node) return node;
      node->value = token_.kind == Token::Kind::number ? std::move(token_.value) : Json(token_.string);
      node->end = token_.end;
      if (!advance()) return take_problem();
      return node;
    }
    if (token_.kind == Token::Kind::name) return parse_name();
    if (token_.is("(")) {
      if (!advance()) return take_problem();
      auto inner = parse_expression();
      if (!inner) return inner;
      const std::size_t end = token_.end;
      if (auto wrong = expect(")")) return std::unexpected(std::move(*wrong));
      if (inner->kind == Kind::path && inner->steps.empty()) return inner;
      if (inner->kind != Kind::path && inner->kind != Kind::access) {
        inner->begin = begin;
        inner->end = end;
        return inner;
      }
      // (a.*).b takes the member of the list, a.*.b that of its elements: the parentheses have to stay.
      auto access = make(Kind::access, begin);
      if (!access) return access;
      access->end = end;
      access->children.push_back(std::move(*inner));
      return access;
    }
    if (token_.is("[")) return parse_list();
    if (token_.is("{")) return parse_object();
    if (token_.is("+")) return problem(begin, "there is no '+' before a value", "leave it out");
    return unexpected_token("a value");
  }

  Parsed<Node> parse_name() {
    const Token name = std::move(token_);
    if (!advance()) return take_problem();
    if (token_.is("(")) return parse_call(name);
    const bool constant = name.text == "null" || name.text == "true" || name.text == "false";
    auto node = make(constant ? Kind::literal : name.text == "omit" ? Kind::omit : Kind::path, name.begin);
    if (!node) return node;
    node->end = name.end;
    if (constant) {
      if (name.text != "null") node->value = name.text == "true";
    } else if (node->kind == Kind::path) {
      node->names.emplace_back(name.text);
    }
    return node;
  }

  Parsed<Node> parse_call(const Token& name) {
    auto node = make(Kind::call, name.begin);
    if (!node) return node;
    node->name = name.text;
    node->function = find_function(name.text);
    if (!advance()) return take_problem();
    if (!token_.is(")")) {
      while (true) {
        auto argument = parse_expression();
        if (!argument) return argument;
        node->children.push_back(std::move(*argument));
        if (!token_.is(",")) break;
        if (!advance()) return take_problem();
      }
    }
    node->end = token_.end;
    if (auto wrong = expect(")")) return std::unexpected(std::move(*wrong));
    if (node->name == "omit" && node->children.empty()) node->kind = Kind::omit;
    return node;
  }

  Parsed<Node> parse_list() {
    auto node = make(Kind::list, token_.begin);
    if (!node) return node;
    if (!advance()) return take_problem();
    if (!token_.is("]")) {
      while (true) {
        auto element = parse_expression();
        if (!element) return element;
        node->children.push_back(std::move(*element));
        if (!token_.is(",")) break;
        if (!advance()) return take_problem();
      }
    }
    node->end = token_.end;
    if (auto wrong = expect("]")) return std::unexpected(std::move(*wrong));
    return node;
  }

  Parsed<Node> parse_object() {
    auto node = make(Kind::object, token_.begin);
    if (!node) return node;
    if (!advance()) return take_problem();
    std::vector<std::size_t> offsets;
    if (!token_.is("}")) {
      while (true) {
        if (token_.kind == Token::Kind::name) {
          node->names.emplace_back(token_.text);
        } else if (token_.kind == Token::Kind::string) {
          node->names.push_back(std::move(token_.string));
        } else {
          return unexpected_token("the name of a member");
        }
        offsets.push_back(token_.begin);
        if (!advance()) return take_problem();
        if (auto wrong = expect(":")) return std::unexpected(std::move(*wrong));
        auto member = parse_expression();
        if (!member) return member;
        node->children.push_back(std::move(*member));
        if (!token_.is(",")) break;
        if (!advance()) return take_problem();
      }
    }
    node->end = token_.end;
    if (auto wrong = expect("}")) return std::unexpected(std::move(*wrong));
    if (auto wrong = find_double(node->names, offsets)) return std::unexpected(std::move(*wrong));
    return node;
  }

  static std::optional<Problem> find_double(const std::vector<std::string>& names,
                                            const std::vector<std::size_t>& offsets) {
    std::vector<std::size_t> order(names.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto key = [&](std::size_t i) { return std::pair(std::string_view(names[i]), i); };
    std::ranges::sort(order, {}, key);
    const auto same = std::ranges::adjacent_find(order, {}, [&](std::size_t i) { return std::string_view(names[i]); });
    if (same == order.end()) return std::nullopt;
    const std::size_t second = *(same + 1);
    return Problem{offsets[second], fmt::format("the member '{}' is given twice", cut_utf8(names[second], 40)), {}};
  }

  std::string_view text_;
  Lexer lexer_;
  Token token_, before_;
  Problem problem_;
  std::size_t depth_ = 0;
  std::size_t nodes_ = 0;
};

}  // namespace

std::string_view symbol(Operator op) {
  for (const Level& level : levels)
    if (level.op == op) return level.symbol;
  unreachable();
}

Parsed<std::size_t> find_end(std::string_view text, std::size_t begin) {
  constexpr std::size_t nowhere = std::string_view::npos;
  std::size_t open = 0;
  std::size_t quote = nowhere;  // where the string began that `i` is in
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != nowhere) {
      // A doubled quote ends one string and begins the next, which comes to the same.
      if (c == '\\') ++i;
      if (c == text[quote]) quote = nowhere;
    } else if (c == '\'' || c == '"') {
      quote = i;
    } else if (c == '{') {
      ++open;
    } else if (c == '}' && open > 0) {
      --open;
    } else if (c == '}' && text.substr(i).starts_with("}}")) {
      return i;
    }
  }
  // The string has swallowed the braces.
  if (quote != nowhere && text.find("}}", quote) != nowhere) return unclosed_string(quote, text[quote]);
  return problem(begin - 3, "'${{' has no closing '}}'", "a literal '${{' is written '$${{'");
}

Parsed<Expression> Expression::parse(std::string_view text) {
  auto root = Parser(text).parse();
  if (!root) return std::unexpected(std::move(root.error()));
  Expression expression;
  expression.syntax_ = std::make_shared<const Syntax>(Syntax{std::string(text), std::move(*root)});
  return expression;
}

std::string_view Expression::text() const { return syntax_->text; }

}  // namespace pawl::expression
