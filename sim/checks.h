// What must hold after every step, found out from the committed rows and from the effects outside of the engine: what was
// answered, what was started, what it was started with.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "driver/plan_cache.h"
#include "engine/state.h"
#include "model/command.h"
#include "store/memory/memory_store.h"

namespace pawl::sim {

class Checks {
 public:
  explicit Checks(std::shared_ptr<store::MemoryDisk> disk);
  ~Checks();

  // The text that tasks of this version carry.
  void version_accepted(const std::string& workflow, int version, std::string mark);
  void run_answered(RunId id);
  void cancel_answered(RunId id);
  void resumed(RunId id);
  // A try starts outside. Call before anything else happens.
  void started(const StartTask& command);
  // A commit was applied: looks at what is new on the disk.
  void committed();
  // The engine's own state of a run with nothing of it undecided.
  void compare(const engine::RunState& live);
  // The server died, or was asked to stop.
  void crashed();
  // Faults are over and nothing is left to do.
  void at_rest();
  // … or it goes on for ever.
  void never_at_rest() { violations_.push_back("P5: faults are over, and it does not come to rest"); }

  const std::vector<std::string>& violations() const { return violations_; }

  // The run as the committed records tell it; nullptr if it is not there or cannot be folded (a violation).
  std::unique_ptr<engine::RunState> folded(RunId id, bool keep_past);

 private:
  struct Seen {
    std::size_t records = 0;  // looked at
    std::map<int, std::string> final_attempts;  // by number: as described when it ended
    std::map<TaskRef, std::set<std::string>> done;  // keys under which it was recorded as success
    std::map<TaskRef, std::string> key;  // of its newest start
    std::map<TaskRef, int> key_attempt;
    std::map<TaskRef, int> poison_starts;
    int version = 0;
    int resumes = 0;
    bool cancelled = false;
  };
  void violation(std::string_view promise, RunId run, const std::string& what);
  void look_at(RunId id, std::size_t records);

  std::shared_ptr<store::MemoryDisk> disk_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  driver::PlanCache plans_;
  std::map<std::pair<std::string, int>, std::string> marks_;
  std::map<RunId, Seen> runs_;
  std::set<RunId> answered_;
  std::map<std::string, std::pair<RunId, TaskRef>> keys_;
  std::vector<std::string> violations_;
};

}  // namespace pawl::sim
