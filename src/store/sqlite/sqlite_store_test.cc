#include "store/sqlite/sqlite_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "base/check.h"
#include "store/contract_tests/contract.h"
#include "store/contract_tests/schedule_contract.h"
#include "store/contract_tests/temp_folder.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/migrations.h"

namespace {

// A disk that fails on demand: SQLite's writes go through write_or_fail(), and its fdatasync() is the one below, which
// takes the place of the C library's in this program.
struct BrokenDisk {
  int writes_left = -1;  // before all further ones fail; -1: none fails
  int write_error = 0;
  int syncs_left = -1;
} broken_disk;

bool fails(int& left) {
  if (left < 0) return false;
  if (left > 0) return --left, false;
  return true;
}

ssize_t pwrite_or_fail(int file, const void* bytes, size_t size, off_t at) {
  if (!fails(broken_disk.writes_left)) return ::pwrite(file, bytes, size, at);
  errno = broken_disk.write_error;
  return -1;
}
ssize_t write_or_fail(int file, const void* bytes, size_t size) {
  if (!fails(broken_disk.writes_left)) return ::write(file, bytes, size);
  errno = broken_disk.write_error;
  return -1;
}

void watch_writes() {
  sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  for (const char* name : {"pwrite", "pwrite64"})
    if (vfs->xGetSystemCall(vfs, name) != nullptr)
      vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(pwrite_or_fail));
  vfs->xSetSystemCall(vfs, "write", reinterpret_cast<sqlite3_syscall_ptr>(write_or_fail));
}

}  // namespace

extern "C" int fdatasync(int file) {
  if (fails(broken_disk.syncs_left)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fdatasync, file));
}

namespace pawl::store {
namespace {

struct SqliteHome {
  TempFolder folder;
  Result<std::unique_ptr<Store>> open() { return open_sqlite({.path = folder / "pawl.db"}); }
};

}  // namespace

namespace contract {
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, StoreContract, SqliteHome);
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, ScheduleContract, SqliteHome);
}  // namespace contract

namespace {

using contract::a_record;
using contract::a_run;
using contract::adds;
using contract::run_id;
using contract::updates;
using contract::value;
using testing::HasSubstr;

Result<void> commit(Store& store, Changeset change) { return store.commit(std::span(&change, 1)); }

std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::set<std::string> names_in(const TempFolder& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) names.insert(entry.path().filename());
  return names;
}

// Never -1: to kill() that would mean every process.
pid_t fork_or_stop() {
  const pid_t child = ::fork();
  check(child >= 0, "cannot fork");
  return child;
}

// Runs `work` in a child process and gives its exit code.
int in_child(const std::function<int()>& work) {
  const pid_t child = fork_or_stop();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class SqliteStore : public testing::Test {
 protected:
  void SetUp() override { watch_writes(); }
  void TearDown() override { broken_disk = {}; }

  std::unique_ptr<Store> open() { return value(open_sqlite({.path = path_})); }
  Error refusal() {
    const auto opened = open_sqlite({.path = path_});
    if (!opened) return opened.error();
    ADD_FAILURE() << "it opened";
    return {};
  }
  // Changes the closed file behind the store's back.
  void edit(const std::string& sql) {
    auto connection = value(Connection::open(path_, SQLITE_OPEN_READWRITE));
    connection->tidy_on_close();
    const auto done = connection->execute(sql.c_str());
    ASSERT_TRUE(done) << done.error().message;
  }
  std::size_t stored_runs(Store& store) { return value(value(store.reader())->runs({}, 200, "")).items.size(); }

  TempFolder folder_;
  std::string path_ = folder_ / "pawl.db";
};

TEST_F(SqliteStore, ASecondOpeningInTheSameProcessIsRefused) {
  const auto first = open();
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::conflict);
  EXPECT_THAT(error.message, HasSubstr("in use by process " + std::to_string(::getpid())));
  EXPECT_TRUE(commit(*first, adds(a_run(1))));
}

TEST_F(SqliteStore, ASecondProcessIsToldWhoHoldsTheFileAlsoUnderAnotherName) {
  const std::string holder = std::to_string(::getpid());
  auto first = open();
  std::filesystem::create_symlink(path_, folder_ / "alias.db");
  for (const std::string& path : {path_, folder_ / "alias.db", folder_ / "./pawl.db"}) {
    EXPECT_EQ(in_child([&] {
                const auto second = open_sqlite({.path = path});
                if (second) return 1;
                if (second.error().code != Code::conflict) return 2;
                return second.error().message.find("process " + holder) == std::string::npos ? 3 : 0;
              }),
              0)
        << path;
  }
  first = nullptr;
  EXPECT_EQ(in_child([&] { return open_sqlite({.path = path_}) ? 0 : 1; }), 0);
}

TEST_F(SqliteStore, ACleanEndLeavesOneFileAndTheLock) {
  auto store = open();
  ASSERT_TRUE(commit(*store, adds(a_run(1))));
  EXPECT_TRUE(names_in(folder_).contains("pawl.db-wal"));
  store = nullptr;
  EXPECT_EQ(names_in(folder_), (std::set<std::string>{"pawl.db", "pawl.db.lock"}));
}

