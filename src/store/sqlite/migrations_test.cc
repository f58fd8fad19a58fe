#include "store/sqlite/migrations.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "store/contract_tests/temp_folder.h"

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
