#include "definition/schedule_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "calendar/cron.h"
#include "definition/document.h"
#include "definition/names.h"
#include "definition/read_rule.h"

namespace pawl::definition {
namespace {

constexpr RuleKeys keys{.misfire_threshold = "misfire_threshold",
                        .misfire_window = "misfire_window",
                        .max_catch_up = "max_catch_up",
                        .late_after = "late_after"};

constexpr auto names = std::to_array<std::string_view>(
    {keys.cron, keys.timezone, keys.misfire, keys.misfire_threshold, keys.misfire_window, keys.max_catch_up,
     keys.overlap, keys.inputs, keys.start, keys.end, keys.jitter, keys.late_after});

constexpr auto known_keys = [] {
  std::array<Key, names.size()> known;
  for (std::size_t i = 0; i < names.size(); ++i) known[i] = Key{names[i]};
  return known;
}();

// The member that a problem stands in. The text has one line, so its column tells.
std::string_view field_at(const Document& document, const Problem& problem) {
  std::string_view field;
  for (const Entry& entry : document.root().entries)
    if (document.source().position(entry.key->begin).column <= problem.column) field = entry.key->text;
  return field;
}

Json text(std::string_view value) { return json::string(value); }

template <class Instants>
Json time_or_null(const Instants& instant) {
  return instant ? text(to_rfc3339(*instant)) : Json(nullptr);
}

}  // namespace

std::span<const std::string_view> schedule_fields() { return names; }

std::expected<ScheduleRule, std::vector<FieldProblem>> read_schedule_fields(const Json& fields,
                                                                            const ScheduleRule& base,
                                                                            const Workflow* workflow,
                                                                            const ParseOptions& options) {
  const auto refuse = [](std::string message) {
    return std::unexpected(std::vector{FieldProblem{"", std::move(message), std::nullopt}});
  };
  if (!fields.is_object()) return refuse(fmt::format("a schedule must be an object, not {}", pawl::type_name(fields)));
  // As text it is read by what reads files.
  const std::string written = pawl::to_text(fields);
  if (written.size() > max_text) return refuse(fmt::format("a schedule takes at most {} bytes", max_text));
  const auto document = Document::read(written);
  if (!document) return refuse(document.error().front().message);

  Reader reader(*document, options);
  const Fields members(reader, document->root(), "a schedule", known_keys);
  // Keys for anchors have no use here, so one of them is a mistake like others.
  for (const Entry& entry : document->root().entries)
    if (entry.key->text.starts_with("x-"))
      reader.problem(*entry.key, fmt::format("unknown key `{}` in a schedule", entry.key->text));
  std::optional<int> position;
  ScheduleRule rule = read_rule(reader, members, base, {keys, true, workflow}, &position);
  check_expressions(reader, {});

  std::vector<FieldProblem> problems;
  for (const Problem& problem : reader.take_problems()) {
    const std::string_view field = field_at(*document, problem);
    problems.push_back({std::string(field),
                        problem.hint.empty() ? problem.message : fmt::format("{}; {}", problem.message, problem.hint),
                        field == keys.cron ? position : std::nullopt});
  }
  const bool told = std::ranges::find(problems, keys.cron, &FieldProblem::field) != problems.end();
  if (rule.cron.empty() && !told) problems.push_back({std::string(keys.cron), "a schedule needs `cron`", std::nullopt});
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return rule;
}

Json schedule_to_json(const ScheduleRule& rule) {
  json::object object;
  object.emplace(keys.cron, text(rule.cron));
  object.emplace(keys.timezone, rule.timezone.empty() ? Json(nullptr) : text(rule.timezone));
  object.emplace(keys.misfire, text(to_string(rule.misfire)));
  object.emplace(keys.misfire_threshold, text(pawl::to_text(rule.misfire_threshold)));
  object.emplace(keys.misfire_window, text(pawl::to_text(rule.misfire_window)));
  object.emplace(keys.max_catch_up, rule.max_catch_up);
  object.emplace(keys.overlap, text(to_string(rule.overlap)));
  object.emplace(keys.inputs, rule.inputs);
  object.emplace(keys.start, time_or_null(rule.start));
  object.emplace(keys.end, time_or_null(rule.end));
  object.emplace(keys.jitter, text(pawl::to_text(rule.jitter)));
  object.emplace(keys.late_after, rule.late_after ? text(pawl::to_text(*rule.late_after)) : Json(nullptr));
  return object;
}

std::vector<FieldProblem> schedule_warnings(const ScheduleRule& rule, const Workflow* workflow) {
  std::vector<FieldProblem> warnings;
  if (const auto cron = calendar::Cron::parse(rule.cron))
    for (const calendar::Problem& problem : cron->warnings())
      warnings.push_back({std::string(keys.cron), fmt::format("`cron`: {}", to_text(problem)), problem.position});
  if (!workflow) return warnings;
  for (const Input& input : workflow->inputs) {
    const Json* given = find(rule.inputs, input.name);
    if (input.required && !input.fallback && (!given || given->is_null()))
      warnings.push_back({std::string(keys.inputs),
                          fmt::format("the input `{}` is required and not given, so no slot starts a run", input.name),
                          std::nullopt});
  }
  if (rule.late_after && std::ranges::none_of(workflow->jobs, [](const Job& job) { return job.role == Role::on_late; }))
    warnings.push_back(
        {std::string(keys.late_after), "a late slot starts nothing: the workflow has no `on-late`", std::nullopt});
  return warnings;
}

}  // namespace pawl::definition
