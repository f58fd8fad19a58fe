#include "sim/exhaustive.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "sim/machine.h"
#include "sim/person.h"
#include "sim/results.h"
#include "sim/stories.h"

namespace pawl::sim {
namespace {

constexpr int patience = 4'000;  // turns of a play; all stories need far fewer

// What happens to the server at a point of a play: it dies, it dies again at the next point, or a service manager stops
// it and ends its tasks with TERM, in either order.
enum class Blow : std::uint8_t { crash, two_crashes, stop, stop_of_tasks_first };
constexpr auto blows = std::to_array({Blow::crash, Blow::two_crashes, Blow::stop, Blow::stop_of_tasks_first});

std::string_view to_string(Blow blow) {
  switch (blow) {
    case Blow::crash: return "a crash at point ";
    case Blow::two_crashes: return "crashes at the next point and at point ";
    case Blow::stop: return "a stop of server and tasks at point ";
    case Blow::stop_of_tasks_first: return "a stop of tasks and server at point ";
  }
  return {};
}

// One play of a story, with a blow at one point.
class Play {
 public:
  Play(const Story& story, std::uint64_t point, Blow blow)
      : story_(story), blow_(blow), random_(1), person_(machine_, random_) {
    machine_.dies = [this, point](Machine::Point) {
      ++points_;
      const bool is_here = points_ == point || (blow_ == Blow::two_crashes && points_ == point + 1);
      if (!is_here) return false;
      if (blow_ == Blow::stop || blow_ == Blow::stop_of_tasks_first) {
        stops_ = true;  // when this turn is over
        return false;
      }
      crash();
      return true;
    };
  }

  void run() {
    for (int i = 0; i < patience; ++i) {
      if (!violations().empty()) return;
      if (machine_.poisoned()) crash();
      if (std::exchange(stops_, false)) stop();
      if (machine_.draining()) {
        if (!turn() && !finish_one()) end_of_stop();
        continue;
      }
      if (!act() && !turn() && !finish_one() && !release_one() && !wait()) {
        if (act_ < story_.acts.size()) return fail("it waits for a person who waits for it");
        return machine_.checks().at_rest();
      }
    }
    machine_.checks().broken("P5: it does not come to rest");
  }

  bool reached(std::uint64_t point) const { return points_ >= point; }
  const std::vector<std::string>& violations() {
    return failures_.empty() ? machine_.checks().violations() : failures_;
  }

  // How it has ended, as far as plays are to be the same.
  std::string end() const {
    std::string text;
    for (const auto& run : runs_) {
      const engine::RunState* state = run ? machine_.ledger().state(*run) : nullptr;
      if (!state || story_.same == Same::none) continue;
      text += fmt::format("{}\n", to_string(state->run.status));
      if (story_.same != Same::all) continue;
      for (std::size_t j = 0; j < state->attempt.jobs.size(); ++j) {
        const JobRun& job = state->attempt.jobs[j];
        text += fmt::format(" {} {}\n", state->job_name(static_cast<int>(j)), word(job.status, job.reason));
        for (std::size_t t = 0; t < job.tasks.size(); ++t)
          text += fmt::format("  {} {}\n", state->job_plan(static_cast<int>(j)).tasks[t].task->id,
                              word(job.tasks[t].status, job.tasks[t].reason));
      }
    }
    return text;
  }

 private:
  static std::string word(WorkStatus status, SkipReason reason) {
    if (reason == SkipReason::done) return "success";
    return fmt::format("{}{}{}", to_string(status), reason == SkipReason::none ? "" : "/", to_string(reason));
  }

  void fail(std::string why) { failures_.push_back(std::move(why)); }

  void crash() {
    machine_.crash("", std::chrono::seconds(1));
    asked_ = false;
  }

  void stop() {
    if (blow_ == Blow::stop_of_tasks_first) end_processes();
    machine_.drain(false);
    if (blow_ == Blow::stop) end_processes();
  }
  void end_processes() {
    std::vector<Machine::Key> keys;
    for (const auto& [key, command] : machine_.runner().running())
      if (std::holds_alternative<ProcessInput>(command.input) && !machine_.is_stopped(key)) keys.push_back(key);
    for (const Machine::Key& key : keys) {
      TaskFinished finished = result_of(*machine_.take(key), random_, End::by_term);
      machine_.checks().stopped_with_server(finished);
      machine_.hand_in(std::move(finished));
    }
  }
  // Cuts off what still runs; the server ends and starts again.
  void end_of_stop() {
    if (machine_.runner().running().empty() && machine_.core().tries_in_flight() > 0)
      fail("stop: the server waits for tries, and none runs");
    crash();
  }

  const Ledger::Page* page(int run) const {
    const auto at = static_cast<std::size_t>(run);
    if (at >= runs_.size() || !runs_[at]) return nullptr;
    const auto found = machine_.ledger().pages().find(*runs_[at]);
    return found == machine_.ledger().pages().end() ? nullptr : &found->second;
  }

  // How often the run, or the disk, has heard what `act` asks for.
  int heard(const Act& act) const {
    const Ledger::Page* const about = page(act.run);
    switch (act.kind) {
      case Act::Kind::submit: return static_cast<int>(machine_.disk().versions().size());
      case Act::Kind::start: return -1;  // its key tells
      case Act::Kind::cancel: return about ? about->stops : 0;
      case Act::Kind::resume:
      case Act::Kind::resume_current:
      case Act::Kind::rerun: return about ? about->era : 0;
      case Act::Kind::answer: return about ? about->answers : 0;
    }
    return 0;
  }

