#include "faults/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"
#include "definition/definition.h"
#include "driver/core.h"
#include "driver/histories.h"
#include "power/integrity.h"
#include "store/log_store.h"
#include "store/sqlite/sqlite_store.h"

namespace pawl::faults {
namespace {

using namespace std::chrono_literals;

constexpr Instant beginning{Duration{1'795'500'000'000'000}};
constexpr int asked_at_once = 3;
constexpr int ended_between_restarts = 2;
constexpr int patience = 8;  // failures in a row after which a lasting fault passes
constexpr int most_turns = 1000;  // a play takes about a hundred
constexpr int checkpoint_pages = 24;

// The second task fails at its first try. No number of restarts is too many.
constexpr std::string_view workflow_text = R"(
name: w
recover: {max: 1000, window: 1ms}
inputs: {n: {type: string}}
env: {N: "${{ inputs.n }}"}
jobs:
  main:
    tasks:
      - {id: one, run: "true"}
      - {id: two, run: "true", retry: {max: 1, delay: 10s}}
      - {id: three, run: "true"}
)";

class Dice final : public driver::Rng {
 public:
  std::uint64_t next() override { return random_.next(); }

 private:
  SplitMix random_{1};
};

// So long that a commit takes a page or some, and no two are alike.
std::string filler(const std::string& mark) {
  const std::string word = sha256_hex(mark);
  std::string text;
  for (int i = static_cast<unsigned char>(word[0]); i > 0; --i) text += word;
  return text;
}
std::string printed(int n, std::uint32_t frame) {
  const std::string mark = fmt::format("run {} frame {}", n, frame);
  return mark + ' ' + filler(mark) + '\n';
}

std::string key_of(int n) { return fmt::format("k{}", n); }

class Work;

// Tells what to start; what runs is in `started`.
class Runner final : public runner::Runner {
 public:
  void start(StartTask command) override {
    const Paused pause;
    started.push_back(std::move(command));
  }
  void stop(StopTask) override {}
  std::vector<StartTask> started;
};

// Everything that dies with a process.
struct Life final : driver::Observer {
  explicit Life(std::function<void(const Run&)> told) : told_(std::move(told)) {}
  void committed(const Changeset& changes, const Record&) override {
    const Paused pause;
    if (changes.run && is_final(changes.run->status)) told_(*changes.run);
  }

  Runner runner;
  Dice dice;
  driver::PlanCache plans;
  std::unique_ptr<store::LogStore> logs;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::Reader> reader;
  std::unique_ptr<driver::Core> core;
  bool sync_failed = false;  // of what commits are written to, and the commit it was for is over
  bool hit = false;  // a commit was fine, and what came behind it, its checkpoint, was not

 private:
  std::function<void(const Run&)> told_;
};

class World {
 public:
  World(const Play& play, Ledger& ledger, Injector& injector) : play_(play), ledger_(ledger), injector_(injector) {}

  // False: it is over in the middle of things.
  bool go() {
    for (int turn = 0; !all_ended(); ++turn) {
      if (turn == most_turns) {
        ledger_.wrong("it never comes to an end");
        break;
      }
      ledger_.hits = injector_.hits();
      if (troubles_ >= patience) lift();
      if (play_.turns_after >= 0 && injector_.hits() > 0 && turns_left_-- == 0) return false;
      if (!life_ && !begin()) continue;
      if (submitted_) ask();
      if (!this->turn()) {
        end();
        continue;
      }
      work();
      if (ended_ >= ended_between_restarts) end();
    }
    end();
    ledger_.hits = injector_.hits();
    return true;
  }

 private:
  void lift() {
    injector_.lift();
    troubles_ = 0;
  }

  bool all_ended() const {
    return std::ranges::all_of(ledger_.notes, [](const auto& notes) { return notes.through == Ledger::tasks; });
  }

  // --- the life of a process ---

  bool begin() {
    ++ledger_.lives;
    life_ = std::make_unique<Life>([this](const Run& run) { run_ended(run); });
    std::ranges::fill(asked_, false);
    submitted_ = false;
    (void)injector_.take_failed_sync();
    const std::uint64_t before = injector_.hits();
    auto opened = open();
    if (opened) {
      troubles_ = 0;
      see_what_ended();
      submit();
      return true;
    }
    ++troubles_;
    judge(opened.error(), injector_.hits() - before, "opening");
    end();
    return false;
  }

  // Whoever got no answer looks: it may have been done all the same.
  void see_what_ended() {
    const auto reader = life_->store->reader();
    if (!reader) return ledger_.wrong("what has just been opened cannot be read: " + reader.error().message);
    for (Ledger::Notes& notes : ledger_.notes) {
      if (!notes.known) continue;
      const auto run = (*reader)->run(notes.id);
      if (run && *run && is_final((*run)->status)) notes.through = Ledger::tasks;
    }
  }

  Result<void> open() {
    const Armed armed;
    auto logs = store::open_log_files(play_.folder + "/logs", 3);
    if (!logs) return std::unexpected(logs.error());
    life_->logs = std::move(*logs);
    if (auto store = open_store(); !store) return store;
    driver::CoreOptions options;
    options.process_seats = 4;
    life_->core = std::make_unique<driver::Core>(std::move(options), *life_->reader, life_->plans, life_->runner,
                                                 life_->dice, life_.get());
    return life_->core->start();
  }
  Result<void> open_store() {
    auto store = store::open_sqlite({.path = path(), .checkpoint_pages = checkpoint_pages});
    if (!store) return std::unexpected(store.error());
    life_->store = std::move(*store);
    auto reader = life_->store->reader();
    if (!reader) return std::unexpected(reader.error());
    life_->reader = std::move(*reader);
    return {};
  }

  void end() {
    if (!life_) return;
    const Armed armed;
    ended_ = 0;
    life_->core.reset();
    life_->reader.reset();
    life_->store.reset();
    life_->logs.reset();
    life_.reset();
  }

  std::string path() const { return play_.folder + "/pawl.db"; }

  // --- clients ---

  void submit() {
    auto parsed = definition::parse(workflow_text);
    check(parsed.has_value(), "the workflow is one");
    WorkflowSubmitted event{std::make_shared<const Workflow>(std::move(parsed->workflow)),
                            std::string(workflow_text),
                            WorkflowSubmitted::Mode::create_or_replace,
                            {}};
    const Armed armed;
    life_->core->push(std::move(event), [this](const Result<Answer>& answer) {
      const Paused pause;
      submitted_ = answer.has_value();
      if (!answer) {
        judge(answer.error(), 1, "a definition");
        submit();
      }
    });
  }

  void ask() {
    int asked = static_cast<int>(std::ranges::count(asked_, true));
    for (int n = 0; n < Ledger::runs && asked < asked_at_once; ++n) {
      if (ledger_.notes[n].acknowledged || asked_[n]) continue;
      asked_[n] = true;
      ++asked;
      RunRequested event{"w", json::object{{"n", std::to_string(n)}}, key_of(n), {}};
      const Armed armed;
      life_->core->push(std::move(event), [this, n](const Result<Answer>& answer) {
        const Paused pause;
        answered(n, answer);
      });
    }
  }

  void answered(int n, const Result<Answer>& answer) {
    asked_[n] = false;
    if (answer) {
      know(n, std::get<RunAccepted>(*answer).run);
      ledger_.notes[n].acknowledged = true;
      return;
    }
    judge(answer.error(), 1, "a start");
    if (answer.error().code == Code::overloaded && !ledger_.notes[n].known) {
      // Nothing of it may exist.
      const auto reader = life_->store->reader();
      const auto found = reader ? (*reader)->start_key("w", key_of(n)) : std::unexpected(reader.error());
      if (found && *found) ledger_.wrong(fmt::format("start {} was refused and is there", n));
    }
  }

  void know(int n, const RunId& id) {
    Ledger::Notes& notes = ledger_.notes[n];
    if (notes.known && notes.id != id) ledger_.wrong(fmt::format("start {} made two runs", n));
    notes.known = true;
    notes.id = id;
  }

  void run_ended(const Run& run) {
    if (run.status != RunStatus::success)
      ledger_.wrong(fmt::format("a run ended as {}: {}", to_string(run.status), run.error ? run.error->message : ""));
    for (Ledger::Notes& notes : ledger_.notes)
      if (notes.known && notes.id == run.id) notes.through = Ledger::tasks;
    ++ended_;
  }

  // --- the driver's turns ---

  // False: the store is lost, and the process ends.
  bool turn() {
    driver::Core& core = *life_->core;
    now_ += 1ms;
    if (!core.has_work(now_))
      if (const auto due = core.next_due()) now_ = std::max(now_, *due);
    driver::Batch batch;
    std::uint64_t before = injector_.hits();
    {
      const Armed armed;
      core.decide(batch, now_, 8);
    }
    if (injector_.hits() > before) ++troubles_;  // what could not be read is looked at again
    before = injector_.hits();
    Result<void> done;
    if (!batch.changes.empty()) done = commit(batch);
    if (done) {
      if (!batch.changes.empty()) {
        troubles_ = 0;
        // The sync of a checkpoint may fail after a commit was durable, but nothing may be built on that.
        if (life_->sync_failed) ledger_.wrong("a commit was acknowledged by a store whose sync had failed");
      }
      life_->sync_failed = injector_.take_failed_sync() || life_->sync_failed;
      life_->hit = life_->hit || injector_.hits() > before;
      const Armed armed;
      core.committed(std::move(batch));
      return true;
    }
    ++troubles_;
    judge(done.error(), injector_.hits() - before + (life_->hit ? 1 : 0), "a commit");
    std::vector<driver::Batch> dropped;
    dropped.push_back(std::move(batch));
    const Armed armed;
    core.dropped(std::move(dropped), done.error(), now_);
    return done.error().code == Code::overloaded || done.error().code == Code::conflict;
  }

  Result<void> commit(const driver::Batch& batch) {
    Result<void> done;
    {
      const Armed armed;
      done = life_->store->commit(batch.changes);
    }
    if (done) return done;
    const Error& error = done.error();
    const bool memory = error.message.find("out of memory") != std::string::npos;
    if (play_.lie == Lie::no_room_is_fine && error.code == Code::overloaded) return {};
    if (play_.lie == Lie::memory_is_fine && memory) return {};
    if (play_.lie == Lie::unknown_is_refused && error.code == Code::unavailable)
      return pawl::fail(Code::overloaded, error.message);
    if (play_.lie == Lie::repeated_commit && error.code == Code::unavailable) {
      life_->sync_failed = injector_.take_failed_sync() || life_->sync_failed;
      const Armed armed;
      life_->store.reset();
      auto again = store::open_sqlite({.path = path(), .checkpoint_pages = checkpoint_pages});
      if (!again) return std::unexpected(error);
      life_->store = std::move(*again);
      return life_->store->commit(batch.changes);
    }
    return done;
  }

  // --- the runner ---

  void work() {
    for (StartTask& start : std::exchange(life_->runner.started, {})) {
      const auto& env = std::get<ProcessInput>(start.input).env;
      int n = -1;
      for (const auto& [name, value] : env)
        if (name == "N") std::from_chars(value.data(), value.data() + value.size(), n);
      if (n < 0 || n >= Ledger::runs) {
        ledger_.wrong("a task was started with other inputs than its run was given");
        continue;
      }
      know(n, start.run);
      Ledger::Notes& notes = ledger_.notes[n];
      if (start.ref.task < notes.through)
        ledger_.wrong(fmt::format("task {} of start {} was done again", start.ref.task, n));
      notes.through = std::max(notes.through, start.ref.task);
      print(n, start);
      TaskFinished finished{start.run, start.ref, start.try_number, {}, start.attempt};
      finished.outcome.process = ProcessExit{};
      finished.outcome.process->outputs = json::object{};
      finished.outcome.process->stdout_text = filler(fmt::format("{} {}", n, start.ref.task));
      if (start.ref.task == 1 && !notes.failed_once) {
        notes.failed_once = true;
        finished.outcome.process->exit_code = 1;
      }
      const Armed armed;
      life_->core->push(std::move(finished));
    }
  }

  void print(int n, const StartTask& start) {
    Ledger::Notes& notes = ledger_.notes[n];
    store::LogStore& logs = *life_->logs;
    std::vector<std::uint32_t> kept;
    bool broken = false;
    for (int i = 0; i <= (n + start.ref.task) % 3 && notes.frames < Ledger::most_frames; ++i) {
      const std::uint32_t number = notes.frames++;
      const store::LogFrame frame{start.job, start.task,        start.try_number, store::LogStream::out,
                                  now_,      printed(n, number)};
      const std::uint64_t before = injector_.hits();
      Result<void> done;
      {
        const Armed armed;
        done = logs.append(start.run, frame);
      }
      if (done && broken) ledger_.wrong("a log took something more after an I/O error");
      if (done) kept.push_back(number);
      if (done) continue;
      judge(done.error(), injector_.hits() - before + (broken ? 1 : 0), "output");
      if (done.error().code == Code::overloaded) notes.refused.set(number);
      // Only what broke while it was written is broken for good.
      if (done.error().code == Code::unavailable && play_.fault.what == What::write) broken = true;
    }
    const std::uint64_t before = injector_.hits();
    Result<void> synced;
    {
      const Armed armed;
      synced = logs.sync(start.run);
      if (!synced && play_.lie == Lie::unsynced_logs) synced = {};
    }
    if (!synced) judge(synced.error(), injector_.hits() - before + (broken ? 1 : 0), "a sync of output");
    if (synced)
      for (const std::uint32_t number : kept) notes.promised.set(number);
    const Armed armed;
    logs.close(start.run);
  }

  // --- what an error may say ---

  void judge(const Error& error, std::uint64_t faults, std::string_view of) {
    const Fault& fault = play_.fault;
    const std::string told =
        fmt::format("{} failed with {} ({}): {}", of, to_string(error.code), error.name, error.message);
    if (injector_.hits() == 0 || faults == 0) return ledger_.wrong("nothing had happened, and " + told);
    // What a sync leaves is unknown, unless nothing has been committed yet.
    const bool for_want_of_room = fault.error == ENOSPC && (fault.what != What::sync || of == "opening");
    if (error.code == Code::overloaded && (!for_want_of_room || error.name != "no_room")) ledger_.wrong(told);
    if (error.code == Code::unavailable && for_want_of_room && fault.what == What::write && !fault.torn)
      ledger_.wrong(told);
    if (error.code != Code::overloaded && error.code != Code::unavailable) ledger_.wrong(told);
  }

  const Play& play_;
  Ledger& ledger_;
  Injector& injector_;
  std::unique_ptr<Life> life_;
  Instant now_ = beginning;
  bool submitted_ = false;
  bool asked_[Ledger::runs] = {};
  int troubles_ = 0, ended_ = 0;
  int turns_left_ = play_.turns_after;
};

class Look {
 public:
  Look(std::string folder, Ledger& ledger) : folder_(std::move(folder)), ledger_(ledger) {}

  void run() {
    if (const std::string said = power::integrity(folder_ + "/pawl.db"); said != "ok")
      wrong("integrity_check: " + said);
    auto store = store::open_sqlite({.path = folder_ + "/pawl.db"});
    if (!store) return wrong("it does not open: " + store.error().message);
    const auto reader = (*store)->reader();
    if (!reader) return wrong("no reader: " + reader.error().message);
    runs(**store, **reader);
    logs();
  }

 private:
  void wrong(const std::string& what) { ledger_.wrong(what); }

  void runs(store::Store& store, store::Reader& reader) {
    const auto page = reader.runs({}, 200, "");
    if (!page) return wrong("runs cannot be listed: " + page.error().message);
    if (page->items.size() != Ledger::runs) wrong(fmt::format("there are {} runs", page->items.size()));
    driver::PlanCache plans;
    const auto histories = driver::make_histories(store, plans);
    for (int n = 0; n < Ledger::runs; ++n) {
      const auto key = reader.start_key("w", key_of(n));
      if (!key || !*key || (*key)->run != ledger_.notes[n].id) {
        wrong(fmt::format("start {} is not there, or another one than was acknowledged", n));
        continue;
      }
      const auto history = histories->history((*key)->run);
      if (!history) {
        wrong(fmt::format("run {} cannot be read: {}", n, history.error().message));
        continue;
      }
      const RunHistory& told = *history;
      if (told.run.status != RunStatus::success) wrong(fmt::format("run {} ended otherwise than it was told", n));
      // Of each task one result counts, and it is there to be looked at.
      for (std::size_t task = 0; task < Ledger::tasks; ++task) {
        int done = 0;
        for (const Attempt& attempt : told.attempts) {
          const TaskRun& run = attempt.jobs.front().tasks[task];
          done += run.status == WorkStatus::success ? 1 : 0;
        }
        if (done != 1) wrong(fmt::format("task {} of run {} was done {} times", task, n, done));
      }
    }
  }

  void logs() {
    const auto logs = store::open_log_files(folder_ + "/logs");
    for (int n = 0; n < Ledger::runs; ++n) {
      const Ledger::Notes& notes = ledger_.notes[n];
      std::bitset<Ledger::most_frames> seen;
      std::uint32_t next = 0;
      const auto end = (*logs)->read(notes.id, 0, [&](store::LogFrame&& frame) {
        if (frame.task.empty()) return true;  // of damage
        std::uint32_t number = next;
        while (number < notes.frames && frame.bytes != printed(n, number)) ++number;
        if (number == notes.frames)
          wrong(fmt::format("the log of run {} shows what was not printed then", n));
        else if (notes.refused.test(number))
          wrong(fmt::format("the log of run {} shows what was refused", n));
        else
          seen.set(number);
        next = std::min(number + 1, notes.frames);
        return true;
      });
      if (!end) wrong(fmt::format("the log of run {} cannot be read: {}", n, end.error().message));
      if ((notes.promised & ~seen).any())
        wrong(fmt::format("the log of run {} lacks {} frames that were promised", n, (notes.promised & ~seen).count()));
    }
  }

  const std::string folder_;
  Ledger& ledger_;
};

}  // namespace

void play(const Play& play, Ledger& ledger, Injector& injector) {
  auto world = std::make_unique<World>(play, ledger, injector);
  // In the middle of things nothing is closed: the power is gone.
  if (!world->go()) (void)world.release();
}

void look_at(const std::string& folder, Ledger& ledger) {
  const std::uint64_t hits = ledger.hits;
  Injector none;
  none.begin({}, folder);
  play({.folder = folder, .fault = {}}, ledger, none);
  ledger.hits = hits;
  Look(folder, ledger).run();
}

}  // namespace pawl::faults
