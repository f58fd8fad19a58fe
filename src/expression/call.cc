// What the functions do.
#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "expression/evaluator.h"

namespace pawl::expression {
namespace {

// memmem takes linear time for any text and part; std::string_view::find does not.
std::size_t find_text(std::string_view text, std::string_view part, std::size_t from = 0) {
  if (part.empty()) return from;
  const void* at = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return at ? static_cast<std::size_t>(static_cast<const char*>(at) - text.data()) : std::string_view::npos;
}

constexpr auto weekdays =
    std::to_array<std::string_view>({"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"});
constexpr auto months = std::to_array<std::string_view>({"January", "February", "March", "April", "May", "June", "July",
                                                         "August", "September", "October", "November", "December"});
constexpr std::string_view date_letters =
    "%Y %m %d %e %H %I %M %S %L %p %y %j %u %w %V %G %a %A %b %B %F %T %s %z %Z %%";

// One letter of a date format, in UTC. False: it has no meaning.
bool append_date(std::string& out, char letter, Instant instant) {
  using namespace std::chrono;
  const auto day = floor<days>(instant);
  const year_month_day date{day};
  const hh_mm_ss time{floor<milliseconds>(instant - day)};
  const auto put = [&](auto value, int width) { fmt::format_to(std::back_inserter(out), "{:0{}}", value, width); };
  const auto y = static_cast<int>(date.year());
  const weekday of_week{day};
  const auto hour = time.hours().count();
  // A week of ISO 8601 belongs to the year of its Thursday.
  const sys_days thursday = day + days{4 - static_cast<int>(of_week.iso_encoding())};
  const year week_year = year_month_day{thursday}.year();
  switch (letter) {
    case 'Y': put(y, 4); return true;
    case 'y': put((y % 100 + 100) % 100, 2); return true;
    case 'm': put(static_cast<unsigned>(date.month()), 2); return true;
    case 'd': put(static_cast<unsigned>(date.day()), 2); return true;
    case 'e': fmt::format_to(std::back_inserter(out), "{:2}", static_cast<unsigned>(date.day())); return true;
    case 'H': put(hour, 2); return true;
    case 'I': put(hour % 12 == 0 ? 12 : hour % 12, 2); return true;
    case 'M': put(time.minutes().count(), 2); return true;
    case 'S': put(time.seconds().count(), 2); return true;
    case 'L': put(time.subseconds().count(), 3); return true;
    case 'p': out += hour < 12 ? "AM" : "PM"; return true;
    case 'j': put((day - sys_days{date.year() / 1 / 1}).count() + 1, 3); return true;
    case 'u': put(of_week.iso_encoding(), 1); return true;
    case 'w': put(of_week.c_encoding(), 1); return true;
    case 'V': put((thursday - sys_days{week_year / 1 / 1}).count() / 7 + 1, 2); return true;
    case 'G': put(static_cast<int>(week_year), 4); return true;
    case 'a': out += weekdays[of_week.c_encoding()].substr(0, 3); return true;
    case 'A': out += weekdays[of_week.c_encoding()]; return true;
    case 'b': out += months[static_cast<unsigned>(date.month()) - 1].substr(0, 3); return true;
    case 'B': out += months[static_cast<unsigned>(date.month()) - 1]; return true;
    case 's': put(floor<seconds>(instant.time_since_epoch()).count(), 1); return true;
    case 'z': out += "+0000"; return true;
    case 'Z': out += "UTC"; return true;
    case '%': out += '%'; return true;
    case 'F':
      return append_date(out, 'Y', instant) && (out += '-', append_date(out, 'm', instant)) &&
             (out += '-', append_date(out, 'd', instant));
    case 'T':
      return append_date(out, 'H', instant) && (out += ':', append_date(out, 'M', instant)) &&
             (out += ':', append_date(out, 'S', instant));
    default: return false;
  }
}

std::string_view article(const Value& value) {
  const std::string_view name = type_name(value.get());
  return name == "null" ? "" : name == "object" ? "an " : "a ";
}

std::string not_what(std::string_view function, std::string_view argument, const Value& value,
                     std::string_view wanted) {
  std::string_view hint;
  if (value.is_null())
    hint = wanted == "a list" ? ": write ?? [] if it may be" : wanted == "a string" ? ": write ?? '' if it may be" : "";
  return fmt::format("{}: {} is {}{}, not {}{}", function, argument, article(value), type_name(value.get()), wanted,
                     hint);
}

}  // namespace

Result<Value> Evaluator::call(const Node& node) {
  if (!node.function) return wrong(fmt::format("there is no function '{}'", node.name));
  const Function& f = *node.function;
  if (node.children.size() < f.least || node.children.size() > f.most)
    return wrong(fmt::format("{}: wrong number of arguments: write {}", f.name, f.usage));
  if (f.status) {
    const auto holds = context_.status(*f.status);
    if (!holds) return wrong(fmt::format("{}() has no meaning here", f.name));
    return Value::own(*holds);
  }
  if (f.id == FunctionId::default_) {
    auto value = evaluate(node.children[0]);
    return value && value->is_null() ? evaluate(node.children[1]) : std::move(value);
  }
  std::vector<Value> args;
  args.reserve(node.children.size());
  for (const Node& child : node.children) {
    auto value = evaluate_value(child);
    if (!value) return value;
    args.push_back(std::move(*value));
  }
  switch (f.id) {
    case FunctionId::contains: return contains(node, args);
    case FunctionId::starts_with:
    case FunctionId::ends_with: {
      const auto all = text(node, args, 0), some = text(node, args, 1);
      if (!all || !some) return std::unexpected(all ? some.error() : all.error());
      return Value::own(f.id == FunctionId::starts_with ? all->starts_with(*some) : all->ends_with(*some));
    }
    case FunctionId::format: return format(node, args);
    case FunctionId::join: return join(node, args);
    case FunctionId::split: return split(node, args);
    case FunctionId::length: return length(node, args);
    case FunctionId::keys: return keys(node, args);
    case FunctionId::to_json: {
      auto size = measure(args[0].get());
      if (!size) return std::unexpected(std::move(size.error()));
      return own_text(to_text(args[0].get()));
    }
    case FunctionId::from_json: return from_json(node, args);
    case FunctionId::hash: return hash(args);
    case FunctionId::now: return own_text(to_rfc3339(context_.now()));
    case FunctionId::date: return date(node, args);
    case FunctionId::add_duration: return add_duration(node, args);
    case FunctionId::compact: return compact(node, args);
    case FunctionId::success:
    case FunctionId::failure:
    case FunctionId::always:
    case FunctionId::cancelled:
    case FunctionId::default_: break;
  }
  unreachable();
}

Result<std::string_view> Evaluator::text(const Node& node, Call args, std::size_t which) {
  const Value& value = args[which];
  if (!value.get().is_string())
    return wrong(not_what(node.function->name, quoted(node.children[which]), value, "a string"));
  const std::string_view s = as_view(value.get());
  if (auto paid = pay_steps(s.size() / bytes_a_step); !paid) return std::unexpected(std::move(paid.error()));
  return s;
}

Result<Value> Evaluator::contains(const Node& node, Call args) {
  if (const auto* list = args[0].get().if_array()) {
    for (const Json& element : *list) {
      auto same = equal(element, args[1].get());
      if (!same) return std::unexpected(std::move(same.error()));
      if (*same) return Value::own(true);
    }
    return Value::own(false);
  }
  if (args[0].get().is_object())
    return wrong(fmt::format("contains: {} is an object: write contains(keys(…), name)", quoted(node.children[0])));
  if (!args[0].get().is_string())
    return wrong(not_what("contains", quoted(node.children[0]), args[0], "a list or a string") +
                 (args[0].is_null() ? ": write ?? [] if it may be" : ""));
  const auto all = text(node, args, 0), some = text(node, args, 1);
  if (!all || !some) return std::unexpected(all ? some.error() : all.error());
  return Value::own(find_text(*all, *some) != std::string_view::npos);
}

Result<Value> Evaluator::format(const Node& node, Call args) {
  const auto pattern = text(node, args, 0);
  if (!pattern) return std::unexpected(pattern.error());
  std::string out;
  for (std::size_t i = 0; i < pattern->size(); ++i) {
    const char c = (*pattern)[i];
    if (c != '{' && c != '}') {
      out += c;
      continue;
    }
    if (pattern->substr(i + 1).starts_with(c)) {
      out += c;
      ++i;
      continue;
    }
    const std::size_t close = c == '{' ? pattern->find('}', i) : std::string_view::npos;
    std::size_t which = 0;
    const char* const first = pattern->data() + i + 1;
    const char* const last = close == std::string_view::npos ? first : pattern->data() + close;
    const auto [end, error] = std::from_chars(first, last, which);
    if (error != std::errc{} || end != last)
      return wrong(fmt::format("format: a lone '{}' in {}: write {{0}} for the first value, {}{} for the character", c,
                               quoted(node.children[0]), c, c));
    if (which >= args.size() - 1)
      return wrong(
          fmt::format("format: there is no value for {{{}}}: {} given, counted from 0", which, args.size() - 1));
    const Value& value = args[which + 1];
    if (value.is_null())
      return wrong(fmt::format("format: {} is null: write ?? '' if it may be", quoted(node.children[which + 1])));
    if (auto done = append_plain(out, value.get()); !done) return std::unexpected(std::move(done.error()));
    i = close;
  }
  return own_text(std::move(out));
}

Result<Value> Evaluator::join(const Node& node, Call args) {
  const auto* list = args[0].get().if_array();
  if (!list) return wrong(not_what("join", quoted(node.children[0]), args[0], "a list"));
  std::string_view separator = ",";
  if (args.size() > 1) {
    const auto given = text(node, args, 1);
    if (!given) return std::unexpected(given.error());
    separator = *given;
  }
  std::string out;
  for (std::size_t i = 0; i < list->size(); ++i) {
    if ((*list)[i].is_null())
      return wrong(
          fmt::format("join: element {} of {} is null: compact(list) drops such", i, quoted(node.children[0])));
    if (i > 0) {
      if (auto paid = pay_bytes(separator.size()); !paid) return std::unexpected(std::move(paid.error()));
      out += separator;
    }
    if (auto done = append_plain(out, (*list)[i]); !done) return std::unexpected(std::move(done.error()));
  }
  return own_text(std::move(out));
}

Result<Value> Evaluator::split(const Node& node, Call args) {
  const auto all = text(node, args, 0), separator = text(node, args, 1);
  if (!all || !separator) return std::unexpected(all ? separator.error() : all.error());
  if (separator->empty()) return wrong("split: the separator is empty");
  json::array parts;
  for (std::size_t from = 0;;) {
    const std::size_t at = find_text(*all, *separator, from);
    const std::string_view piece = all->substr(from, at == std::string_view::npos ? at : at - from);
    // Twice a value: the list grows by doubling.
    if (auto paid = pay_bytes(2 * sizeof(Json) + piece.size()); !paid) return std::unexpected(std::move(paid.error()));
    parts.emplace_back(json::string_view(piece.data(), piece.size()));
    if (at == std::string_view::npos) break;
    from = at + separator->size();
  }
  return Value::own(std::move(parts));
}

Result<Value> Evaluator::length(const Node& node, Call args) {
  const Json& value = args[0].get();
  if (const auto* list = value.if_array()) return Value::own(static_cast<std::int64_t>(list->size()));
  if (const auto* object = value.if_object()) return Value::own(static_cast<std::int64_t>(object->size()));
  if (!value.is_string())
    return wrong(not_what("length", quoted(node.children[0]), args[0], "a string, list or object"));
  const auto s = text(node, args, 0);
  if (!s) return std::unexpected(s.error());
  std::int64_t characters = 0;
  for (const char c : *s) characters += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return Value::own(characters);
}

Result<Value> Evaluator::keys(const Node& node, Call args) {
  const auto* object = args[0].get().if_object();
  if (!object) return wrong(not_what("keys", quoted(node.children[0]), args[0], "an object"));
  json::array names;
  for (const auto& member : *object) {
    if (auto paid = pay_bytes(sizeof(Json) + member.key().size()); !paid)
      return std::unexpected(std::move(paid.error()));
    names.emplace_back(member.key());
  }
  return Value::own(std::move(names));
}

Result<Value> Evaluator::from_json(const Node& node, Call args) {
  const auto s = text(node, args, 0);
  if (!s) return std::unexpected(s.error());
  // Before anything is made: every value but the first has one of these before it.
  const auto before_value = [](char c) { return c == ',' || c == ':' || c == '[' || c == '{'; };
  const auto values = static_cast<std::size_t>(std::ranges::count_if(*s, before_value)) + 1;
  if (auto paid = pay_bytes(s->size() + values * sizeof(Json)); !paid) return std::unexpected(std::move(paid.error()));
  auto value = parse_json(*s, {.depth = max_value_depth});
  if (!value)
    return wrong(fmt::format("{}: {} is no JSON: {}", node.name, quoted(node.children[0]), value.error().message));
  return Value::own(std::move(*value));
}

Result<Value> Evaluator::hash(Call args) {
  auto size = measure(args[0].get());
  if (!size) return std::unexpected(std::move(size.error()));
  return own_text(args[0].get().is_string() ? sha256_hex(as_view(args[0].get())) : sha256_hex(to_text(args[0].get())));
}

Result<Instant> Evaluator::time(const Node& node, Call args, std::size_t which) {
  const auto s = text(node, args, which);
  if (!s) return std::unexpected(s.error());
  constexpr std::size_t day_only = 10;  // 2026-11-23
  auto instant = parse_rfc3339(s->size() == day_only ? fmt::format("{}T00:00:00Z", *s) : std::string(*s));
  if (instant) return *instant;
  return wrong(fmt::format("{}: {} is not a time such as 2026-11-23T08:00:00Z", node.function->name,
                           quoted(node.children[which])));
}

Result<Value> Evaluator::date(const Node& node, Call args) {
  const auto pattern = text(node, args, 0);
  if (!pattern) return std::unexpected(pattern.error());
  auto instant = args.size() > 1 ? time(node, args, 1) : Result<Instant>(context_.now());
  if (!instant) return std::unexpected(std::move(instant.error()));
  constexpr std::size_t longest = 10;  // of what one letter gives, but for years far away
  if (auto paid = pay_bytes(pattern->size() * longest); !paid) return std::unexpected(std::move(paid.error()));
  std::string out;
  for (std::size_t i = 0; i < pattern->size(); ++i) {
    const char c = (*pattern)[i];
    if (c != '%') {
      out += c;
      continue;
    }
    if (++i == pattern->size() || !append_date(out, (*pattern)[i], *instant))
      return wrong(fmt::format("date: '%{}' has no meaning: known are {}",
                               cut_utf8(pattern->substr(std::min(i, pattern->size())), 4), date_letters));
  }
  return own_text(std::move(out));
}

Result<Value> Evaluator::add_duration(const Node& node, Call args) {
  const auto start = time(node, args, 0);
  if (!start) return std::unexpected(start.error());
  const auto s = text(node, args, 1);
  if (!s) return std::unexpected(s.error());
  const bool back = s->starts_with('-');
  auto duration = parse_duration(back ? s->substr(1) : *s);
  if (!duration)
    return wrong(
        fmt::format("addDuration: {} is not a duration such as 500ms, 10s, 1h30m or -2d", quoted(node.children[1])));
  const Instant end = back ? *start - *duration : *start + *duration;
  using namespace std::chrono;
  if (end < sys_days{year{0} / 1 / 1} || end >= sys_days{year{10000} / 1 / 1})
    return wrong(fmt::format("addDuration: {} leaves the years 0 to 9999", quoted(node)));
  return own_text(to_rfc3339(end));
}

Result<Value> Evaluator::compact(const Node& node, Call args) {
  const auto empty = [](const Json& value) {
    return value.is_null() || (value.is_string() && value.get_string().empty());
  };
  const Json& value = args[0].get();
  if (!value.is_array() && !value.is_object())
    return wrong(not_what("compact", quoted(node.children[0]), args[0], "a list"));
  if (auto size = measure(value); !size) return std::unexpected(std::move(size.error()));
  if (const auto* object = value.if_object()) {
    json::object result;
    for (const auto& member : *object)
      if (!empty(member.value())) result.emplace(member.key(), member.value());
    return Value::own(std::move(result));
  }
  json::array result;
  for (const Json& element : value.get_array())
    if (!empty(element)) result.push_back(element);
  return Value::own(std::move(result));
}

}  // namespace pawl::expression
