#include "power/workload.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"
#include "store/log_store.h"
#include "store/sqlite/sqlite_store.h"

namespace pawl::power {
namespace {

constexpr Instant beginning{Duration{1'795'500'000'000'000}};
constexpr int transactions = 60;

// So long that a transaction takes a page or some, and no two are alike.
std::string filler(std::string_view mark) {
  const std::string word = sha256_hex(mark);
  std::string text;
  const std::size_t words = 1 + static_cast<unsigned char>(word[0]) * static_cast<unsigned char>(word[1]) % 40;
  for (std::size_t i = 0; i < words; ++i) text += word;
  return text;
}

Run a_run(std::uint64_t seed, int number) {
  Run run;
  run.id = RunId{uuid_v7(beginning + std::chrono::milliseconds(number), seed, static_cast<std::uint64_t>(number))};
  run.workflow = "power";
  run.number = number;
  run.version = 1;
  run.trace_id = trace_id(Instant{}, seed, static_cast<std::uint64_t>(number));
  run.status = RunStatus::running;
  run.inputs = run.vars = run.env = json::object();
  run.created_at = beginning;
  return run;
}

class Player {
 public:
  Player(std::uint64_t seed, const std::string& folder) : random_(seed), seed_(seed), folder_(folder) {}

  Played play() {
    start_tape(folder_);
    open();
    Changeset first;
    first.new_run = a_run(seed_, 1);
    played_.diary = first.new_run->id;
    played_.contents.emplace_back();
    runs_.push_back(first.new_run->id);
    commit({first});
    while (played_.acknowledged.size() < transactions) {
      if (random_.chance(0.03)) open();
      if (random_.chance(0.3)) print();
      commit(changes());
    }
    store_.reset();
    logs_.reset();
    played_.tape = stop_tape();
    return std::move(played_);
  }

 private:
  void open() {
    store_.reset();
    logs_.reset();
    auto store = store::open_sqlite(
        {.path = folder_ + "/pawl.db", .checkpoint_pages = 20 + static_cast<int>(random_.below(60))});
    check(store.has_value());
    store_ = std::move(*store);
    auto logs = store::open_log_files(folder_ + "/logs", 3);
    check(logs.has_value());
    logs_ = std::move(*logs);
    played_.opened.emplace_back(tape_length(), ++times_opened_);
  }

  std::vector<Changeset> changes() {
    std::vector<Changeset> all;
    const std::uint64_t count = 1 + random_.below(random_.chance(0.2) ? 20 : 4);
    for (std::uint64_t i = 0; i < count; ++i) {
      Changeset change;
      if (random_.chance(0.3)) {
        change.new_run = a_run(seed_, static_cast<int>(runs_.size()) + 1);
        runs_.push_back(change.new_run->id);
      } else if (runs_.size() > 1) {
        const RunId run = runs_[1 + random_.below(runs_.size() - 1)];
        const std::int64_t seq = ++records_[run];
        change.record = RecordRow{run, seq, beginning, record_body(run, seq)};
      }
      if (change.empty()) change.heartbeat = beginning;
      all.push_back(std::move(change));
    }
    return all;
  }

  void commit(std::vector<Changeset> all) {
    const auto number = static_cast<std::int64_t>(played_.contents.size());
    Changeset entry;
    entry.record = RecordRow{played_.diary, number, beginning, record_body(played_.diary, number)};
    all.push_back(std::move(entry));
    Content content = played_.contents.back();
    for (const Changeset& change : all) {
      if (change.new_run) content.records.try_emplace(change.new_run->id, 0);
      if (change.record) ++content.records[change.record->run];
    }
    for (const auto& [run, synced] : played_.synced) content.frames[run] = synced.back().frames;
    played_.contents.push_back(std::move(content));
    played_.begun.push_back(tape_length());
    check(store_->commit(all).has_value());
    played_.acknowledged.push_back(tape_length());
  }

  // Some frames; as a rule they are synced, as before a result.
  void print() {
    const RunId run = runs_[random_.below(runs_.size())];
    std::size_t& count = played_.appended[run];
    for (std::uint64_t i = 0; i <= random_.below(4); ++i) {
      const store::LogFrame frame{"main", "task", 1, store::LogStream::out, beginning, frame_text(run, count++)};
      check(logs_->append(run, frame).has_value());
    }
    if (random_.chance(0.3)) return;
    check(logs_->sync(run).has_value());
    played_.synced[run].push_back({tape_length(), count});
  }

  SplitMix random_;
  const std::uint64_t seed_;
  const std::string folder_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::LogStore> logs_;
  std::size_t times_opened_ = 0;
  std::vector<RunId> runs_;
  std::map<RunId, std::int64_t> records_;
  Played played_;
};

}  // namespace

std::string record_body(RunId run, std::int64_t seq) {
  const std::string mark = fmt::format("{} record {}", to_string(run), seq);
  return fmt::format("[\"{} {}\"]", mark, filler(mark));
}

std::string frame_text(RunId run, std::size_t number) {
  const std::string mark = fmt::format("{} frame {}", to_string(run), number);
  return mark + ' ' + filler(mark) + '\n';
}

Played play(std::uint64_t seed, const std::string& folder) { return Player(seed, folder).play(); }

}  // namespace pawl::power
