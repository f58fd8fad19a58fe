#include "definition/document.h"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <new>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"
#include "definition/quoting.h"

namespace pawl::definition {
namespace {

constexpr std::size_t most_traps = 1000;

bool is_any_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

bool digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_integer(std::string_view text) {
  if (text.starts_with("0o")) return text.size() > 2 && text.find_first_not_of("01234567", 2) == std::string_view::npos;
  if (text.starts_with("0x"))
    return text.size() > 2 && text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return digits(text);
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?, and infinities.
bool is_number(std::string_view text) {
  if (is_any_of(text, {".nan", ".NaN", ".NAN"})) return true;
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  if (is_any_of(text, {".inf", ".Inf", ".INF"})) return true;
  if (const std::size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view exponent = text.substr(e + 1);
    if (exponent.starts_with('+') || exponent.starts_with('-')) exponent.remove_prefix(1);
    if (!digits(exponent)) return false;
    text = text.substr(0, e);
  }
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos) return digits(text);
  const std::string_view before = text.substr(0, point), after = text.substr(point + 1);
  if (before.empty()) return digits(after);
  return digits(before) && (after.empty() || digits(after));
}

// The characters that YAML allows, and one byte order mark at the start.
std::optional<Problem> bad_character(const Source& source) {
  const std::string_view text = source.text();
  const std::size_t valid = valid_utf8_prefix(text);
  const auto at = [&](std::size_t offset, std::string message, std::string hint) {
    const Position place = source.position(offset);
    return Problem{place.line, place.column, std::move(message), std::move(hint)};
  };
  for (std::size_t i = 0; i < valid; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = [&](std::size_t k) { return i + k < valid ? static_cast<unsigned char>(text[i + k]) : 0U; };
    unsigned code = 0;
    if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r')
      code = byte;
    else if (byte == 0x7F)
      code = byte;
    else if (byte == 0xC2 && next(1) < 0xA0 && next(1) != 0x85)
      code = next(1);
    else if (byte == 0xEF && next(1) == 0xBB && next(2) == 0xBF)
      code = 0xFEFF;
    else if (byte == 0xEF && next(1) == 0xBF && next(2) >= 0xBE)
      code = 0xFFC0U | (next(2) & 0x3FU);
    else
      continue;
    return at(i, fmt::format("the control character U+{:04X} is not allowed in YAML", code),
              fmt::format("in double quotes it is written \\u{:04x}", code));
  }
  if (valid < text.size()) return at(valid, "the text is not UTF-8", "save the file as UTF-8");
  return std::nullopt;
}

// libyaml compares each %TAG line with all before it, and such lines have no use where tags have none.
std::optional<Problem> tag_directives(const Source& source) {
  const std::string_view text = source.text();
  for (std::size_t at = text.find("%TAG"); at != std::string_view::npos; at = text.find("%TAG", at + 1)) {
    if (at != source.line_start(at)) continue;
    const Position place = source.position(at);
    return Problem{place.line, place.column, "`%TAG` directives are not supported", {}};
  }
  return std::nullopt;
}

struct Event {
  yaml_event_t value{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&value); }
};

std::string_view view(const yaml_char_t* text) { return text ? reinterpret_cast<const char*>(text) : ""; }

}  // namespace

void sort_by_place(std::vector<Problem>& problems) {
  std::ranges::sort(problems, {}, [](const Problem& p) { return std::tie(p.line, p.column, p.message); });
}

Node::Kind resolve_plain(std::string_view text) {
  if (is_any_of(text, {"", "~", "null", "Null", "NULL"})) return Node::Kind::null;
  if (is_any_of(text, {"true", "True", "TRUE", "false", "False", "FALSE"})) return Node::Kind::boolean;
  if (is_integer(text)) return Node::Kind::integer;
  return is_number(text) ? Node::Kind::number : Node::Kind::string;
}

