#include "store/memory/memory_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <variant>

#include "base/planted.h"
#include "store/cursor.h"

namespace pawl::store {

// The rows that one commit has changed so far, so that they can be put back: the cost of a commit is that of its own
// rows, not of the disk's.
class Changes {
 public:
  explicit Changes(MemoryDisk& disk) : disk_(disk) {}

  Result<void> apply(const Changeset& change) {
    if (change.workflow) put_workflow(*change.workflow);
    if (change.version &&
        !insert(disk_.versions_, {change.version->workflow, change.version->version}, *change.version))
      return taken("version {} of workflow '{}'", change.version->version, change.version->workflow);
    if (change.schedules)
      if (auto done = apply(*change.schedules); !done) return done;
    if (change.new_run)
      if (auto done = insert_run(*change.new_run); !done) return done;
    if (change.start_key &&
        !insert(disk_.start_keys_, {change.start_key->workflow, change.start_key->key}, *change.start_key))
      return taken("start key '{}' of workflow '{}'", change.start_key->key, change.start_key->workflow);
    if (change.run)
      if (auto done = update_run(*change.run); !done) return done;
    if (change.record)
      if (auto done = insert_record(*change.record); !done) return done;
    if (change.heartbeat) {
      undo_.push_back(OldHeartbeat{disk_.heartbeat_});
      disk_.heartbeat_ = change.heartbeat;
    }
    if (change.gone)
      if (auto done = take_run(*change.gone); !done) return done;
    if (change.cleared) clear_run(*change.cleared);
    return {};
  }

  void take_back() {
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step)
      std::visit([this](auto& old) { restore(old); }, *step);
    undo_.clear();
  }

 private:
  struct OldWorkflow {
    std::string name;
    std::optional<WorkflowRow> row;
  };
  struct NewVersion {
    std::pair<std::string, int> key;
  };
  struct NewKey {
    std::pair<std::string, std::string> key;
  };
  struct NewRun {
    RunId id;
  };
  struct OldRun {  // the columns that a run update changes
    RunId id;
    Run changing;
  };
  struct NewRecord {
    RunId run;
    std::int64_t seq;
  };
  struct OldHeartbeat {
    std::optional<Instant> at;
  };
  struct GoneRun {
    Run run;
    std::vector<StartKey> keys;
  };
  struct ClearedRun {
    RunId run;
    std::vector<RecordRow> records;
  };
  struct OldSchedule {
    ScheduleId id;
    std::optional<ScheduleRow> row;
  };
  struct OldProgress {
    ScheduleId id;
    ScheduleProgress progress;
  };
  struct NewLedger {
    MemoryDisk::SlotKey key;
  };
  struct OldLedger {
    WrittenLedgerRow row;
  };
  struct OldBackfill {
    BackfillId id;
    std::optional<BackfillRow> row;
  };
  using Undo = std::variant<OldWorkflow, NewVersion, NewKey, NewRun, OldRun, NewRecord, OldHeartbeat, GoneRun,
                            ClearedRun, OldSchedule, OldProgress, NewLedger, OldLedger, OldBackfill>;

  template <class... Args>
  static std::unexpected<Error> taken(fmt::format_string<Args...> what, Args&&... args) {
    return fail(Code::conflict, fmt::format(what, std::forward<Args>(args)...) + " is stored already");
  }

  static Undo inserted(const std::pair<std::string, int>& key) { return NewVersion{key}; }
  static Undo inserted(const std::pair<std::string, std::string>& key) { return NewKey{key}; }

  template <class Key, class Row>
  bool insert(std::map<Key, Row>& table, Key key, const Row& row) {
    if (!table.emplace(key, row).second) return false;
    undo_.push_back(inserted(key));
    return true;
  }

  Result<void> apply(const ScheduleChanges& changes) {
    if (changes.dropped) drop_schedules(*changes.dropped);
    for (const ScheduleRow& row : changes.put)
      if (auto done = put_schedule(row); !done) return done;
    if (changes.moved)
      if (auto done = move_schedule(*changes.moved); !done) return done;
    for (const LedgerRow& row : changes.ledger_removed)
      if (!strike_ledger({row.schedule, row.from}))
        return fail(Code::conflict,
                    fmt::format("slot {} of schedule {} is not stored", to_rfc3339(row.from), to_string(row.schedule)));
    for (const LedgerRow& row : changes.ledger)
      if (!insert_ledger(row)) return taken("slot {} of schedule {}", to_rfc3339(row.from), to_string(row.schedule));
    if (changes.backfill) put_backfill(*changes.backfill);
    if (changes.pruned) prune_ledger(*changes.pruned);
    return {};
  }

