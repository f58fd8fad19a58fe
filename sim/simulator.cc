#include "sim/simulator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"
#include "sim/machine.h"
#include "sim/person.h"
#include "sim/shapes.h"

namespace pawl::sim {
namespace {

// How often each thing happens; drawn anew for every seed, some things not at all.
struct Weather {
  double crash, crash_at_commit, full, conflict, double_result, late_result, failure, timeout, person, new_version,
      stop;
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
    person = draw(0.25);
    new_version = draw(0.03);
    stop = draw(0.01);
  }
};

class World {
 public:
  explicit World(const Options& options)
      : options_(options),
        random_(options.seed),
        weather_(random_),
        machine_(machine_options()),
        person_(machine_, random_) {
    machine_.dies = [this](Machine::Point point) {
      if (point == Machine::Point::acted || !random_.chance(weather_.crash_at_commit)) return false;
      crash(point == Machine::Point::before_commit ? "before a commit" : "after a commit, before anybody heard of it");
      return true;
    };
    machine_.fault = [this] {
      if (random_.chance(weather_.full)) return store::CommitFault::overloaded;
      return random_.chance(weather_.conflict) ? store::CommitFault::conflict : store::CommitFault::none;
    };
    machine_.tell = [this](const std::string& line) {
      if (options_.story)
        result_.story.push_back(fmt::format("{:5} {} {}", result_.steps, to_rfc3339(machine_.now), line));
    };
  }

  Outcome play() {
    for (int i = 0; i < 1 + static_cast<int>(random_.below(3)); ++i) submit(fmt::format("w{}", i));
    for (int i = 0; i < options_.steps && violations().empty(); ++i) step();
    if (violations().empty()) come_to_rest();
    result_.seed = options_.seed;
    result_.violations = violations();
    result_.step_of_violation = result_.violations.empty() ? 0 : result_.steps;
    result_.runs = machine_.disk().runs().size();
    result_.crashes = machine_.crashes();
    result_.hash = machine_.hash();
    return std::move(result_);
  }

 private:
  const std::vector<std::string>& violations() { return machine_.checks().violations(); }

  Machine::Options machine_options() {
    Machine::Options options;
    options.seed = random_.next();
    options.process_slots = 1 + static_cast<int>(random_.below(3));
    options.http_slots = random_.chance(0.3) ? 1 + static_cast<int>(random_.below(4)) : 4096;
    return options;
  }

