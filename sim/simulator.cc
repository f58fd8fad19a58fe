#include "sim/simulator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"
#include "sim/cluster.h"
#include "sim/keeper.h"
#include "sim/machine.h"
#include "sim/person.h"
#include "sim/rest.h"
#include "sim/results.h"
#include "sim/shapes.h"
#include "sim/swarm.h"
#include "sim/telling.h"

namespace pawl::sim {
namespace {

using Key = Machine::Key;

// Streams of what cannot be left out.
enum Stream : std::uint64_t { swarm_stream, engine_stream, dice_stream, rest_stream, poison_stream };

class World : public Watch {
 public:
  explicit World(const Options& options)
      : options_(options),
        events_(options.seed, options.kept),
        swarm_(events_.stream(swarm_stream)),
        dice_(events_.stream(dice_stream)),
        details_(events_.stream(rest_stream)),
        machine_({.seed = events_.stream(engine_stream).next(),
                  .process_seats = swarm_.process_seats,
                  .http_seats = swarm_.http_seats}),
        person_(machine_, details_),
        keeper_(machine_, details_) {
    machine_.dies = [this](Machine::Point point) {
      if (point == Machine::Point::acted) return false;
      const bool before = point == Machine::Point::before_commit;
      auto how = happens(before ? What::crash_before_commit : What::crash_after_commit);
      if (how) crash(before ? "before a commit" : "after a commit, before anybody has heard of it", *how);
      return how.has_value();
    };
    machine_.fault = [this] {
      if (happens(What::full)) return store::CommitFault::overloaded;
      if (happens(What::conflict)) return store::CommitFault::conflict;
      if (happens(What::lost_ack)) return store::CommitFault::unavailable_applied;
      return happens(What::lost_commit) ? store::CommitFault::unavailable_not_applied : store::CommitFault::none;
    };
    const auto failing = [this](What what) {
      auto how = happens(what);
      return how ? std::optional(static_cast<int>(how->below(4))) : std::nullopt;
    };
    machine_.failing_read = [failing] { return failing(What::failing_read); };
    machine_.failing_start = [failing] { return failing(What::failing_start); };
    machine_.began = [this](const Key& key, const StartTask&) {
      began_[key] = machine_.now;
      if (happens(What::refusal))
        refused_.push_back(key);
      else if (happens(What::stuck))
        stuck_.insert(key);
    };
    machine_.tell = [this](const std::string& line) { tell(line); };
    machine_.checks().watch(this);
    if (options_.story)
      machine_.checks().tell_slots([this](const std::string& line) { tell("  committed: schedule " + line); });
  }

  Outcome play() {
    const Instant start = machine_.now;
    events_.begin_step(0);
    for (int i = 0; i < swarm_.workflows; ++i)
      if (auto how = events_.happens(What::submit, 1)) submit(i, *how);
    for (int i = 1; i <= options_.steps && violations().empty(); ++i) step(static_cast<std::uint32_t>(i));
    if (violations().empty()) come_to_rest();
    result_.seed = options_.seed;
    result_.violations = violations();
    result_.step_of_violation = result_.violations.empty() ? 0 : events_.step();
    result_.runs = machine_.ledger().pages().size();
    result_.crashes = machine_.crashes();
    result_.simulated = machine_.now - start - machine_.downtime();
    result_.hash = machine_.hash();
    result_.slots = machine_.checks().slots().counts();
    result_.happened.happenings = {events_.happened().begin(), events_.happened().end()};
    for (const std::string& what : result_.violations) tell("BROKEN: " + what);
    for (std::string& line : result_.story) line = with_names(std::move(line), machine_.ledger());
    for (std::string& line : result_.violations) line = with_names(std::move(line), machine_.ledger());
    return std::move(result_);
  }

 private:
  const std::vector<std::string>& violations() { return machine_.checks().violations(); }
  std::optional<SplitMix> happens(What what) { return events_.happens(what, swarm_.rate(what)); }

  // --- stories -------------------------------------------------------------------------------------------------------

  void tell(const std::string& line) {
    if (options_.story)
      result_.story.push_back(fmt::format("{:5} {} {}", events_.step(), to_rfc3339(machine_.now), line));
  }
  void changes(const engine::RunState& before, const Change& change) override {
    result_.rows.changes(before, change);
    if (options_.story) tell("  committed: " + sim::tell(before, change));
  }
  void record(RunStatus before, const engine::RunState& after) override { result_.rows.record(before, after); }

  // --- faults --------------------------------------------------------------------------------------------------------