  void list(const ScheduleRow& row) {
    if (!row.deleted_at) {
      disk_.schedule_names_.emplace(std::pair(row.workflow, row.name), row.id);
      disk_.same_schedules_.insert({row.workflow, row.same, row.id});
    }
    list(row.id, row.progress);
  }
  void unlist(const ScheduleRow& row) {
    if (!row.deleted_at) {
      disk_.schedule_names_.erase({row.workflow, row.name});
      disk_.same_schedules_.erase({row.workflow, row.same, row.id});
    }
    unlist(row.id, row.progress);
  }
  void list(ScheduleId id, const ScheduleProgress& progress) {
    if (progress.next_at) disk_.due_schedules_.insert({*progress.next_at, id});
    if (progress.parked) disk_.parked_schedules_.insert(id);
  }
  void unlist(ScheduleId id, const ScheduleProgress& progress) {
    if (progress.next_at) disk_.due_schedules_.erase({*progress.next_at, id});
    if (progress.parked) disk_.parked_schedules_.erase(id);
  }

  Result<void> put_schedule(const ScheduleRow& row) {
    if (!row.deleted_at) {
      const auto named = disk_.schedule_names_.find({row.workflow, row.name});
      if (named != disk_.schedule_names_.end() && named->second != row.id)
        return taken("schedule {}/{}", row.workflow, row.name);
    }
    const auto [at, added] = disk_.schedules_.try_emplace(row.id, row);
    undo_.push_back(OldSchedule{row.id, added ? std::nullopt : std::optional(at->second)});
    if (!added) {
      unlist(at->second);
      at->second = row;
    }
    list(row);
    return {};
  }

  void set_progress(ScheduleRow& row, const ScheduleProgress& progress) {
    unlist(row.id, row.progress);
    row.progress = progress;
    list(row.id, progress);
  }

  Result<void> move_schedule(const ScheduleChanges::Moved& moved) {
    const auto at = disk_.schedules_.find(moved.id);
    if (at == disk_.schedules_.end() || at->second.progress.cursor != moved.from)
      return fail(Code::conflict, fmt::format("schedule {} does not stand there any more", to_string(moved.id)));
    undo_.push_back(OldProgress{moved.id, at->second.progress});
    set_progress(at->second, moved.progress);
    return {};
  }

  void drop_schedules(const ScheduleChanges::Dropped& dropped) {
    std::vector<ScheduleId> ids;
    for (auto at = disk_.schedule_names_.lower_bound({dropped.workflow, ""});
         at != disk_.schedule_names_.end() && at->first.first == dropped.workflow; ++at)
      ids.push_back(at->second);
    for (const ScheduleId id : ids) {
      ScheduleRow& row = disk_.schedules_.at(id);
      undo_.push_back(OldSchedule{id, row});
      unlist(row);
      row.deleted_at = dropped.at;
      row.progress = {.cursor = row.progress.cursor, .next_at = {}, .parked = false, .late = {}};
      list(row);
    }
  }

  bool insert_ledger(const LedgerRow& row) {
    const MemoryDisk::SlotKey key{row.schedule, row.from};
    // As in a table that is appended to, with a rowid one above the highest.
    const std::uint64_t written = disk_.written_.empty() ? 1 : disk_.written_.rbegin()->first + 1;
    if (!disk_.ledger_.emplace(key, WrittenLedgerRow{row, written}).second) return false;
    disk_.written_.emplace(written, key);
    undo_.push_back(NewLedger{key});
    return true;
  }

  bool strike_ledger(const MemoryDisk::SlotKey& key) {
    const auto at = disk_.ledger_.find(key);
    if (at == disk_.ledger_.end()) return false;
    undo_.push_back(OldLedger{at->second});
    disk_.written_.erase(at->second.written);
    disk_.ledger_.erase(at);
    return true;
  }

