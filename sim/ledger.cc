#include "sim/ledger.h"

#include <fmt/format.h>

#include "engine/record_codec.h"
#include "sim/describe.h"
#include "sim/tasks.h"

namespace pawl::sim {
namespace {

bool asks_cleanup(const engine::Condition& condition) { return condition.asks_cleanup; }

bool is_wait(const engine::RunState& state, TaskRef ref) {
  return std::holds_alternative<WaitAction>(state.plan_of(ref).task->action);
}

std::vector<std::string> instance_names(const engine::RunState& state, int job) {
  std::vector<std::string> names;
  for (const int instance : state.attempt.jobs[at_index(job)].instances) names.push_back(state.job_name(instance));
  return names;
}

}  // namespace

bool all_final(const Attempt& attempt) {
  bool open = false;
  each_task(attempt, [&](TaskRef ref) {
    open |= !is_final(attempt.jobs[at_index(ref.job)].tasks[at_index(ref.task)].status);
    open |= !is_final(attempt.jobs[at_index(ref.job)].status);
  });
  for (const JobRun& job : attempt.jobs) open |= job.of < 0 && !is_final(job.status);
  return !open;
}

const engine::RunState* Ledger::state(RunId id) const {
  const auto found = pages_.find(id);
  return found == pages_.end() ? nullptr : &found->second.state;
}

Ledger::Page* Ledger::find(RunId id) {
  const auto found = pages_.find(id);
  return found == pages_.end() ? nullptr : &found->second;
}

void Ledger::violation(std::string_view promise, const Page& page, const std::string& what) {
  report_(promise, page.state.run.id, what);
}

void Ledger::read(const Changeset& changes) {
  if (!changes.record) return;
  const RecordRow& row = *changes.record;
  Page& page = pages_[row.run];
  if (changes.new_run) {
    page.state.run = *changes.new_run;
    page.state.run.group_held = false;
    page.state.keep_past = true;
  }
  if (row.seq != page.state.seq + 1)
    return violation("P12", page, fmt::format("record {} follows record {}", row.seq, page.state.seq));
  const auto decoded = engine::decode(row.body);
  if (!decoded) return violation("P12", page, "a record cannot be read: " + decoded.error().message);
  const auto say = [&](std::string_view promise, const std::string& what) { violation(promise, page, what); };
  const bool was_suspect = page.account.is_suspect();
  const RunStatus status_before = page.state.attempt.status;
  for (const Change& change : *decoded) {
    if (watch_) watch_->changes(page.state, change);
    std::shared_ptr<const engine::Plan> plan;
    if (const auto* started = std::get_if<AttemptStarted>(&change)) {
      auto found = plans_(page.state.run.workflow, started->version);
      if (!found) return violation("P9", page, "its version is not in the store: " + found.error().message);
      plan = std::move(*found);
    }
    look_on(page.state, change);
    look_before(page, change, row.at);
    page.account.before(page.state, change, row.at, say);
    const Attempt before = std::holds_alternative<AttemptStarted>(change) ? page.state.attempt : Attempt{};
    if (const auto applied = engine::apply(page.state, change, row.at, plan); !applied)
      return violation("P12", page, "its records do not fold: " + applied.error().message);
    if (const auto* started = std::get_if<AttemptStarted>(&change); started && started->attempt > 1)
      compare_generations(page, before, *started);
    look_after(page, change);
    page.account.after(page.state, change, row.at, say);
  }
  page.account.end_of_record(page.state, say);
  if (!was_suspect && page.account.is_suspect()) look_for_suspects(page);
  engine::settle_row(page.state, row.at);
  page.state.seq = row.seq;
  page.state.last_at = row.at;
  if (watch_) watch_->record(status_before, page.state);
  if (is_final(page.state.attempt.status)) page.ended[page.state.attempt.number] = describe(page.state.attempt);
  note_group(page);
}

void Ledger::look_before(Page& page, const Change& change, Instant at) {
  const engine::RunState& state = page.state;
  if (const auto* interrupted = std::get_if<AttemptInterrupted>(&change)) {
    if (!interrupted->counted) ++page.uncounted;
    for (const TaskRef ref : state.in_flight) {
      const OnCrash on_crash = state.plan_of(ref).task->on_crash;
      if (on_crash == OnCrash::hold) page.must_be_released.insert(work_name(state, ref));
      if (on_crash == OnCrash::fail) page.stays_failed.insert(generation_name(state, ref));
    }
    if (state.plan->workflow->recover.then_hold && state.counted_recoveries >= state.plan->workflow->recover.max &&
        !state.finished_task && interrupted->counted)
      for (const TaskRef ref : state.in_flight) {
        page.must_be_released.insert(work_name(state, ref));
        page.stays_failed.erase(generation_name(state, ref));
      }
  } else if (const auto* started = std::get_if<TaskStarted>(&change)) {
    task_starts(page, started->ref);
  } else if (const auto* waits = std::get_if<TaskWaits>(&change)) {
    const std::string name = work_name(state, waits->ref);
    if (is_wait(state, waits->ref) && !page.waited.insert(generation_name(state, waits->ref)).second)
      violation("wait", page, name + " begins to wait a second time");
    if (waits->due) page.due[name] = *waits->due;
    if (waits->waits_for == WaitsFor::approval || waits->waits_for == WaitsFor::release)
      page.asked[name] = waits->waits_for;
    if (state.held() && waits->waits_for != WaitsFor::limit)
      violation("held", page, name + " begins to wait in an attempt that is held");
  } else if (const auto* answered = std::get_if<TaskAnswered>(&change)) {
    const std::string name = work_name(state, answered->ref);
    if (page.asked.erase(name) == 0) violation("answer", page, name + " is answered and has not asked, or twice");
    page.must_be_released.erase(name);
    page.stays_failed.erase(generation_name(state, answered->ref));
    ++page.answers;
  } else if (const auto* ended = std::get_if<TaskEnded>(&change)) {
    task_ends(page, *ended, at);
  } else if (const auto* tried = std::get_if<TryEnded>(&change)) {
    if (tried->status != TryStatus::success) return;
    page.done.insert(generation_name(state, tried->ref));
    page.ever_done.insert(work_name(state, tried->ref));
  } else if (const auto* stop = std::get_if<StopAsked>(&change)) {
    if (stop->error) return;
    ++page.stops;
    page.stopped = true;
    page.stopped_hard |= stop->hard;
  } else if (const auto* verdict = std::get_if<VerdictReached>(&change)) {
    if (page.verdict) violation("verdict", page, "a second verdict");
    page.verdict = verdict->status;
  } else if (const auto* began = std::get_if<JobStarted>(&change)) {
    const Role role = state.job_plan(began->job).job->role;
    if ((role == Role::on_late) != engine::is_late(state))
      violation("late", page, state.job_name(began->job) + " starts, and has no part in the run");
    if (engine::makes_verdict(state, role)) return;
    if (!page.verdict) return violation("verdict", page, "what follows the verdict starts before it");
    if (role == Role::on_failure && page.verdict != RunStatus::failed)
      violation("verdict", page, "on-failure follows what is no failure");
    page.reserved_begun.insert(began->job);
  } else if (const auto* end = std::get_if<AttemptEnded>(&change)) {
    const bool limit = end->error && end->error->code == "recovery_limit";
    if (page.verdict && *page.verdict != end->status && !limit)
      violation("verdict", page,
                fmt::format("the verdict is {}, the end {}", to_string(*page.verdict), to_string(end->status)));
    for (std::size_t j = 0; j < state.plan->jobs.size(); ++j) {
      const Role role = state.plan->jobs[j].job->role;
      const bool follows = role == Role::always || (role == Role::on_failure && page.verdict == RunStatus::failed);
      if (follows && !engine::is_late(state) && !state.stop_hard && !page.reserved_begun.contains(static_cast<int>(j)))
        violation("verdict", page, "the run ends and " + state.plan->jobs[j].job->id + " has not begun");
    }
  }
}

void Ledger::task_starts(Page& page, TaskRef ref) {
  const engine::RunState& state = page.state;
  const std::string name = work_name(state, ref);
  const engine::JobPlan& job = state.job_plan(ref.job);
  const JobRun& run = state.attempt.jobs[at_index(ref.job)];
  const bool cleanup = asks_cleanup(job.condition) || asks_cleanup(state.plan_of(ref).condition);
  if (page.done.contains(generation_name(state, ref))) violation("P2", page, name + " starts again after its success");
  if (page.must_be_released.contains(name) || page.asked.contains(name))
    violation("hold", page, name + " starts, and no person has released it");
  if (page.stays_failed.contains(generation_name(state, ref)))
    violation("on-crash", page, name + " starts again, though it says fail");
  if (state.held()) violation("held", page, name + " starts in an attempt that is held");
  if (run.status != WorkStatus::running) violation("held", page, name + " starts in a job that does not run");
  if (!state.run.group.empty() && !state.run.group_held)
    violation("group", page, name + " starts in a run without a place in its group");
  if (engine::makes_verdict(state, job.job->role)) {
    if (page.stopped && !cleanup) violation("P8", page, name + " starts after a cancel");
    if (state.verdict) violation("verdict", page, name + " starts after the verdict");
  } else if (!page.verdict) {
    violation("verdict", page, name + " starts before the verdict");
  }
  if (page.stopped_hard) violation("P8", page, name + " starts after a second cancel");
  // A run whose time is over is a failure, and what asks for one may run everywhere.
  const bool after_timeout =
      state.stop_error && (job.condition.asks_failure || state.plan_of(ref).condition.asks_failure);
  if (run.of >= 0 && job.job->fail_fast && page.failed_matrices.contains(run.of) && !cleanup && !after_timeout)
    violation("fail-fast", page, name + " starts after another instance has failed");
}

void Ledger::task_ends(Page& page, const TaskEnded& change, Instant at) {
  const engine::RunState& state = page.state;
  const std::string name = work_name(state, change.ref);
  const auto due = page.due.find(name);
  const bool is_early = due != page.due.end() && at < due->second;
  if (change.status == WorkStatus::success) {
    if (is_wait(state, change.ref) && is_early) violation("wait", page, name + " ends before its time");
    if (page.asked.contains(name)) violation("answer", page, name + " ends well, and nobody has answered");
    page.done.insert(generation_name(state, change.ref));
    page.ever_done.insert(name);
  }
  if (change.error && change.error->code == "approval_expired" && is_early)
    violation("answer", page, name + " expires before its time");
  if (change.error && change.error->code == "approval_rejected" && page.asked.contains(name))
    violation("answer", page, name + " is rejected, and nobody has answered");
  page.asked.erase(name);
  page.due.erase(name);
}

void Ledger::look_after(Page& page, const Change& change) {
  const engine::RunState& state = page.state;
  if (const auto* attempt = std::get_if<AttemptStarted>(&change)) {
    attempt_began(page, *attempt);
  } else if (const auto* expanded = std::get_if<JobExpanded>(&change)) {
    if (!page.lists.try_emplace(state.job_name(expanded->job), instance_names(state, expanded->job)).second)
      violation("matrix", page, "the list of " + state.job_name(expanded->job) + " is made twice");
  } else if (const auto* began = std::get_if<JobStarted>(&change)) {
    const int of = state.attempt.jobs[at_index(began->job)].of;
    if (of < 0) return;
    int running = 0;
    for (const int instance : state.attempt.jobs[at_index(of)].instances)
      running += state.attempt.jobs[at_index(instance)].status == WorkStatus::running;
    if (running > state.job_plan(of).job->max_parallel)
      violation("matrix", page, fmt::format("{} instances of {} run at once", running, state.job_name(of)));
  } else if (const auto* ended = std::get_if<JobEnded>(&change)) {
    const int of = state.attempt.jobs[at_index(ended->job)].of;
    if (of >= 0 && ended->status == WorkStatus::failed) page.failed_matrices.insert(of);
  }
  if (std::holds_alternative<AttemptEnded>(change) || std::holds_alternative<AttemptInterrupted>(change)) {
    page.ended[state.attempt.number] = describe(state.attempt);
    if (!all_final(state.attempt))
      violation("I4", page, fmt::format("attempt {} is final and holds something open", state.attempt.number));
  }
}

void Ledger::attempt_began(Page& page, const AttemptStarted& change) {
  const engine::RunState& state = page.state;
  page.failed_matrices.clear();
  for (std::size_t j = 0; j < state.attempt.jobs.size(); ++j)
    for (const int instance : state.attempt.jobs[j].instances)
      if (state.attempt.jobs[at_index(instance)].status == WorkStatus::failed)
        page.failed_matrices.insert(static_cast<int>(j));
  if (change.who.trigger == Trigger::recovery) {
    each_task(state.attempt, [&](TaskRef ref) {
      const auto due = page.due.find(work_name(state, ref));
      if (is_wait(state, ref) && state.task(ref).status == WorkStatus::waiting && due != page.due.end() &&
          state.task(ref).due != due->second)
        violation("wait", page, work_name(state, ref) + " has another due time after a crash");
    });
    for (const auto& [job, list] : page.lists)
      if (instance_names(state, state.plan->job_index.at(job)) != list)
        violation("matrix", page, "the list of " + job + " has changed by a recovery");
    return;
  }
  if (change.attempt > 1) ++page.era;
  page.stopped = page.stopped_hard = false;
  page.due.clear();
  page.waited.clear();
  page.asked.clear();
  page.must_be_released.clear();
  page.stays_failed.clear();
  page.verdict.reset();
  page.reserved_begun.clear();
  page.lists.clear();
  for (std::size_t j = 0; j < state.plan->jobs.size(); ++j)
    if (state.attempt.jobs[j].expanded)
      page.lists[state.job_name(static_cast<int>(j))] = instance_names(state, static_cast<int>(j));
}

void Ledger::compare_generations(Page& page, const Attempt& before, const AttemptStarted& change) {
  const engine::RunState& state = page.state;
  if (change.version != before.version) {
    if (change.who.trigger != Trigger::resume || !change.vars) violation("P9", page, "its version has changed");
    return;
  }
  // Jobs that need the job that is run again, through others too.
  std::set<int> below;
  const int first = !change.from                                     ? -1
                    : before.jobs[at_index(change.from->job)].of < 0 ? change.from->job
                                                                     : before.jobs[at_index(change.from->job)].of;
  std::vector<int> list{first};
  while (first >= 0 && !list.empty()) {
    const int job = list.back();
    list.pop_back();
    for (const int dependent : state.plan->jobs[at_index(job)].dependents)
      if (below.insert(dependent).second) list.push_back(dependent);
  }
  for (std::size_t j = 0; j < before.jobs.size(); ++j)
    for (std::size_t t = 0; t < before.jobs[j].tasks.size(); ++t) {
      const TaskRef ref{static_cast<int>(j), static_cast<int>(t)};
      const TaskRun& old = before.jobs[j].tasks[t];
      const int of = before.jobs[j].of < 0 ? ref.job : before.jobs[j].of;
      const Job& job = *state.plan->jobs[at_index(of)].job;
      bool fresh = false;
      bool may = false;
      if (change.who.trigger == Trigger::recovery) {
        may = job.resume == ResumeAt::job && !(page.stopped && engine::makes_verdict(state, job.role));
      } else {
        fresh = !engine::makes_verdict(state, job.role) || below.contains(of) ||
                (first >= 0 && change.from->job == of && change.from->task < 0);
        if (change.from && change.from->job == ref.job) fresh |= ref.task >= change.from->task;
        // A job that is skipped in between hands the new beginning on as well.
        may = fresh;
      }
      const int generation = state.task(ref).generation;
      if (fresh && old.generation_started && generation == old.generation)
        violation("rerun", page, work_name(state, ref) + " is run again under its old name");
      if (!may && generation != old.generation)
        violation("rerun", page, work_name(state, ref) + " has a new generation, and nobody asked for it");
    }
}

void Ledger::note_group(const Page& page) {
  const Run& run = page.state.run;
  if (run.group.empty()) return;
  Group& group = groups_[run.group];
  const std::tuple place{run.group_since.value_or(run.created_at), run.number, run.id};
  const bool is_new = run.group_held && group.holders.try_emplace(run.id, run.group_limit).second;
  if (!run.group_held) group.holders.erase(run.id);
  std::erase_if(group.queue, [&](const auto& waiting) { return std::get<RunId>(waiting) == run.id; });
  // Who stands in line behind an earlier run of its schedule has not asked yet.
  const bool in_line = run.slot && run.slot->in_line;
  if (!run.group_held && !in_line && !is_final(run.status)) group.queue.insert(place);
  if (!is_new) return;
  int most = 0;
  for (const auto& [id, limit] : group.holders) most = std::max(most, limit);
  if (static_cast<int>(group.holders.size()) > most)
    violation("group", page,
              fmt::format("{} runs are in group '{}', which takes {}", group.holders.size(), run.group, most));
  if (!group.queue.empty() && *group.queue.begin() < place)
    violation("group", page, "takes the place of one that asked before it in group " + run.group);
}

// P6: of runs that may be what kills the server one works at a time.
void Ledger::look_for_suspects(const Page& page) {
  for (const auto& [id, other] : pages_)
    if (&other != &page && other.account.is_suspect())
      violation("P6", page, "works beside " + to_string(id) + "; both were cut off several times in a row");
}

void Ledger::crashed() {
  for (auto& [id, page] : pages_) page.account.crashed();
}

std::size_t Ledger::tries_in_flight() const {
  std::size_t count = 0;
  for (const auto& [id, page] : pages_) count += page.state.in_flight.size();
  return count;
}

void Ledger::look_at_groups() {
  for (const auto& [name, group] : groups_) {
    if (group.queue.empty()) continue;
    const Page& first = pages_.at(std::get<RunId>(*group.queue.begin()));
    if (static_cast<int>(group.holders.size()) < first.state.run.group_limit)
      violation("group", first, "waits for a place in group " + name + ", and one is free");
    if (!first.state.run.group_cancels) continue;
    for (const auto& [holder, limit] : group.holders)
      if (pages_.at(holder).account.stopped() == Stopped::no)
        violation("group", pages_.at(holder), "was not cancelled for one that wants its place in group " + name);
  }
}

}  // namespace pawl::sim