  void crash(std::string_view where) {
    for (const auto& [key, command] : machine_.runner().running()) zombies_.push_back(result_of(command));
    if (zombies_.size() > 50) zombies_.erase(zombies_.begin(), zombies_.end() - 50);
    machine_.crash(where, std::chrono::milliseconds(random_.below(20'000)));
  }

  void turn() {
    machine_.turn(1 + random_.below(8), random_.chance(0.5));
    if (machine_.poisoned()) crash("by poison");
  }

  void step() {
    ++result_.steps;
    const double dice = random_.fraction();
    if (random_.chance(weather_.crash)) return crash("between two steps");
    if (random_.chance(weather_.stop) && !machine_.draining()) return machine_.drain(random_.chance(0.7));
    if (random_.chance(weather_.person)) person_.act();
    if (random_.chance(weather_.new_version)) submit(fmt::format("w{}", random_.below(3)));
    if (random_.chance(weather_.late_result) && !zombies_.empty()) machine_.hand_in(late_result());
    if (dice < 0.08) {
      request();
    } else if (dice < 0.45) {
      finish_one(false);
    } else if (dice < 0.55) {
      machine_.now += std::chrono::milliseconds(random_.below(5'000));
    } else if (dice < 0.6) {
      if (const auto due = machine_.core().next_due()) machine_.now = std::max(machine_.now, *due);
    } else {
      turn();
    }
  }

  void submit(const std::string& name) {
    machine_.submit(draw_shape(random_, name, fmt::format("{}@{}", name, ++marks_)));
    turn();
  }

  void request() {
    RunRequested event;
    event.workflow = fmt::format("w{}", random_.below(3));
    event.inputs = json::object{{"n", static_cast<std::int64_t>(random_.below(4))}};
    if (random_.chance(0.2)) event.key = fmt::format("k{}", random_.below(5));
    machine_.tell(fmt::format("request {} {}", event.workflow, event.key));
    event.who.user = machine_.checks().requests().name("start");
    const RunRequested asked = event;
    machine_.core().push(std::move(event), [this, asked](Result<Answer> answer) {
      Checks& checks = machine_.checks();
      if (!answer) return checks.requests().refused(asked.who.user);
      const RunId run = std::get<RunAccepted>(*answer).run;
      checks.run_answered(run);
      checks.requests().started(asked.workflow, asked.key, asked.inputs, run);
    });
  }

  TaskFinished result_of(const StartTask& command) {
    TaskFinished finished{command.run, command.ref, command.try_number, {}, command.attempt};
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
      outcome.reply =
          HttpReply{.status = fails ? 500 : 200, .json = Json(json::object{{"token", token}, {"list", drawn_list()}})};
    } else {
      outcome.process = ProcessExit{.exit_code = fails ? 3 : 0, .stdout_text = token + "\n", .outputs = json::object{}};
    }
    return finished;
  }

  // One that came too late; best one that looks like that of a try which runs now, in another attempt.
  const TaskFinished& late_result() {
    const TaskFinished& drawn = zombies_[random_.below(zombies_.size())];
    const auto looks_right = std::ranges::find_if(zombies_, [&](const TaskFinished& result) {
      return machine_.runner().running().contains({result.run, result.ref, result.try_number});
    });
    return looks_right == zombies_.end() ? drawn : *looks_right;
  }

  // What a computed matrix may be given; sometimes nothing, and sometimes what is refused.
  Json drawn_list() {
    json::array list;
    const std::uint64_t count = random_.below(5);
    for (std::uint64_t i = 0; i < count; ++i)
      list.push_back(json::object{{"a", fmt::format("v{}", random_.chance(0.95) ? i : 0)}});
    if (random_.chance(0.03)) return "no list";
    return list;
  }

  void finish_one(bool well) {
    const auto& running = machine_.runner().running();
    if (running.empty()) return;
    auto at = running.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_.below(running.size())));
    const auto key = at->first;
    const auto command = machine_.take(key);
    TaskFinished finished = result_of(*command);
    if (machine_.was_stopped(key) && random_.chance(0.8)) {
      finished.outcome = {};
      finished.outcome.end = pawl::Outcome::End::stopped;
    }
    machine_.tell(fmt::format("finish {}/{} try {}", command->job, command->task, command->try_number));
    if (!well && random_.chance(weather_.double_result)) machine_.hand_in(finished);
    if (!well && random_.chance(weather_.late_result)) zombies_.push_back(finished);
    machine_.hand_in(std::move(finished));
  }

  // Faults stop; whatever is owed must come to its end by itself, or by the answers of persons.
  void come_to_rest() {
    weather_.crash = weather_.crash_at_commit = weather_.full = weather_.conflict = weather_.failure =
        weather_.timeout = 0;
    // Half of them go on as they are: what a fault has left must not need a restart to be mended.
    if (machine_.draining() || random_.chance(0.5)) crash("for the last time");
    constexpr int patience = 20'000;
    for (int quiet = 0, i = 0; quiet < 20 && violations().empty(); ++i) {
      if (i == patience) return machine_.checks().never_at_rest();
      ++result_.steps;
      const bool busy = machine_.is_busy();
      finish_one(true);
      turn();
      if (busy) {
        quiet = 0;
      } else if (const auto due = machine_.core().next_due(); due && random_.chance(0.5)) {
        machine_.now = std::max(machine_.now, *due);
        quiet = 0;
      } else if (person_.answer_one()) {
        quiet = 0;
      } else {
        quiet += due ? 0 : 1;
      }
    }
    if (violations().empty()) machine_.checks().at_rest();
  }

  const Options options_;
  SplitMix random_;
  Weather weather_;
  Machine machine_;
  Person person_;
  std::vector<TaskFinished> zombies_;
  int marks_ = 0;
  Outcome result_;
};

}  // namespace

Outcome simulate(const Options& options) {
  World world(options);
  return world.play();
}

}  // namespace pawl::sim
