#include "driver/core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/planted.h"
#include "definition/definition.h"
#include "engine/fold.h"

namespace pawl::driver {
namespace {

constexpr int most_conflicts = 3;
// How closely the last instant of life of a dead server is known when nothing else was written.
constexpr auto heartbeat_every = std::chrono::seconds(30);
// A run that waits longer than this is put away; its row and its records hold all there is.
constexpr auto park_after = std::chrono::seconds(5);
// Runs that retention takes in one commit, beside everything else; and how long after a sweep that took any the next one
// begins.
constexpr std::size_t most_taken = 32;
constexpr auto sweep_every = std::chrono::minutes(1);

bool may_pass(Code code) { return code == Code::overloaded || code == Code::unavailable; }

std::optional<RunId> run_of(const Event& event) {
  const engine::Needs needs = engine::needs(event);
  return needs.run ? needs.run : needs.row;
}

Result<Json> checked_inputs(const Workflow& workflow, const Json& given) {
  auto inputs = definition::check_inputs(workflow, given);
  if (!inputs) return fail(Code::invalid, fmt::format("{}", fmt::join(inputs.error(), "; ")), "inputs_invalid");
  return std::move(*inputs);
}

// The row of a run that was written, if it was.
const Run* row_in(const Changeset& changes) {
  if (changes.new_run) return &*changes.new_run;
  return changes.run ? &*changes.run : nullptr;
}

}  // namespace

Core::Core(CoreOptions options, store::Reader& reader, PlanCache& plans, runner::Runner& runner, Rng& rng,
           Observer* observer)
    : options_(std::move(options)),
      reader_(reader),
      plans_(plans),
      runner_(runner),
      rng_(rng),
      observer_(observer),
      seating_(
          {options_.process_seats, options_.http_seats}, [this](RunId id) { return live(id); }, options_.show_seats),
      schedules_(reader, options_.timezone) {
  limits_.most = {options_.process_seats, options_.http_seats};
}

Core::~Core() = default;

Result<void> Core::start() {
  const auto node = reader_.node();
  if (!node) return std::unexpected(node.error());
  last_life_ = node->heartbeat.value_or(Instant{});
  const auto take_up = [&](Run&& run) {
    if (options_.takes_up && !options_.takes_up(run.id)) return true;
    if (!planted(run.group_held ? Planted::lost_place : Planted::lost_queue)) limits_.note_places(run);
    if (planted(Planted::missed_orphan) && run.attempt > 1) return true;
    if (run.status == RunStatus::running) {
      orphans_.insert(run.id);
      push(RunOrphaned{run.id, last_life_});
    } else if (run.waits_for == WaitsFor::limit) {
      if (!planted(Planted::forgotten_waiter)) push(SeatFree{run.id});
    } else if (run.due) {
      if (!planted(Planted::lost_timer)) set_due(run.id, run.due);
    } else if (run.waits_for == WaitsFor::group || run.waits_for == WaitsFor::approval ||
               run.waits_for == WaitsFor::release) {
      // Somebody else moves it on: whoever holds the place, or a person.
    } else {
      // Neither waits for an instant nor for anybody: look at it, so that nothing stays behind.
      push(TimerDue{run.id});
    }
    return true;
  };
  // One damaged row is one run's misfortune: the others go on.
  const auto read = reader_.open_runs(take_up, [&](RunId id, const Error& error) { park_broken(id, error.message); });
  offer_seats();
  if (!read || !options_.fires) return read;
  // What a process before this one could not finish.
  waking_.push_back({});
  const auto backfills = reader_.running_backfills();
  if (!backfills) return std::unexpected(backfills.error());
  if (!planted(Planted::forgotten_backfill))
    for (const BackfillRow& backfill : *backfills) push(BackfillGoesOn{backfill.id});
  return read;
}

void Core::push(Event event, Reply reply) {
  const auto* finished = std::get_if<TaskFinished>(&event);
  if (finished && finished->outcome.end == Outcome::End::interrupted) has_been_cut_off(*finished);
  queue_.push_back({std::move(event), std::move(reply), 0});
}

void Core::has_been_cut_off(const TaskFinished& result) {
  cut_off_.insert({result.run, result.ref, result.try_number});
}

bool Core::has_work(Instant now) const {
  if (not_before_ && now < *not_before_) return false;
  if (!queue_.empty() || !unnoted_.empty() || (!draining_ && !timers_.empty() && timers_.begin()->first <= now))
    return true;
  if (sweep_is_due(now)) return true;
  if (fires() && (schedules_.has_due(now) || wants_look(now) || wants_to_wake(now))) return true;
  const auto beat = next_beat();
  return beat && *beat <= now;
}

std::optional<Instant> Core::next_beat() const {
  // What was cut off and is not taken up yet died before this server began: its beat would be taken for theirs.
  if (tries_in_flight() == 0 || !recovered()) return std::nullopt;
  return last_beat_ ? *last_beat_ + heartbeat_every : Instant{};
}

std::optional<Instant> Core::next_due() const {
  std::optional<Instant> due;
  if (!draining_ && !timers_.empty()) due = timers_.begin()->first;
  if (const auto beat = next_beat(); beat && (!due || *beat < *due)) due = beat;
  if (const auto sweep = next_sweep(); sweep && (!due || *sweep < *due)) due = sweep;
  if (fires())
    if (auto slot = waking_.empty() ? schedules_.next() : Instant{}; slot) {
      slot = std::max(*slot, look_not_before_);
      if (!due || *slot < *due) due = slot;
    }
  if (!queue_.empty() || !unnoted_.empty()) due = not_before_.value_or(Instant{});
  if (due && not_before_ && *due < *not_before_) due = not_before_;
  return due;
}

std::size_t Core::tries_in_flight() const {
  std::size_t count = 0;
  for (const int used : limits_.used) count += static_cast<std::size_t>(used);
  for (const auto& [run, ref, number] : cut_off_)
    if (const auto* state = live(run); state && state->in_flight.contains(ref) && state->task(ref).last_try == number)
      --count;
  return count;
}

bool Core::is_cut_off(const engine::RunState& state, TaskRef ref) const {
  return cut_off_.contains({state.run.id, ref, state.task(ref).last_try});
}

std::vector<Core::RunningTry> Core::oldest_tries(std::size_t most) const {
  std::vector<RunningTry> found;
  for (const auto& [id, live] : runs_) {
    if (!live.state) continue;
    for (const TaskRef ref : live.state->in_flight) {
      if (is_cut_off(*live.state, ref)) continue;
      const auto& tries = live.state->task(ref).tries;
      found.push_back({id,
                       fmt::format("{}/{}/{}", live.state->run.workflow, live.state->job_name(ref.job),
                                   live.state->plan_of(ref).task->id),
                       tries.empty() ? live.state->last_at : tries.back().started_at});
    }
  }
  std::ranges::sort(found, {}, [](const RunningTry& one) { return std::tie(one.since, one.run, one.work); });
  if (found.size() > most) found.resize(most);
  return found;
}

void Core::drain() {
  draining_ = true;
  limits_.most = {};
}

void Core::cut_off() {
  check(draining_);
  cutting_off_ = true;
  std::vector<RunId> ids;
  for (const auto& [id, live] : runs_)
    if (live.state && !live.state->in_flight.empty()) ids.push_back(id);
  std::ranges::sort(ids);
  for (const RunId id : ids) push(RunCutOff{id});
}

const engine::RunState* Core::live(RunId id) const {
  const auto found = runs_.find(id);
  return found == runs_.end() ? nullptr : found->second.state.get();
}

void Core::set_due(RunId id, std::optional<Instant> due) {
  const auto found = due_.find(id);
  if (found != due_.end()) {
    if (due && *due == found->second) return;
    timers_.erase({found->second, id});
    due_.erase(found);
  }
  if (due) {
    timers_.emplace(*due, id);
    due_.emplace(id, *due);
  }
}

void Core::forget(RunId id) {
  const auto found = runs_.find(id);
  if (found == runs_.end()) return;
  if (found->second.state) limits_.forget(*found->second.state);
  runs_.erase(found);
}

Result<engine::RunState*> Core::load(RunId id) {
  if (const auto found = runs_.find(id); found != runs_.end()) return found->second.state.get();
  auto run = reader_.run(id);
  if (!run) return std::unexpected(run.error());
  if (!*run) return nullptr;
  const auto records = reader_.records(id);
  if (!records) return std::unexpected(records.error());
  const std::string workflow = (*run)->workflow;
  const auto plan_of = [&](int version) -> Result<std::shared_ptr<const engine::Plan>> {
    if (planted(Planted::edited_definition)) {
      const auto row = reader_.workflow(workflow);
      if (!row) return std::unexpected(row.error());
      if (*row) version = (*row)->version;
    }
    return plans_.get(reader_, workflow, version);
  };
  auto state = engine::fold(std::move(**run), plan_of, *records, false);
  if (!state) return std::unexpected(state.error());
  auto& live = runs_[id];
  live.state = std::make_unique<engine::RunState>(std::move(*state));
  limits_.remember(*live.state);
  limits_.note_places(live.state->run);
  return live.state.get();
}

Result<Core::KnownWorkflow*> Core::know(const std::string& name) {
  if (const auto found = workflows_.find(name); found != workflows_.end()) return &found->second;
  KnownWorkflow known;
  auto row = reader_.workflow(name);
  if (!row) return std::unexpected(row.error());
  known.row = std::move(*row);
  if (known.row) {
    auto version = reader_.version(name, known.row->version);
    if (!version) return std::unexpected(version.error());
    if (*version) known.text = std::move((*version)->text);
    auto plan = plans_.get(reader_, name, known.row->version);
    if (!plan) return std::unexpected(plan.error());
    known.plan = std::move(*plan);
    const auto last = reader_.last_run_number(name);
    if (!last) return std::unexpected(last.error());
    known.last_number =
        planted(Planted::numbers_again) ? known.row->last_number : std::max(*last, known.row->last_number);
  }
  return &workflows_.emplace(name, std::move(known)).first->second;
}

Result<void> Core::prepare(const Event& event, engine::View& view, std::optional<RunId>& run, Event& prepared) {
  const engine::Needs needs = engine::needs(event);
  view.limits = &limits_;
  view.environment = &options_.environment;
  view.check_inputs = checked_inputs;
  if (needs.row && !going_.contains(*needs.row)) {
    if (const auto found = runs_.find(*needs.row); found != runs_.end()) {
      view.run = found->second.state.get();
      run = needs.row;
    } else {
      auto row = reader_.run(*needs.row);
      if (!row) return std::unexpected(row.error());
      view.row = std::move(*row);
    }
  }
  if (needs.run && !going_.contains(*needs.run)) {
    if (broken_.contains(*needs.run))
      return fail(Code::corrupt,
                  fmt::format("run {} is parked: its records do not fit together", to_string(*needs.run)),
                  "run_parked");
    auto state = load(*needs.run);
    if (!state) return std::unexpected(state.error());
    view.run = *state;
    if (view.run)
      run = needs.run;
    else
      limits_.forget_places(*needs.run);
  }
  if (needs.newest_version && view.run) {
    auto known = know(view.run->run.workflow);
    if (!known) return std::unexpected(known.error());
    view.plan = (*known)->plan;
    auto& resumed = std::get<ResumeRequested>(prepared);
    if (view.plan) {
      auto inputs = checked_inputs(*view.plan->workflow, view.run->run.inputs);
      if (!inputs) return std::unexpected(inputs.error());
      resumed.inputs = std::move(*inputs);
    }
  }
  std::string workflow = needs.workflow;
  if (needs.schedule || needs.backfill)
    if (auto ready = prepare_schedules(event, needs, view, prepared, workflow); !ready) return ready;
  if (!workflow.empty()) {
    auto known = know(workflow);
    if (!known) return std::unexpected(known.error());
    view.workflow = (*known)->row;
    view.plan = (*known)->plan;
    if (std::holds_alternative<WorkflowSubmitted>(event)) view.text = (*known)->text;
    view.last_number = (*known)->last_number;
  }
  if (needs.changes_schedules && !needs.schedule && !needs.backfill)
    if (auto ready = prepare_schedules(event, needs, view, prepared, workflow); !ready) return ready;
  if (!needs.start_key.empty()) {
    const auto found = new_keys_.find({needs.workflow, needs.start_key});
    if (found != new_keys_.end()) {
      view.start_key = found->second;
    } else {
      auto stored = reader_.start_key(needs.workflow, needs.start_key);
      if (!stored) return std::unexpected(stored.error());
      view.start_key = std::move(*stored);
    }
    if (view.start_key && going_.contains(view.start_key->run)) view.start_key.reset();
  }
  if (auto* requested = std::get_if<RunRequested>(&prepared); requested && view.plan) {
    const auto waiting = std::max({limits_.waiting[0].size(), limits_.waiting[1].size(), limits_.groups.waiting()});
    if (waiting >= options_.most_waiting && !view.start_key)
      return fail(Code::overloaded,
                  fmt::format("{} runs already wait for a limit or for their group; try again later", waiting),
                  "overloaded");
    auto inputs = checked_inputs(*view.plan->workflow, requested->inputs);
    if (!inputs) return std::unexpected(inputs.error());
    requested->inputs = std::move(*inputs);
  }
  if (auto* orphaned = std::get_if<RunOrphaned>(&prepared); orphaned && view.run)
    orphaned->last_life = std::max(orphaned->last_life, view.run->last_at);
  return {};
}

engine::Decision Core::decide_event(const Event& event, Instant now, std::optional<RunId>& run) {
  engine::View view;
  Event prepared = event;
  engine::Decision decision;
  if (const auto ready = prepare(event, view, run, prepared); !ready) {
    decision.answer = std::unexpected(ready.error());
    // Nobody hears of a run that cannot be read when only a timer or a result asks for it.
    if (const auto id = run_of(event); id && ready.error().code == Code::corrupt)
      park_broken(*id, ready.error().message);
    return decision;
  }
  decision = engine::decide(view, prepared, now, rng_.next());
  if (!decision.broken.empty() && run) {
    park_broken(*run, decision.broken);
    decision.changes = {};
    decision.commands.clear();
    decision.answer = fail(Code::internal, "the run's state does not fit together; it was parked", "run_parked");
  }
  return decision;
}

void Core::remember_decision(const Event& event, const engine::Decision& decision) {
  if (const auto* submitted = std::get_if<WorkflowSubmitted>(&event); submitted && decision.changes.workflow) {
    KnownWorkflow& known = workflows_[submitted->workflow->name];
    known.row = decision.changes.workflow;
    if (!decision.changes.version) return;
    known.text = submitted->text;
    auto plan = engine::compile(submitted->workflow, known.row->version);
    check(plan.has_value(), "a checked definition compiles");
    known.plan = *plan;
    plans_.put(submitted->workflow->name, *plan);
  }
  if (const auto& row = decision.changes.workflow; row && !std::holds_alternative<WorkflowSubmitted>(event))
    workflows_[row->name].row = row;
  if (const auto& run = decision.changes.new_run) workflows_[run->workflow].last_number = run->number;
  if (const auto* requested = std::get_if<RunRequested>(&event); requested && decision.changes.new_run) {
    if (decision.changes.start_key) new_keys_[{requested->workflow, requested->key}] = *decision.changes.start_key;
  }
}

void Core::park_broken(RunId id, const std::string& why) {
  if (!broken_.insert(id).second) return;
  log::error("run parked: its records do not fit together", {{"run", to_string(id)}, {"why", why}});
  orphans_.erase(id);
  set_due(id, std::nullopt);
  forget(id);
  limits_.forget_places(id);
}

void Core::decide_one(Batch& batch, Waiting waiting, Instant now) {
  if (std::holds_alternative<SeatFree>(waiting.event)) offered_.reset();
  if (cutting_off_) {
    const auto* finished = std::get_if<TaskFinished>(&waiting.event);
    // Cut off by us, not by a person: its recovery will say so.
    if (finished && finished->outcome.end == Outcome::End::stopped) return has_been_cut_off(*finished);
  }
  Result<std::string> busy;
  if (engine::needs(waiting.event).changes_schedules) {
    busy = workflow_changed_by(waiting.event);
    if (busy && busy_.contains(*busy)) {
      put_back_[*busy].push_back(std::move(waiting));
      return;
    }
  }
  std::optional<RunId> run;
  Batch::Item item;  // not by a list: that would fill with zeros what has not been decided yet
  item.event = std::move(waiting.event);
  item.reply = std::move(waiting.reply);
  item.conflicts = waiting.conflicts;
  if (busy)
    item.decision = decide_event(item.event, now, run);
  else
    item.decision.answer = std::unexpected(busy.error());
  if (const auto& answer = item.decision.answer; !item.reply && !answer && may_pass(answer.error().code)) {
    // The store could not be read, and nobody would ask again: the event waits until it can.
    queue_.push_front({std::move(item.event), {}, item.conflicts});
    not_before_ = now + pause;
    return;
  }
  if (busy && !busy->empty() && !item.decision.changes.empty()) {
    busy_.insert(*busy);
    item.busy = *busy;
  }
  if (item.decision.changes.schedules) item.schedules = schedules_.decided(*item.decision.changes.schedules);
  remember_decision(item.event, item.decision);
  if (const std::string name = engine::needs(item.event).workflow; !name.empty()) {
    // Names that mean nothing are not kept: anybody may ask for them.
    const auto known = workflows_.find(name);
    if (known != workflows_.end() && !known->second.row) workflows_.erase(known);
  }
  if (item.decision.created) {
    run = item.decision.created->run.id;
    runs_[*run].state = std::move(item.decision.created);
  }
  if (run) {
    const auto found = runs_.find(*run);
    if (found != runs_.end()) {
      item.run = run;
      ++found->second.undecided;
      set_due(*run, engine::next_due(*found->second.state));
    }
  }
  for (const Command& command : item.decision.commands)
    if (const auto* start = std::get_if<StartTask>(&command)) seating_.taken(*start, now, limits_);
  if (planted(Planted::act_before_commit))
    std::erase_if(item.decision.commands, [this](const Command& command) {
      const auto* start = std::get_if<StartTask>(&command);
      if (start) runner_.start(*start);
      return start != nullptr;
    });
  if (planted(Planted::answer_before_commit) && item.reply) std::exchange(item.reply, {})(item.decision.answer);
  if (item.decision.changes.gone) going_.insert(*item.decision.changes.gone);
  // Items are large, and a batch that is longer than a few of them is soon full.
  if (const std::size_t size = batch.items.size(); size >= 16 && size == batch.items.capacity()) {
    batch.items.reserve(8 * size);
    batch.changes.reserve(8 * size);
  }
  if (!item.decision.changes.empty()) {
    item.change = batch.changes.size();
    batch.changes.push_back(std::move(item.decision.changes));
  }
  batch.items.push_back(std::move(item));
  offer_seats();
}

void Core::offer_seats() {
  if (draining_ || offered_) return;
  if (const auto next = limits_.next_waiting()) {
    offered_ = next;
    queue_.push_back({SeatFree{*next}, {}, 0});
  }
}

// Before anything is decided on top of a failed commit: a run that still holds its place, in a group or on probation, must
// not be thought to have none only because another one is looked at first.
bool Core::note_places_again(Instant now) {
  while (!unnoted_.empty()) {
    const RunId id = *unnoted_.begin();
    const auto run = reader_.run(id);
    if (!run && may_pass(run.error().code)) {
      not_before_ = now + pause;
      return false;
    }
    if (run && *run && !broken_.contains(id)) {
      limits_.note_places(**run);
      // Of one at work only its records tell that no other run may work beside it.
      if ((*run)->status == RunStatus::running || (*run)->waits_for == WaitsFor::limit)
        if (const auto state = load(id); !state && may_pass(state.error().code)) {
          not_before_ = now + pause;
          return false;
        }
    }
    unnoted_.erase(unnoted_.begin());
    if (unnoted_.empty()) offer_seats();
  }
  return true;
}

void Core::decide(Batch& batch, Instant now, std::size_t most) {
  if (not_before_ && now < *not_before_) return;
  not_before_.reset();
  if (!note_places_again(now)) return;
  if (one_by_one_ > 0) most = 1;
  if (const auto beat = next_beat(); beat && *beat <= now) {
    last_beat_ = now;
    batch.changes.push_back(Changeset{.heartbeat = now});
  }
  // Some room is for retention, or a server that is never idle would keep everything.
  const std::size_t all = most;
  if (sweep_is_due(now)) most -= std::min(most_taken, most / 4);
  // Nobody who waits already has to wait for a look at what may be due too.
  const bool idle = queue_.empty() && (draining_ || timers_.empty() || timers_.begin()->first > now);
  if (idle) look_for_slots(now);
  while (batch.items.size() < most && !not_before_) {
    if (fires() && schedules_.has_due(now) && (!slot_before_ || queue_.empty())) {
      slot_before_ = true;
      if (prune_at_ <= now) prune_ledger(batch, now);
      if (const auto id = schedules_.take_due(now)) decide_one(batch, {ScheduleDue{*id}, {}, 0}, now);
      look_ahead(now);
      continue;
    }
    slot_before_ = false;
    if (!draining_ && !timers_.empty() && timers_.begin()->first <= now) {
      const RunId id = timers_.begin()->second;
      set_due(id, std::nullopt);
      decide_one(batch, {TimerDue{id}, {}, 0}, now);
    } else if (!queue_.empty()) {
      Waiting next = std::move(queue_.front());
      queue_.pop_front();
      if (one_by_one_ > 0) --one_by_one_;
      decide_one(batch, std::move(next), now);
    } else {
      break;
    }
  }
  if (!idle && !not_before_) look_for_slots(now);
  if (sweep_is_due(now) && !not_before_ && batch.items.size() < all)
    sweep(batch, now, std::min(most_taken, all - batch.items.size()));
  // While it drains no task starts, so a full limit is not the reason for a wait.
  if (!draining_) seating_.look(limits_, now, queue_.empty());
}

std::optional<Instant> Core::next_sweep() const {
  if (draining_ || sweep_.under_way || !recovered()) return std::nullopt;
  return sweep_.until ? Instant{} : sweep_.at;
}

bool Core::sweep_is_due(Instant now) const {
  const auto at = next_sweep();
  return at && *at <= now;
}

void Core::sweep_at(Instant at) {
  if (options_.sweeps_once) return;
  if (sweep_.not_before) at = std::max(at, *sweep_.not_before);
  if (!sweep_.at || at < *sweep_.at) sweep_.at = at;
}

// One round of a sweep. The sweep is over with the round that finds nothing due.
void Core::sweep(Batch& batch, Instant now, std::size_t most) {
  if (!sweep_.until) {
    sweep_.until = now;
    sweep_.at.reset();
  }
  const auto page = reader_.expiring(sweep_.after, most);
  if (!page) {
    log::warning("retention cannot see what is due", {{"why", page.error().message}});
    sweep_.not_before = now + sweep_every;
  }
  for (const store::Expiry& expiry : page.value_or(std::vector<store::Expiry>{})) {
    if (expiry.at > *sweep_.until) {
      sweep_at(expiry.at);
      break;
    }
    if (not_before_) return;
    sweep_.after = expiry;
    const std::size_t before = batch.items.size();
    decide_one(batch, {RetentionReached{expiry.run}, {}, 0}, now);
    if (batch.items.size() > before) batch.sweeps = sweep_.under_way = true;
  }
  if (!page) sweep_at(now);
  if (page && !page->empty() && page->front().at <= *sweep_.until) return;
  if (sweep_.taken > 0) {
    log::info("retention deleted runs", {{"runs", std::to_string(sweep_.taken)}});
    sweep_.not_before = now + sweep_every;
    if (sweep_.at) sweep_.at = std::max(*sweep_.at, *sweep_.not_before);
  }
  sweep_.taken = 0;
  sweep_.until.reset();
  sweep_.after.reset();
}

void Core::committed(Batch batch) {
  if (batch.sweeps) sweep_.under_way = false;
  for (Batch::Item& item : batch.items) {
    const Changeset* const changes = item.change ? &batch.changes[*item.change] : nullptr;
    if (changes && changes->gone) {
      going_.erase(*changes->gone);
      ++sweep_.taken;
    }
    if (const Run* const row = changes ? row_in(*changes) : nullptr; row && row->expires_at) sweep_at(*row->expires_at);
    if (std::holds_alternative<RunOrphaned>(item.event)) orphans_.erase(std::get<RunOrphaned>(item.event).run);
    for (Command& command : item.decision.commands) {
      if (auto* start = std::get_if<StartTask>(&command)) {
        runner_.start(std::move(*start));
      } else if (auto* stop = std::get_if<StopTask>(&command)) {
        runner_.stop(std::move(*stop));
      } else if (const RunId gone = std::get<ForgetRun>(command).run; options_.forget_run) {
        options_.forget_run(gone);
      } else {
        push(RemainsRemoved{gone});
      }
    }
    schedules_.settled(item.schedules);
    if (changes && changes->schedules && changes->schedules->dropped) schedules_.dropped(*changes->schedules->dropped);
    if (!item.busy.empty()) let_go_on(item.busy);
    if (!item.decision.wakes.empty()) waking_.push_back({item.decision.wakes, {}});
    if (observer_ && changes && item.decision.record) observer_->committed(*changes, *item.decision.record);
    if (item.reply) item.reply(std::move(item.decision.answer));
    if (!planted(Planted::lost_group_cancel))
      for (Event& event : item.decision.follow_ups) push(std::move(event));
    if (const auto* requested = std::get_if<RunRequested>(&item.event); requested && !requested->key.empty())
      new_keys_.erase({requested->workflow, requested->key});
    if (!item.run) continue;
    const auto found = runs_.find(*item.run);
    if (found == runs_.end()) continue;
    if (const auto& slot = found->second.state->run.slot;
        slot && slot->backfill && is_final(found->second.state->attempt.status))
      push(BackfillGoesOn{*slot->backfill});
    if (std::holds_alternative<RunCutOff>(item.event)) {
      for (const TaskRef ref : found->second.state->in_flight) {
        if (is_cut_off(*found->second.state, ref)) continue;
        const auto* process = std::get_if<ProcessAction>(&found->second.state->plan_of(ref).task->action);
        runner_.stop(
            StopTask{*item.run, ref, found->second.state->task(ref).last_try, process ? process->grace : Duration{}});
      }
    }
    if (--found->second.undecided > 0) continue;
    const engine::RunState& state = *found->second.state;
    if (is_final(state.attempt.status)) {
      // Without such tasks in its newest version there is hardly ever anything to discard.
      if (state.attempt.status == RunStatus::success && state.plan->has_processes) runner_.discard(*item.run);
      set_due(*item.run, std::nullopt);
      forget(*item.run);
    } else if (state.in_flight.empty() && state.limited.empty() && !limits_.wants_probation.contains(*item.run)) {
      const auto due = due_.find(*item.run);
      if (due != due_.end() && due->second - state.last_at > park_after) forget(*item.run);
    }
  }
}

void Core::dropped(std::vector<Batch> batches, const Error& error, Instant now) {
  std::deque<Waiting> again;
  schedules_.forget_all();
  workflows_.clear();
  busy_.clear();
  for (Batch& batch : batches) {
    if (batch.sweeps) sweep_.under_way = false;
    for (Batch::Item& item : batch.items) {
      if (const auto* reached = std::get_if<RetentionReached>(&item.event)) going_.erase(reached->run);
      if (item.run) {
        set_due(*item.run, std::nullopt);
        if (!planted(Planted::kept_after_failure)) forget(*item.run);
        limits_.forget_places(*item.run);
        unnoted_.insert(*item.run);
      }
      if (const auto* requested = std::get_if<RunRequested>(&item.event))
        new_keys_.erase({requested->workflow, requested->key});
      if (item.reply) {
        item.reply(std::unexpected(error));
        // What a person asked of an open run is not repeated, but its timers must be found again.
        if (const auto id = run_of(item.event)) again.push_back({TimerDue{*id}, {}, 0});
        if (planted(Planted::blind_retry)) again.push_back({std::move(item.event), {}, 0});
        continue;
      }
      // What stands in the store may be newer than what was decided on; not again and again, though.
      if (error.code == Code::conflict && batch.items.size() == 1) ++item.conflicts;
      if (item.conflicts >= most_conflicts) {
        if (const auto id = run_of(item.event)) park_broken(*id, error.message);
        continue;
      }
      if (!planted(Planted::lost_event)) again.push_back({std::move(item.event), {}, item.conflicts});
    }
  }
  for (auto& [workflow, waiting] : std::exchange(put_back_, {})) std::ranges::move(waiting, std::back_inserter(again));
  offered_.reset();
  if (error.code == Code::conflict) one_by_one_ = again.size();
  queue_.insert(queue_.begin(), std::make_move_iterator(again.begin()), std::make_move_iterator(again.end()));
  if (error.code == Code::overloaded) not_before_ = now + pause;
}

}  // namespace pawl::driver