  void prune_ledger(const ScheduleChanges::Pruned& pruned) {
    std::vector<MemoryDisk::SlotKey> old;
    int looked_at = 0;
    for (const auto& [written, key] : disk_.written_) {
      if (looked_at++ == pruned.most) break;
      if (disk_.ledger_.at(key).at < pruned.before) old.push_back(key);
    }
    for (const MemoryDisk::SlotKey& key : old) strike_ledger(key);
  }

  void put_backfill(const BackfillRow& row) {
    const auto [at, added] = disk_.backfills_.try_emplace(row.id, row);
    undo_.push_back(OldBackfill{row.id, added ? std::nullopt : std::optional(at->second)});
    if (!added) at->second = row;
  }

  void put_workflow(const WorkflowRow& row) {
    const auto [at, added] = disk_.workflows_.try_emplace(row.name, row);
    undo_.push_back(OldWorkflow{row.name, added ? std::nullopt : std::optional(at->second)});
    if (!added) at->second = row;
  }

  Result<void> insert_run(const Run& run) {
    if (disk_.runs_.contains(run.id)) return taken("run {}", to_string(run.id));
    if (!disk_.numbers_.emplace(std::pair(run.workflow, run.number), run.id).second)
      return taken("number {} of workflow '{}'", run.number, run.workflow);
    disk_.runs_.emplace(run.id, run);
    list(run);
    undo_.push_back(NewRun{run.id});
    return {};
  }

  Result<void> update_run(const Run& run) {
    const auto at = disk_.runs_.find(run.id);
    if (at == disk_.runs_.end()) return fail(Code::conflict, fmt::format("run {} is not stored", to_string(run.id)));
    Run old;
    copy_changing(at->second, old);
    undo_.push_back(OldRun{run.id, std::move(old)});
    set_changing(run, at->second);
    return {};
  }

  static void copy_changing(const Run& from, Run& to) {
    to.status = from.status;
    to.waits_for = from.waits_for;
    to.due = from.due;
    to.attempt = from.attempt;
    to.version = from.version;
    to.error = from.error;
    to.started_at = from.started_at;
    to.finished_at = from.finished_at;
    to.expires_at = from.expires_at;
    to.group_since = from.group_since;
    to.group_held = from.group_held;
    to.slot = from.slot;
  }

  void set_changing(const Run& from, Run& to) {
    unlist(to);
    copy_changing(from, to);
    list(to);
  }

  void list(const Run& run) {
    if (!is_final(run.status)) disk_.open_.insert(run.id);
    if (run.expires_at) disk_.expiring_.insert({*run.expires_at, run.id});
  }
  void unlist(const Run& run) {
    disk_.open_.erase(run.id);
    if (run.expires_at) disk_.expiring_.erase({*run.expires_at, run.id});
  }

  Result<void> take_run(RunId id) {
    const auto at = disk_.runs_.find(id);
    if (at == disk_.runs_.end()) return fail(Code::conflict, fmt::format("run {} is not stored", to_string(id)));
    GoneRun gone{std::move(at->second), {}};
    const Run& run = gone.run;
    if (const auto workflow = disk_.workflows_.find(run.workflow);
        workflow != disk_.workflows_.end() && workflow->second.last_number < run.number) {
      undo_.push_back(OldWorkflow{run.workflow, workflow->second});
      workflow->second.last_number = run.number;
    }
    unlist(run);
    disk_.numbers_.erase({run.workflow, run.number});
    disk_.runs_.erase(at);
    for (auto key = disk_.start_keys_.begin(); key != disk_.start_keys_.end();) {
      if (key->second.run == id) {
        gone.keys.push_back(std::move(key->second));
        key = disk_.start_keys_.erase(key);
      } else {
        ++key;
      }
    }
    disk_.gone_.insert(id);
    undo_.push_back(std::move(gone));
    return {};
  }

  void clear_run(RunId id) {
    if (disk_.gone_.erase(id) == 0) return;
    auto records = disk_.records_.extract(id);
    undo_.push_back(ClearedRun{id, records ? std::move(records.mapped()) : std::vector<RecordRow>{}});
  }

  static auto position(std::vector<RecordRow>& rows, std::int64_t seq) {
    return std::ranges::lower_bound(rows, seq, {}, &RecordRow::seq);
  }

  Result<void> insert_record(const RecordRow& record) {
    auto& rows = disk_.records_[record.run];
    const auto at = position(rows, record.seq);
    if (at != rows.end() && at->seq == record.seq)
      return taken("record {} of run {}", record.seq, to_string(record.run));
    rows.insert(at, record);
    undo_.push_back(NewRecord{record.run, record.seq});
    return {};
  }

