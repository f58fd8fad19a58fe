#include "bench/limits.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "bench/echo.h"
#include "bench/measure.h"

extern char** environ;

namespace pawl::bench {
namespace {

constexpr double long_enough = 1.0;  // seconds

}  // namespace

double append_syncs_per_second(const std::string& folder) {
  const std::string path = folder + "/appended";
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  must(file >= 0, "cannot make " + path);
  const std::string block(4096, 'x');
  long count = 0;
  const auto begin = Steady::now();
  for (; seconds_since(begin) < long_enough; ++count)
    must(::write(file, block.data(), block.size()) == 4096 && ::fdatasync(file) == 0, "cannot write " + path);
  const double rate = static_cast<double>(count) / seconds_since(begin);
  ::close(file);
  ::unlink(path.c_str());
  return rate;
}

double sqlite_rows_per_second(const std::string& folder, std::size_t batch, std::size_t row_bytes) {
  const std::string path = folder + "/limit.db";
  sqlite3* handle = nullptr;
  must(sqlite3_open(path.c_str(), &handle) == SQLITE_OK, "cannot open " + path);
  const std::unique_ptr<sqlite3, int (*)(sqlite3*)> db(handle, sqlite3_close);
  const auto run = [&](const char* sql) {
    must(sqlite3_exec(db.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK, sql);
  };
  run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (body TEXT NOT NULL) STRICT");
  sqlite3_stmt* prepared = nullptr;
  must(sqlite3_prepare_v2(db.get(), "INSERT INTO t VALUES (?1)", -1, &prepared, nullptr) == SQLITE_OK, "insert");
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> insert(prepared, sqlite3_finalize);
  const std::string body(row_bytes, 'x');
  std::size_t rows = 0;
  // The first stretch makes the file grow to where later ones write on blocks that are there already.
  for (const double stretch : {long_enough / 2, long_enough}) {
    rows = 0;
    const auto begin = Steady::now();
    while (seconds_since(begin) < stretch) {
      run("BEGIN IMMEDIATE");
      for (std::size_t i = 0; i < batch; ++i, ++rows) {
        sqlite3_bind_text64(insert.get(), 1, body.data(), body.size(), SQLITE_STATIC, SQLITE_UTF8);
        must(sqlite3_step(insert.get()) == SQLITE_DONE, "insert");
        sqlite3_reset(insert.get());
      }
      run("COMMIT");
    }
    if (stretch == long_enough) return static_cast<double>(rows) / seconds_since(begin);
  }
  return 0;
}

double spawns_per_second() {
  char program[] = "/bin/true";
  char* const argv[] = {program, nullptr};
  long count = 0;
  const auto begin = Steady::now();
  for (; seconds_since(begin) < long_enough; ++count) {
    pid_t pid = 0;
    must(::posix_spawn(&pid, program, nullptr, nullptr, argv, environ) == 0, "/bin/true cannot be started");
    ::waitpid(pid, nullptr, 0);
  }
  return static_cast<double>(count) / seconds_since(begin);
}

double echo_posts_per_second(int port) { return drive_echo(port, 64, long_enough); }

}  // namespace pawl::bench