TEST_F(SqliteStore, OthersMayNotReadTheFile) {
  const auto store = open();
  ASSERT_TRUE(commit(*store, adds(a_run(1))));
  for (const auto& name : names_in(folder_))
    EXPECT_EQ(std::filesystem::status(folder_ / name).permissions() & std::filesystem::perms(0077),
              std::filesystem::perms::none)
        << name;
}

TEST_F(SqliteStore, AMissingFolderIsSaid) {
  path_ = folder_ / "no/where/pawl.db";
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message, HasSubstr("no folder"));
}

TEST_F(SqliteStore, WhatIsNoFileOrAnEmptyOneIsNotReplacedByANewDatabase) {
  write_file(path_, "");
  Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, HasSubstr("is empty"));
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_EQ(refusal().code, Code::refused);
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(refusal().code, Code::refused);
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(folder_ / "not/mounted", path_);
  error = refusal();
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message, HasSubstr("leads nowhere"));
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
}

TEST_F(SqliteStore, APipeBesideItIsRefusedBeforeAnythingIsMade) {
  for (const char* side : {"-wal", "-shm", "-journal"}) {
    ASSERT_EQ(::mkfifo((path_ + side).c_str(), 0600), 0);
    EXPECT_EQ(refusal().code, Code::refused) << side;
    EXPECT_FALSE(std::filesystem::exists(path_)) << side;
    std::filesystem::remove(path_ + side);
  }
}

TEST_F(SqliteStore, AFileThatIsRemovedOrReplacedWhileItIsOpenIsSeen) {
  for (const std::string side : {"", "-wal", "-shm", ".lock"}) {
    for (const bool replaced : {false, true}) {
      auto store = open();
      ASSERT_TRUE(commit(*store, adds(a_run(1))));
      EXPECT_TRUE(store->still_ours()) << side;
      std::filesystem::rename(path_ + side, path_ + ".away");
      if (replaced) write_file(path_ + side, "x");
      const auto lost = store->still_ours();
      ASSERT_FALSE(lost) << side;
      EXPECT_EQ(lost.error().code, Code::conflict) << side;
      EXPECT_THAT(lost.error().message, HasSubstr(path_ + side + " was removed or replaced")) << side;
      store = nullptr;
      for (const auto& name : names_in(folder_)) std::filesystem::remove(folder_ / name);
    }
  }
}

TEST_F(SqliteStore, ALeftOverOfAnInterruptedCreationIsNoHindrance) {
  write_file(path_ + ".new", "half a database");
  write_file(path_ + ".new-journal", "rubbish");
  EXPECT_TRUE(commit(*open(), adds(a_run(1))));
}

TEST_F(SqliteStore, AFileThatIsNoDatabaseIsRefusedAndUntouched) {
  for (const std::string& bytes :
       {std::string("hello"), std::string(8192, 'x'), std::string("SQLite format 3\0", 16), std::string(4096, '\0')}) {
    write_file(path_, bytes);
    EXPECT_EQ(refusal().code, Code::corrupt);
    EXPECT_EQ(file_bytes(path_), bytes);
    EXPECT_EQ(names_in(folder_), (std::set<std::string>{"pawl.db", "pawl.db.lock"}));
  }
}

TEST_F(SqliteStore, ADatabaseOfAnotherProgramIsRefusedAndUntouched) {
  write_file(path_, "");
  edit("PRAGMA journal_mode = WAL; CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
  const std::string before = file_bytes(path_);
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, HasSubstr("another program"));
  EXPECT_EQ(file_bytes(path_), before);
  EXPECT_EQ(names_in(folder_), (std::set<std::string>{"pawl.db", "pawl.db.lock"}));
}

TEST_F(SqliteStore, ANewerSchemaIsRefusedAndUntouched) {
  ASSERT_TRUE(commit(*open(), adds(a_run(1))));
  edit("PRAGMA user_version = 1000");
  const std::string before = file_bytes(path_);
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::refused);
  EXPECT_THAT(error.message, HasSubstr("1000"));
  EXPECT_EQ(file_bytes(path_), before);
  EXPECT_EQ(names_in(folder_), (std::set<std::string>{"pawl.db", "pawl.db.lock"}));
}

// The upgrade that was killed: the newer version is in the WAL only.
TEST_F(SqliteStore, ANewerSchemaThatOnlyTheWalKnowsIsRefusedAndUntouched) {
  ASSERT_TRUE(commit(*open(), adds(a_run(1))));
  EXPECT_EQ(in_child([&] {
              auto connection = Connection::open(path_, SQLITE_OPEN_READWRITE);
              return connection && (*connection)->execute("PRAGMA user_version = 1000") ? 0 : 1;
            }),
            0);
  const std::string file = file_bytes(path_), wal = file_bytes(path_ + "-wal");
  ASSERT_FALSE(wal.empty());
  EXPECT_EQ(refusal().code, Code::refused);
  EXPECT_EQ(file_bytes(path_), file);
  EXPECT_EQ(file_bytes(path_ + "-wal"), wal);
}