  void restore(OldWorkflow& old) {
    if (old.row)
      disk_.workflows_[old.name] = std::move(*old.row);
    else
      disk_.workflows_.erase(old.name);
  }
  void restore(const NewVersion& added) { disk_.versions_.erase(added.key); }
  void restore(const NewKey& added) { disk_.start_keys_.erase(added.key); }
  void restore(const NewRun& added) {
    const auto at = disk_.runs_.find(added.id);
    disk_.numbers_.erase({at->second.workflow, at->second.number});
    unlist(at->second);
    disk_.runs_.erase(at);
  }
  void restore(const OldRun& old) { set_changing(old.changing, disk_.runs_.at(old.id)); }
  void restore(const NewRecord& added) {
    const auto rows = disk_.records_.find(added.run);
    rows->second.erase(position(rows->second, added.seq));
    if (rows->second.empty()) disk_.records_.erase(rows);
  }
  void restore(const OldHeartbeat& old) { disk_.heartbeat_ = old.at; }
  void restore(GoneRun& old) {
    const RunId id = old.run.id;
    disk_.gone_.erase(id);
    list(old.run);
    disk_.numbers_.emplace(std::pair(old.run.workflow, old.run.number), id);
    for (StartKey& key : old.keys) disk_.start_keys_.emplace(std::pair(key.workflow, key.key), std::move(key));
    disk_.runs_.emplace(id, std::move(old.run));
  }
  void restore(ClearedRun& old) {
    disk_.gone_.insert(old.run);
    if (!old.records.empty()) disk_.records_.emplace(old.run, std::move(old.records));
  }

  void restore(OldSchedule& old) {
    const auto at = disk_.schedules_.find(old.id);
    unlist(at->second);
    if (old.row) {
      at->second = std::move(*old.row);
      list(at->second);
    } else {
      disk_.schedules_.erase(at);
    }
  }
  void restore(const OldProgress& old) { set_progress(disk_.schedules_.at(old.id), old.progress); }
  void restore(const NewLedger& added) {
    const auto at = disk_.ledger_.find(added.key);
    disk_.written_.erase(at->second.written);
    disk_.ledger_.erase(at);
  }
  void restore(OldLedger& old) {
    const MemoryDisk::SlotKey key{old.row.schedule, old.row.from};
    disk_.written_.emplace(old.row.written, key);
    disk_.ledger_.emplace(key, std::move(old.row));
  }
  void restore(OldBackfill& old) {
    if (old.row)
      disk_.backfills_[old.id] = std::move(*old.row);
    else
      disk_.backfills_.erase(old.id);
  }

  MemoryDisk& disk_;
  std::vector<Undo> undo_;
};

namespace {

Run without_values(const Run& run) {
  Run brief;
  brief.id = run.id;
  brief.workflow = run.workflow;
  brief.number = run.number;
  brief.version = run.version;
  brief.trace_id = run.trace_id;
  brief.status = run.status;
  brief.waits_for = run.waits_for;
  brief.due = run.due;
  brief.attempt = run.attempt;
  brief.who = run.who;
  brief.error = run.error;
  brief.created_at = run.created_at;
  brief.started_at = run.started_at;
  brief.finished_at = run.finished_at;
  brief.expires_at = run.expires_at;
  brief.group = run.group;
  brief.group_limit = run.group_limit;
  brief.group_cancels = run.group_cancels;
  brief.group_since = run.group_since;
  brief.group_held = run.group_held;
  brief.slot = run.slot;
  return brief;
}

bool matches(const RunFilter& filter, const Run& run) {
  return (filter.workflow.empty() || run.workflow == filter.workflow) &&
         (!filter.status || run.status == *filter.status) && (!filter.trigger || run.who.trigger == *filter.trigger) &&
         (!filter.since || run.created_at >= *filter.since) && (!filter.until || run.created_at < *filter.until) &&
         (filter.trace_id.empty() || run.trace_id == filter.trace_id);
}

}  // namespace

class MemoryReader final : public Reader {
 public:
  explicit MemoryReader(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  Result<std::vector<WorkflowRow>> workflows() override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    std::vector<WorkflowRow> rows;
    rows.reserve(disk_->workflows_.size());
    for (const auto& [name, row] : disk_->workflows_)
      if (!row.deleted_at) rows.push_back(row);
    return rows;
  }

