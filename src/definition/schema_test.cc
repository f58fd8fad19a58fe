// The schema for editors names exactly the keys that the readers know. What it says of their values is compared with
// them by tests/schema.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "definition/parts.h"

namespace pawl::definition {
namespace {

std::vector<std::string> known_keys(std::span<const Key> keys) {
  std::vector<std::string> known;
  for (const Key& key : keys)
    if (key.use == Key::Use::known) known.emplace_back(key.name);
  return known;
}

std::vector<std::string> properties(const Json& schema, std::string_view part) {
  std::vector<std::string> names;
  const Json* definitions = find(schema, "$defs");
  const Json* definition = definitions ? find(*definitions, part) : nullptr;
  const Json* members = definition ? find(*definition, "properties") : nullptr;
  if (members)
    for (const auto& member : members->get_object()) names.emplace_back(member.key());
  return names;
}

TEST(Schema, HasThePropertiesThatTheReadersKnow) {
  const auto parsed = parse_json(schema());
  ASSERT_TRUE(parsed) << parsed.error().message;
  std::vector<KeyTable> tables{{"input", input_keys()}};
  for (const auto& some : {workflow_key_tables(), task_key_tables(), trigger_key_tables(), schedule_key_tables()})
    tables.insert(tables.end(), some.begin(), some.end());
  EXPECT_EQ(tables.size(), 15U);
  for (const KeyTable& table : tables)
    EXPECT_THAT(properties(*parsed, table.name), testing::UnorderedElementsAreArray(known_keys(table.keys)))
        << table.name;
}

}  // namespace
}  // namespace pawl::definition
