#include "sim/simulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "base/random.h"
#include "definition/definition.h"
#include "driver/core.h"
#include "engine/record_codec.h"
#include "runner/fake/fake_runner.h"
#include "sim/checks.h"
#include "sim/shapes.h"
#include "store/memory/memory_store.h"

namespace pawl::sim {
namespace {

class SeededRng final : public driver::Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : random_(seed) {}
  std::uint64_t next() override { return random_.next(); }

 private:
  SplitMix random_;
};

// How often each thing happens; drawn anew for every seed, some things not at all.
struct Weather {
  double crash, crash_at_commit, full, conflict, double_result, late_result, failure, timeout, cancel, resume,
      new_version, stop;
  explicit Weather(SplitMix& r) {
    const auto draw = [&](double most) { return r.chance(0.3) ? 0.0 : most * r.fraction(); };
    crash = draw(0.04);
    crash_at_commit = draw(0.08);
    full = draw(0.1);
    conflict = draw(0.03);
    double_result = draw(0.2);
    late_result = draw(0.2);
    failure = draw(0.4);
    timeout = draw(0.1);
    cancel = draw(0.05);
    resume = draw(0.05);
    new_version = draw(0.03);
    stop = draw(0.01);
  }
};

class World {
 public:
  explicit World(const Options& options)
      : options_(options), random_(options.seed), weather_(random_), rng_(random_.next()), checks_(disk_) {
    runner_.on_start = [this](const StartTask& command) {
      tell([&] {
        return fmt::format("start {}/{} try {} of {}", command.job, command.task, command.try_number,
                           to_string(command.run));
      });
      checks_.started(command);
      if (command.task.starts_with("poison")) poisoned_ = true;
    };
    runner_.on_stop = [this](const StopTask& stop) { stopped_.insert({stop.run, stop.ref, stop.try_number}); };
    process_slots_ = 1 + static_cast<int>(random_.below(3));
    http_slots_ = random_.chance(0.3) ? 1 + static_cast<int>(random_.below(4)) : 4096;
    boot();
  }

  Outcome play() {
    for (int i = 0; i < 1 + static_cast<int>(random_.below(3)); ++i) submit(fmt::format("w{}", i));
    for (int i = 0; i < options_.steps && violations().empty(); ++i) step();
    if (violations().empty()) come_to_rest();
    result_.seed = options_.seed;
    result_.violations = violations();
    result_.step_of_violation = result_.violations.empty() ? 0 : result_.steps;
    result_.runs = disk_->runs().size();
    return std::move(result_);
  }

 private:
  const std::vector<std::string>& violations() const { return checks_.violations(); }

  template <class Line>
  void tell(Line line) {
    if (options_.story) result_.story.push_back(fmt::format("{:5} {} {}", result_.steps, to_rfc3339(now_), line()));
  }

  void boot() {
    store_ = store::open_memory(disk_);
    auto reader = store_->reader();
    check(reader.has_value());
    reader_ = std::move(*reader);
    driver::CoreOptions options;
    options.process_slots = process_slots_;
    options.http_slots = http_slots_;
    plans_ = std::make_unique<driver::PlanCache>();
    core_ = std::make_unique<driver::Core>(options, *reader_, *plans_, runner_, rng_, nullptr);
    check(core_->start().has_value());
  }

