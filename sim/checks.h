// What must hold after every step, found out from the committed records and from the effects outside of the engine: what
// was answered, what was started, what it was started with. What must hold between records is the ledger's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "driver/plan_cache.h"
#include "engine/state.h"
#include "model/command.h"
#include "model/event.h"
#include "sim/ledger.h"
#include "sim/requests.h"
#include "sim/slot_book.h"
#include "store/memory/memory_store.h"

namespace pawl::sim {

class Checks {
 public:
  explicit Checks(std::shared_ptr<store::MemoryDisk> disk);
  ~Checks();

  // A person or client was told yes.
  void run_answered(RunId id);
  void cancel_answered(RunId id);
  void resume_answered(RunId id);  // or rerun
  void task_answered(RunId id);  // approved, rejected, released
  // A try starts outside, while `beside` others of its kind run, for which there are `seats` seats. Call before
  // anything else happens.
  void started(const StartTask& command, int beside, int seats);
  // The try ended by the signal of a stop, which must not be recorded as a failure.
  void stopped_with_server(const TaskFinished& result);
  // The result of a try is handed in, perhaps not for the first time.
  void handed_in(const TaskFinished& result);
  Requests& requests() { return requests_; }
  const SlotBook& slots() const { return slots_; }
  // A commit was applied.
  void committed(std::span<const Changeset> changes);
  // Who has to be told to stop because of it, and by which promise. It is asked for after each commit …
  using Owed = std::map<std::tuple<RunId, TaskRef, int>, std::string_view>;
  Owed take_owed() { return std::exchange(owed_, {}); }
  // … and once what the commit justifies has left, these have not been told.
  void untold(const Owed& owed);
  // The store has refused what was decided, and no fault was drawn.
  void commit_refused(const Error& error);
  // Nothing is under way, and nothing is left to do up to `now`. `counted`: tries in flight as the server has it.
  void quiet(std::size_t counted, Instant now);
  // The engine's own state of a run with nothing of it undecided.
  void compare(const engine::RunState& live);
  // The server died, or was asked to stop.
  void crashed();
  // Faults are over, and nothing is left to do.
  void at_rest();
  // Something that whoever plays has found: `P5: …`.
  void broken(std::string what) { violations_.push_back(std::move(what)); }

  const std::vector<std::string>& violations() const { return violations_; }
  const Ledger& ledger() const { return ledger_; }
  void watch(Watch* watch) { ledger_.watch(watch); }
  void tell_slots(std::function<void(const std::string&)> tell) { slots_.tell = std::move(tell); }
  // Taken by retention.
  bool is_gone(RunId id) const { return gone_.contains(id); }

 private:
  struct Seen {
    std::map<std::string, int> poison_starts;  // in this era
    int era = 0;
    int resumes = 0, answers = 0;  // that persons were told of
  };
  void violation(std::string_view promise, RunId run, const std::string& what);
  void look_at_input(const StartTask& command, const Ledger::Page& page, const std::string& where);
  void look_at_result(const engine::RunState& state, const TryEnded& ended);
  void look_at_end(RunId id);
  void look_at_poison(const StartTask& command, const Ledger::Page& page, const std::string& where);

  std::shared_ptr<store::MemoryDisk> disk_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  driver::PlanCache plans_;
  Ledger ledger_;
  Requests requests_;
  SlotBook slots_;
  std::map<std::pair<std::string, int>, std::string> marks_;  // texts that the tasks of a version carry
  std::map<RunId, Seen> runs_;
  std::set<RunId> answered_, gone_;
  std::map<std::tuple<RunId, int, TaskRef, int>, std::set<std::string>> results_;  // by run, attempt, task and try
  std::set<std::tuple<RunId, int, TaskRef, int>> stopped_with_server_;
  Owed owed_;
  std::map<std::string, std::string> keys_;  // whose work a key names …
  std::map<std::string, std::string> names_;  // … and the key of that work
  std::vector<std::string> violations_;
};

}  // namespace pawl::sim