  void crash(std::string_view where, SplitMix& how) {
    for (const auto& [key, command] : machine_.runner().running())
      late_.push_back(result_of(command, how, how.chance(swarm_.rate(What::failure)) ? End::bad : End::good));
    if (late_.size() > 50) late_.erase(late_.begin(), late_.end() - 50);
    forget_tries();
    if (auto seats = happens(What::seats))
      machine_.set_seats(1 + static_cast<int>(seats->below(4)), 1 + static_cast<int>(seats->below(20)));
    Duration down = std::chrono::milliseconds(how.below(20'000));
    if (auto absence = happens(What::absence)) down = std::chrono::minutes(1 + absence->below(3 * 24 * 60));
    requests_ = 0;
    machine_.crash(where, down);
  }
  void forget_tries() {
    began_.clear();
    stuck_.clear();
    refused_.clear();
  }

  void turn(std::size_t most, bool overlap) {
    machine_.turn(most, overlap);
    for (const Key& key : std::exchange(refused_, {}))
      if (const auto command = machine_.take(key)) {
        TaskFinished finished{command->run, command->ref, command->try_number, {}, command->attempt};
        finished.outcome.end = pawl::Outcome::End::failed;
        finished.outcome.failure = {"spawn_failed", "no room for another process", nullptr};
        machine_.tell(
            fmt::format("the runner cannot start {}/{} of {}", command->job, command->task, to_string(command->run)));
        machine_.hand_in(std::move(finished));
      }
    SplitMix how = events_.stream(poison_stream + events_.step());
    if (machine_.poisoned()) return crash("by poison", how);
    if (machine_.has_lost_its_store()) crash("because the outcome of a commit is unknown", how);
  }

  // A service manager stops the server and ends all its processes, in either order. A try that ended at most half a
  // second before the stop has not failed.
  void stop_unit(SplitMix& how) {
    const bool tasks_first = how.chance(0.5);
    std::vector<TaskFinished> ended;
    Duration before{};
    if (tasks_first) {
      ended = end_processes(how);
      before = how.chance(0.8) ? std::chrono::microseconds(how.below(500'001))
                               : std::chrono::microseconds(500'001 + how.below(1'000'000));
      const std::uint64_t crashes = machine_.crashes();
      if (how.chance(0.5)) turn(1 + how.below(8), how.chance(0.5));
      if (machine_.crashes() != crashes) return;
      machine_.now += before;
    }
    const bool in_time = before <= std::chrono::milliseconds(500);
    const auto note = [&] {
      for (const TaskFinished& result : ended)
        if (in_time && !machine_.is_stopped({result.run, result.ref, result.try_number}))
          machine_.checks().stopped_with_server(result);
    };
    note();
    machine_.drain(how.chance(0.3));
    if (tasks_first) return;
    ended = end_processes(how);
    note();
  }

  // Returns the tries that ended by TERM.
  std::vector<TaskFinished> end_processes(SplitMix& how) {
    tell("the service manager sends TERM to all tasks");
    std::vector<Key> keys;
    for (const auto& [key, command] : machine_.runner().running())
      if (std::holds_alternative<ProcessInput>(command.input) && !machine_.is_stopped(key) && how.chance(0.95))
        keys.push_back(key);
    std::vector<TaskFinished> ended;
    for (const Key& key : keys) {
      const auto command = machine_.take(key);
      // Some tasks save their work and end well, or fail with a code of their own.
      const End end = how.chance(0.85) ? End::by_term : how.chance(0.7) ? End::good : End::bad;
      TaskFinished finished = result_of(*command, how, end);
      stuck_.erase(key);
      began_.erase(key);
      tell(fmt::format("{}/{}, try {}, of {} ends{}", command->job, command->task, command->try_number,
                       to_string(command->run), end == End::by_term ? " by it" : word_of(finished.outcome)));
      if (end == End::by_term) ended.push_back(finished);
      machine_.hand_in(std::move(finished));
    }
    return ended;
  }

  // A server that has nothing left to do but stop must not wait for tries that have ended.
  void look_at_stop() {
    const auto due = machine_.core().next_due();
    const bool waits_for_room = due && *due <= machine_.now + std::chrono::seconds(1);
    if (const std::size_t tries = machine_.core().tries_in_flight(); tries > 0 && !waits_for_room)
      machine_.checks().broken(fmt::format("stop: the server waits for {} tries, and none runs", tries));
  }

  // --- what goes on --------------------------------------------------------------------------------------------------

  void step(std::uint32_t number) {
    events_.begin_step(number);
    ++result_.steps;
    if (auto how = happens(What::crash)) return crash("between two steps", *how);
    if (auto how = machine_.draining() ? std::nullopt : happens(What::stop)) return machine_.drain(how->chance(0.7));
    if (auto how = machine_.draining() ? std::nullopt : happens(What::unit_stop)) return stop_unit(*how);
    if (machine_.draining() && !machine_.is_busy()) {
      look_at_stop();
      SplitMix how = events_.stream(poison_stream + number);
      return crash("as it was asked to", how);
    }
    if (auto how = happens(What::person)) {
      details_ = *how;
      person_.act();
    }
    if (auto how = happens(What::schedule)) {
      details_ = *how;
      const std::string again = keeper_.act();
      if (!again.empty()) submit(again.back() - '0', *how);
    }
    if (auto how = happens(What::submit)) submit(static_cast<int>(how->below(3)), *how);
    if (auto how = late_.empty() ? std::nullopt : happens(What::late)) {
      tell("a result comes once more, late");
      machine_.hand_in(late_result(*how));
    }
    if (happens(What::clear)) machine_.clear_one();
    // One thing of these at each step.
    const double dice = dice_of(number) * swarm_.load.back();
    double sum = 0;
    constexpr auto kinds = std::to_array({What::request, What::finish, What::time, What::due});
    for (std::size_t i = 0; i < kinds.size(); ++i)
      if (dice < (sum += swarm_.load[i])) {
        if (auto how = events_.happens(kinds[i], 1)) go_on(kinds[i], *how);
        return;
      }
    if (auto how = events_.happens(What::turn, 1)) {
      const std::size_t most = 1 + how->below(8);
      turn(most, how->chance(0.5));
    }
  }
  double dice_of(std::uint32_t step) const {
    SplitMix dice = dice_;
    return SplitMix(dice.next() + step).fraction();
  }

  void go_on(What what, SplitMix& how) {
    if (what == What::request) {
      request(how);
    } else if (what == What::finish) {
      finish_one(how, false);
    } else if (what == What::time) {
      machine_.now += std::chrono::milliseconds(how.below(8'000));
    } else if (const auto due = machine_.core().next_due()) {
      machine_.now = std::max(machine_.now, *due);
    }
  }

  void submit(int which, SplitMix& how) {
    ShapeOptions options;
    options.name = fmt::format("w{}", which);
    options.mark = fmt::format("{}@{}", options.name, events_.step());
    options.missing = &swarm_.missing;
    options.may_have = [this](const std::string& part) { return events_.may_have(part); };
    const Shape shape = draw_shape(how.next(), options);
    result_.happened.parts.insert(shape.parts.begin(), shape.parts.end());
    machine_.submit(shape.text);
    turn(8, how.chance(0.5));
  }

  void request(SplitMix& how) {
    RunRequested event;
    event.workflow = fmt::format("w{}", how.below(3));
    const std::uint64_t n = how.below(4);
    event.inputs = json::object{{"n", static_cast<std::int64_t>(n)}};
    // As a rule the same key comes with the same body.
    if (how.chance(0.3)) event.key = fmt::format("k{}", how.chance(0.8) ? n : how.below(5));
    tell(fmt::format("somebody starts {} with n: {}{}{}", event.workflow, n, event.key.empty() ? "" : ", key ",
                     event.key));
    ++requests_;
    event.who.user = machine_.checks().requests().name("start");
    const RunRequested asked = event;
    machine_.core().push(std::move(event), [this, asked](Result<Answer> answer) {
      --requests_;
      Checks& checks = machine_.checks();
      if (!answer) return checks.requests().refused(asked.who.user, answer.error());
      const RunId run = std::get<RunAccepted>(*answer).run;
      checks.run_answered(run);
      checks.requests().started(asked.workflow, asked.key, asked.inputs, run);
    });
  }

  // One that came too late; best one that looks like that of a try which runs now, in another attempt.
  const TaskFinished& late_result(SplitMix& how) {
    const TaskFinished& drawn = late_[how.below(late_.size())];
    const auto looks_right = std::ranges::find_if(late_, [&](const TaskFinished& result) {
      return machine_.runner().running().contains({result.run, result.ref, result.try_number});
    });
    return looks_right == late_.end() ? drawn : *looks_right;
  }

  void finish_one(SplitMix& how, bool is_late_harmless) {
    std::vector<Key> ready;
    for (const auto& [key, command] : machine_.runner().running())
      if (!stuck_.contains(key) || machine_.is_stopped(key) || is_over_time(key, command)) ready.push_back(key);
    if (ready.empty()) return;
    const Key key = ready[how.below(ready.size())];
    const bool over = stuck_.contains(key) && !machine_.is_stopped(key);
    const auto command = machine_.take(key);
    const bool fails = happens(What::failure).has_value();
    const bool timed_out = happens(What::timeout).has_value();
    TaskFinished finished = result_of(*command, how, over || timed_out ? End::timed_out : fails ? End::bad : End::good);
    if (machine_.was_stopped(key) && (stuck_.contains(key) || how.chance(0.8))) {
      finished.outcome = {};
      finished.outcome.end = pawl::Outcome::End::stopped;
    }
    stuck_.erase(key);
    began_.erase(key);
    tell(fmt::format("{}/{}, try {}, of {} ends{}", command->job, command->task, command->try_number,
                     to_string(command->run), word_of(finished.outcome)));
    if (!is_late_harmless && happens(What::twice)) machine_.hand_in(finished);
    late_.push_back(finished);
    machine_.hand_in(std::move(finished));
  }
  bool is_over_time(const Key& key, const StartTask& command) const {
    const auto began = began_.find(key);
    return command.timeout && began != began_.end() && machine_.now - began->second >= *command.timeout;
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  // What is due is done, and then schedules are disabled: they would never come to an end. Those whose runs kill the server
  // more often than it has time for their slots are never done: they are disabled after a while as they are.
  void let_schedules_end() {
    constexpr int patience = 300;
    constexpr int most = 5'000;
    for (int i = 0; violations().empty(); ++i) {
      if (i > most) return machine_.checks().broken("P5: schedules go on, and cannot be disabled");
      events_.begin_step(events_.step() + 1);
      ++result_.steps;
      const auto due = machine_.core().next_due();
      const bool soon = due && *due <= machine_.now + std::chrono::seconds(1);  // what waits for room on the disk, too
      const bool idle = !machine_.has_work() && !soon;
      if ((idle || i > patience) && !stop_schedules(machine_) && idle) return;
      if (!machine_.has_work() && soon) machine_.now = std::max(machine_.now, *due);
      turn(64, false);
    }
  }

  void come_to_rest() {
    SplitMix how = events_.stream(rest_stream);
    tell("from here on nothing goes wrong any more");
    swarm_.no_more_faults();
    events_.begin_step(static_cast<std::uint32_t>(options_.steps) + 1);
    if (machine_.holds_results()) machine_.now += runner::HeldResults::longest + Duration{1};
    stuck_.clear();
    if (swarm_.heals_by_restart || machine_.draining()) crash("for the last time", how);
    details_ = how;
    let_schedules_end();
    const Bound bound = bound_of(machine_, requests_ + left_to_fill(machine_));
    for (std::uint64_t i = 0; violations().empty(); ++i) {
      const bool busy = machine_.is_busy();
      const auto due = machine_.core().next_due();
      if (i > bound.steps) {
        machine_.checks().broken(fmt::format("P5: faults are over, and it has not come to rest after {}{}",
                                             bound.because, open_runs(machine_)));
        return;
      }
      events_.begin_step(events_.step() + 1);
      ++result_.steps;
      if (busy) {
        finish_one(how, true);
        machine_.clear_one();
        turn(64, how.chance(0.3));
      } else if (due && how.chance(0.5)) {
        machine_.now = std::max(machine_.now, *due);
      } else if (person_.answer_one()) {
        turn(64, false);
      } else if (due) {
        machine_.now = std::max(machine_.now, *due);
      } else {
        break;
      }
    }
    if (violations().empty()) machine_.checks().at_rest();
    if (violations().empty() && !machine_.disk().gone().empty())
      machine_.checks().broken("retention: what is gone is not cleared away, and nothing will ever happen");
  }

  const Options options_;
  Events events_;
  Swarm swarm_;
  SplitMix dice_;
  SplitMix details_;
  Outcome result_;
  Machine machine_;
  Person person_;
  Keeper keeper_;
  std::vector<TaskFinished> late_;  // results that came already
  std::map<Key, Instant> began_;
  std::set<Key> stuck_;
  std::vector<Key> refused_;
  std::uint64_t requests_ = 0;  // that are not decided
};

}  // namespace

Outcome simulate(const Options& options) {
  if (options.nodes > 0) return simulate_cluster(options);
  World world(options);
  return world.play();
}

std::string_view promise_of(std::string_view violation) { return violation.substr(0, violation.find_first_of(" :")); }

}  // namespace pawl::sim
