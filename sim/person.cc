#include "sim/person.h"

#include <fmt/format.h>

#include <array>

namespace pawl::sim {
namespace {

constexpr auto words =
    std::to_array<Answered>({Answered::approved, Answered::rejected, Answered::done, Answered::rerun, Answered::fail});

}  // namespace

Who Person::somebody(std::string_view what) {
  return {.trigger = Trigger::api, .user = machine_.checks().requests().name(what)};
}

void Person::hear(const Who& who, const Result<Answer>& answer) {
  if (!answer) machine_.checks().requests().refused(who.user);
}

void Person::cancel(RunId run, Told told) {
  machine_.tell("cancel " + to_string(run));
  const Who who = somebody("cancel");
  machine_.core().push(CancelRequested{run, who}, [this, run, who, told = std::move(told)](Result<Answer> answer) {
    hear(who, answer);
    if (answer) machine_.checks().cancel_answered(run);
    if (told) told(answer);
  });
}

void Person::resume(RunId run, bool with_current, bool force, Told told) {
  machine_.tell(
      fmt::format("resume {}{}{}", to_string(run), with_current ? " with current" : "", force ? ", by force" : ""));
  const Who who = somebody("resume");
  machine_.core().push(ResumeRequested{run, with_current, force, {}, who},
                       [this, run, who, told = std::move(told)](Result<Answer> answer) {
                         hear(who, answer);
                         if (answer) machine_.checks().resume_answered(run);
                         if (told) told(answer);
                       });
}

void Person::rerun(RunId run, std::string from, Told told) {
  machine_.tell(fmt::format("rerun {} from {}", to_string(run), from));
  const Who who = somebody("rerun");
  machine_.core().push(RerunRequested{run, std::move(from), who},
                       [this, run, who, told = std::move(told)](Result<Answer> answer) {
                         hear(who, answer);
                         if (answer) machine_.checks().resume_answered(run);
                         if (told) told(answer);
                       });
}

void Person::answer(RunId run, const std::string& work, Answered said, Json outputs, Told told) {
  machine_.tell(fmt::format("{} {} of {}", to_string(said), work, to_string(run)));
  const std::size_t slash = work.rfind('/');
  const Who who = somebody("answer");
  Response response{said, who, "because"};
  machine_.core().push(
      AnswerRequested{run, work.substr(0, slash), work.substr(slash + 1), std::move(response), std::move(outputs)},
      [this, run, who, told = std::move(told)](Result<Answer> answered) {
        hear(who, answered);
        if (answered) machine_.checks().task_answered(run);
        if (told) told(answered);
      });
}

void Person::say(RunId run, const std::string& work, WaitsFor asked) {
  Answered said = asked == WaitsFor::approval ? words[random_.below(2)] : words[2 + random_.below(3)];
  if (random_.chance(0.1)) said = words[random_.below(words.size())];
  Json outputs = nullptr;
  if (said == Answered::done && random_.chance(0.7))
    outputs = json::object{{"token", fmt::format("{}|{}|by hand", to_string(run), work)}};
  answer(run, work, said, std::move(outputs));
}

// A job, an instance, or a task of one; now and then one that is not there.
std::string Person::some_place(const engine::RunState& state) {
  if (random_.chance(0.05)) return "nowhere/t0";
  const int job = static_cast<int>(random_.below(state.attempt.jobs.size()));
  const auto& tasks = state.job_plan(job).tasks;
  if (random_.chance(0.4)) return state.job_name(job);
  return state.job_name(job) + "/" + tasks[random_.below(tasks.size())].task->id;
}

void Person::act() {
  const auto& pages = machine_.ledger().pages();
  if (pages.empty()) return;
  auto at = pages.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(random_.below(pages.size())));
  if (!at->second.state.plan) return;
  act_on(at->second);
  if (random_.chance(0.3)) act_on(at->second);
}

void Person::act_on(const Ledger::Page& page) {
  const engine::RunState& state = page.state;
  const RunId run = state.run.id;
  const double dice = random_.fraction();
  if (!page.asked.empty() && dice < 0.6) {
    auto at = page.asked.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_.below(page.asked.size())));
    return say(run, at->first, at->second);
  }
  if (dice > 0.97) {
    const int job = static_cast<int>(random_.below(state.attempt.jobs.size()));
    return say(run, state.job_name(job) + "/t0", WaitsFor::release);  // as a rule nothing is held there
  }
  switch (state.run.status) {
    case RunStatus::success: return random_.chance(0.3) ? rerun(run, some_place(state)) : resume(run, false, false);
    case RunStatus::failed:
    case RunStatus::cancelled:
      if (random_.chance(0.4)) return rerun(run, some_place(state));
      return resume(run, random_.chance(0.4), random_.chance(0.5));
    case RunStatus::queued:
    case RunStatus::running:
    case RunStatus::waiting:
      if (random_.chance(0.15)) return resume(run, random_.chance(0.4), false);
      if (random_.chance(0.3)) cancel(run);
  }
}

bool Person::answer_one() {
  for (const auto& [id, page] : machine_.ledger().pages()) {
    if (page.asked.empty() || is_final(page.state.run.status)) continue;
    const auto& [work, asked] = *page.asked.begin();
    if (asked == WaitsFor::approval) {
      answer(id, work, words[random_.below(2)]);
    } else {
      // What kills the server whenever it starts is not started once more.
      const bool poison = work.find("/poison") != std::string::npos;
      answer(id, work, poison ? Answered::fail : words[2 + random_.below(3)]);
    }
    return true;
  }
  return false;
}

}  // namespace pawl::sim
