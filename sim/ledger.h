// The committed records of all runs, read one by one in the order in which they were committed, and what must hold
// between them: what starts when, who is answered how often, who is beside whom.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fold.h"
#include "engine/state.h"
#include "model/changeset.h"
#include "sim/account.h"

namespace pawl::sim {

// Whether nothing is open in it; instances that stand in no list are not there.
bool all_final(const Attempt& attempt);

// Told of all that is committed, in order: for counting and for stories.
class Watch {
 public:
  virtual ~Watch() = default;
  // `before`: the run as it stood; without a plan if it begins with this change.
  virtual void changes(const engine::RunState& before, const Change& change) = 0;
  // All changes of a record have been applied.
  virtual void record(RunStatus before, const engine::RunState& after) = 0;
};

class Ledger {
 public:
  // What was found to be wrong: the promise, the run, and how.
  using Report = std::function<void(std::string_view, RunId, const std::string&)>;
  using Plans = std::function<Result<std::shared_ptr<const engine::Plan>>(const std::string& workflow, int version)>;
  Ledger(Plans plans, Report report) : plans_(std::move(plans)), report_(std::move(report)) {}

  // Called with each change before it is applied.
  std::function<void(const engine::RunState&, const Change&)> look_on = [](const auto&, const auto&) {};
  void watch(Watch* watch) { watch_ = watch; }  // null: nobody

  // What one decision has committed.
  void read(const Changeset& changes);
  // The server died.
  void crashed();
  // Nothing is under way: whoever could have a place in a group has it, and who is to give one back was told.
  void look_at_groups();
  std::size_t tries_in_flight() const;

  struct Page {
    engine::RunState state;  // as the committed records tell it, earlier attempts kept
    int era = 0;  // attempts that a person asked for
    int answers = 0;  // of persons to tasks that waited for one
    int stops = 0;  // cancels
    int uncounted = 0;  // interruptions that do not count: the server was asked to stop
    bool stopped = false, stopped_hard = false;  // by a cancel, in this era
    std::map<std::string, Instant> due;  // of open waits and approvals, as first said
    std::set<std::string> waited;  // `name#generation` of waits that have begun in this era
    std::map<std::string, WaitsFor> asked;  // tasks that wait for a person
    std::set<std::string> must_be_released;  // cut off, and held by `on-crash`
    std::set<std::string> stays_failed;  // cut off, and failed by it: `name#generation`
    std::set<std::string> done;  // `name#generation` recorded as success
    std::set<std::string> ever_done;
    std::optional<RunStatus> verdict;  // of this era
    std::set<int> reserved_begun;
    std::set<int> failed_matrices;  // jobs of which an instance has failed in this attempt
    std::map<std::string, std::vector<std::string>> lists;  // instances of jobs with a matrix, while they must stay
    std::map<int, std::string> ended;  // attempts that have an end, as described then
    Account account;
  };
  const std::map<RunId, Page>& pages() const { return pages_; }
  const engine::RunState* state(RunId id) const;
  Page* find(RunId id);

 private:
  void look_before(Page& page, const Change& change, Instant at);
  void look_after(Page& page, const Change& change);
  void attempt_began(Page& page, const AttemptStarted& change);
  void task_starts(Page& page, TaskRef ref);
  void task_ends(Page& page, const TaskEnded& change, Instant at);
  void compare_generations(Page& page, const Attempt& before, const AttemptStarted& change);
  void note_group(const Page& page);
  void look_for_suspects(const Page& page);
  void violation(std::string_view promise, const Page& page, const std::string& what);

  struct Group {
    std::map<RunId, int> holders;  // with the limit that they know of
    std::set<std::tuple<Instant, std::int64_t, RunId>> queue;
  };
  Plans plans_;
  Report report_;
  std::map<RunId, Page> pages_;
  std::map<std::string, Group> groups_;
  Watch* watch_ = nullptr;
};

}  // namespace pawl::sim