  void crash(std::string_view where) {
    tell([&] { return fmt::format("crash {}", where); });
    ++result_.crashes;
    for (const auto& [key, command] : runner_.running()) zombies_.push_back(result_of(command));
    if (zombies_.size() > 50) zombies_.erase(zombies_.begin(), zombies_.end() - 50);
    runner_.forget_all();
    core_.reset();
    next_ = {};
    under_way_.reset();
    poisoned_ = false;
    stopping_ = false;
    checks_.crashed();
    now_ += std::chrono::milliseconds(random_.below(20'000));
    boot();
  }

  void step() {
    ++result_.steps;
    const double dice = random_.fraction();
    if (random_.chance(weather_.crash)) return crash("between two steps");
    if (random_.chance(weather_.stop) && !stopping_) return stop();
    if (random_.chance(weather_.cancel)) cancel();
    if (random_.chance(weather_.resume)) resume();
    if (random_.chance(weather_.new_version)) submit(fmt::format("w{}", random_.below(3)));
    if (random_.chance(weather_.late_result) && !zombies_.empty()) {
      core_->push(zombies_[random_.below(zombies_.size())]);
    }
    if (dice < 0.08) {
      request();
    } else if (dice < 0.45) {
      finish_one(false);
    } else if (dice < 0.55) {
      now_ += std::chrono::milliseconds(random_.below(5'000));
    } else if (dice < 0.6) {
      if (const auto due = core_->next_due()) now_ = std::max(now_, *due);
    } else {
      turn();
    }
    if (poisoned_) crash("by poison");
  }

  // One turn of the shell: decide, hand over, or take the result of a commit.
  void turn() {
    core_->decide(next_, now_, 1 + random_.below(8));
    if (!under_way_) {
      if (next_.changes.empty()) {
        core_->committed(std::exchange(next_, {}));
        return compare_all();
      }
      under_way_ = std::exchange(next_, {});
      if (random_.chance(0.5)) return;  // the next batch may be decided while this one is synced
    }
    if (random_.chance(weather_.crash_at_commit)) return crash("before a commit");
    if (random_.chance(weather_.full)) disk_->faults().next_commit = store::CommitFault::overloaded;
    if (random_.chance(weather_.conflict)) disk_->faults().next_commit = store::CommitFault::conflict;
    const auto result = store_->commit(under_way_->changes);
    disk_->faults() = {};
    if (!result) {
      tell([&] { return fmt::format("commit failed: {}", result.error().message); });
      std::vector<driver::Batch> batches;
      batches.push_back(std::move(*under_way_));
      batches.push_back(std::exchange(next_, {}));
      under_way_.reset();
      core_->dropped(std::move(batches), result.error(), now_);
      return;
    }
    tell([&] { return fmt::format("commit of {} changes", under_way_->changes.size()); });
    note_commit(*under_way_);
    checks_.committed();
    if (random_.chance(weather_.crash_at_commit)) return crash("after a commit, before anybody heard of it");
    driver::Batch done = std::move(*under_way_);
    under_way_.reset();
    core_->committed(std::move(done));
    if (poisoned_) return crash("by poison");
    compare_all();
  }

  void note_commit(const driver::Batch& batch) {
    for (const Changeset& changes : batch.changes) {
      if (changes.version) {
        const std::string& text = changes.version->text;
        const std::size_t at = text.find("mark: '") + 7;
        checks_.version_accepted(changes.version->workflow, changes.version->version,
                                 text.substr(at, text.find('\'', at) - at));
      }
      if (changes.record)
        for (const char c : changes.record->body)
          result_.hash = result_.hash * 1'099'511'628'211ULL + static_cast<unsigned char>(c);
    }
  }

  void compare_all() {
    if (under_way_ || !next_.items.empty()) return;
    for (const RunId id : disk_->open_runs())
      if (const auto* live = core_->live(id)) checks_.compare(*live);
  }

  void submit(const std::string& name) {
    const std::string mark = fmt::format("{}@{}", name, ++marks_);
    const Shape shape = draw_shape(random_, name, mark);
    auto parsed = definition::parse(shape.text);
    if (!parsed) {
      fmt::print(stderr, "{}\n{}\n", shape.text, definition::to_text(parsed.error().front(), name));
      check(false, "a drawn workflow is valid");
    }
    tell([&] { return "submit\n" + shape.text; });
    WorkflowSubmitted event{std::make_shared<const Workflow>(std::move(parsed->workflow)),
                            shape.text,
                            WorkflowSubmitted::Mode::create_or_replace,
                            {}};
    core_->push(std::move(event), [](Result<Answer>) {});
    turn();
  }

  void request() {
    RunRequested event;
    event.workflow = fmt::format("w{}", random_.below(3));
    event.inputs = json::object{{"n", static_cast<std::int64_t>(random_.below(4))}};
    if (random_.chance(0.2)) event.key = fmt::format("k{}", random_.below(5));
    tell([&] { return fmt::format("request {} {}", event.workflow, event.key); });
    core_->push(std::move(event), [this](Result<Answer> answer) {
      if (answer) checks_.run_answered(std::get<RunAccepted>(*answer).run);
    });
  }

  std::optional<RunId> some_run() {
    if (disk_->runs().empty()) return std::nullopt;
    auto at = disk_->runs().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_.below(disk_->runs().size())));
    return at->first;
  }

  void cancel() {
    const auto id = some_run();
    if (!id) return;
    tell([&] { return "cancel " + to_string(*id); });
    core_->push(CancelRequested{*id, {}}, [this, id = *id](Result<Answer> answer) {
      if (answer) checks_.cancel_answered(id);
    });
  }

  void resume() {
    const auto id = some_run();
    if (!id) return;
    tell([&] { return "resume " + to_string(*id); });
    // The first start of a resumed run may come before its answer does.
    const bool may =
        disk_->runs().at(*id).status == RunStatus::failed || disk_->runs().at(*id).status == RunStatus::cancelled;
    if (!may) return;
    checks_.resumed(*id);
    core_->push(ResumeRequested{*id, false, false, {}}, [](Result<Answer>) {});
  }

  TaskFinished result_of(const StartTask& command) {
    TaskFinished finished{command.run, command.ref, command.try_number, {}};
    pawl::Outcome& outcome = finished.outcome;
    if (random_.chance(weather_.timeout)) {
      outcome.end = pawl::Outcome::End::timed_out;
      outcome.failure = {"timeout", "no end in time", nullptr};
      return finished;
    }
    const bool fails = random_.chance(weather_.failure);
    if (fails && random_.chance(0.3)) {
      outcome.end = pawl::Outcome::End::failed;
      outcome.failure = {"connection_failed", "refused", nullptr};
      return finished;
    }
    const std::string token = fmt::format("{}|{}|{}|{}|{}", to_string(command.run), command.job, command.task,
                                          command.try_number, random_.next());
    if (std::holds_alternative<HttpInput>(command.input)) {
      outcome.reply = HttpReply{.status = fails ? 500 : 200, .json = Json(json::object{{"token", token}})};
    } else {
      outcome.process = ProcessExit{.exit_code = fails ? 3 : 0, .stdout_text = token + "\n", .outputs = json::object{}};
    }
    return finished;
  }

  void finish_one(bool well) {
    if (runner_.running().empty()) return;
    auto at = runner_.running().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_.below(runner_.running().size())));
    const auto command = runner_.take(at->first);
    check(command.has_value());
    TaskFinished finished = result_of(*command);
    if (stopped_.erase({command->run, command->ref, command->try_number}) > 0 && random_.chance(0.8)) {
      finished.outcome = {};
      finished.outcome.end = pawl::Outcome::End::stopped;
    }
    tell([&] { return fmt::format("finish {}/{} try {}", command->job, command->task, command->try_number); });
    if (!well && random_.chance(weather_.double_result)) core_->push(finished);
    if (!well && random_.chance(weather_.late_result)) zombies_.push_back(finished);
    core_->push(std::move(finished));
  }

