// A thin owner of SQLite's handles: one connection and its prepared statements, each prepared once.
// Errors of both: overloaded  no room (its name is no_room) or no descriptor, or another program holds a lock: nothing
//                             was written
//                 conflict    a unique key is there already
//                 corrupt     the file's content is broken, or it is no database
//                 unavailable an I/O error and all else
// Threads: a connection belongs to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"

namespace pawl::store {

// Texts and blobs that are bound have to live until the statement is reset; nothing is copied. Positions of parameters
// count from 1, those of columns from 0, both as SQLite does.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  void bind(int at, std::int64_t value) { sqlite3_bind_int64(statement_.get(), at, value); }
  void bind(int at, Instant value) { bind(at, to_us(value)); }
  void bind(int at, Duration value) { bind(at, std::int64_t{value.count()}); }
  void bind(int at, std::string_view text) {
    // A null pointer would be bound as NULL, which an empty text is not.
    sqlite3_bind_text64(statement_.get(), at, text.data() == nullptr ? "" : text.data(), text.size(), SQLITE_STATIC,
                        SQLITE_UTF8);
  }
  template <class Tag>
  void bind(int at, const Id<Tag>& id) {
    sqlite3_bind_blob(statement_.get(), at, id.value.bytes.data(), static_cast<int>(id.value.bytes.size()),
                      SQLITE_STATIC);
  }
  // None is NULL.
  template <class Value>
  void bind(int at, const std::optional<Value>& value) {
    value ? bind(at, *value) : bind_null(at);
  }
  // Empty text is NULL.
  void bind_optional(int at, std::string_view text) { text.empty() ? bind_null(at) : bind(at, text); }
  void bind_null(int at) { sqlite3_bind_null(statement_.get(), at); }

  // True: there is a row to read. Resets the statement when there is none.
  Result<bool> step();
  // For a statement that gives no rows.
  Result<void> run();
  // Ends it, and with it the read transaction that a query holds.
  void reset() { sqlite3_reset(statement_.get()); }

  bool is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  // Until the next step.
  std::string_view text(int column) const;
  // nullopt: it is no id.
  template <class AnyId>
  std::optional<AnyId> id(int column) const {
    const auto value = uuid(column);
    return value ? std::optional(AnyId{*value}) : std::nullopt;
  }

 private:
  std::optional<Uuid> uuid(int column) const;
  void check_memory() const;

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Resets a statement at the end of the scope, however that is left.
class Running {
 public:
  explicit Running(Statement& statement) : statement_(statement) {}
  ~Running() { statement_.reset(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Statement* operator->() { return &statement_; }
  Statement& operator*() { return statement_; }

 private:
  Statement& statement_;
};

class Connection {
 public:
  // `flags` beside SQLITE_OPEN_READONLY or _READWRITE are added here. Closing neither checkpoints nor removes anything
  // until tidy_on_close() was called.
  static Result<std::unique_ptr<Connection>> open(const std::string& path, int flags);

  // For what is run once: any number of statements, without parameters and rows.
  Result<void> execute(const char* sql);
  // The first value of the first row; 0 or empty if there is none.
  Result<std::int64_t> integer(const char* sql);
  Result<std::string> text(const char* sql);

  // Prepared at the first call, the same one at all later ones.
  Result<Statement*> prepared(std::string_view sql);

  void tidy_on_close() { sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr); }
  bool in_transaction() const { return sqlite3_get_autocommit(db_.get()) == 0; }
  std::int64_t changed_rows() const { return sqlite3_changes64(db_.get()); }
  std::int64_t last_row() const { return sqlite3_last_insert_rowid(db_.get()); }
  sqlite3* handle() const { return db_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  explicit Connection(sqlite3* db) : db_(db) {}
  template <class Value>
  Result<Value> first(const char* sql, Value (*read)(const Statement&));

  std::unique_ptr<sqlite3, Close> db_;
  std::map<std::string, Statement, std::less<>> statements_;  // after db_: they go first
};

// What SQLite said last on this connection, `code` being its answer; errno was 0 before it was asked.
std::unexpected<Error> sqlite_error(sqlite3* db, int code);

}  // namespace pawl::store