  bool has_come(const Act& act) const {
    const Ledger::Page* const about = page(act.run);
    const bool needs_run = act.kind != Act::Kind::submit && act.kind != Act::Kind::start;
    if ((needs_run || act.when != Act::When::at_once) && !about) return false;
    switch (act.when) {
      case Act::When::at_once: return true;
      case Act::When::begun:
        for (const TaskRef ref : about->state.in_flight)
          if (work_name(about->state, ref) == act.place) return true;
        return false;
      case Act::When::asked: return about->asked.contains(act.place);
      case Act::When::final: return is_final(about->state.run.status);
    }
    return false;
  }

  // The person does what is next, if it is time. True: something was asked.
  bool act() {
    if (act_ == story_.acts.size() || asked_) return false;
    const Act& next = story_.acts[act_];
    // Asked before the server died: perhaps it was heard.
    if (expected_ && next.kind != Act::Kind::start && heard(next) >= *expected_) {
      answered();
      return true;
    }
    if (!has_come(next)) return false;
    asked_ = true;
    if (!expected_) expected_ = heard(next) + 1;
    const auto reply = [this](const Result<Answer>& answer) {
      if (!answer) return fail("refused: " + answer.error().message);
      answered();
    };
    switch (next.kind) {
      case Act::Kind::submit: machine_.submit(next.text, reply); break;
      case Act::Kind::start: {
        RunRequested event{.workflow = next.text, .inputs = json::object{}, .key = fmt::format("k{}", act_), .who = {}};
        machine_.core().push(std::move(event), [this, reply](const Result<Answer>& answer) {
          if (answer) {
            runs_.push_back(std::get<RunAccepted>(*answer).run);
            machine_.checks().run_answered(*runs_.back());
          }
          reply(answer);
        });
        break;
      }
      case Act::Kind::cancel: person_.cancel(id(next), reply); break;
      case Act::Kind::resume: person_.resume(id(next), false, false, reply); break;
      case Act::Kind::resume_current: person_.resume(id(next), true, false, reply); break;
      case Act::Kind::rerun: person_.rerun(id(next), next.text, reply); break;
      case Act::Kind::answer: person_.answer(id(next), next.place, next.said, nullptr, reply); break;
    }
    return true;
  }
  RunId id(const Act& act) const { return *runs_[static_cast<std::size_t>(act.run)]; }
  void answered() {
    ++act_;
    asked_ = false;
    expected_.reset();
  }

  bool turn() {
    if (!machine_.has_work()) return false;
    machine_.turn(1, false);
    return true;
  }

  bool finish_one() {
    for (const auto& [key, command] : machine_.runner().running()) {
      const bool hangs = command.task.starts_with("hang");
      const bool stopped = machine_.was_stopped(key);
      if (hangs && !stopped) continue;
      const runner::FakeRunner::Key which = key;
      const StartTask started = *machine_.take(which);
      TaskFinished finished{started.run, started.ref, started.try_number, {}, started.attempt};
      const engine::RunState& state = *machine_.ledger().state(started.run);
      const bool fails = started.task.starts_with("fail") ||
                         (started.task.starts_with("once") && state.task(started.ref).failed_tries == 0);
      if (stopped) {
        finished.outcome.end = pawl::Outcome::End::stopped;
      } else if (std::holds_alternative<HttpInput>(started.input)) {
        const Json list = json::array{json::object{{"a", "x"}}, json::object{{"a", "y"}}};
        finished.outcome.reply = HttpReply{.status = fails ? 500 : 200, .json = Json(json::object{{"list", list}})};
      } else {
        finished.outcome.process = ProcessExit{.exit_code = fails ? 3 : 0, .outputs = json::object{}};
      }
      machine_.hand_in(std::move(finished));
      return true;
    }
    return false;
  }

  // A held task is looked at by somebody, who finds that its work was done.
  bool release_one() {
    for (const auto& [run, page] : machine_.ledger().pages())
      for (const auto& [work, asked] : page.asked)
        if (asked == WaitsFor::release) {
          person_.answer(run, work, Answered::done, nullptr, [](const Result<Answer>&) {});
          return true;
        }
    return false;
  }

  bool wait() {
    const auto due = machine_.core().next_due();
    if (!due) return false;
    machine_.now = std::max(machine_.now, *due);
    return true;
  }

  const Story& story_;
  const Blow blow_;
  std::uint64_t points_ = 0;
  bool stops_ = false;
  SplitMix random_;
  Machine machine_{Machine::Options{.process_seats = 8}};
  Person person_;
  std::size_t act_ = 0;  // the next one
  bool asked_ = false;  // it was asked, and is not answered yet
  std::optional<int> expected_;  // heard(), once it was heard
  std::vector<std::optional<RunId>> runs_;
  std::vector<std::string> failures_;
};

Exhausted exhaust(const Story& story) {
  Exhausted result{.story = story.name, .points = 0, .violations = {}};
  Play quiet(story, 0, Blow::crash);
  quiet.run();
  for (const std::string& what : quiet.violations()) result.violations.push_back("without a crash: " + what);
  for (const Blow blow : blows) {
    for (std::uint64_t point = 1; result.violations.empty(); ++point) {
      Play play(story, point, blow);
      play.run();
      if (!play.reached(point)) break;
      ++result.points;
      const std::string where = fmt::format("{}{}", to_string(blow), point);
      for (const std::string& what : play.violations()) result.violations.push_back(where + ": " + what);
      if (result.violations.empty() && play.end() != quiet.end())
        result.violations.push_back(fmt::format("{}: another end:\n{}instead of:\n{}", where, play.end(), quiet.end()));
    }
  }
  return result;
}

}  // namespace

std::vector<Exhausted> exhaust() {
  std::vector<Exhausted> all;
  for (const Story& story : stories()) all.push_back(exhaust(story));
  return all;
}

}  // namespace pawl::sim
