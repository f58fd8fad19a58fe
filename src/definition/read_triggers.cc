#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/utf8.h"
#include "definition/inputs.h"
#include "definition/parts.h"
#include "expression/expression.h"

namespace pawl::definition {
namespace {

constexpr auto on_keys = std::to_array<Key>({
    {"schedule"},
    {"webhook"},
    later("workflow"),
    later("file"),
    foreign("push", "use `webhook: {scheme: github, …}`"),
    foreign("pull_request", "use `webhook: {scheme: github, …}`"),
    foreign("workflow_dispatch", "leave it out: starting by hand is always there; declare `inputs` at the top"),
    foreign("workflow_call", "leave it out"),
    foreign("cron", "did you mean `schedule: {cron: …}`?"),
    foreign("manual", "leave it out: starting by hand is always there"),
});

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
});

constexpr auto webhook_keys = std::to_array<Key>({{"scheme"}, {"secret"}, {"inputs"}, {"idempotency-key"}});

constexpr auto tables =
    std::to_array<KeyTable>({{"on", on_keys}, {"schedule", schedule_keys}, {"webhook", webhook_keys}});

// Given values of inputs: their names, and the values where they are no templates.
void check_given(Reader& reader, const Node& node, const Workflow& workflow) {
  if (node.kind == Node::Kind::null || !reader.is_map(node, "`inputs`")) return;
  std::vector<std::string> names;
  for (const Input& input : workflow.inputs) names.push_back(input.name);
  const Place place = Place::trigger;
  for (const auto& [key, value] : node.entries) {
    const auto input = std::ranges::find(workflow.inputs, key->text, &Input::name);
    if (input == workflow.inputs.end()) {
      reader.problem(*key, fmt::format("the workflow has no input `{}`", cut_utf8(key->text, 100)),
                     reader.did_you_mean(key->text, names));
      continue;
    }
    const std::size_t before = reader.sites.size();
    const Json given = reader.json(*value, &place);
    if (reader.sites.size() != before || value->kind == Node::Kind::null || value->misread) continue;
    if (const auto checked = check_value(*input, given, false); !checked)
      reader.problem(*value, fmt::format("the input `{}` {}", input->name, checked.error()));
  }
}

void check_instant(Reader& reader, const Node& node, std::string_view what) {
  const auto text = reader.text(node, what);
  if (!text) return;
  if (const auto instant = parse_rfc3339(*text); !instant)
    reader.problem(node, fmt::format("{}: {}", what, instant.error().message));
}

Json read_schedule(Reader& reader, const Node& node, const Workflow& workflow, bool several,
                   std::set<std::string>& ids) {
  if (node.kind == Node::Kind::string) {
    reader.problem(node, "a schedule must be a map, not a text",
                   fmt::format("write schedule: {{cron: \"{}\"}}", cut_utf8(node.text, 100)));
    return nullptr;
  }
  if (!reader.is_map(node, "a schedule")) return nullptr;
  const Fields fields(reader, node, "a schedule", schedule_keys);
  std::string id = "main";
  if (const Node* given = fields.value("id")) {
    id = reader.scalar(*given, "`id`").value_or("");
    if (given->is_scalar() && !is_id(id))
      reader.problem(*given, fmt::format("`{}` is no id", cut_utf8(id, 100)),
                     "letters, digits, _ and -; a letter or _ at first");
    if (!id.empty() && !ids.insert(id).second)
      reader.problem(*given, fmt::format("the schedule `{}` is there twice", cut_utf8(id, 100)));
  } else if (several) {
    reader.problem(node, "a schedule needs an `id` where there are several");
  }
  if (const Node* cron = fields.value("cron")) {
    if (reader.plain(*cron, "`cron`", 200)) check_cron_habits(reader, *cron);
  } else {
    reader.problem(node, "a schedule needs `cron`");
  }
  if (const Node* zone = fields.value("timezone")) reader.plain(*zone, "`timezone`", 100);
  constexpr auto misfires = std::to_array<std::string_view>({"run-once", "run-all", "skip"});
  constexpr auto overlaps = std::to_array<std::string_view>({"queue", "skip", "allow", "cancel-running"});
  if (const Node* misfire = fields.value("misfire")) reader.word(*misfire, "`misfire`", misfires);
  if (const Node* overlap = fields.value("overlap")) reader.word(*overlap, "`overlap`", overlaps);
  for (const std::string_view name : {"misfire-window", "misfire-threshold", "jitter", "late-after"})
    if (const Node* value = fields.value(name)) reader.duration(*value, fmt::format("`{}`", name), name == "jitter");
  if (const Node* most = fields.value("max-catch-up")) reader.integer(*most, "`max-catch-up`", 1, 100'000);
  if (const Node* given = fields.value("inputs")) check_given(reader, *given, workflow);
  for (const std::string_view name : {"start", "end"})
    if (const Node* value = fields.value(name)) check_instant(reader, *value, fmt::format("`{}`", name));

  json::object schedule{{"id", id}};
  for (const Key& key : schedule_keys)
    if (const Node* value = fields.value(key.name); value && key.name != "id")
      schedule.emplace(key.name, reader.json(*value, nullptr));
  return schedule;
}

Json read_webhook(Reader& reader, const Node& node, const Workflow& workflow) {
  if (!reader.is_map(node, "`webhook`")) return nullptr;
  const Fields fields(reader, node, "`webhook`", webhook_keys);
  constexpr auto schemes = std::to_array<std::string_view>({"pawl", "github", "stripe", "slack", "standard"});
  if (const Node* scheme = fields.value("scheme"))
    reader.word(*scheme, "`scheme`", schemes);
  else
    reader.problem(node, "a webhook needs a `scheme`");
  if (const Node* secret = fields.value("secret"))
    reader.templated(*secret, "`secret`", Place::trigger);
  else
    reader.problem(node, "a webhook needs a `secret`", "secret: \"${{ secrets.NAME }}\"");
  if (const Node* given = fields.value("inputs")) check_given(reader, *given, workflow);
  if (const Node* key = fields.value("idempotency-key")) reader.templated(*key, "`idempotency-key`", Place::trigger);
  json::object webhook;
  for (const Key& key : webhook_keys)
    if (const Node* value = fields.value(key.name)) webhook.emplace(key.name, reader.json(*value, nullptr));
  return webhook;
}

}  // namespace

std::span<const KeyTable> trigger_key_tables() { return tables; }

void read_triggers(Reader& reader, const Node& node, Workflow& workflow) {
  if (node.kind == Node::Kind::null) return;
  if (node.kind != Node::Kind::map) return reader.wrong_type(node, "`on`", "a map of `schedule` and `webhook`");
  const Fields fields(reader, node, "`on`", on_keys);
  if (const Node* schedule = fields.value("schedule"); schedule && schedule->kind != Node::Kind::null) {
    const bool list = schedule->kind == Node::Kind::list;
    const auto all = list ? std::span<const Node* const>(schedule->items) : std::span<const Node* const>(&schedule, 1);
    if (all.empty()) reader.problem(*schedule, "`schedule` is empty", "leave it out");
    std::set<std::string> ids;
    json::array schedules;
    for (const Node* one : all) schedules.push_back(read_schedule(reader, *one, workflow, all.size() > 1, ids));
    workflow.schedules = std::move(schedules);
  }
  if (const Node* webhook = fields.value("webhook")) workflow.webhook = read_webhook(reader, *webhook, workflow);
}

}  // namespace pawl::definition