// Turns events into nodes, one by one, and stops at the first thing that cannot be part of a tree. Keys given twice do
// not stop it.
class Composer {
 public:
  explicit Composer(Document& document) : document_(document), source_(document.source_) {
    if (yaml_parser_initialize(&parser_) != 1) throw std::bad_alloc();  // for no other reason
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    const std::string_view text = source_.text();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Composer(const Composer&) = delete;
  Composer& operator=(const Composer&) = delete;
  ~Composer() { yaml_parser_delete(&parser_); }

  // False if the text is no tree; the reason is the last of the traps.
  bool run() {
    while (!stopped_ && !ended_) step();
    return !stopped_;
  }

 private:
  struct Open {
    Node* node;
    const Node* key = nullptr;  // of a map: its value comes next
    std::vector<const Node*> merged;
  };
  // nullptr while the node it names is still open.
  using Anchors = std::map<std::string, const Node*, std::less<>>;

  void stop(std::size_t offset, std::string message, std::string hint = {}) {
    report(offset, std::move(message), std::move(hint));
    stopped_ = true;
  }

  void report(std::size_t offset, std::string message, std::string hint) {
    const Position at = source_.position(offset);
    document_.traps_.push_back({at.line, at.column, std::move(message), std::move(hint)});
  }

  bool full() const { return document_.traps_.size() >= most_traps; }

  std::size_t offset_of(const yaml_mark_t& mark) const { return source_.offset_of_character(mark.index); }

  void step() {
    Event event;
    if (yaml_parser_parse(&parser_, &event.value) != 1) {
      // That says nothing about the text, which may be a stored one.
      if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
      return stop_at_syntax_error();
    }
    switch (event.value.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ > 1)
          stop(offset_of(event.value.start_mark), "a second document begins here", "one file holds one workflow");
        return;
      case YAML_STREAM_END_EVENT: ended_ = true; return;
      case YAML_ALIAS_EVENT: return alias(event.value);
      case YAML_SCALAR_EVENT: return scalar(event.value);
      case YAML_SEQUENCE_START_EVENT:
        return open(event.value, Node::Kind::list, view(event.value.data.sequence_start.tag),
                    view(event.value.data.sequence_start.anchor));
      case YAML_MAPPING_START_EVENT:
        return open(event.value, Node::Kind::map, view(event.value.data.mapping_start.tag),
                    view(event.value.data.mapping_start.anchor));
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: return close(event.value);
      case YAML_NO_EVENT:
      case YAML_STREAM_START_EVENT:
      case YAML_DOCUMENT_END_EVENT: return;
    }
  }

  void stop_at_syntax_error() {
    const std::string_view what = parser_.problem ? parser_.problem : "it cannot be read";
    const std::string_view within = parser_.context ? parser_.context : "";
    const std::size_t offset = offset_of(parser_.problem_mark);
    const bool has_context = !within.empty();
    const std::size_t context = has_context ? offset_of(parser_.context_mark) : offset;
    stopped_ = true;
    if (auto trap = missing_quotes(source_, offset, context, within.find("flow") != std::string_view::npos)) {
      document_.traps_.push_back(std::move(*trap));
      return;
    }
    std::string message = fmt::format("this is not valid YAML: {}", what);
    if (has_context) message += fmt::format(" {} that begins in line {}", within, source_.position(context).line);
    report(offset, std::move(message), {});
  }

  // Anchor and tag stand before a node: where it begins itself.
  std::size_t content(std::size_t offset) const {
    const std::string_view text = source_.text();
    while (offset < text.size() && (text[offset] == '&' || text[offset] == '!')) {
      offset = std::min(text.find_first_of(" \t\r\n", offset), text.size());
      offset = std::min(text.find_first_not_of(" \t\r\n", offset), text.size());
    }
    return offset;
  }

  Node* make(const yaml_event_t& event, Node::Kind kind, bool decorated) {
    const std::size_t begin = offset_of(event.start_mark);
    if (stack_.size() >= max_depth) {
      stop(begin, fmt::format("nested more than {} levels deep", max_depth));
      return nullptr;
    }
    if (document_.nodes_.size() >= max_nodes) {
      stop(begin, fmt::format("more than {} values in one file", max_nodes));
      return nullptr;
    }
    Node& node = document_.nodes_.emplace_back();
    node.kind = kind;
    node.begin = static_cast<std::uint32_t>(decorated ? content(begin) : begin);
    node.end = static_cast<std::uint32_t>(offset_of(event.end_mark));
    return &node;
  }

  // Only !!str says something that the core schema does not. False: the tag is a problem, and the value not worth a look.
  bool accept_tag(const yaml_event_t& event, std::string_view tag, bool scalar) {
    constexpr std::string_view core = "tag:yaml.org,2002:";
    if (tag.empty() || (scalar && tag == "tag:yaml.org,2002:str")) return true;
    if (full()) return false;
    const std::size_t begin = source_.text().find('!', offset_of(event.start_mark));
    if (tag.starts_with(core)) {
      report(begin, fmt::format("the tag `!!{}` is not supported", tag.substr(core.size())), "leave it out");
    } else {
      report(begin, "YAML reads text that begins with `!` as a tag, and tags are not supported",
             "put it in quotes: " + quoted(meant_value(source_, begin)));
    }
    return false;
  }

