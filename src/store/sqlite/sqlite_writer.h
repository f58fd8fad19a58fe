// The one connection that writes and checkpoints: changesets into rows, many in one transaction.
// Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "model/changeset.h"
#include "store/sqlite/connection.h"

namespace pawl::store {

class SqliteWriter {
 public:
  // Takes a connection whose schema is the newest. From so many pages in the WAL on it is copied into the database, and
  // copied again if readers were in the way. Error: corrupt if that schema lacks something.
  static Result<std::unique_ptr<SqliteWriter>> make(std::unique_ptr<Connection> connection, int checkpoint_pages);
  // Brings the WAL back into the file and removes it, unless an I/O error forbids to touch either.
  ~SqliteWriter();

  // store.h
  Result<void> commit(std::span<const Changeset> changes);
  // The node's start: a new epoch, durable on return. Errors as of commit().
  Result<void> begin_epoch();

 private:
  struct Statements {
    Statement *begin, *commit, *rollback;
    Statement *workflow, *version, *run, *values, *start_key, *update, *record, *heartbeat;
    Statement *find_run, *drop_run, *drop_values, *drop_start_keys, *raise_number, *mark, *unmark, *any_mark,
        *is_marked, *drop_records, *free_pages, *pages;
    Statement *schedule, *progress, *moved, *stop_all, *drop_all, *strike, *ledger, *backfill, *prune;
  };

  SqliteWriter(std::unique_ptr<Connection> connection, int checkpoint_pages)
      : connection_(std::move(connection)), checkpoint_every_(checkpoint_pages), checkpoint_at_(checkpoint_pages) {}
  Result<void> prepare();

  template <class Work>
  Result<void> transact(const Work& work);
  Result<void> apply(const Changeset& change, bool writes_workflow);
  Result<void> apply(const ScheduleChanges& changes);
  Result<void> put_schedule(const ScheduleRow& schedule);
  Result<void> move_schedule(const ScheduleChanges::Moved& moved);
  Result<void> drop_schedules(const ScheduleChanges::Dropped& dropped);
  Result<void> strike_ledger(const LedgerRow& entry);
  Result<void> insert_ledger(const LedgerRow& entry);
  Result<void> put_backfill(const BackfillRow& backfill);
  Result<void> insert_run(const Run& run);
  Result<void> update_run(const Run& run);
  Result<void> take_run(RunId id);
  Result<void> clear_run(RunId id);
  Result<bool> give_pages_back();
  Result<std::int64_t> number(Statement& query);
  void checkpoint_if_due();
  void break_down(const Error& error);

  std::unique_ptr<Connection> connection_;
  Statements sql_{};
  std::string inputs_, vars_, env_, error_;  // kept, so that their memory is used again
  int wal_pages_ = 0;  // as the last commit left it …
  int wal_pages_before_ = 0;  // … and the one before
  const int checkpoint_every_;
  int checkpoint_at_;  // the number of pages at which the next one is due
  bool gives_pages_back_ = false;  // the file was made so (docs/formats/sqlite.md)
  bool shrunk_ = false;  // the database; the file shrinks with the next checkpoint
  std::optional<std::string> broken_;  // why nothing may be committed any more
};

}  // namespace pawl::store