TEST_F(SqliteStore, AWalWithoutItsDatabaseIsNotPlayedIntoANewOne) {
  write_file(path_ + "-wal", "rows of a database that is gone");
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, HasSubstr("pawl.db-wal"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SqliteStore, ADamagedPageIsFoundAtTheStartAndLeftAsItIs) {
  {
    const auto store = open();
    for (int n = 1; n <= 50; ++n) {
      Changeset change = adds(a_run(n));
      change.record = a_record(run_id(n), 1, std::string(500, 'b'));
      ASSERT_TRUE(commit(*store, change));
    }
  }
  std::string bytes = file_bytes(path_);
  bytes.replace(bytes.size() - 3 * 4096, 4096, 4096, '\x5a');
  write_file(path_, bytes);
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, HasSubstr("restore"));
  EXPECT_EQ(file_bytes(path_), bytes);
}

TEST_F(SqliteStore, ALastPageThatIsCutOffIsFoundAtTheStart) {
  ASSERT_TRUE(commit(*open(), adds(a_run(1))));
  const std::string bytes = file_bytes(path_);
  write_file(path_, bytes.substr(0, bytes.size() - 100));
  EXPECT_EQ(refusal().code, Code::corrupt);
  EXPECT_EQ(names_in(folder_), (std::set<std::string>{"pawl.db", "pawl.db.lock"}));
}

// A database whose writer was killed: what it committed is in the WAL.
class SqliteWal : public SqliteStore {
 protected:
  void SetUp() override {
    SqliteStore::SetUp();
    ASSERT_EQ(in_child([&] {
                const auto store = open_sqlite({.path = path_});
                if (!store) return 1;
                for (int n = 1; n <= 6; ++n) {
                  Changeset change = adds(a_run(n));
                  change.record = a_record(run_id(n), 1, std::string(6000, 'b'));
                  if (!commit(**store, change)) return 2;
                }
                ::_exit(0);
              }),
              0);
    database_ = file_bytes(path_);
    wal_ = file_bytes(path_ + "-wal");
    index_ = file_bytes(path_ + "-shm");
    ASSERT_GT(frames(), 12U);
  }

  static constexpr std::size_t header = 32, frame = 24 + 4096;
  std::size_t frames() const { return (wal_.size() - header) / frame; }
  bool commits(std::size_t n) const { return wal_.substr(header + n * frame + 4, 4) != std::string(4, '\0'); }
  std::size_t last_transaction() const {
    for (std::size_t n = frames() - 1; n-- > 0;)
      if (commits(n)) return n + 1;
    return 0;
  }
  // As it was after the kill, with another WAL.
  void lay_out(const std::string& wal, bool with_index) {
    for (const char* side : {"-wal", "-shm"}) std::filesystem::remove(path_ + side);
    write_file(path_, database_);
    write_file(path_ + "-wal", wal);
    if (with_index) write_file(path_ + "-shm", index_);
  }
  std::string broken(std::size_t at) const {
    std::string bytes = wal_;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    return bytes;
  }
  void expect_refused(const std::string& wal, bool with_index) {
    lay_out(wal, with_index);
    const auto opened = open_sqlite({.path = path_});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::corrupt);
    EXPECT_THAT(opened.error().message, HasSubstr("pawl.db-wal is damaged at byte"));
    EXPECT_EQ(file_bytes(path_), database_);
    EXPECT_EQ(file_bytes(path_ + "-wal"), wal);
  }
  std::size_t runs_of(const std::string& wal, bool with_index) {
    lay_out(wal, with_index);
    const auto store = open();
    return stored_runs(*store);
  }

  std::string database_, wal_, index_;
};

TEST_F(SqliteWal, AnUndamagedOneIsTaken) {
  EXPECT_EQ(runs_of(wal_, true), 6U);
  EXPECT_EQ(runs_of(wal_, false), 6U);
}

TEST_F(SqliteWal, DamageBeforeACommitThatAnotherOneFollowsIsNotTakenForTheEnd) {
  for (std::size_t n = 0; n < last_transaction(); ++n)
    for (const std::size_t place : {0U, 9U, 17U, 30U, 4000U}) {
      SCOPED_TRACE(fmt::format("frame {} of {}, byte {}", n, frames(), place));
      // The checksum of a commit, or its mark, binds it to the next frame: without that, only the index knows better.
      if (n + 1 < last_transaction() || place > 24) expect_refused(broken(header + n * frame + place), false);
      expect_refused(broken(header + n * frame + place), true);
    }
}

TEST_F(SqliteWal, WithoutTheIndexADamagedLastTransactionIsATornOne) {
  EXPECT_EQ(runs_of(broken(header + last_transaction() * frame + 100), false), 5U);
  expect_refused(broken(header + last_transaction() * frame + 100), true);
}

TEST_F(SqliteWal, ABrokenHeaderDoesNotMakeItAnEmptyOne) {
  for (std::size_t at = 0; at < header; at += 3) {
    SCOPED_TRACE(at);
    if (at < 12 || at > 15) {  // the number of the checkpoint says nothing, but is summed
      expect_refused(broken(at), true);
    }
    expect_refused(broken(at), false);
  }
}

TEST_F(SqliteWal, ATornEndBehindTheLastCommitIsNoDamage) {
  EXPECT_EQ(runs_of(wal_ + wal_.substr(header, frame / 2), true), 6U);
  EXPECT_EQ(runs_of(wal_ + std::string(3 * frame, '\0'), true), 6U);
  EXPECT_EQ(runs_of(wal_ + wal_.substr(header + frame, 5 * frame), true), 6U);
}