  void scalar(const yaml_event_t& event) {
    const auto& data = event.data.scalar;
    const std::string_view tag = view(data.tag);
    Node* node = make(event, Node::Kind::string, data.anchor || data.tag);
    if (!node) return;
    node->misread = !accept_tag(event, tag, true);
    node->text.assign(reinterpret_cast<const char*>(data.value), data.length);
    node->weight += static_cast<std::uint32_t>(data.length / 16);
    switch (data.style) {
      case YAML_SINGLE_QUOTED_SCALAR_STYLE: node->style = Node::Style::single_quoted; break;
      case YAML_DOUBLE_QUOTED_SCALAR_STYLE: node->style = Node::Style::double_quoted; break;
      case YAML_LITERAL_SCALAR_STYLE: node->style = Node::Style::literal; break;
      case YAML_FOLDED_SCALAR_STYLE: node->style = Node::Style::folded; break;
      case YAML_ANY_SCALAR_STYLE:
      case YAML_PLAIN_SCALAR_STYLE:
        if (tag.empty()) node->kind = resolve_plain(node->text);
        look_for_traps(*node);
        break;
    }
    if (data.anchor) anchors_.insert_or_assign(std::string(view(data.anchor)), node);
    attach(node);
  }

  void look_for_traps(Node& node) {
    if (!swallowed_by_comment(source_, node.end)) {
      const std::size_t last = node.text.rfind("${{");
      if (last == std::string::npos || node.text.find("}}", last) != std::string::npos) return;
      const std::size_t hash = source_.text().find_first_not_of(" \t", node.end);
      if (hash == std::string_view::npos || source_.text()[hash] != '#') return;
    }
    node.misread = true;
    const Position at = source_.position(node.begin);
    document_.traps_.push_back({at.line, at.column,
                                "YAML reads what follows ` #` as a comment, which cuts this text short",
                                "put it in quotes: " + quoted(meant_value(source_, node.begin))});
  }

  void open(const yaml_event_t& event, Node::Kind kind, std::string_view tag, std::string_view anchor) {
    Node* node = make(event, kind, !anchor.empty() || !tag.empty());
    if (!node) return;
    node->misread = !accept_tag(event, tag, false);
    if (!anchor.empty()) {
      anchors_.insert_or_assign(std::string(anchor), nullptr);
      open_anchors_.emplace_back(node, anchor);
    }
    stack_.push_back({node, nullptr, {}});
  }

  void close(const yaml_event_t& event) {
    Open top = std::move(stack_.back());
    stack_.pop_back();
    top.node->end = static_cast<std::uint32_t>(offset_of(event.end_mark));
    if (top.node->kind == Node::Kind::map) {
      finish_map(top);
      if (stopped_) return;
    }
    if (!open_anchors_.empty() && open_anchors_.back().first == top.node) {
      const auto found = anchors_.find(open_anchors_.back().second);
      if (found->second == nullptr) found->second = top.node;
      open_anchors_.pop_back();
    }
    attach(top.node);
  }

  void alias(const yaml_event_t& event) {
    const std::string_view name = view(event.data.alias.anchor);
    const std::size_t begin = offset_of(event.start_mark);
    const auto found = anchors_.find(name);
    if (found == anchors_.end()) {
      if (name.find_first_not_of("0123456789") == std::string_view::npos)
        return stop(begin, fmt::format("YAML reads `*{}` as an alias", name),
                    "put it in quotes: " + quoted(meant_value(source_, begin)));
      return stop(begin, fmt::format("the alias `*{}` names no anchor before it", name),
                  "a text that begins with * needs quotes");
    }
    if (!found->second) return stop(begin, fmt::format("the alias `*{}` contains itself", name));
    attach(found->second);
  }

  void attach(const Node* node) {
    if (stack_.empty()) {
      document_.root_ = node;
      return;
    }
    Open& parent = stack_.back();
    if (stack_.size() + node->height > max_depth)
      return stop(node->begin, fmt::format("nested more than {} levels deep", max_depth));
    parent.node->height = std::max(parent.node->height, node->height + 1);
    parent.node->weight += node->weight;
    if (parent.node->weight > max_weight)
      return stop(parent.node->begin, "too many values with all aliases followed", "write less, or split the workflow");
    if (parent.node->kind == Node::Kind::list) {
      parent.node->items.push_back(node);
    } else if (!parent.key) {
      if (!node->is_scalar() || node->kind == Node::Kind::null)
        return stop(node->begin, "a key has to be a text", "a text that begins with { or [ needs quotes");
      parent.key = node;
    } else {
      const Node* key = std::exchange(parent.key, nullptr);
      if (key->text == "<<" && key->style == Node::Style::plain) return merge(parent, node);
      parent.node->entries.push_back({key, node});
    }
  }

  void merge(Open& parent, const Node* node) {
    const bool list = node->kind == Node::Kind::list;
    const auto maps = list ? std::span<const Node* const>(node->items) : std::span<const Node* const>(&node, 1);
    for (const Node* map : maps) {
      if (map->kind != Node::Kind::map) return stop(map->begin, "`<<` takes a map or a list of maps");
      parent.merged.push_back(map);
    }
  }