  Result<std::optional<WorkflowRow>> workflow(const std::string& name) override {
    return find(disk_->workflows_, name);
  }

  Result<std::optional<VersionRow>> version(const std::string& workflow, int version) override {
    return find(disk_->versions_, std::pair(workflow, version));
  }

  Result<std::int64_t> last_run_number(const std::string& workflow) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto after = disk_->numbers_.upper_bound({workflow, std::numeric_limits<std::int64_t>::max()});
    if (after == disk_->numbers_.begin()) return 0;
    const auto& [key, id] = *std::prev(after);
    return key.first == workflow ? key.second : 0;
  }

  Result<std::optional<Run>> run(RunId id) override { return find(disk_->runs_, id); }

  Result<std::optional<Run>> run_by_number(const std::string& workflow, std::int64_t number) override {
    const auto id = find(disk_->numbers_, std::pair(workflow, number));
    if (!id) return std::unexpected(id.error());
    if (!*id) return std::nullopt;
    return run(**id);
  }

  Result<RunPage> runs(const RunFilter& filter, std::size_t limit, const std::string& cursor) override {
    const auto range = page_range(filter, limit, cursor);
    if (!range) return std::unexpected(range.error());
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto& runs = disk_->runs_;
    RunPage page;
    auto at = range->before ? runs.lower_bound(*range->before) : runs.end();
    while (at != runs.begin()) {
      const auto& [id, run] = *--at;
      if (id < range->from) break;
      if (!matches(filter, run)) continue;
      if (page.items.size() == limit) {
        page.next_cursor = cursor_after(page.items.back().id);
        break;
      }
      page.items.push_back(without_values(run));
    }
    return page;
  }

  Result<std::vector<RecordRow>> records(RunId id) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    if (disk_->gone_.contains(id)) return std::vector<RecordRow>{};
    return static_cast<const MemoryDisk&>(*disk_).records(id);
  }

  Result<std::vector<Expiry>> expiring(const std::optional<Expiry>& after, std::size_t limit) override {
    return behind(disk_->expiring_, after, limit);
  }
  Result<std::vector<RunId>> gone(const std::optional<RunId>& after, std::size_t limit) override {
    return behind(disk_->gone_, after, limit);
  }

  // The visitor may use the store, so that it is called without the lock; runs that begin meanwhile are not visited.
  using Reader::open_runs;
  Result<void> open_runs(const std::function<bool(Run&&)>& visit, const Broken&) override {
    std::vector<Run> open;
    {
      const MutexLock lock(disk_->mutex_);
      if (auto up = available(); !up) return up;
      open.reserve(disk_->open_.size());
      for (const RunId id : disk_->open_) open.push_back(without_values(disk_->runs_.at(id)));
    }
    for (Run& run : open)
      if (!visit(std::move(run))) break;
    return {};
  }

  Result<std::optional<StartKey>> start_key(const std::string& workflow, const std::string& key) override {
    return find(disk_->start_keys_, std::pair(workflow, key));
  }

  Result<NodeRow> node() override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    return disk_->node_;
  }

  Result<std::optional<ScheduleRow>> schedule(ScheduleId id) override { return find(disk_->schedules_, id); }

  Result<std::optional<ScheduleRow>> schedule(const std::string& workflow, const std::string& name) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto at = disk_->schedule_names_.find({workflow, name});
    return at == disk_->schedule_names_.end() ? std::nullopt : std::optional(disk_->schedules_.at(at->second));
  }

  Result<std::optional<ScheduleRow>> same_schedule(const std::string& workflow, const std::string& same) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto at = disk_->same_schedules_.lower_bound({workflow, same, ScheduleId{}});
    if (at == disk_->same_schedules_.end() || std::get<0>(*at) != workflow || std::get<1>(*at) != same)
      return std::nullopt;
    return disk_->schedules_.at(std::get<2>(*at));
  }

  Result<std::vector<ScheduleRow>> schedules(const ScheduleFilter& filter,
                                             const std::optional<std::pair<std::string, std::string>>& after,
                                             std::size_t limit) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto& names = disk_->schedule_names_;
    std::vector<ScheduleRow> found;
    for (auto at = after ? names.upper_bound(*after) : names.begin(); at != names.end() && found.size() < limit; ++at) {
      const ScheduleRow& row = disk_->schedules_.at(at->second);
      if ((filter.workflow.empty() || row.workflow == filter.workflow) &&
          (!filter.enabled || row.enabled == *filter.enabled))
        found.push_back(row);
    }
    return found;
  }

  Result<std::vector<ScheduleRow>> defined_schedules(const std::string& workflow) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    std::vector<ScheduleRow> found;
    for (auto at = disk_->schedule_names_.lower_bound({workflow, ""});
         at != disk_->schedule_names_.end() && at->first.first == workflow; ++at)
      if (const ScheduleRow& row = disk_->schedules_.at(at->second); row.defined) found.push_back(row);
    return found;
  }

  using Reader::due_schedules;
  Result<std::vector<ScheduleRow>> due_schedules(const std::optional<ScheduleTime>& after, Instant until,
                                                 std::size_t limit, const BrokenSchedule&) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto& due = disk_->due_schedules_;
    std::vector<ScheduleRow> found;
    for (auto at = after ? due.upper_bound(*after) : due.begin();
         at != due.end() && at->at <= until && found.size() < limit; ++at)
      found.push_back(disk_->schedules_.at(at->schedule));
    return found;
  }

  Result<std::optional<ScheduleTime>> next_schedule(const std::optional<ScheduleTime>& after) override {
    const auto next = behind(disk_->due_schedules_, after, 1);
    if (!next) return std::unexpected(next.error());
    return next->empty() ? std::nullopt : std::optional(next->front());
  }

  Result<std::vector<ScheduleRow>> parked_schedules(const std::string& workflow, const std::optional<ScheduleId>& after,
                                                    std::size_t limit) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto& parked = disk_->parked_schedules_;
    std::vector<ScheduleRow> found;
    for (auto at = after ? parked.upper_bound(*after) : parked.begin(); at != parked.end() && found.size() < limit;
         ++at)
      if (const ScheduleRow& row = disk_->schedules_.at(*at); workflow.empty() || row.workflow == workflow)
        found.push_back(row);
    return found;
  }

  Result<std::vector<LedgerRow>> ledger(ScheduleId schedule, const LedgerRange& range, std::size_t limit) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto& entries = disk_->ledger_;
    std::vector<LedgerRow> found;
    auto at =
        range.before ? entries.lower_bound({schedule, *range.before}) : entries.upper_bound({schedule, Instant::max()});
    while (at != entries.begin() && found.size() < limit) {
      const LedgerRow& entry = (--at)->second;
      // They do not overlap: all that follow end earlier still.
      if (entry.schedule != schedule || (range.since && entry.to < *range.since)) break;
      if (!range.until || entry.from <= *range.until) found.push_back(entry);
    }
    return found;
  }

  Result<std::optional<Instant>> oldest_ledger() override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    std::optional<Instant> oldest;
    int looked_at = 0;
    for (const auto& [written, key] : disk_->written_) {
      if (looked_at++ == written_first) break;
      const Instant at = disk_->ledger_.at(key).at;
      oldest = std::min(oldest.value_or(at), at);
    }
    return oldest;
  }

  Result<std::optional<BackfillRow>> backfill(BackfillId id) override { return find(disk_->backfills_, id); }

  Result<std::vector<BackfillRow>> backfills(ScheduleId schedule, std::size_t limit) override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    std::vector<BackfillRow> found;
    for (auto at = disk_->backfills_.rbegin(); at != disk_->backfills_.rend() && found.size() < limit; ++at)
      if (at->second.schedule == schedule) found.push_back(at->second);
    return found;
  }

  Result<std::vector<BackfillRow>> running_backfills() override {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    std::vector<BackfillRow> found;
    for (const auto& [id, row] : disk_->backfills_)
      if (row.status == BackfillStatus::running) found.push_back(row);
    return found;
  }

 private:
  Result<void> available() {
    if (disk_->faults_.failing_reads == 0) return {};
    if (disk_->faults_.good_reads > 0) return --disk_->faults_.good_reads, Result<void>{};
    --disk_->faults_.failing_reads;
    return fail(Code::unavailable, "memory store: the read failed, as it was told to");
  }

  template <class Item>
  Result<std::vector<Item>> behind(const std::set<Item>& all, const std::optional<Item>& after, std::size_t limit) {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    std::vector<Item> found;
    for (auto at = after ? all.upper_bound(*after) : all.begin(); at != all.end() && found.size() < limit; ++at)
      found.push_back(*at);
    return found;
  }

  template <class Key, class Row>
  Result<std::optional<Row>> find(const std::map<Key, Row>& table, const Key& key) {
    const MutexLock lock(disk_->mutex_);
    if (auto up = available(); !up) return std::unexpected(up.error());
    const auto at = table.find(key);
    return at == table.end() ? std::nullopt : std::optional(at->second);
  }

  std::shared_ptr<MemoryDisk> disk_;
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {
    const MutexLock lock(disk_->mutex_);
    ++disk_->node_.epoch;
    disk_->node_.heartbeat = disk_->heartbeat_;
  }
  MemoryStore(std::shared_ptr<MemoryDisk> disk, std::int64_t epoch) : disk_(std::move(disk)), epoch_(epoch) {
    const MutexLock lock(disk_->mutex_);
    disk_->node_.heartbeat = disk_->heartbeat_;
  }

  Result<void> commit(std::span<const Changeset> changes) override {
    if (std::ranges::all_of(changes, &Changeset::empty)) return {};
    const MutexLock lock(disk_->mutex_);
    if (broken_) return fail(Code::unavailable, "memory store: an earlier commit failed with an unknown outcome");
    if (epoch_ && *epoch_ != disk_->lease_.epoch && !planted(Planted::no_fence)) {
      broken_ = true;
      return fail(Code::unavailable,
                  fmt::format("memory store: epoch {} has taken over from epoch {}", disk_->lease_.epoch, *epoch_),
                  "fenced");
    }
    const CommitFault fault = std::exchange(disk_->faults_.next_commit, CommitFault::none);
    switch (fault) {
      case CommitFault::overloaded: return fail(Code::overloaded, "memory store: full, as it was told to be");
      case CommitFault::conflict: return fail(Code::conflict, "memory store: a conflict, as it was told");
      case CommitFault::unavailable_not_applied: return break_down();
      case CommitFault::unavailable_applied:
      case CommitFault::none: break;
    }
    Changes applied(*disk_);
    for (const Changeset& change : changes) {
      if (auto done = applied.apply(change); !done) {
        applied.take_back();
        return done;
      }
    }
    ++disk_->commits_;
    return fault == CommitFault::none ? Result<void>{} : break_down();
  }

  Result<std::unique_ptr<Reader>> reader() override { return std::make_unique<MemoryReader>(disk_); }

 private:
  Result<void> break_down() {
    broken_ = true;
    return fail(Code::unavailable, "memory store: the outcome is unknown, as it was told");
  }

  std::shared_ptr<MemoryDisk> disk_;
  std::optional<std::int64_t> epoch_;  // absent: it is the only one
  bool broken_ = false;
};

