#include "driver/histories.h"

#include <vector>

#include <fmt/format.h>

#include "base/thread_annotations.h"
#include "engine/engine.h"
#include "engine/fold.h"
#include "engine/record_codec.h"

namespace pawl::driver {
namespace {

class StoredHistories final : public Histories {
 public:
  StoredHistories(store::Store& store, PlanCache& plans) : store_(store), plans_(plans) {}

  Result<RunHistory> history(RunId id) override {
    auto state = folded(id);
    if (!state) return std::unexpected(state.error());
    return engine::history(std::move(*state));
  }

  Result<std::vector<Record>> records(RunId id) override {
    auto reader = borrow();
    if (!reader) return std::unexpected(reader.error());
    auto rows = (*reader)->records(id);
    give_back(std::move(*reader));
    if (!rows) return std::unexpected(rows.error());
    if (rows->empty()) return unknown(id);
    std::vector<Record> records;
    records.reserve(rows->size());
    for (RecordRow& row : *rows) {
      auto changes = engine::decode(row.body);
      if (!changes) return std::unexpected(changes.error());
      records.push_back({row.seq, row.at, std::move(*changes)});
    }
    return records;
  }

  Result<std::variant<ProcessInput, HttpInput>> input(RunId id, TaskRef ref) override {
    const auto state = folded(id);
    if (!state) return std::unexpected(state.error());
    const auto& jobs = state->attempt.jobs;
    if (ref.job < 0 || static_cast<std::size_t>(ref.job) >= jobs.size() || ref.task < 0 ||
        static_cast<std::size_t>(ref.task) >= jobs[static_cast<std::size_t>(ref.job)].tasks.size())
      return fail(Code::not_found, "there is no such task", "task_unknown");
    return engine::resolve_input(*state, ref);
  }

 private:
  static std::unexpected<Error> unknown(RunId id) {
    return fail(Code::not_found, fmt::format("there is no run {}", to_string(id)), "run_unknown");
  }

  Result<engine::RunState> folded(RunId id) {
    auto reader = borrow();
    if (!reader) return std::unexpected(reader.error());
    auto state = fold_with(**reader, id);
    give_back(std::move(*reader));
    return state;
  }

  Result<engine::RunState> fold_with(store::Reader& reader, RunId id) {
    auto run = reader.run(id);
    if (!run) return std::unexpected(run.error());
    if (!*run) return unknown(id);
    const auto records = reader.records(id);
    if (!records) return std::unexpected(records.error());
    const std::string workflow = (*run)->workflow;
    auto state = engine::fold(
        std::move(**run), [&](int version) { return plans_.get(reader, workflow, version); }, *records, true);
    // Retention may have taken it after its row was read.
    if (!state)
      if (const auto still = reader.run(id); still && !*still) return unknown(id);
    return state;
  }

  Result<std::unique_ptr<store::Reader>> borrow() {
    {
      const MutexLock lock(mutex_);
      if (!idle_.empty()) {
        auto reader = std::move(idle_.back());
        idle_.pop_back();
        return reader;
      }
    }
    return store_.reader();
  }
  void give_back(std::unique_ptr<store::Reader> reader) {
    const MutexLock lock(mutex_);
    if (idle_.size() < 4) idle_.push_back(std::move(reader));
  }

  store::Store& store_;
  PlanCache& plans_;
  Mutex mutex_;
  std::vector<std::unique_ptr<store::Reader>> idle_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Histories> make_histories(store::Store& store, PlanCache& plans) {
  return std::make_unique<StoredHistories>(store, plans);
}

}  // namespace pawl::driver
