#include "store/sqlite/connection.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>

#include "base/system_error.h"

namespace pawl::store {
namespace {

Code code_of(int sqlite_code, int system_error) {
  switch (sqlite_code & 0xff) {
    case SQLITE_CANTOPEN:  // comes before anything is written
      return system_error == EMFILE || system_error == ENFILE || system_error == ENOSPC ? Code::overloaded
                                                                                        : Code::unavailable;
    // A limit on the size of files is like a full disk: the write was refused, and SQLite has rolled back.
    case SQLITE_IOERR: return system_error == EFBIG ? Code::overloaded : Code::unavailable;
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Code::overloaded;
    case SQLITE_CONSTRAINT:
      switch (sqlite_code) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_ROWID: return Code::conflict;
        default: return Code::internal;
      }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Code::corrupt;
    default: return Code::unavailable;
  }
}

// SQLite tells a page that the system could not read and one that makes no sense alike. Which it was is in errno, if
// that was clean before the call; nobody should have to restore a backup because a cable was loose.
bool could_not_read(int sqlite_code) {
  return (sqlite_code & 0xff) == SQLITE_CORRUPT && (errno == EIO || errno == ENXIO);
}

// SQLite counts all memory it takes, under one lock for all threads, unless it is told not to before its first use.
void configure_once() {
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

}  // namespace

std::unexpected<Error> sqlite_error(sqlite3* db, int code) {
  const int last = errno;
  if ((code & 0xff) == SQLITE_FULL) return fail(Code::overloaded, "there is no room on the disk", "no_room");
  if (could_not_read(code))
    return fail(Code::unavailable, fmt::format("sqlite: disk I/O error: {} ({})", std::strerror(errno), code));
  const bool same = db != nullptr && sqlite3_extended_errcode(db) == code;
  // SQLite remembers it for these alone.
  const bool of_system = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR;
  int system_error = same && of_system ? sqlite3_system_errno(db) : 0;
  // SQLite does not remember it for a commit.
  if (code == SQLITE_IOERR_WRITE && last == EFBIG) system_error = last;
  return fail(code_of(code, system_error),
              fmt::format("sqlite: {}{}{} ({})", same ? sqlite3_errmsg(db) : sqlite3_errstr(code),
                          system_error == 0 ? "" : ": ", system_error == 0 ? "" : system_words(system_error), code),
              system_error == ENOSPC || system_error == EFBIG ? "no_room" : "");
}

Result<bool> Statement::step() {
  errno = 0;
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  auto error = sqlite_error(sqlite3_db_handle(statement_.get()), code);
  reset();
  return error;
}

Result<void> Statement::run() {
  const auto row = step();
  reset();
  if (!row) return std::unexpected(row.error());
  return {};
}

// What SQLite had no memory to hand out must not look like a row that is damaged.
void Statement::check_memory() const {
  if (sqlite3_errcode(sqlite3_db_handle(statement_.get())) == SQLITE_NOMEM) throw std::bad_alloc();
}

std::string_view Statement::text(int column) const {
  const auto* const text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) check_memory();
  return {text == nullptr ? "" : text, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::optional<Uuid> Statement::uuid(int column) const {
  Uuid id;
  const void* const blob = sqlite3_column_blob(statement_.get(), column);
  if (blob == nullptr) check_memory();
  if (static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)) != id.bytes.size()) return std::nullopt;
  std::memcpy(id.bytes.data(), blob, id.bytes.size());
  return id;
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, int flags) {
  configure_once();
  sqlite3* db = nullptr;
  errno = 0;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  std::unique_ptr<Connection> connection(new Connection(db));
  if (code != SQLITE_OK) return sqlite_error(db, code);
  // Until the file is known to be ours, even closing it must not write to it.
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_busy_timeout(db, 5000);
  return connection;
}

Result<void> Connection::execute(const char* sql) {
  errno = 0;
  const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(db_.get(), code);
  return {};
}

template <class Value>
Result<Value> Connection::first(const char* sql, Value (*read)(const Statement&)) {
  sqlite3_stmt* raw = nullptr;
  errno = 0;
  const int code = sqlite3_prepare_v2(db_.get(), sql, -1, &raw, nullptr);
  Statement statement(raw);
  if (code != SQLITE_OK) return sqlite_error(db_.get(), code);
  const auto row = statement.step();
  if (!row) return std::unexpected(row.error());
  return *row ? read(statement) : Value{};
}

Result<std::int64_t> Connection::integer(const char* sql) {
  return first<std::int64_t>(sql, [](const Statement& row) { return row.integer(0); });
}

Result<std::string> Connection::text(const char* sql) {
  return first<std::string>(sql, [](const Statement& row) { return std::string(row.text(0)); });
}

Result<Statement*> Connection::prepared(std::string_view sql) {
  if (const auto known = statements_.find(sql); known != statements_.end()) return &known->second;
  sqlite3_stmt* raw = nullptr;
  errno = 0;
  const int code =
      sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  Statement statement(raw);
  if (code != SQLITE_OK) return sqlite_error(db_.get(), code);
  return &statements_.emplace(std::string(sql), std::move(statement)).first->second;
}

}  // namespace pawl::store