const std::vector<RecordRow>& MemoryDisk::records(RunId id) const {
  static const std::vector<RecordRow> none;
  const auto at = records_.find(id);
  return at == records_.end() ? none : at->second;
}

std::shared_ptr<MemoryDisk> make_memory_disk() { return std::make_shared<MemoryDisk>(); }

std::optional<Lease> MemoryDisk::take_lease(const std::string& node, Duration length, Instant asker_clock) {
  const MutexLock lock(mutex_);
  const Instant now = planted(Planted::wall_clock_lease) ? asker_clock : clock_;
  if (!lease_.holder.empty() && lease_.holder != node && now < lease_.until) return std::nullopt;
  lease_ = {.epoch = lease_.epoch + 1, .holder = node, .until = clock_ + length};
  node_.epoch = lease_.epoch;
  return lease_;
}

bool MemoryDisk::renew_lease(std::int64_t epoch, Duration length) {
  const MutexLock lock(mutex_);
  if (epoch != lease_.epoch) return false;
  lease_.until = clock_ + length;
  return true;
}

std::unique_ptr<Store> open_memory(std::shared_ptr<MemoryDisk> disk) {
  return std::make_unique<MemoryStore>(std::move(disk));
}

std::unique_ptr<Store> open_memory(std::shared_ptr<MemoryDisk> disk, std::int64_t epoch) {
  return std::make_unique<MemoryStore>(std::move(disk), epoch);
}

}  // namespace pawl::store
