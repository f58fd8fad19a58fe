#include "power/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "power/integrity.h"
#include "store/log_store.h"
#include "store/sqlite/sqlite_store.h"

namespace pawl::power {
namespace {

std::size_t count_until(const std::vector<std::size_t>& places, std::size_t length) {
  return static_cast<std::size_t>(std::ranges::upper_bound(places, length) - places.begin());
}

class Check {
 public:
  Check(const Played& played, std::size_t length, std::string folder)
      : played_(played), length_(length), folder_(std::move(folder)), path_(folder_ + "/pawl.db") {}

  std::vector<std::string> run(bool go_on) {
    const std::size_t opened = count_until_opened();
    auto store = store::open_sqlite({.path = path_});
    if (!store) {
      wrong(fmt::format("the store does not open: {}", store.error().message));
      return std::move(wrong_);
    }
    auto reader = (*store)->reader();
    if (!reader) {
      wrong("no reader: " + reader.error().message);
      return std::move(wrong_);
    }
    const auto there = transactions_in(**reader);
    const std::size_t promised = count_until(played_.acknowledged, length_);
    const std::size_t begun = count_until(played_.begun, length_);
    if (there < promised || there > begun)
      wrong(fmt::format("{} transactions are there, {} were acknowledged and {} begun (opened {} times)", there,
                        promised, begun, opened));
    else
      look_at(**reader, played_.contents[there]);
    if (const std::string said = integrity(path_); said != "ok") wrong("integrity_check: " + said);
    look_at_logs(played_.contents[std::min(there, played_.contents.size() - 1)]);
    reader->reset();
    if (go_on && wrong_.empty()) goes_on(std::move(*store), there);
    return std::move(wrong_);
  }

 private:
  void wrong(std::string what) { wrong_.push_back(std::move(what)); }

  std::size_t count_until_opened() const {
    std::size_t times = 0;
    for (const auto& [at, count] : played_.opened)
      if (at <= length_) times = count;
    return times;
  }

  std::size_t transactions_in(store::Reader& reader) {
    const auto entries = reader.records(played_.diary);
    if (!entries) wrong("the diary cannot be read: " + entries.error().message);
    return entries ? entries->size() : 0;
  }

  void look_at(store::Reader& reader, const Content& content) {
    for (const auto& [run, count] : content.records) {
      const auto row = reader.run(run);
      if (!row || !*row) wrong(fmt::format("run {} is not there", to_string(run)));
      const auto records = reader.records(run);
      if (!records || records->size() != static_cast<std::size_t>(count)) {
        wrong(fmt::format("run {} has other records than its transaction left", to_string(run)));
        continue;
      }
      for (const RecordRow& record : *records)
        if (record.body != record_body(run, record.seq))
          wrong(fmt::format("record {} of run {} holds something else", record.seq, to_string(run)));
    }
    std::size_t runs = 0;
    const auto counted = reader.open_runs([&](Run&&) { return ++runs > 0; });
    if (!counted || runs != content.records.size()) wrong("there are other runs than the transactions left");
  }

  void look_at_logs(const Content& content) {
    auto logs = store::open_log_files(folder_ + "/logs");
    for (const auto& [run, appended] : played_.appended) {
      std::size_t promised = 0;
      if (const auto found = played_.synced.find(run); found != played_.synced.end())
        for (const auto& synced : found->second)
          if (synced.at <= length_) promised = synced.frames;
      // A result that is there stands on output that is there, acknowledged or not.
      if (const auto found = content.frames.find(run); found != content.frames.end())
        promised = std::max(promised, found->second);
      std::size_t whole = 0, last = 0;
      bool gap = false;
      const auto end = (*logs)->read(run, 0, [&](store::LogFrame&& frame) {
        if (frame.task.empty()) {
          gap = true;
          return true;
        }
        std::size_t number = last;
        while (number < appended && frame.bytes != frame_text(run, number)) ++number;
        if (number == appended) wrong(fmt::format("the log of run {} shows what was never printed", to_string(run)));
        last = number + 1;
        if (!gap && number == whole) ++whole;
        return true;
      });
      if (!end) wrong(fmt::format("the log of run {} cannot be read: {}", to_string(run), end.error().message));
      if (whole < promised)
        wrong(fmt::format("the log of run {} has {} of {} promised lines", to_string(run), whole, promised));
    }
  }

  // The next server commits, prints and is started anew.
  void goes_on(std::unique_ptr<store::Store> store, std::size_t there) {
    const auto seq = static_cast<std::int64_t>(there) + 1;
    Changeset change;
    change.record = RecordRow{played_.diary, seq, {}, record_body(played_.diary, seq)};
    if (there == 0) return;  // there is no diary to write to
    if (const auto done = store->commit({&change, 1}); !done) wrong("it cannot be gone on: " + done.error().message);
    store.reset();
    auto again = store::open_sqlite({.path = path_});
    if (!again) return wrong("opened once and not again: " + again.error().message);
    const auto reader = (*again)->reader();
    if (!reader || transactions_in(**reader) != there + 1) wrong("what was committed afterwards is not there");
    for (const auto& [run, appended] : played_.appended) {
      auto logs = store::open_log_files(folder_ + "/logs");
      const store::LogFrame frame{"main", "after", 1, store::LogStream::out, {}, "after\n"};
      bool last_is_ours = false;
      if (!(*logs)->append(run, frame)) wrong("nothing can be added to the log of run " + to_string(run));
      (void)(*logs)->read(run, 0, [&](store::LogFrame&& seen) {
        last_is_ours = seen.task == "after";
        return true;
      });
      if (!last_is_ours) wrong("what was added to the log of run " + to_string(run) + " cannot be read");
    }
  }

  const Played& played_;
  const std::size_t length_;
  const std::string folder_, path_;
  std::vector<std::string> wrong_;
};

}  // namespace

std::vector<std::string> check_image(const Played& played, std::size_t length, const std::string& folder, bool go_on) {
  return Check(played, length, folder).run(go_on);
}

}  // namespace pawl::power
