// What becomes of slots, read from commits in their order: each gets one outcome (P7), and what happens to it is what its
// schedule says. Knows nothing of the engine's decisions but what is written, and has an arithmetic of its own (ticks.h).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/changeset.h"
#include "sim/ticks.h"

namespace pawl::sim {

struct SlotCounts {
  std::uint64_t slots = 0;  // that an outcome covers
  std::uint64_t one_by_one = 0;  // of these, with an entry of their own
  std::uint64_t runs = 0;
  std::uint64_t doubled = 0;  // with two runs
  std::uint64_t missing = 0;  // that lie behind their schedule, and nothing says what became of them

  void add(const SlotCounts& other);
};

class SlotBook {
 public:
  using Report = std::function<void(std::string_view promise, const std::string& what)>;
  explicit SlotBook(Report report) : report_(std::move(report)) {}

  // Told in words of what is committed.
  std::function<void(const std::string&)> tell;

  // What one decision has committed.
  void read(const Changeset& changes);
  // Nothing is under way, and the server has done all that it had to do up to `now`.
  void quiet(Instant now) const;
  // … and nothing will ever happen.
  void at_rest() const;
  SlotCounts counts() const;

  // For who asks for changes: those that are not deleted.
  std::vector<const ScheduleRow*> schedules() const;
  const ScheduleRow* find(ScheduleId id) const;

 private:
  // A time in which a schedule did not fire; its ends do not belong to it.
  struct Pause {
    Instant from{};
    std::optional<Instant> to;  // absent: it lasts
  };
  struct Kept {
    explicit Kept(const ScheduleRow& its_row)
        : row(its_row),
          rules{{its_row.created_at, Ticks(its_row.rule, its_row.created_at)}},
          late_after(its_row.rule.late_after) {}

    const Ticks& ticks() const { return rules.back().ticks; }
    Instant since() const { return rules.back().since; }

    ScheduleRow row;
    struct InForce {
      Instant since{};  // for slots later than this
      Ticks ticks;
    };
    std::vector<InForce> rules;  // the newest is the last
    std::int64_t due_before = 0;  // slots of earlier rules
    std::map<Instant, LedgerRow> entries;  // by their first slot
    std::int64_t covered = 0;
    std::set<Instant> outside;  // slots of a backfill that no rule had when they were past
    std::vector<Pause> pauses;
    std::map<Instant, RunId> runs, late;  // by slot
    std::optional<Duration>
        late_after;  // the shortest that it ever had: a slot that is watched keeps the one of its time
    std::set<RunId> open;  // own runs that have left the line
    std::map<RunId, Instant> in_line;
  };
  struct Flow {
    bool active = false, deleted = false;
    std::vector<Pause> pauses;
  };
  struct Fill {
    BackfillRow row;
    std::set<RunId> open;
    std::int64_t runs = 0;
  };

  void tell_of(const ScheduleChanges& changes) const;
  void put(const ScheduleRow& row);
  void take_rule(Kept& kept, const ScheduleRow& row);
  void drop(const ScheduleChanges::Dropped& dropped);
  void workflow(const WorkflowRow& row);
  void strike(const LedgerRow& row);
  void write(const LedgerRow& row, const Changeset& changes);
  void decided(const Kept& kept, const LedgerRow& row, bool by_person);
  void missed(const Kept& kept, const LedgerRow& row);
  void begun(const Run& run, const ScheduleChanges& changes);
  void follow(const Run& run, bool is_new);
  void look_at(const Kept& kept);
  void backfill(const BackfillRow& row);
  static std::int64_t slots_behind(const Kept& kept);
  // The rule that was in force then; null: the schedule was not there yet.
  static const Ticks* ticks_at(const Kept& kept, Instant slot);
  std::optional<Pause> pause_at(const Kept& kept, Instant slot) const;
  bool is_hardly_enabled(const Kept& kept, Instant slot) const;
  // How many slots from `slot` on are missed at `now` for certain, up to a time in which it did not fire.
  std::int64_t missed_from(const Kept& kept, Instant slot, Instant now) const;
  bool is_active(const Kept& kept) const;
  void say(std::string_view promise, const Kept& kept, const std::string& what) const;

  Report report_;
  std::map<ScheduleId, Kept> kept_;
  std::map<std::string, Flow> flows_;
  std::map<BackfillId, Fill> fills_;
  std::uint64_t doubled_ = 0;
};

}  // namespace pawl::sim