  void finish_map(Open& open) {
    std::vector<Entry>& entries = open.node->entries;
    if (entries.size() < 2 && open.merged.empty()) return;
    std::map<std::string_view, const Node*> keys;
    std::erase_if(entries, [&](const Entry& entry) {
      const auto [at, fresh] = keys.emplace(entry.key->text, entry.key);
      if (fresh) return false;
      if (!full())
        report(entry.key->begin, fmt::format("the key `{}` is given twice", cut_utf8(entry.key->text, 100)),
               fmt::format("first in line {}", source_.position(at->second->begin).line));
      return true;
    });
    for (const Node* map : open.merged) {
      merged_entries_ += map->entries.size();
      if (merged_entries_ > max_nodes)
        return stop(open.node->begin, "too many values with all merge keys followed",
                    "write less, or split the workflow");
      for (const Entry& entry : map->entries)
        if (keys.emplace(entry.key->text, entry.key).second) entries.push_back(entry);
    }
  }

  Document& document_;
  const Source& source_;
  yaml_parser_t parser_{};
  std::vector<Open> stack_;
  Anchors anchors_;
  std::vector<std::pair<const Node*, std::string>> open_anchors_;
  std::size_t merged_entries_ = 0;
  int documents_ = 0;
  bool stopped_ = false;
  bool ended_ = false;
};

std::expected<Document, std::vector<Problem>> Document::read(std::string_view text) {
  if (text.size() > max_text)
    return std::unexpected(std::vector{
        Problem{1, 1, fmt::format("the file has {} bytes; at most {} are read", text.size(), max_text), {}}});
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());

  Document document(text);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{' && parse_json(text, {.depth = max_depth})) {
    if (compose_json(text, document.nodes_, document.root_)) return document;
    return std::unexpected(std::vector{Problem{1, 1, fmt::format("more than {} values in one file", max_nodes), {}}});
  }
  if (auto wrong = bad_character(document.source_)) return std::unexpected(std::vector{std::move(*wrong)});
  if (auto wrong = tag_directives(document.source_)) return std::unexpected(std::vector{std::move(*wrong)});
  if (!Composer(document).run()) {
    sort_by_place(document.traps_);
    return std::unexpected(std::move(document.traps_));
  }
  if (!document.root_) document.root_ = &document.nodes_.emplace_back();
  return document;
}

namespace {

// How many bytes of text the escape at `at` (a backslash) of a double-quoted scalar stands for; moves past it.
std::size_t escaped_bytes(std::string_view text, std::size_t& at) {
  const char kind = at + 1 < text.size() ? text[at + 1] : 0;
  const std::size_t digits_count = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  unsigned code = 0;
  const std::string_view hex = text.substr(std::min(at + 2, text.size()), digits_count);
  std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
  at += 2 + digits_count;
  if (kind == 'N' || kind == '_') return 2;
  if (kind == 'L' || kind == 'P') return 3;
  if (digits_count == 0 || code < 0x80) return 1;
  if (code < 0x800) return 2;
  // Each half of a surrogate pair, which only JSON has, stands for two of the four bytes.
  if (code >= 0xD800 && code < 0xE000) return 2;
  return code < 0x10000 ? 3 : 4;
}

}  // namespace

std::size_t Document::offset_in(const Node& scalar, std::size_t at) const {
  const std::string_view text = source_.text();
  const std::size_t begin = scalar.begin;
  if (scalar.style == Node::Style::literal) {
    // The lines of the text are those below the header, less their indentation.
    const std::string_view before = std::string_view(scalar.text).substr(0, at);
    std::size_t line = source_.line_end(begin);
    const auto next_line = [&] { line = text.substr(line, 2) == "\r\n" ? line + 2 : std::min(line + 1, text.size()); };
    next_line();
    for (const char c : before) {
      if (c != '\n') continue;
      line = source_.line_end(line);
      next_line();
    }
    const std::size_t line_in_value = before.rfind('\n') + 1;
    const std::string_view content =
        std::string_view(scalar.text).substr(line_in_value, scalar.text.find('\n', at) - line_in_value);
    const std::size_t end = source_.line_end(line);
    if (end - line < content.size()) return begin;
    return end - content.size() + (at - line_in_value);
  }
  const std::string_view written = text.substr(begin, scalar.end - begin);
  if (scalar.style == Node::Style::folded || written.find('\n') != std::string_view::npos) return begin;
  if (scalar.style == Node::Style::plain) return begin + at;
  std::size_t place = begin + 1;
  for (std::size_t bytes = 0; bytes < at && place < scalar.end;) {
    if (scalar.style == Node::Style::double_quoted && text[place] == '\\') {
      bytes += escaped_bytes(text, place);
    } else {
      place += scalar.style == Node::Style::single_quoted && text[place] == '\'' ? 2 : 1;
      ++bytes;
    }
  }
  return place;
}

}  // namespace pawl::definition
