#include "definition/read_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/utf8.h"
#include "calendar/slots.h"
#include "definition/inputs.h"
#include "expression/expression.h"

namespace pawl::definition {
namespace {

using calendar::Cron;

// The last second of the year 9999, behind which RFC 3339 has no words.
constexpr std::int64_t last_second = 253'402'300'799;
// No zone is farther from UTC.
constexpr std::chrono::hours farthest_offset{26};

constexpr auto misfire_words = std::to_array<std::string_view>({"run-once", "run-all", "skip"});
constexpr auto overlap_words = std::to_array<std::string_view>({"queue", "skip", "allow", "cancel-running"});

template <class Words, class Enum>
constexpr bool spells_all(const Words& words, Enum last) {
  return words.size() == static_cast<std::size_t>(last) + 1;
}
static_assert(spells_all(misfire_words, Misfire::skip) && spells_all(overlap_words, Overlap::cancel_running));

// Finer than milliseconds is cut off, since nothing writes it again.
std::optional<Instant> read_instant(Reader& reader, const Node& node, std::string_view what) {
  if (node.misread) return std::nullopt;
  if (node.kind == Node::Kind::integer || node.kind == Node::Kind::number) {
    const Json value = reader.json(node, nullptr);
    if (value.is_null()) return std::nullopt;
    const double seconds = value.to_number<double>();
    if (seconds >= 0 && seconds <= static_cast<double>(last_second))
      return Instant{std::chrono::milliseconds{std::llround(seconds * 1000)}};
    reader.problem(node,
                   fmt::format("{} as Unix seconds is {}", what, seconds < 0 ? "before 1970" : "after the year 9999"),
                   seconds < 0 ? "" : "seconds, not milliseconds");
    return std::nullopt;
  }
  const auto text = reader.text(node, what);
  if (!text) return std::nullopt;
  if (expression::has_expression(*text)) {
    reader.problem(node, fmt::format("{} takes no expressions", what));
    return std::nullopt;
  }
  const auto instant = parse_rfc3339(*text);
  if (!instant) {
    reader.problem(node, fmt::format("{}: {}", what, instant.error().message));
    return std::nullopt;
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(*instant).time_since_epoch().count();
  if (seconds < 0 || seconds > last_second) {
    reader.problem(node, fmt::format("{} must lie between 1970 and the year 9999", what));
    return std::nullopt;
  }
  return std::chrono::floor<std::chrono::milliseconds>(*instant);
}

// Whether a slot can lie in the bounds, whatever the zone. @every fires at its start, and without one it is not known
// what it counts from.
bool may_fire(const Cron& cron, std::optional<Instant> start, std::optional<Instant> end) {
  if (cron.every()) return true;
  const auto wall = [](Instant instant) {
    return calendar::local_seconds{std::chrono::floor<std::chrono::seconds>(instant.time_since_epoch())};
  };
  const auto first = calendar::next_match(cron, start ? wall(*start) - farthest_offset : calendar::local_seconds{});
  return first && (!end || *first <= wall(*end) + farthest_offset);
}

class RuleReader {
 public:
  RuleReader(Reader& reader, const Fields& fields, const ScheduleRule& base, const RuleReading& reading,
             std::optional<int>* cron_position)
      : reader_(reader),
        fields_(fields),
        reading_(reading),
        keys_(reading.keys),
        rule_(base),
        cron_position_(cron_position) {}

  ScheduleRule read() {
    read_cron();
    read_zone();
    read_word(keys_.misfire, &ScheduleRule::misfire, misfire_words);
    read_duration(keys_.misfire_threshold, &ScheduleRule::misfire_threshold);
    read_duration(keys_.misfire_window, &ScheduleRule::misfire_window);
    if (const Node* most = given(keys_.max_catch_up, &ScheduleRule::max_catch_up))
      if (const auto count = reader_.integer(*most, named(keys_.max_catch_up), 1, 100'000))
        rule_.max_catch_up = static_cast<int>(*count);
    read_word(keys_.overlap, &ScheduleRule::overlap, overlap_words);
    if (const Node* inputs = given(keys_.inputs, &ScheduleRule::inputs))
      rule_.inputs = read_given(reader_, *inputs, reading_.workflow, Place::schedule_inputs);
    const Node* start = given(keys_.start, &ScheduleRule::start);
    if (start) keep(rule_.start, read_instant(reader_, *start, named(keys_.start)));
    const Node* end = given(keys_.end, &ScheduleRule::end);
    if (end) keep(rule_.end, read_instant(reader_, *end, named(keys_.end)));
    read_duration(keys_.jitter, &ScheduleRule::jitter, true);
    read_duration(keys_.late_after, &ScheduleRule::late_after);
    check_bounds(start, end);
    return std::move(rule_);
  }

 private:
  static std::string named(std::string_view key) { return fmt::format("`{}`", key); }

  // The value of the member, unless there is none or null resets it, which has been done then.
  template <class Member>
  const Node* given(std::string_view key, Member ScheduleRule::* member) {
    const Node* value = fields_.value(key);
    if (!value || value->kind != Node::Kind::null || !reading_.null_resets) return value;
    static const ScheduleRule defaults;
    rule_.*member = defaults.*member;
    return nullptr;
  }

  // After a problem the rule is of no use, but what else there is to say of it is said all the same.
  template <class Member, class Value>
  void keep(Member& member, const std::optional<Value>& value) {
    if (value)
      member = *value;
    else
      sound_ = false;
  }

  template <class Member>
  void read_duration(std::string_view key, Member ScheduleRule::* member, bool zero = false) {
    if (const Node* value = given(key, member)) keep(rule_.*member, reader_.duration(*value, named(key), zero));
  }

  template <class Enum>
  void read_word(std::string_view key, Enum ScheduleRule::* member, std::span<const std::string_view> words) {
    if (const Node* value = given(key, member))
      if (const auto word = reader_.word(*value, named(key), words)) rule_.*member = static_cast<Enum>(*word);
  }

  void read_cron() {
    cron_node_ = given(keys_.cron, &ScheduleRule::cron);
    if (cron_node_) {
      const auto text = reader_.scalar(*cron_node_, named(keys_.cron));
      if (!text) return;
      if (expression::has_expression(*text)) return reader_.problem(*cron_node_, "`cron` takes no expressions");
      rule_.cron = *text;
    }
    if (rule_.cron.empty() && !cron_node_) return;
    auto cron = Cron::parse(rule_.cron);
    if (!cron_node_) {
      if (cron) cron_ = std::move(*cron);
      return;
    }
    if (!cron) {
      const calendar::Problem& problem = cron.error();
      if (cron_position_) *cron_position_ = problem.position;
      reader_.problem_at(offset_of_position(reader_, *cron_node_, problem.position),
                         fmt::format("`cron`: {}", to_text(problem)));
    } else if (cron->never()) {
      reader_.problem(*cron_node_, "`cron`: it never fires: no day from 1970 to 2199 is one that it names");
    } else {
      cron_ = std::move(*cron);
    }
  }

  void read_zone() {
    const Node* zone = given(keys_.timezone, &ScheduleRule::timezone);
    if (!zone) return;
    const auto name = reader_.plain(*zone, named(keys_.timezone), 100);
    if (!name) return;
    rule_.timezone = *name;
    if (const std::string problem = reader_.zone_problem(*name); !problem.empty())
      reader_.problem(*zone, fmt::format("`timezone`: {}", problem));
  }

  void check_bounds(const Node* start, const Node* end) {
    const Node* const at = end ? end : start ? start : cron_node_;
    if (!at || !sound_) return;
    if (rule_.start && rule_.end && *rule_.end <= *rule_.start)
      reader_.problem(*at, "`end` is not later than `start`");
    else if (cron_ && !may_fire(*cron_, rule_.start, rule_.end))
      reader_.problem(*at, fmt::format("the schedule never fires: no time of its `cron` lies {}",
                                       rule_.start && rule_.end ? "between `start` and `end`"
                                       : rule_.start            ? "behind `start`"
                                                                : "before `end`"));
  }

  Reader& reader_;
  const Fields& fields_;
  const RuleReading& reading_;
  const RuleKeys& keys_;
  ScheduleRule rule_;
  std::optional<int>* cron_position_;
  const Node* cron_node_ = nullptr;
  std::optional<Cron> cron_;  // of the rule, if it is one that fires
  bool sound_ = true;         // start and end are what was written
};

}  // namespace

ScheduleRule read_rule(Reader& reader, const Fields& fields, const ScheduleRule& base, const RuleReading& reading,
                       std::optional<int>* cron_position) {
  return RuleReader(reader, fields, base, reading, cron_position).read();
}

Json read_given(Reader& reader, const Node& node, const Workflow* workflow, Place place) {
  json::object values;
  if (node.kind == Node::Kind::null || !reader.is_map(node, "`inputs`")) return values;
  std::vector<std::string> names;
  if (workflow)
    for (const Input& input : workflow->inputs) names.push_back(input.name);
  for (const auto& [key, value] : node.entries) {
    const Input* input = nullptr;
    if (workflow) {
      const auto found = std::ranges::find(workflow->inputs, key->text, &Input::name);
      if (found == workflow->inputs.end()) {
        reader.problem(*key, fmt::format("the workflow has no input `{}`", cut_utf8(key->text, 100)),
                       reader.did_you_mean(key->text, names));
        continue;
      }
      input = &*found;
    }
    const std::size_t before = reader.sites.size();
    Json given = reader.json(*value, &place);
    const bool literal = reader.sites.size() == before && value->kind != Node::Kind::null && !value->misread;
    if (input && literal)
      if (const auto checked = check_value(*input, given, false); !checked)
        reader.problem(*value, fmt::format("the input `{}` {}", input->name, checked.error()));
    values.emplace(key->text, std::move(given));
  }
  return values;
}

std::size_t offset_of_position(const Reader& reader, const Node& scalar, int position) {
  std::size_t at = 0;
  const auto inside = [&] { return (static_cast<unsigned char>(scalar.text[at]) & 0xC0) == 0x80; };
  for (int left = position - 1; left > 0 && at < scalar.text.size(); --left) do
      ++at;
    while (at < scalar.text.size() && inside());
  return reader.document.offset_in(scalar, at);
}

}  // namespace pawl::definition
