// The driver as a turn function: events go in, batches of decisions come out, and when a batch is durable its commands
// and answers leave. No thread, no clock of its own: the server's threads and the simulator play the same turns.
//
//   push(event) … decide(batch) → the caller commits batch.changes() → committed(batch) or dropped(batches)
//
// One batch may be under way while the next is decided on top of it. If its commit fails, both are dropped, what they
// touched is read again from the store, and what nobody waits for is decided anew.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "driver/inbox.h"
#include "driver/plan_cache.h"
#include "driver/ports.h"
#include "driver/schedules.h"
#include "driver/seating.h"
#include "engine/engine.h"
#include "runner/runner.h"
#include "store/store.h"

namespace pawl::driver {

struct CoreOptions {
  int process_seats = 4;
  int http_seats = 4096;
  std::size_t most_waiting = 100'000;  // runs that wait for a seat; beyond, starts are refused
  Json environment = json::object{};   // what `env` may name
  std::function<bool(RunId)> takes_up;  // which open runs start() looks after; empty: all
  bool fires = true;  // schedules; else only what is asked for happens
  std::string timezone = "UTC";  // of schedules that name none
  bool sweeps_once = false;  // retention takes what is due at the start, and nothing after that
  // Told of every run that is gone, durably: what lies outside the store of it may go, and then a RemainsRemoved has to
  // come. Must not block. Empty: nothing lies there.
  std::function<void(RunId)> forget_run;
  // Called with the counts of a kind at every change while runs wait for its seats. Must not block. May be empty.
  std::function<void(Seat, const SeatCount&)> show_seats;
};

// What was decided together and is committed together.
struct Batch {
  struct Item {
    Event event;
    Reply reply;  // empty: nobody waits
    engine::Decision decision;
    std::optional<RunId> run;
    std::optional<std::size_t> change;  // where in `changes` its own stand
    int conflicts = 0;  // commits that this event's decisions have failed so far
    std::vector<ScheduleId> schedules;  // changed by it
    std::string busy;  // the workflow whose schedules it changes; empty: none
  };
  std::vector<Item> items;

  std::vector<Changeset> changes;  // of the items that have any, in order
  bool sweeps = false;  // some of it is retention's
};

class Core {
 public:
  // All must outlive the core. `observer` may be null. `reader` is the core's alone.
  Core(CoreOptions options, store::Reader& reader, PlanCache& plans, runner::Runner& runner, Rng& rng,
       Observer* observer);
  ~Core();

  // Looks for open runs: those with a try in flight will be recovered, the others are adopted as they stand.
  // Error: what the reader says.
  Result<void> start();

  // Queues an event. The queue is not bounded here: the shell bounds what comes from outside.
  void push(Event event, Reply reply = {});
  // Whether decide() would do something at `now`.
  bool has_work(Instant now) const;
  // When it will if nothing comes; nullopt: never.
  std::optional<Instant> next_due() const;

  // Decides waiting events, and timers that are due, into `batch` until it holds `most` items.
  void decide(Batch& batch, Instant now, std::size_t most);
  // The batch is durable: its commands and answers leave.
  void committed(Batch batch);
  // The commit of the first of `batches` failed; none of them is durable. Who waits is answered with `error`; the rest
  // is decided again, not before `now` + a pause where there was no room.
  void dropped(std::vector<Batch> batches, const Error& error, Instant now);

  // Every run that was cut off when the core started has been recovered durably.
  bool recovered() const { return orphans_.empty(); }
  // Does not count tries that have ended because the server stops.
  std::size_t tries_in_flight() const;
  // The `most` oldest of these tries.
  struct RunningTry {
    RunId run;
    std::string work;  // workflow/job/task
    Instant since{};
  };
  std::vector<RunningTry> oldest_tries(std::size_t most) const;
  // From here on nothing starts; running tries may finish. Does not wait for tries that end as interrupted.
  void drain();
  // After drain(): notes that what is still in flight is about to be cut off, and tells the runner to stop it.
  void cut_off();

  // For the simulator's checks and the fold of looked-at runs: the run if it is in memory.
  const engine::RunState* live(RunId id) const;

 private:
  // For room on the disk, or for a store that cannot be read just now.
  static constexpr auto pause = std::chrono::milliseconds(250);

  struct Live {
    std::unique_ptr<engine::RunState> state;
    int undecided = 0;  // items of batches under way that touch it
  };
  struct KnownWorkflow {
    std::optional<WorkflowRow> row;
    std::shared_ptr<const engine::Plan> plan;
    std::optional<std::string> text;
    std::int64_t last_number = 0;
  };
  struct Waiting {
    Event event;
    Reply reply;
    int conflicts = 0;  // commits that its decision has failed
  };

