#include "store/sqlite/migrations.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "store/contract_tests/temp_folder.h"
#include "store/sqlite/sqlite_reader.h"

namespace pawl::store {
namespace {

class Migrations : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = folder_ / "pawl.db";
    std::ofstream(path).flush();
    auto opened = Connection::open(path, SQLITE_OPEN_READWRITE);
    ASSERT_TRUE(opened) << opened.error().message;
    connection_ = std::move(*opened);
  }
  std::int64_t integer(const char* sql) { return connection_->integer(sql).value_or(-1); }

  TempFolder folder_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(Migrations, AreNumberedFromOneWithoutGaps) {
  int next = 1;
  for (const Migration& step : migrations()) EXPECT_EQ(step.version, next++);
  EXPECT_EQ(newest_version(), next - 1);
}

TEST_F(Migrations, LeadFromNothingToTheNewestVersion) {
  ASSERT_EQ(integer("PRAGMA user_version"), 0);
  const auto done = migrate(*connection_, migrations());
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(integer("PRAGMA user_version"), newest_version());
  EXPECT_EQ(integer("SELECT count(*) FROM node"), 1);
  EXPECT_EQ(integer("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND "
                    "name NOT LIKE 'sqlite%' AND NOT strict"),
            0);
}

TEST_F(Migrations, ASecondTimeChangesNothing) {
  ASSERT_TRUE(migrate(*connection_, migrations()));
  const std::int64_t schema = integer("PRAGMA schema_version");
  ASSERT_TRUE(migrate(*connection_, migrations()));
  EXPECT_EQ(integer("PRAGMA schema_version"), schema);
}

TEST_F(Migrations, GoOnFromTheVersionThatIsThere) {
  constexpr auto steps = std::to_array<Migration>({{1, "CREATE TABLE a (x)"}, {2, "ALTER TABLE a ADD COLUMN y"}});
  ASSERT_TRUE(migrate(*connection_, std::span(steps).first(1)));
  ASSERT_TRUE(connection_->execute("INSERT INTO a VALUES (7)"));
  ASSERT_TRUE(migrate(*connection_, steps));
  EXPECT_EQ(integer("PRAGMA user_version"), 2);
  EXPECT_EQ(integer("SELECT x FROM a WHERE y IS NULL"), 7);
}

TEST_F(Migrations, FromVersionTwoKeepWhatIsThereWhichKnowsOfNoSchedules) {
  ASSERT_TRUE(migrate(*connection_, migrations().first(2)));
  const auto filled = connection_->execute(
      "INSERT INTO workflows VALUES ('a', 1, 3, 7, 10, 20), ('b', 0, 1, 0, 30, 40);"
      "INSERT INTO versions VALUES ('a', 3, 'name: a', 20, 'ada');"
      "INSERT INTO runs (id, workflow, number, version, trace_id, status, attempt, who_trigger, who_user, who_client, "
      "who_user_agent, who_at_us, created_at_us, group_name, group_limit, group_cancels, group_held) VALUES "
      "(x'00112233445566778899aabbccddeeff', 'a', 7, 3, 't', 'running', 2, 'api', '', '', '', 1, 2, 'g', 4, 0, 1);"
      "INSERT INTO run_values VALUES (1, '{}', NULL, NULL);"
      "INSERT INTO events VALUES (x'00112233445566778899aabbccddeeff', 1, 5, '[]');"
      "INSERT INTO start_keys VALUES ('a', 'k', 'h', x'00112233445566778899aabbccddeeff', 6);"
      "INSERT INTO gone VALUES (x'01'); UPDATE node SET epoch = 9, heartbeat_us = 8");
  ASSERT_TRUE(filled) << filled.error().message;
  const auto done = migrate(*connection_, migrations());
  ASSERT_TRUE(done) << done.error().message;
  const auto reader = open_sqlite_reader(folder_ / "pawl.db");
  ASSERT_TRUE(reader);
  const auto workflows = (*reader)->workflows();
  ASSERT_TRUE(workflows) << workflows.error().message;
  ASSERT_EQ(workflows->size(), 2U);
  EXPECT_EQ(workflows->at(0).last_number, 7);
  EXPECT_TRUE(workflows->at(0).active());
  // No slot was a slot of a disabled workflow: nothing lies between the two.
  EXPECT_EQ(workflows->at(0).switched_at, Instant{});
  EXPECT_EQ(workflows->at(0).disabled_from, Instant{});
  EXPECT_FALSE(workflows->at(1).enabled);
  EXPECT_EQ(workflows->at(1).file, "");
  EXPECT_EQ(workflows->at(1).updated_at, from_us(40));
  const auto run = (*reader)->run_by_number("a", 7);
  ASSERT_TRUE(run.value_or(std::nullopt));
  EXPECT_EQ((**run).attempt, 2);
  EXPECT_EQ((**run).group, "g");
  EXPECT_EQ((**run).inputs, Json(json::object{}));
  EXPECT_FALSE((**run).slot);
  EXPECT_EQ((*reader)->records((**run).id)->size(), 1U);
  EXPECT_TRUE((*reader)->start_key("a", "k")->has_value());
  EXPECT_EQ(integer("SELECT count(*) FROM gone"), 1);
  EXPECT_EQ(integer("SELECT epoch FROM node"), 9);
  EXPECT_TRUE((*reader)->schedules({}, {}, 10)->empty());
  EXPECT_EQ(connection_->text("PRAGMA integrity_check").value_or(""), "ok");
}

TEST_F(Migrations, AStepThatFailsLeavesTheVersionBeforeItWhole) {
  constexpr auto steps =
      std::to_array<Migration>({{1, "CREATE TABLE a (x)"}, {2, "CREATE TABLE b (x); CREATE TABLE a (x)"}});
  EXPECT_FALSE(migrate(*connection_, steps));
  EXPECT_FALSE(connection_->in_transaction());
  EXPECT_EQ(integer("PRAGMA user_version"), 1);
  EXPECT_EQ(integer("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST_F(Migrations, ANewerVersionIsRefused) {
  ASSERT_TRUE(connection_->execute("PRAGMA user_version = 99"));
  const auto done = migrate(*connection_, migrations());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::refused);
  EXPECT_EQ(integer("SELECT count(*) FROM sqlite_schema"), 0);
}

}  // namespace
}  // namespace pawl::store