  void stop() {
    tell([] { return "stop on request"; });
    stopping_ = true;
    core_->drain();
    if (random_.chance(0.7)) core_->cut_off();
  }

  // Faults stop; whatever is owed must come to its end by itself.
  void come_to_rest() {
    weather_ = Weather(random_);
    weather_.crash = weather_.crash_at_commit = weather_.full = weather_.conflict = weather_.failure =
        weather_.timeout = 0;
    weather_.cancel = weather_.resume = weather_.new_version = weather_.stop = 0;
    crash("for the last time");
    constexpr int patience = 4'000;
    for (int quiet = 0, i = 0; quiet < 20 && violations().empty(); ++i) {
      if (i == patience) return checks_.never_at_rest();
      ++result_.steps;
      tell([&] {
        return fmt::format("rest: {} waiting, {} running", core_->has_work(now_) ? "some" : "none",
                           runner_.running().size());
      });
      const bool busy = under_way_ || !next_.items.empty() || core_->has_work(now_) || !runner_.running().empty();
      finish_one(true);
      turn();
      if (poisoned_) crash("by poison");
      if (busy) {
        quiet = 0;
      } else if (const auto due = core_->next_due()) {
        now_ = std::max(now_, *due);
        quiet = 0;
      } else {
        ++quiet;
      }
    }
    if (violations().empty()) checks_.at_rest();
  }

  const Options options_;
  SplitMix random_;
  Weather weather_;
  SeededRng rng_;
  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  Checks checks_;
  Instant now_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  std::unique_ptr<driver::PlanCache> plans_;
  runner::FakeRunner runner_;
  std::unique_ptr<driver::Core> core_;
  driver::Batch next_;
  std::optional<driver::Batch> under_way_;
  std::vector<TaskFinished> zombies_;
  std::set<runner::FakeRunner::Key> stopped_;
  bool poisoned_ = false;
  bool stopping_ = false;
  int process_slots_ = 1;
  int http_slots_ = 4096;
  int marks_ = 0;
  Outcome result_;
};

}  // namespace

Outcome simulate(const Options& options) {
  World world(options);
  return world.play();
}

}  // namespace pawl::sim
