#include "sim/checks.h"

#include <fmt/format.h>

#include "base/check.h"
#include "engine/fold.h"
#include "engine/record_codec.h"
#include "sim/describe.h"

namespace pawl::sim {
namespace {

bool asks_cleanup(const std::string& condition) {
  return condition.find("always()") != std::string::npos || condition.find("cancelled()") != std::string::npos;
}

std::string_view token_of(const TaskRun& task) {
  return task.outputs ? find_string(*task.outputs, "token") : std::string_view{};
}

}  // namespace

Checks::Checks(std::shared_ptr<store::MemoryDisk> disk) : disk_(std::move(disk)) {
  store_ = store::open_memory(disk_);
  auto reader = store_->reader();
  check(reader.has_value());
  reader_ = std::move(*reader);
}
Checks::~Checks() = default;

void Checks::violation(std::string_view promise, RunId run, const std::string& what) {
  violations_.push_back(fmt::format("{} run {}: {}", promise, to_string(run), what));
}

std::unique_ptr<engine::RunState> Checks::folded(RunId id, bool keep_past) {
  const auto row = disk_->runs().find(id);
  if (row == disk_->runs().end()) return nullptr;
  auto state = engine::fold(
      row->second, [&](int version) { return plans_.get(*reader_, row->second.workflow, version); }, disk_->records(id),
      keep_past);
  if (!state) {
    violation("P12", id, "its records do not fold: " + state.error().message);
    return nullptr;
  }
  return std::make_unique<engine::RunState>(std::move(*state));
}

void Checks::version_accepted(const std::string& workflow, int version, std::string mark) {
  marks_[{workflow, version}] = std::move(mark);
}

void Checks::run_answered(RunId id) {
  answered_.insert(id);
  if (!disk_->runs().contains(id)) violation("P1", id, "was answered and is not in the store");
}

void Checks::cancel_answered(RunId id) { runs_[id].cancelled = true; }

void Checks::resumed(RunId id) {
  runs_[id].cancelled = false;
  ++runs_[id].resumes;
}

void Checks::started(const StartTask& command) {
  const RunId id = command.run;
  const auto state = folded(id, false);
  if (!state)
    return violation("P3", id, fmt::format("{}/{} starts in a run that is not committed", command.job, command.task));
  const std::string where = fmt::format("{}/{} try {}", command.job, command.task, command.try_number);
  if (!state->in_flight.contains(command.ref) || state->task(command.ref).last_try != command.try_number)
    violation("P3", id, where + " starts before the commit that says so");
  Seen& seen = runs_[id];
  if (seen.done[command.ref].contains(command.idempotency_key))
    violation("P2", id, where + " starts again after its success");
  const auto& job = *state->plan->jobs[static_cast<std::size_t>(command.ref.job)].job;
  const auto& task = job.tasks[static_cast<std::size_t>(command.ref.task)];
  if (seen.cancelled && !asks_cleanup(task.condition) && !asks_cleanup(job.condition))
    violation("P8", id, where + " starts after a cancel was answered");

  // P10: one key for all tries, unless a cut-off `resume: job` threw the work away; no two tasks share one.
  const auto known = seen.key.find(command.ref);
  if (known != seen.key.end() && known->second != command.idempotency_key) {
    if (job.resume != ResumeAt::job || seen.key_attempt[command.ref] == command.attempt)
      violation("P10", id, where + " has another key than the tries before it");
  }
  seen.key[command.ref] = command.idempotency_key;
  seen.key_attempt[command.ref] = command.attempt;
  const auto [owner, fresh] = keys_.try_emplace(command.idempotency_key, id, command.ref);
  if (!fresh && owner->second != std::pair(id, command.ref))
    violation("P10", id, where + " has the key of another task");

  // P9: the definition is the one that the run began with.
  if (seen.version == 0) seen.version = state->run.version;
  if (state->attempt.version != seen.version) violation("P9", id, where + " runs another version");
  const auto mark = marks_.find({state->run.workflow, seen.version});
  std::string carried;
  std::string before;
  if (const auto* http = std::get_if<HttpInput>(&command.input)) {
    const auto body = parse_json(http->body);
    if (body) carried = find_string(*body, "mark");
    if (body) before = find_string(*body, "before");
  } else {
    for (const auto& [name, value] : std::get<ProcessInput>(command.input).env)
      if (name == "PAWL_E1") carried = value;
  }
  if (mark == marks_.end() || mark->second != carried)
    violation("P9", id, fmt::format("{} carries '{}', not what its version says", where, carried));

  // P3: what it sees is the committed output of the task before it, of this run.
  if (!before.empty()) {
    const std::string_view committed = token_of(state->task({command.ref.job, command.ref.task - 1}));
    if (before != committed || !before.starts_with(to_string(id)))
      violation("P3", id, fmt::format("{} sees '{}', committed is '{}'", where, before, committed));
  }

  // P6: what kills the server is not started for ever.
  if (command.task.starts_with("poison")) {
    // Each task that is newly finished beside it, and each person's resume, sets the count back.
    int again = 1 + seen.resumes;
    for (const auto& [ref, keys] : seen.done) again += keys.empty() ? 0 : 1;
    const int most = (state->plan->workflow->recover.max + 1) * again;
    if (++seen.poison_starts[command.ref] > most)
      violation("P6", id, fmt::format("{} is started {} times", where, seen.poison_starts[command.ref]));
  }
}

void Checks::look_at(RunId id, std::size_t records) {
  Seen& seen = runs_[id];
  const auto state = folded(id, true);
  if (!state) return;
  seen.records = records;
  auto attempts = state->past;
  attempts.push_back(state->attempt);
  for (const Attempt& attempt : attempts) {
    if (!is_final(attempt.status)) continue;
    std::string now = describe(attempt);
    const auto [known, fresh] = seen.final_attempts.try_emplace(attempt.number, now);
    if (!fresh && known->second != now)
      violation("I4", id, fmt::format("attempt {} changed after its end:\n{}\n{}", attempt.number, known->second, now));
    for (const JobRun& job : attempt.jobs) {
      bool open = !is_final(job.status);
      for (const TaskRun& task : job.tasks) open |= !is_final(task.status);
      if (open) violation("I4", id, fmt::format("attempt {} is final and holds something open", attempt.number));
    }
  }
  // What the record says is done, under the key that it was started with.
  for (std::size_t j = 0; j < state->attempt.jobs.size(); ++j)
    for (std::size_t t = 0; t < state->attempt.jobs[j].tasks.size(); ++t) {
      const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
      const auto key = seen.key.find(ref);
      if (key != seen.key.end() && state->task(ref).status == WorkStatus::success) seen.done[ref].insert(key->second);
    }
  const Run& row = disk_->runs().at(id);
  if (row.status != state->run.status || row.attempt != state->run.attempt)
    violation("P12", id,
              fmt::format("its row says {}, its records {}", to_string(row.status), to_string(state->run.status)));
}

void Checks::committed() {
  for (const auto& [id, records] : disk_->records())
    if (records.size() != runs_[id].records) look_at(id, records.size());
}

void Checks::compare(const engine::RunState& live) {
  const auto state = folded(live.run.id, false);
  if (!state) return;
  const std::string lived = describe(live);
  const std::string stored = describe(*state);
  if (lived != stored) violation("P12", live.run.id, "folded and lived differ:\n" + lived + stored);
}

void Checks::crashed() {
  for (const RunId id : answered_)
    if (!disk_->runs().contains(id)) violation("P1", id, "was answered and did not survive a crash");
}

void Checks::at_rest() {
  for (const auto& [id, run] : disk_->runs())
    if (!is_final(run.status))
      violation("P5", id,
                fmt::format("is {} (waits for {}) and nothing will ever happen", to_string(run.status),
                            to_string(run.waits_for)));
}

}  // namespace pawl::sim
