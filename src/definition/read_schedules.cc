#include <fmt/format.h>

#include <array>
#include <map>
#include <set>

#include "base/utf8.h"
#include "calendar/timetable.h"
#include "definition/parts.h"
#include "definition/read_rule.h"
#include "definition/schedule_fields.h"

namespace pawl::definition {
namespace {

constexpr auto schedule_keys = std::to_array<Key>({
    {"id"},
    {"cron"},
    {"timezone"},
    {"misfire"},
    {"misfire-window"},
    {"misfire-threshold"},
    {"max-catch-up"},
    {"overlap"},
    {"inputs"},
    {"start"},
    {"end"},
    {"jitter"},
    {"late-after"},
    foreign("tz", "did you mean `timezone`?"),
    foreign("every", "write cron: \"@every 90s\""),
    foreign("name", "did you mean `id`?"),
    foreign("enabled", "a schedule is disabled with `pawl schedule disable`, and stays so when the file changes"),
    foreign("catchup", "did you mean `misfire`?"),
});

constexpr auto tables = std::to_array<KeyTable>({{"schedule", schedule_keys}});

// A warning is about a member as the API spells it; in the file it stands at that member, or at the schedule.
void warn_of(Reader& reader, const Node& node, const Fields& fields, const FieldProblem& warning) {
  std::string key = warning.field;
  for (char& c : key)
    if (c == '_') c = '-';
  const Node* const value = fields.value(key);
  if (value && warning.position)
    reader.warn_at(offset_of_position(reader, *value, *warning.position), warning.message);
  else
    reader.warn(value ? *value : node, warning.message);
}

class ScheduleReader {
 public:
  ScheduleReader(Reader& reader, Workflow& workflow, bool several)
      : reader_(reader), workflow_(workflow), several_(several) {}

  void read(const Node& node) {
    if (node.kind == Node::Kind::string)
      return reader_.problem(node, "a schedule must be a map, not a text",
                             fmt::format("write schedule: {{cron: \"{}\"}}", cut_utf8(node.text, 100)));
    if (!reader_.is_map(node, "a schedule")) return;
    const Fields fields(reader_, node, "a schedule", schedule_keys);
    DefinedSchedule schedule{.name = read_id(node, fields), .rule = {}};
    if (!fields.value("cron") && !has_key(node, "every")) reader_.problem(node, "a schedule needs `cron`");
    RuleReading reading;
    reading.workflow = &workflow_;
    schedule.rule = read_rule(reader_, fields, {}, reading);
    if (!reader_.failed())
      for (const FieldProblem& warning : schedule_warnings(schedule.rule, &workflow_))
        warn_of(reader_, node, fields, warning);
    if (fields.value("cron")) {
      const auto [first, fresh] = rules_.emplace(calendar::rule_key(schedule.rule), schedule.name);
      if (!fresh)
        reader_.problem(node,
                        fmt::format("the schedule `{}` has the same `cron`, `timezone` and `inputs` as `{}`",
                                    cut_utf8(schedule.name, 100), cut_utf8(first->second, 100)),
                        "leave one of them out");
    }
    workflow_.schedules.push_back(std::move(schedule));
  }

 private:
  std::string read_id(const Node& node, const Fields& fields) {
    const Node* given = fields.value("id");
    if (!given) {
      if (several_) reader_.problem(node, "a schedule needs an `id` where there are several");
      return "main";
    }
    std::string id = reader_.scalar(*given, "`id`").value_or("");
    if (given->is_scalar() && !is_id(id))
      reader_.problem(*given, fmt::format("`{}` is no id", cut_utf8(id, 100)),
                      "letters, digits, _ and -; a letter or _ at first");
    if (!id.empty() && !ids_.insert(id).second)
      reader_.problem(*given, fmt::format("the schedule `{}` is there twice", cut_utf8(id, 100)));
    return id;
  }

  Reader& reader_;
  Workflow& workflow_;
  bool several_;
  std::set<std::string> ids_;
  std::map<std::string, std::string> rules_;  // what must not be there twice, and whose it is
};

}  // namespace

std::span<const KeyTable> schedule_key_tables() { return tables; }

void read_schedules(Reader& reader, const Node& node, Workflow& workflow) {
  const bool list = node.kind == Node::Kind::list;
  const Node* const lone = &node;
  const auto all = list ? std::span<const Node* const>(node.items) : std::span<const Node* const>(&lone, 1);
  if (all.empty()) reader.problem(node, "`schedule` is empty", "leave it out");
  if (all.size() > max_schedules)
    return reader.problem(*all[max_schedules], fmt::format("more than {} schedules in one workflow", max_schedules));
  ScheduleReader schedules(reader, workflow, all.size() > 1);
  for (const Node* one : all) schedules.read(*one);
}

}  // namespace pawl::definition
