#include <array>

#include "definition/parts.h"
#include "definition/read_rule.h"

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

constexpr auto webhook_keys = std::to_array<Key>({{"scheme"}, {"secret"}, {"inputs"}, {"idempotency-key"}});

constexpr auto tables = std::to_array<KeyTable>({{"on", on_keys}, {"webhook", webhook_keys}});

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
  if (const Node* given = fields.value("inputs")) read_given(reader, *given, &workflow, Place::trigger);
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
  if (const Node* schedule = fields.value("schedule");
      schedule && schedule->kind != Node::Kind::null && reader.reads_schedules())
    read_schedules(reader, *schedule, workflow);
  if (const Node* webhook = fields.value("webhook")) workflow.webhook = read_webhook(reader, *webhook, workflow);
}

}  // namespace pawl::definition
