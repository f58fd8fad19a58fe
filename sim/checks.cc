#include "sim/checks.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "engine/fold.h"
#include "sim/describe.h"

namespace pawl::sim {
namespace {

// How a try ended, as its result says: the token that it brings, or its status.
std::string end_of(const TaskFinished& result) {
  const pawl::Outcome& outcome = result.outcome;
  switch (outcome.end) {
    case pawl::Outcome::End::completed: break;
    case pawl::Outcome::End::failed: return "failed";
    case pawl::Outcome::End::timed_out: return "timed_out";
    case pawl::Outcome::End::stopped: return "cancelled";
    case pawl::Outcome::End::interrupted: return "interrupted";
  }
  if (outcome.process) {
    if (outcome.process->exit_code != 0) return "failed";
    std::string text = outcome.process->stdout_text;
    if (text.ends_with('\n')) text.pop_back();
    return "success " + text;
  }
  if (!outcome.reply || outcome.reply->status >= 300) return "failed";
  std::string_view token;
  if (outcome.reply->json && outcome.reply->json->is_object()) token = find_string(*outcome.reply->json, "token");
  return fmt::format("success {}", token);
}

// `mark: 'w0@3'` of a definition.
std::string mark_of(const std::string& text) {
  const std::size_t at = text.find("mark: '");
  if (at == std::string::npos) return {};
  return text.substr(at + 7, text.find('\'', at + 7) - at - 7);
}

}  // namespace

Checks::Checks(std::shared_ptr<store::MemoryDisk> disk)
    : disk_(std::move(disk)),
      ledger_([this](const std::string& workflow, int version) { return plans_.get(*reader_, workflow, version); },
              [this](std::string_view promise, RunId run, const std::string& what) { violation(promise, run, what); }),
      requests_([this](std::string_view promise, RunId run, const std::string& what) { violation(promise, run, what); },
                [this](RunId run) { return is_gone(run); }),
      slots_([this](std::string_view promise, const std::string& what) {
        violations_.push_back(fmt::format("{} {}", promise, what));
      }) {
  ledger_.look_on = [this](const engine::RunState& state, const Change& change) {
    requests_.read(state.run.id, change);
    if (const auto* ended = std::get_if<TryEnded>(&change)) look_at_result(state, *ended);
  };
  store_ = store::open_memory(disk_);
  auto reader = store_->reader();
  check(reader.has_value());
  reader_ = std::move(*reader);
}
Checks::~Checks() = default;

void Checks::violation(std::string_view promise, RunId run, const std::string& what) {
  violations_.push_back(fmt::format("{} run {}: {}", promise, to_string(run), what));
}

void Checks::run_answered(RunId id) {
  if (gone_.contains(id)) return;  // by the same commit
  answered_.insert(id);
  if (!disk_->runs().contains(id)) violation("P1", id, "was answered and is not in the store");
}

void Checks::cancel_answered(RunId id) {
  const auto page = ledger_.pages().find(id);
  if (page == ledger_.pages().end() || page->second.stops == 0)
    violation("P8", id, "its cancel was answered and is not in the store");
}

void Checks::resume_answered(RunId id) {
  const auto page = ledger_.pages().find(id);
  if (page == ledger_.pages().end() || ++runs_[id].resumes > page->second.era)
    violation("race", id, "more were told that they have resumed it than attempts were made");
}

void Checks::task_answered(RunId id) {
  const auto page = ledger_.pages().find(id);
  if (page == ledger_.pages().end() || ++runs_[id].answers > page->second.answers)
    violation("race", id, "more were told that they have answered its tasks than answers are in the store");
}

void Checks::handed_in(const TaskFinished& result) {
  results_[{result.run, result.attempt, result.ref, result.try_number}].insert(end_of(result));
}

void Checks::stopped_with_server(const TaskFinished& result) {
  stopped_with_server_.insert({result.run, result.attempt, result.ref, result.try_number});
}

// I6: what is recorded of a try is what that very try has brought.
void Checks::look_at_result(const engine::RunState& state, const TryEnded& ended) {
  const RunId id = state.run.id;
  const std::string where = fmt::format("{} try {}", work_name(state, ended.ref), ended.try_number);
  if (stopped_with_server_.contains({id, state.attempt.number, ended.ref, ended.try_number}))
    return violation(
        "stop", id,
        fmt::format("{} ended by the signal of a stop, but is recorded as `{}`", where, to_string(ended.status)));
  const auto given = results_.find({id, state.attempt.number, ended.ref, ended.try_number});
  if (given == results_.end()) return violation("result", id, where + " has an end, and nobody has told of one");
  std::string end{to_string(ended.status)};
  if (ended.status == TryStatus::success) {
    end += ' ';
    if (ended.outputs) end += find_string(*ended.outputs, "token");
  }
  if (!given->second.contains(end))
    violation("result", id,
              fmt::format("{} is recorded as `{}`; told was `{}`", where, end, fmt::join(given->second, "`, `")));
}

void Checks::untold(const Owed& owed) {
  for (const auto& [who, promise] : owed) {
    const auto& [run, ref, number] = who;
    violation(promise, run, fmt::format("{} try {} was not told to stop", work_name(*ledger_.state(run), ref), number));
  }
}

void Checks::commit_refused(const Error& error) {
  violations_.push_back("store: it refuses what was decided: " + error.message);
}

void Checks::quiet(std::size_t counted, Instant now) {
  const std::size_t running = ledger_.tries_in_flight();
  if (counted != running)
    violations_.push_back(
        fmt::format("limit: the server counts {} tries in flight, and there are {}", counted, running));
  ledger_.look_at_groups();
  slots_.quiet(now);
}

void Checks::started(const StartTask& command, int beside, int seats) {
  const RunId id = command.run;
  if (beside >= seats)
    violation(
        "limit", id,
        fmt::format("{}/{} starts beside {} others; there are {} seats", command.job, command.task, beside, seats));
  const auto page = ledger_.pages().find(id);
  if (page == ledger_.pages().end())
    return violation("P3", id, fmt::format("{}/{} starts in a run that is not committed", command.job, command.task));
  const engine::RunState& state = page->second.state;
  const std::string where = fmt::format("{}/{} try {}", command.job, command.task, command.try_number);
  if (!state.in_flight.contains(command.ref) || state.task(command.ref).last_try != command.try_number ||
      work_name(state, command.ref) != command.job + "/" + command.task)
    return violation("P3", id, where + " starts before the commit that says so");

  // P10: one key for all tries of a generation, and for nothing else.
  const std::string name =
      fmt::format("{} {}/{}#{}", to_string(id), command.job, command.task, state.task(command.ref).generation);
  if (keys_.try_emplace(command.idempotency_key, name).first->second != name)
    violation("P10", id, where + " has the key of other work");
  if (names_.try_emplace(name, command.idempotency_key).first->second != command.idempotency_key)
    violation("P10", id, where + " has another key than the tries before it");
  look_at_input(command, page->second, where);
  if (command.task.starts_with("poison")) look_at_poison(command, page->second, where);
}

void Checks::look_at_input(const StartTask& command, const Ledger::Page& page, const std::string& where) {
  const RunId id = command.run;
  const engine::RunState& state = page.state;
  const auto token_of = [&](TaskRef ref) { return page.account.token(generation_name(state, ref)); };
  const auto mark = marks_.find({state.run.workflow, state.attempt.version});
  std::string carried, made;
  Json body;
  if (const auto* http = std::get_if<HttpInput>(&command.input)) {
    if (auto parsed = parse_json(http->body)) body = std::move(*parsed);
    if (body.is_object()) carried = find_string(body, "mark");
    if (body.is_object()) made = find_string(body, "made");
  } else {
    const std::string& script = std::get<ProcessInput>(command.input).script;
    made = script.substr(script.rfind(' ') + 1);
    for (const auto& [name, value] : std::get<ProcessInput>(command.input).env) {
      if (name == "PAWL_E1") carried = value;
      if (name == "W" && mark != marks_.end() && value != mark->second)
        violation("P9", id, where + " has the env of another version");
      if (name == "J" && value != command.job.substr(0, command.job.find('[')))
        violation("P3", id, where + " has the env of another job");
    }
  }
  // P9: the definition is the one that its attempt says, and vars were resolved from it.
  if (mark == marks_.end() || mark->second.empty()) return;  // of a story
  if (mark->second != carried)
    violation("P9", id, fmt::format("{} carries '{}', not what its version says", where, carried));
  if (mark->second != made) violation("P9", id, fmt::format("{} is a task of '{}', not of its version", where, made));
  if (!body.is_object()) return;

  // P3: what it sees is the committed output of the task before it, of this run.
  if (!find_string(body, "after").empty()) {
    const std::string_view before = find_string(body, "before");
    const std::string_view committed = token_of({command.ref.job, command.ref.task - 1});
    if (before != committed || (!before.empty() && !before.starts_with(to_string(id))))
      violation("P3", id, fmt::format("{} sees '{}', committed is '{}'", where, before, committed));
  }
  // The same of all instances of a job with a matrix, in the order of its list.
  const auto many = state.plan->job_index.find(find_string(body, "of"));
  if (const Json* all = body.get_object().if_contains("all"); all && many != state.plan->job_index.end()) {
    json::array tokens;
    for (const int instance : state.attempt.jobs[static_cast<std::size_t>(many->second)].instances) {
      const std::string_view token = token_of({instance, 0});
      if (!token.empty()) tokens.emplace_back(json::string_view(token.data(), token.size()));
    }
    json::array seen;
    if (const auto* list = all->if_array())
      for (const Json& one : *list)
        if (!one.is_null()) seen.push_back(one);
    if (seen != tokens)
      violation("P3", id, fmt::format("{} sees {}, committed is {}", where, to_text(*all), to_text(Json(tokens))));
  }
  const auto& matrix = state.attempt.jobs[static_cast<std::size_t>(command.ref.job)].matrix;
  if (const Json* value = body.get_object().if_contains("value"); value && matrix)
    if (const Json* own = matrix->get_object().if_contains("a"); !own || *own != *value)
      violation("matrix", id, fmt::format("{} sees {} of {}", where, to_text(*value), to_text(*matrix)));
}

// P6: what kills the server is not started for ever.
void Checks::look_at_poison(const StartTask& command, const Ledger::Page& page, const std::string& where) {
  // A person's resume begins anew, perhaps with another limit; each answer and each task that is done for the first time
  // sets the count back.
  Seen& seen = runs_[command.run];
  if (std::exchange(seen.era, page.era) != page.era) seen.poison_starts.clear();
  const int again = 1 + page.answers + static_cast<int>(page.ever_done.size());
  const Recover& recover = page.state.plan->workflow->recover;
  const int most = (recover.max + 1) * again + page.uncounted;
  // So does an attempt that has been running for longer than the window.
  const engine::RunState& state = page.state;
  if (state.ran - state.ran_before + (state.last_at - state.running_since.value_or(state.last_at)) > recover.window)
    seen.poison_starts.clear();
  if (++seen.poison_starts[command.job + "/" + command.task] > most)
    violation("P6", command.run, fmt::format("{} is started more than {} times", where, most));
}

void Checks::committed(std::span<const Changeset> changes) {
  for (const Changeset& one : changes) {
    if (one.gone) look_at_end(*one.gone);
    if (one.version) marks_[{one.version->workflow, one.version->version}] = mark_of(one.version->text);
    ledger_.read(one);
    slots_.read(one);
    if (!one.record) continue;
    if (const auto page = ledger_.find(one.record->run))
      for (const Account::Owed& owed : page->account.take_owed())
        owed_[{one.record->run, owed.ref, owed.try_number}] = owed.promise;
  }
  for (const Changeset& one : changes) {
    if (!one.record) continue;
    const engine::RunState* state = ledger_.state(one.record->run);
    const auto row = disk_->runs().find(one.record->run);
    if (!state || !state->plan || row == disk_->runs().end()) continue;
    const Run& stored = row->second;
    const Attempt& newest = state->attempt;
    if (stored.status != newest.status || stored.attempt != newest.number || stored.waits_for != newest.waits_for ||
        stored.due != newest.due || stored.group_held != state->run.group_held ||
        stored.group_since != state->run.group_since)
      violation("P12", one.record->run,
                fmt::format("its row says {}, its records {}", to_string(stored.status), to_string(newest.status)));
  }
}

// Retention takes what is final, no earlier than its workflow says.
void Checks::look_at_end(RunId id) {
  answered_.erase(id);
  const engine::RunState* state = ledger_.state(id);
  if (!gone_.insert(id).second) return violation("retention", id, "is taken twice");
  if (!state || !is_final(state->run.status)) return violation("retention", id, "is taken before its end");
  if (!state->run.expires_at) violation("retention", id, "is taken, and it should be kept for ever");
}

void Checks::compare(const engine::RunState& live) {
  const engine::RunState* state = ledger_.state(live.run.id);
  if (!state) return;
  const std::string lived = describe(live);
  const std::string stored = describe(*state);
  if (lived != stored) violation("P12", live.run.id, "folded and lived differ:\n" + lived + stored);
}

void Checks::crashed() {
  ledger_.crashed();
  for (const RunId id : answered_)
    if (!disk_->runs().contains(id)) violation("P1", id, "was answered and did not survive a crash");
}

void Checks::at_rest() {
  slots_.at_rest();
  for (const auto& [id, run] : disk_->runs()) {
    if (!is_final(run.status))
      violation("P5", id,
                fmt::format("is {} (waits for {}) and nothing will ever happen", to_string(run.status),
                            to_string(run.waits_for)));
    // I4: what was final has stayed as it was, folded from the store once more.
    const auto state = engine::fold(
        run, [&](int version) { return plans_.get(*reader_, run.workflow, version); }, disk_->records(id), true);
    if (!state) {
      violation("P12", id, "its records do not fold: " + state.error().message);
      continue;
    }
    auto attempts = state->past;
    attempts.push_back(state->attempt);
    const auto& ended = ledger_.pages().at(id).ended;
    for (const Attempt& attempt : attempts)
      if (const auto known = ended.find(attempt.number); known != ended.end() && known->second != describe(attempt))
        violation(
            "I4", id,
            fmt::format("attempt {} changed after its end:\n{}\n{}", attempt.number, known->second, describe(attempt)));
  }
}

}  // namespace pawl::sim