  // A workflow whose enabling has parked schedules looked at again, some at a time.
  struct Waking {
    std::string workflow;  // empty: all that are active
    std::optional<ScheduleId> after;
  };

  Result<engine::RunState*> load(RunId id);
  Result<KnownWorkflow*> know(const std::string& name);
  void decide_one(Batch& batch, Waiting waiting, Instant now);
  engine::Decision decide_event(const Event& event, Instant now, std::optional<RunId>& run);
  Result<void> prepare(const Event& event, engine::View& view, std::optional<RunId>& run, Event& prepared);
  Result<void> prepare_schedules(const Event& event, const engine::Needs& needs, engine::View& view, Event& prepared,
                                 std::string& workflow);
  Result<void> carry_schedules(const WorkflowSubmitted& event, engine::View& view);
  Result<std::string> workflow_changed_by(const Event& event);
  void let_go_on(const std::string& workflow);
  void wake_some(Instant now);
  bool wants_look(Instant now) const { return now >= look_not_before_ && schedules_.wants_look(now); }
  bool wants_to_wake(Instant now) const { return now >= look_not_before_ && !waking_.empty(); }
  void look_for_slots(Instant now);
  void look_ahead(Instant now);
  void prune_ledger(Batch& batch, Instant now);
  bool fires() const { return options_.fires && !draining_ && recovered(); }
  void remember_decision(const Event& event, const engine::Decision& decision);
  void park_broken(RunId id, const std::string& why);
  void has_been_cut_off(const TaskFinished& result);
  bool is_cut_off(const engine::RunState& state, TaskRef ref) const;
  void set_due(RunId id, std::optional<Instant> due);
  void forget(RunId id);
  bool note_places_again(Instant now);
  void offer_seats();
  std::optional<Instant> next_beat() const;
  std::optional<Instant> next_sweep() const;
  bool sweep_is_due(Instant now) const;
  void sweep(Batch& batch, Instant now, std::size_t most);
  void sweep_at(Instant at);

  CoreOptions options_;
  store::Reader& reader_;
  PlanCache& plans_;
  runner::Runner& runner_;
  Rng& rng_;
  Observer* observer_;
  engine::Limits limits_;
  Seating seating_;

  std::deque<Waiting> queue_;
  std::optional<Instant> not_before_;  // after a full disk
  std::size_t one_by_one_ = 0;  // so many events are committed alone, to find the one in conflict
  std::unordered_map<RunId, Live> runs_;
  std::map<std::string, KnownWorkflow> workflows_;
  std::map<std::pair<std::string, std::string>, StartKey> new_keys_;  // decided, perhaps not durable yet
  std::set<std::pair<Instant, RunId>> timers_;
  std::unordered_map<RunId, Instant> due_;
  std::set<RunId> orphans_;  // to be recovered
  std::set<RunId> unnoted_;  // touched by a failed commit: what places they have is to be read again
  std::set<RunId> broken_;  // parked: an invariant of theirs does not hold
  std::optional<RunId> offered_;  // has a SeatFree in the queue
  Instant last_life_{};  // of the process before this one
  std::optional<Instant> last_beat_;  // heartbeat written by this one
  std::set<RunId> going_;  // decided to be gone, not durable yet: for everybody else they are gone already

  // Retention: a sweep takes what is due, round by round, each of which waits for its commit.
  struct Sweep {
    std::optional<Instant> at = Instant{};  // when the next one begins; absent: nothing is known to expire
    std::optional<Instant> not_before;  // some time after one that took something, so that many go together
    std::optional<Instant> until;  // of the one that goes on: what is due then is taken
    std::optional<store::Expiry> after;  // all up to here has been looked at
    bool under_way = false;  // a round of it is not committed yet
    std::size_t taken = 0;
  };
  Sweep sweep_;
  // Schedules. Of one workflow one event that changes them is decided at a time; the others wait for its commit.
  Schedules schedules_;
  std::set<std::string> busy_;
  std::map<std::string, std::deque<Waiting>> put_back_;
  std::deque<Waking> waking_;
  Instant look_not_before_{};  // the store could not be read
  Instant prune_at_{};  // when old entries of the ledger are looked for next
  bool slot_before_ = false;  // a slot was decided last, so that something else has its turn

  bool draining_ = false;
  bool cutting_off_ = false;
  // Tries that have ended because the server stops. They stay in flight: the next start recovers their runs.
  std::set<std::tuple<RunId, TaskRef, int>> cut_off_;
};

}  // namespace pawl::driver