TEST_F(SqliteWal, OneThatIsGoneOrCutOffIsMissed) {
  for (const std::string& left : {std::string(), wal_.substr(0, 20)}) {
    lay_out(left, true);
    EXPECT_THAT(refusal().message, HasSubstr("cut off"));
  }
  lay_out("", true);
  std::filesystem::remove(path_ + "-wal");
  const Error error = refusal();
  EXPECT_EQ(error.code, Code::corrupt);
  EXPECT_THAT(error.message, HasSubstr("pawl.db-wal is missing"));
  expect_refused(wal_.substr(0, header + last_transaction() * frame), true);
}

// The log begins anew over one that was copied whole; the disk fails half-way through the new header.
TEST_F(SqliteWal, HalfAHeaderOverALogThatIsNotNeededAnyMoreIsNoDamage) {
  lay_out(wal_, true);
  std::string torn;
  {
    auto store = value(open_sqlite({.path = path_, .checkpoint_pages = 1}));
    for (int n = 7; n <= 8; ++n) {
      Changeset change = adds(a_run(n));
      change.record = a_record(run_id(n), 1, std::string(static_cast<std::size_t>(20'000 * (n - 6)), 'b'));
      ASSERT_TRUE(commit(*store, change));
    }
    database_ = file_bytes(path_);
    wal_ = file_bytes(path_ + "-wal");
    // What the next commit would write first, into the log and the index, and no further.
    broken_disk = {.writes_left = 0, .write_error = EIO};
    EXPECT_FALSE(commit(*store, adds(a_run(9))));
    broken_disk = {};
    index_ = file_bytes(path_ + "-shm");
    torn = wal_.substr(0, 12) + std::string("\0\0\0\1", 4) + wal_.substr(16);
  }
  EXPECT_EQ(runs_of(torn, true), 8U);
  EXPECT_EQ(file_bytes(path_ + "-wal"), "") << "the next start could not tell it from a damaged one";
  expect_refused(torn, false);
}

TEST_F(SqliteWal, AnIndexOfRubbishIsNotBelieved) {
  index_.assign(index_.size(), 'r');
  EXPECT_EQ(runs_of(wal_, true), 6U);
}

TEST_F(SqliteStore, ASchemaThatLacksATableIsCorrupt) {
  open();
  edit("DROP TABLE start_keys");
  EXPECT_EQ(refusal().code, Code::corrupt);
}

TEST_F(SqliteStore, ARowThatCannotBeReadIsNamed) {
  ASSERT_TRUE(commit(*open(), adds(a_run(1))));
  const std::string name = to_string(run_id(1));
  for (const auto& [sql, column] : {std::pair("status = 'sleeping'", "status"),
                                    {"who_trigger = ''", "who_trigger"},
                                    {"attempt = -1", "attempt"},
                                    {"error = '{'", "error"},
                                    {"error = '7'", "error"}}) {
    edit("CREATE TABLE kept AS SELECT * FROM runs");
    edit(std::string("UPDATE runs SET ") + sql);
    {
      const auto store = open();
      const auto reader = value(store->reader());
      const auto run = reader->run(run_id(1));
      ASSERT_FALSE(run) << sql;
      EXPECT_EQ(run.error().code, Code::corrupt);
      EXPECT_THAT(run.error().message, HasSubstr("table runs, " + name + ": " + column));
      EXPECT_EQ(reader->runs({}, 10, "").error().code, Code::corrupt);
    }
    edit("DELETE FROM runs; INSERT INTO runs SELECT * FROM kept; DROP TABLE kept");
  }
  edit("INSERT OR REPLACE INTO run_values (row, inputs) SELECT row, '{\"a\":' FROM runs");
  const auto store = open();
  const auto run = value(store->reader())->run(run_id(1));
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message, HasSubstr("table run_values, run " + name + ": inputs"));
}

TEST_F(SqliteStore, ARowOfASlotOrAScheduleThatCannotBeReadIsNamed) {
  {
    const auto store = open();
    ScheduleChanges all;
    all.put = {contract::due_at(contract::a_schedule(1, "main"), contract::slot(1))};
    all.ledger = {contract::an_entry(1, 3)};
    all.backfill = contract::a_backfill(1, 1);
    ASSERT_TRUE(commit(*store, contract::changes(all)));
    contract::RunRow run = a_run(1);
    run.slot = SlotOrigin{contract::schedule_id(1), "main", contract::slot(1), false, {}};
    ASSERT_TRUE(commit(*store, adds(run)));
  }
  const std::string schedule = to_string(contract::schedule_id(1));
  const std::string entry = fmt::format("schedule {}, from_us {}", schedule, to_us(contract::slot(3)));
  const auto read = [](Reader& reader) -> Result<void> {
    if (auto run = reader.run(run_id(1)); !run) return std::unexpected(run.error());
    if (auto row = reader.schedule(contract::schedule_id(1)); !row) return std::unexpected(row.error());
    if (auto rows = reader.ledger(contract::schedule_id(1), {}, 10); !rows) return std::unexpected(rows.error());
    if (auto row = reader.backfill(contract::backfill_id(1)); !row) return std::unexpected(row.error());
    return {};
  };
  struct Damage {
    std::string table, change, row, column;
  };
  for (const Damage& damage : std::initializer_list<Damage>{
           {"runs", "UPDATE runs SET schedule = x'00'", to_string(run_id(1)), "schedule"},
           {"runs", "UPDATE runs SET backfill = x'00'", to_string(run_id(1)), "backfill"},
           {"schedules", "UPDATE schedules SET misfire = 'never'", schedule, "misfire"},
           {"schedules", "UPDATE schedules SET overlap = ''", schedule, "overlap"},
           {"schedules", "UPDATE schedules SET max_catch_up = -1", schedule, "max_catch_up"},
           {"schedules", "UPDATE schedules SET inputs = '{'", schedule, "inputs"},
           {"schedule_progress", "UPDATE schedule_progress SET late_run = x'01'", schedule, "late_run"},
           {"schedule_progress", "DELETE FROM schedule_progress", schedule, "the row is missing"},
           {"ledger", "UPDATE ledger SET outcome = 'lost'", entry, "outcome"},
           {"ledger", "UPDATE ledger SET reason = 'why'", entry, "reason"},
           {"ledger", "UPDATE ledger SET run = x'02'", entry, "run"},
           {"backfills", "UPDATE backfills SET status = 'paused'", to_string(contract::backfill_id(1)), "status"},
           {"backfills", "UPDATE backfills SET schedule = x'03'", to_string(contract::backfill_id(1)), "schedule"}}) {
    SCOPED_TRACE(damage.change);
    edit(fmt::format("CREATE TABLE kept AS SELECT * FROM {0}; {1}", damage.table, damage.change));
    {
      const auto store = open();
      const auto done = read(*value(store->reader()));
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, Code::corrupt);
      EXPECT_THAT(done.error().message,
                  HasSubstr(fmt::format("table {}, {}: {}", damage.table, damage.row, damage.column)));
    }
    edit(fmt::format("DELETE FROM {0}; INSERT INTO {0} SELECT * FROM kept; DROP TABLE kept", damage.table));
  }
  const auto store = open();
  EXPECT_TRUE(read(*value(store->reader())));
}

TEST_F(SqliteStore, AScheduleThatCannotBeReadHoldsUpNoOther) {
  {
    const auto store = open();
    for (int n = 1; n <= 4; ++n)
      ASSERT_TRUE(commit(*store, contract::puts(contract::due_at(contract::a_schedule(n, "n" + std::to_string(n)),
                                                                 contract::slot(n)))));
  }
  edit("UPDATE schedules SET misfire = 'never' WHERE name = 'n1'; DELETE FROM schedules WHERE name = 'n3'");
  const auto store = open();
  const auto reader = value(store->reader());
  EXPECT_EQ(reader->due_schedules({}, contract::slot(9), 10).error().code, Code::corrupt);
  std::vector<ScheduleTime> broken;
  const auto due =
      value(reader->due_schedules({}, contract::slot(9), 2, [&](const ScheduleTime& at, const Error& error) {
        EXPECT_EQ(error.code, Code::corrupt);
        broken.push_back(at);
      }));
  ASSERT_EQ(due.size(), 2U) << "rows that are passed over do not count";
  EXPECT_EQ(due[0].name, "n2");
  EXPECT_EQ(due[1].name, "n4");
  EXPECT_EQ(broken, (std::vector<ScheduleTime>{{contract::slot(1), contract::schedule_id(1)},
                                               {contract::slot(3), contract::schedule_id(3)}}));
}

TEST_F(SqliteStore, ARowThatCannotBeReadDoesNotHideTheOtherOpenRuns) {
  {
    const auto store = open();
    for (int n = 1; n <= 3; ++n) ASSERT_TRUE(commit(*store, adds(a_run(n))));
  }
  edit(fmt::format("UPDATE runs SET who_trigger = 'nobody' WHERE number = {}", a_run(2).number));
  const auto store = open();
  std::vector<RunId> read, broken;
  const auto visit = [&](contract::RunRow&& run) { return read.push_back(run.id), true; };
  EXPECT_EQ(value(store->reader())->open_runs(visit).error().code, Code::corrupt);
  read.clear();
  ASSERT_TRUE(value(store->reader())->open_runs(visit, [&](RunId id, const Error&) { broken.push_back(id); }));
  EXPECT_EQ(read, (std::vector{run_id(1), run_id(3)}));
  EXPECT_EQ(broken, std::vector{run_id(2)});
}

// Every list is served by an index that is already in its order: no page sorts or reads the whole table.
TEST_F(SqliteStore, NoPageNeedsASort) {
  const auto store = open();
  auto connection = value(Connection::open(path_, SQLITE_OPEN_READONLY));
  for (const char* query :
       {"SELECT id FROM runs INDEXED BY runs_by_id WHERE id >= x'00' AND id < x'ff' ORDER BY id DESC",
        "SELECT id FROM runs INDEXED BY runs_by_workflow WHERE id < x'ff' AND workflow = 'a' ORDER BY id DESC",
        "SELECT id FROM runs INDEXED BY runs_by_trigger WHERE id < x'ff' AND who_trigger = 'api' ORDER BY id DESC",
        "SELECT id FROM runs INDEXED BY runs_by_trace WHERE id < x'ff' AND trace_id = '1' ORDER BY id DESC",
        "SELECT id FROM runs INDEXED BY runs_failed_by_workflow WHERE id < x'ff' AND status IN ('failed', 'cancelled') "
        "AND "
        "workflow = 'a' AND status = 'failed' ORDER BY id DESC",
        "SELECT id FROM runs INDEXED BY runs_failed WHERE id < x'ff' AND status IN ('failed', 'cancelled') AND "
        "status = 'failed' ORDER BY id DESC",
        "SELECT id FROM runs INDEXED BY runs_open WHERE status IN ('queued', 'running', 'waiting') ORDER BY id",
        "SELECT id FROM runs INDEXED BY runs_expiring WHERE expires_us IS NOT NULL AND (expires_us, id) > (1, x'00') "
        "ORDER BY expires_us, id",
        "SELECT 1 FROM schedules WHERE deleted_at_us IS NULL AND (workflow, name) > ('a', 'b') ORDER BY workflow, name",
        "SELECT 1 FROM schedules WHERE deleted_at_us IS NULL AND enabled = ?1 AND (workflow, name) > ('a', 'b') "
        "ORDER BY workflow, name",
        "SELECT 1 FROM schedules WHERE deleted_at_us IS NULL AND enabled = ?1 AND workflow = 'a' AND name > 'b' "
        "ORDER BY workflow, name",
        "SELECT 1 FROM schedules WHERE workflow = 'a' AND deleted_at_us IS NULL AND defined = 1 ORDER BY name",
        "SELECT s.id, p.cursor_us FROM schedule_progress p INDEXED BY schedules_due LEFT JOIN schedules s ON s.id = "
        "p.id "
        "WHERE next_at_us <= 9 AND (next_at_us, p.id) > (1, x'00') ORDER BY next_at_us, p.id",
        "SELECT next_at_us, id FROM schedule_progress INDEXED BY schedules_due WHERE next_at_us IS NOT NULL ORDER BY "
        "next_at_us, id LIMIT 1",
        "SELECT 1 FROM schedule_progress p INDEXED BY schedules_parked WHERE parked_in IS NOT NULL AND p.id > x'00' "
        "ORDER BY p.id",
        "SELECT 1 FROM schedule_progress p INDEXED BY schedules_parked_in WHERE parked_in = 'a' AND p.id > x'00' "
        "ORDER BY p.id",
        "SELECT 1 FROM ledger WHERE schedule = x'00' AND from_us <= 9 ORDER BY from_us DESC",
        "SELECT 1 FROM backfills WHERE schedule = x'00' ORDER BY id DESC",
        "SELECT 1 FROM backfills INDEXED BY backfills_running WHERE status = 'running' ORDER BY id",
        "DELETE FROM start_keys WHERE run = x'00'",
        "SELECT seq FROM events WHERE run = x'00' ORDER BY seq",
        "SELECT max(number) FROM runs WHERE workflow = 'a'"}) {
    Statement* const plan = value(connection->prepared(std::string("EXPLAIN QUERY PLAN ") + query));
    ASSERT_NE(plan, nullptr) << query;
    Running rows(*plan);
    while (value(rows->step())) {
      const std::string step(rows->text(3));
      EXPECT_THAT(step, testing::Not(HasSubstr("TEMP B-TREE"))) << query;
      EXPECT_THAT(step, HasSubstr("INDEX")) << query;
    }
  }
}

// A step of a schedule is found by its key and rewrites a narrow row; pruning reads the front of the ledger.
TEST_F(SqliteStore, AStepOfAScheduleAndThePruningSearchNothing) {
  const auto store = open();
  auto connection = value(Connection::open(path_, SQLITE_OPEN_READONLY));
  for (const auto& [query, first] :
       {std::pair("UPDATE schedule_progress SET cursor_us = 2, next_at_us = 3 WHERE id = x'00' AND cursor_us = 1",
                  "SEARCH schedule_progress USING PRIMARY KEY (id=?)"),
        {"DELETE FROM ledger WHERE row IN (SELECT row FROM ledger ORDER BY row LIMIT 100) AND at_us < 1",
         "SEARCH ledger USING INTEGER PRIMARY KEY (rowid=?)"}}) {
    Statement* const plan = value(connection->prepared(std::string("EXPLAIN QUERY PLAN ") + query));
    ASSERT_NE(plan, nullptr) << query;
    Running rows(*plan);
    ASSERT_TRUE(value(rows->step()));
    EXPECT_EQ(rows->text(3), first);
    while (value(rows->step())) EXPECT_THAT(std::string(rows->text(3)), testing::Not(HasSubstr("TEMP B-TREE")));
  }
}

TEST_F(SqliteStore, AReaderCanNeitherWriteNorCheckpoint) {
  const auto store = open();
  ASSERT_TRUE(commit(*store, adds(a_run(1))));
  const std::string before = file_bytes(path_);
  for (int n = 0; n < 3; ++n) EXPECT_TRUE(value(value(store->reader())->run(run_id(1))));
  EXPECT_EQ(file_bytes(path_), before);
  EXPECT_FALSE(file_bytes(path_ + "-wal").empty());
}

TEST_F(SqliteStore, ALargeRunIsClearedInSmallPartsAlsoByALaterProcess) {
  constexpr int records = 2500;
  {
    const auto store = open();
    ASSERT_TRUE(commit(*store, adds(contract::an_expiring_run(1, 1))));
    std::vector<Changeset> all;
    for (int seq = 1; seq <= records; ++seq) all.push_back(adds(a_record(run_id(1), seq)));
    ASSERT_TRUE(store->commit(all));
    ASSERT_TRUE(commit(*store, contract::takes(run_id(1))));
    ASSERT_TRUE(commit(*store, contract::clears(run_id(1))));
    EXPECT_EQ(value(value(store->reader())->gone({}, 10)), std::vector{run_id(1)});
    EXPECT_TRUE(value(value(store->reader())->records(run_id(1))).empty());
  }
  const auto store = open();
  const auto reader = value(store->reader());
  int parts = 1;
  for (; !value(reader->gone({}, 10)).empty() && parts < 100; ++parts)
    ASSERT_TRUE(commit(*store, contract::clears(run_id(1))));
  EXPECT_EQ(parts, 3);
  EXPECT_EQ(value(Connection::open(path_, SQLITE_OPEN_READONLY))->integer("SELECT count(*) FROM events").value_or(-1),
            0);
}

TEST_F(SqliteStore, WhatWasTakenGoesBackToTheFileSystem) {
  const auto store = open();
  const std::string body(100'000, 'b');
  for (int n = 1; n <= 200; ++n)
    ASSERT_TRUE(commit(*store, adds(contract::an_expiring_run(n, n))) &&
                commit(*store, adds(a_record(run_id(n), 1, body))));
  for (int n = 1; n <= 200; ++n) ASSERT_TRUE(commit(*store, contract::takes(run_id(n))));
  const auto reader = value(store->reader());
  for (int passes = 0; passes < 100; ++passes) {
    const auto marks = value(reader->gone({}, 1000));
    if (marks.empty()) break;
    for (const RunId run : marks) ASSERT_TRUE(commit(*store, contract::clears(run)));
  }
  EXPECT_TRUE(value(reader->gone({}, 10)).empty());
  EXPECT_LT(std::filesystem::file_size(path_), 3U << 20) << "20 MiB were in it";
  const auto check = value(Connection::open(path_, SQLITE_OPEN_READONLY))->text("PRAGMA integrity_check");
  EXPECT_EQ(value(check), "ok");
}

TEST_F(SqliteStore, TheWalStartsAgainAfterACheckpoint) {
  const auto store = open();
  const std::string body(100'000, 'b');
  std::uintmax_t largest = 0;
  for (int n = 1; n <= 500; ++n) {
    ASSERT_TRUE(commit(*store, adds(a_record(run_id(1), n, body))));
    largest = std::max(largest, std::filesystem::file_size(path_ + "-wal"));
  }
  EXPECT_LT(largest, 24U << 20);
  EXPECT_GT(std::filesystem::file_size(path_), 40U << 20);
}

// A reader in the middle of a scan keeps the WAL from starting again; what is committed meanwhile is not lost.
TEST_F(SqliteStore, CommitsGoOnBesideAReaderThatDoesNotEnd) {
  const auto store = open();
  ASSERT_TRUE(commit(*store, adds(a_run(1))));
  ASSERT_TRUE(commit(*store, adds(a_run(2))));
  const std::string body(400'000, 'b');
  const auto scan = value(store->reader())->open_runs([&](contract::RunRow&&) {
    for (std::int64_t n = 1; n <= 60; ++n) EXPECT_TRUE(commit(*store, adds(a_record(run_id(1), n, body))));
    return false;
  });
  EXPECT_TRUE(scan);
  EXPECT_EQ(value(value(store->reader())->records(run_id(1))).size(), 60U);
}

// At whichever write the disk is full, the commit either did all or nothing, says so, and works again with room.
TEST_F(SqliteStore, AFullDiskRefusesACommitWholeAndRecovers) {
  auto store = open();
  int n = 0;
  for (int writes = 0; writes < 40; ++writes) {
    ++n;
    Changeset change = adds(a_run(n));
    change.record = a_record(run_id(n), 1, std::string(30'000, 'r'));
    broken_disk = {.writes_left = writes, .write_error = ENOSPC};
    const auto full = commit(*store, change);
    if (!full) {
      EXPECT_EQ(full.error().code, Code::overloaded) << full.error().message;
      EXPECT_EQ(commit(*store, change).error().code, Code::overloaded);
    }
    broken_disk = {};
    const auto reader = value(store->reader());
    ASSERT_EQ(value(reader->run(run_id(n))).has_value(), full.has_value());
    EXPECT_EQ(value(reader->records(run_id(n))).size(), full ? 1U : 0U);
    if (!full) {
      ASSERT_TRUE(commit(*store, change)) << writes;
    }
  }
  store = nullptr;
  store = open();
  EXPECT_EQ(stored_runs(*store), static_cast<std::size_t>(n));
}

TEST_F(SqliteStore, AFullDiskDuringACheckpointDelaysItAndLosesNothing) {
  auto store = open();
  const std::string body(400'000, 'b');
  int stored = 0;
  // Writes of pages into the database begin when the WAL is long enough; let each of the first of them fail.
  for (int n = 1; n <= 60; ++n) {
    broken_disk = {.writes_left = 230, .write_error = ENOSPC};  // one commit fits, a checkpoint does not
    if (commit(*store, adds(a_record(run_id(1), n, body)))) ++stored;
    broken_disk = {};
  }
  EXPECT_EQ(stored, 60);
  EXPECT_TRUE(commit(*store, adds(a_record(run_id(1), 61, body))));
  store = nullptr;
  store = open();
  EXPECT_EQ(value(value(store->reader())->records(run_id(1))).size(), 61U);
}

TEST_F(SqliteStore, AfterAFailedSyncTheStoreStopsUntilItIsOpenedAgain) {
  auto store = open();
  ASSERT_TRUE(commit(*store, adds(a_run(1))));
  broken_disk = {.syncs_left = 0};
  EXPECT_EQ(commit(*store, adds(a_run(2))).error().code, Code::unavailable);
  broken_disk = {};
  const auto later = commit(*store, adds(a_run(3)));
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code, Code::unavailable);
  EXPECT_THAT(later.error().message, HasSubstr("has stopped"));
  store = nullptr;
  store = open();
  const auto reader = value(store->reader());
  EXPECT_TRUE(value(reader->run(run_id(1))));
  EXPECT_FALSE(value(reader->run(run_id(3))));
  EXPECT_TRUE(commit(*store, adds(a_run(4))));
}

TEST_F(SqliteStore, AnErrorWhileWritingIsAnUnknownOutcome) {
  auto store = open();
  for (int writes = 0; writes < 4; ++writes) {
    ASSERT_TRUE(commit(*store, adds(a_run(10 * writes + 1))));
    broken_disk = {.writes_left = writes, .write_error = EIO};
    EXPECT_EQ(commit(*store, adds(a_run(10 * writes + 2))).error().code, Code::unavailable);
    broken_disk = {};
    EXPECT_EQ(commit(*store, adds(a_run(10 * writes + 3))).error().code, Code::unavailable);
    store = nullptr;
    store = open();
    const auto reader = value(store->reader());
    EXPECT_TRUE(value(reader->run(run_id(10 * writes + 1))));
    EXPECT_FALSE(value(reader->run(run_id(10 * writes + 3))));
  }
}

TEST_F(SqliteStore, AnErrorInACheckpointStopsTheStoreAfterTheCommitThatWasFine) {
  auto store = open();
  const std::string body(400'000, 'b');
  int stored = 0;
  for (int n = 1; n <= 60; ++n) {
    broken_disk = {.syncs_left = 1};  // the commit's own; those of a checkpoint fail
    const auto done = commit(*store, adds(a_record(run_id(1), n, body)));
    broken_disk = {};
    if (!done) {
      EXPECT_EQ(done.error().code, Code::unavailable);
      break;
    }
    ++stored;
  }
  EXPECT_LT(stored, 60);
  store = nullptr;
  store = open();
  EXPECT_EQ(value(value(store->reader())->records(run_id(1))).size(), static_cast<std::size_t>(stored));
}

// A writer is killed again and again. What it had said to be committed is there, and a commit is there whole.
TEST_F(SqliteStore, KillingTheWriterLosesNothingThatItAcknowledged) {
  SplitMix random(5);
  std::int64_t acknowledged = 0;
  for (int cycle = 0; cycle < 20; ++cycle) {
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const pid_t child = fork_or_stop();
    if (child == 0) {
      // Ends with the test, whatever becomes of that.
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(pipe[0]);
      auto store = open_sqlite({.path = path_});
      if (!store) ::_exit(1);
      auto reader = (*store)->reader();
      const auto rows = (*reader)->records(run_id(1));
      if (!rows) ::_exit(2);
      for (auto next = static_cast<std::int64_t>(rows->size()) + 1;; next += 2) {
        const Changeset changes[] = {adds(a_record(run_id(1), next, std::string(3000, 'r'))),
                                     adds(a_record(run_id(1), next + 1))};
        if (!(*store)->commit(changes)) ::_exit(3);
        const std::int64_t last = next + 1;
        if (::write(pipe[1], &last, sizeof last) != sizeof last) ::_exit(4);
      }
    }
    ::close(pipe[1]);
    const std::uint64_t acks = 1 + random.below(40);
    std::uint64_t read = 0;
    while (read < acks && ::read(pipe[0], &acknowledged, sizeof acknowledged) == ssize_t{sizeof acknowledged}) ++read;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_EQ(read, acks) << "cycle " << cycle;
    std::int64_t late = 0;
    while (::read(pipe[0], &late, sizeof late) == ssize_t{sizeof late}) acknowledged = late;
    ::close(pipe[0]);

    const auto store = open();
    ASSERT_NE(store, nullptr);
    const auto rows = value(value(store->reader())->records(run_id(1)));
    ASSERT_GE(static_cast<std::int64_t>(rows.size()), acknowledged);
    ASSERT_EQ(rows.size() % 2, 0U);
    for (std::size_t at = 0; at < rows.size(); ++at) ASSERT_EQ(rows[at].seq, static_cast<std::int64_t>(at) + 1);
  }
}

}  // namespace
}  // namespace pawl::store
