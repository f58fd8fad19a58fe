// What every store promises about schedules, their ledger and backfills; see contract.h.
#pragma once

#include "store/contract_tests/contract.h"

namespace pawl::store::contract {

inline ScheduleId schedule_id(int n) { return ScheduleId{run_id(n, 1).value}; }
inline BackfillId backfill_id(int n) { return BackfillId{run_id(n, 2).value}; }

// The slot of so many minutes after day_one.
inline Instant slot(int minutes) { return day_one + std::chrono::minutes(minutes); }

inline ScheduleRow a_schedule(int n, std::string name, std::string workflow = "nightly") {
  ScheduleRow row;
  row.id = schedule_id(n);
  row.workflow = std::move(workflow);
  row.name = std::move(name);
  row.rule.cron = "* * * * *";
  row.rule.timezone = "Europe/Paris";
  row.same = "same as number " + std::to_string(n);
  row.created_at = row.updated_at = day_one;
  row.progress.cursor = day_one;
  return row;
}
inline ScheduleRow due_at(ScheduleRow row, Instant at) {
  row.progress.next_at = at;
  return row;
}
inline ScheduleRow parked(ScheduleRow row) {
  row.progress.next_at.reset();
  row.progress.parked = true;
  return row;
}
inline ScheduleRow deleted(ScheduleRow row) {
  row.deleted_at = day_one + 1h;
  row.progress.next_at.reset();
  return row;
}

inline LedgerRow an_entry(int schedule, int from, int to) {
  LedgerRow row;
  row.schedule = schedule_id(schedule);
  row.from = slot(from);
  row.to = slot(to);
  row.count = to - from + 1;
  row.outcome = SlotOutcome::misfired;
  row.reason = SlotReason::misfired;
  row.at = slot(to);
  return row;
}
inline LedgerRow an_entry(int schedule, int at) { return an_entry(schedule, at, at); }

inline BackfillRow a_backfill(int n, int schedule, BackfillStatus status = BackfillStatus::running) {
  BackfillRow row;
  row.id = backfill_id(n);
  row.schedule = schedule_id(schedule);
  row.workflow = "nightly";
  row.from = slot(1);
  row.to = slot(100);
  row.cursor = slot(0);
  row.status = status;
  row.created_at = day_one;
  return row;
}

inline Changeset changes(ScheduleChanges schedules) {
  Changeset change;
  change.schedules = std::make_shared<const ScheduleChanges>(std::move(schedules));
  return change;
}
template <class... Rows>
Changeset puts(ScheduleRow first, Rows... rows) {
  ScheduleChanges schedules;
  schedules.put = {std::move(first), std::move(rows)...};
  return changes(std::move(schedules));
}
inline Changeset puts(BackfillRow row) {
  ScheduleChanges schedules;
  schedules.backfill = std::move(row);
  return changes(std::move(schedules));
}
inline Changeset moves(int schedule, Instant from, ScheduleProgress to) {
  ScheduleChanges schedules;
  schedules.moved = {schedule_id(schedule), from, to};
  return changes(std::move(schedules));
}
template <class... Rows>
Changeset notes(LedgerRow first, Rows... rows) {
  ScheduleChanges schedules;
  schedules.ledger = {std::move(first), std::move(rows)...};
  return changes(std::move(schedules));
}
inline Changeset drops(std::string workflow, Instant at) {
  ScheduleChanges schedules;
  schedules.dropped = {std::move(workflow), at};
  return changes(std::move(schedules));
}
inline Changeset prunes(Instant before, int most) {
  ScheduleChanges schedules;
  schedules.pruned = {before, most};
  return changes(std::move(schedules));
}

inline void expect_equal(const ScheduleRow& is, const ScheduleRow& should) {
  EXPECT_EQ(is.id, should.id);
  EXPECT_EQ(is.workflow, should.workflow);
  EXPECT_EQ(is.name, should.name);
  EXPECT_TRUE(is.rule == should.rule) << is.rule.cron;
  EXPECT_EQ(is.same, should.same);
  EXPECT_EQ(is.defined, should.defined);
  EXPECT_EQ(is.enabled, should.enabled);
  EXPECT_EQ(is.created_at, should.created_at);
  EXPECT_EQ(is.updated_at, should.updated_at);
  EXPECT_EQ(is.deleted_at, should.deleted_at);
  EXPECT_TRUE(is.progress == should.progress);
}

inline void expect_equal(const LedgerRow& is, const LedgerRow& should) {
  EXPECT_EQ(is.schedule, should.schedule);
  EXPECT_EQ(is.from, should.from);
  EXPECT_EQ(is.to, should.to);
  EXPECT_EQ(is.count, should.count);
  EXPECT_EQ(is.outcome, should.outcome);
  EXPECT_EQ(is.reason, should.reason);
  EXPECT_EQ(is.message, should.message);
  EXPECT_EQ(is.run, should.run);
  EXPECT_EQ(is.run_number, should.run_number);
  EXPECT_EQ(is.lateness, should.lateness);
  EXPECT_EQ(is.at, should.at);
  EXPECT_EQ(is.backfill, should.backfill);
}

inline void expect_equal(const BackfillRow& is, const BackfillRow& should) {
  EXPECT_EQ(is.id, should.id);
  EXPECT_EQ(is.schedule, should.schedule);
  EXPECT_EQ(is.workflow, should.workflow);
  EXPECT_EQ(is.from, should.from);
  EXPECT_EQ(is.to, should.to);
  EXPECT_EQ(is.cursor, should.cursor);
  EXPECT_EQ(is.limit, should.limit);
  EXPECT_EQ(is.status, should.status);
  EXPECT_EQ(is.started, should.started);
  EXPECT_EQ(is.passed_over, should.passed_over);
  EXPECT_EQ(is.user, should.user);
  EXPECT_EQ(is.client, should.client);
  EXPECT_EQ(is.created_at, should.created_at);
  EXPECT_EQ(is.finished_at, should.finished_at);
}

using Names = std::vector<std::string>;

template <class Home>
class ScheduleContract : public StoreContract<Home> {
 protected:
  std::optional<ScheduleRow> schedule(int n) { return value(this->reader().schedule(schedule_id(n))); }
  std::optional<ScheduleRow> named(const std::string& name, const std::string& workflow = "nightly") {
    return value(this->reader().schedule(workflow, name));
  }

  static Names names(const std::vector<ScheduleRow>& rows) {
    Names found;
    for (const ScheduleRow& row : rows) found.push_back(row.name);
    return found;
  }
  // Of all pages, in order.
  Names listed(const ScheduleFilter& filter, std::size_t limit = 100) {
    Names found;
    std::optional<std::pair<std::string, std::string>> after;
    for (;;) {
      const auto page = value(this->reader().schedules(filter, after, limit));
      EXPECT_LE(page.size(), limit);
      for (const ScheduleRow& row : page) found.push_back(row.name);
      if (page.size() < limit) return found;
      after.emplace(page.back().workflow, page.back().name);
    }
  }
  Names due(Instant until, std::size_t limit = 100) {
    Names found;
    std::optional<ScheduleTime> after;
    for (;;) {
      const auto page = value(this->reader().due_schedules(after, until, limit));
      EXPECT_LE(page.size(), limit);
      for (const ScheduleRow& row : page) found.push_back(row.name);
      if (page.size() < limit) return found;
      after = ScheduleTime{*page.back().progress.next_at, page.back().id};
    }
  }
  Names parked_in(const std::string& workflow, std::size_t limit = 100) {
    Names found;
    std::optional<ScheduleId> after;
    for (;;) {
      const auto page = value(this->reader().parked_schedules(workflow, after, limit));
      EXPECT_LE(page.size(), limit);
      for (const ScheduleRow& row : page) found.push_back(row.name);
      if (page.size() < limit) return found;
      after = page.back().id;
    }
  }
  // The minutes of the first slots.
  std::vector<int> entries(int schedule, const Reader::LedgerRange& range = {}, std::size_t limit = 100) {
    std::vector<int> found;
    for (const LedgerRow& row : value(this->reader().ledger(schedule_id(schedule), range, limit)))
      found.push_back(static_cast<int>((row.from - day_one) / 1min));
    return found;
  }
};

TYPED_TEST_SUITE_P(ScheduleContract);

using Minutes = std::vector<int>;

TYPED_TEST_P(ScheduleContract, AnEmptyStoreHasNone) {
  EXPECT_FALSE(this->schedule(1));
  EXPECT_FALSE(this->named("main"));
  EXPECT_FALSE(value(this->reader().same_schedule("nightly", "")));
  EXPECT_EQ(this->listed({}), Names{});
  EXPECT_TRUE(value(this->reader().defined_schedules("nightly")).empty());
  EXPECT_EQ(this->due(Instant::max()), Names{});
  EXPECT_FALSE(value(this->reader().next_schedule({})));
  EXPECT_EQ(this->parked_in(""), Names{});
  EXPECT_EQ(this->entries(1), Minutes{});
  EXPECT_FALSE(value(this->reader().oldest_ledger()));
  EXPECT_FALSE(value(this->reader().backfill(backfill_id(1))));
  EXPECT_TRUE(value(this->reader().backfills(schedule_id(1), 10)).empty());
  EXPECT_TRUE(value(this->reader().running_backfills()).empty());
}

TYPED_TEST_P(ScheduleContract, AScheduleReadsBackWithEveryFieldAndIsReplaced) {
  ScheduleRow row = a_schedule(1, "nächtlich", "夜");
  row.rule = {.cron = "0 0 3 ? * MON-FRI",
              .timezone = "Australia/Lord_Howe",
              .misfire = Misfire::run_all,
              .misfire_threshold = 61s + 7us,
              .misfire_window = 25h,
              .max_catch_up = 7,
              .overlap = Overlap::cancel_running,
              .start = day_one - 1h,
              .end = day_one + 9h,
              .jitter = 30s,
              .late_after = 90s,
              .inputs = json::object{{"day", "${{ schedule.time }}"}, {"n", 1.5}}};
  row.defined = true;
  row.enabled = false;
  row.updated_at = day_one + 3us;
  row.progress = {.cursor = slot(4),
                  .next_at = slot(5) + 17s,
                  .parked = true,
                  .late = LateWatch{.slot = slot(4), .due = slot(6), .run = run_id(9)}};
  this->must_commit(puts(row));
  expect_equal(*this->schedule(1), row);
  expect_equal(*this->named("nächtlich", "夜"), row);
  expect_equal(*value(this->reader().same_schedule("夜", row.same)), row);
  expect_equal(value(this->reader().schedules({}, {}, 1)).at(0), row);
  expect_equal(value(this->reader().defined_schedules("夜")).at(0), row);
  expect_equal(value(this->reader().due_schedules({}, Instant::max(), 1)).at(0), row);
  expect_equal(value(this->reader().parked_schedules("夜", {}, 1)).at(0), row);

  // And with nothing where there may be nothing.
  ScheduleRow bare = a_schedule(1, "main");
  bare.rule.inputs = Json();
  this->must_commit(puts(bare));
  this->reopen();
  expect_equal(*this->schedule(1), bare);
  EXPECT_FALSE(this->named("nächtlich", "夜"));
  EXPECT_FALSE(value(this->reader().same_schedule("夜", row.same)));
  EXPECT_TRUE(value(this->reader().defined_schedules("夜")).empty());
  EXPECT_EQ(this->due(Instant::max()), Names{});
  EXPECT_EQ(this->parked_in(""), Names{});
  EXPECT_EQ(this->listed({}), Names{"main"});

  ScheduleRow watched = bare;
  watched.progress.late = LateWatch{.slot = slot(1), .due = slot(2), .run = {}};
  this->must_commit(puts(watched));
  expect_equal(*this->schedule(1), watched);
}

TYPED_TEST_P(ScheduleContract, ANameIsUniqueInItsWorkflowAmongThoseThatAreNotDeleted) {
  this->must_commit(puts(a_schedule(1, "main")), puts(a_schedule(2, "main", "other")));
  this->must_conflict(puts(a_schedule(3, "main")));
  EXPECT_FALSE(this->schedule(3));
  this->must_commit(puts(a_schedule(3, "second")));
  this->must_conflict(puts(a_schedule(3, "main")));
  EXPECT_EQ(this->listed({.workflow = "nightly"}), (Names{"main", "second"}));

  // Deleted and added again, also in one changeset, as often as one likes.
  this->must_commit(puts(deleted(a_schedule(1, "main")), a_schedule(4, "main")));
  this->must_commit(puts(deleted(a_schedule(4, "main"))), puts(a_schedule(5, "main")));
  EXPECT_EQ(this->named("main")->id, schedule_id(5));
  EXPECT_TRUE(this->schedule(1)->deleted_at);
  EXPECT_TRUE(this->schedule(4)->deleted_at);
  EXPECT_EQ(this->listed({.workflow = "nightly"}), (Names{"main", "second"}));
  // None of those comes back while the name is taken.
  this->must_conflict(puts(a_schedule(4, "main")));
  // Names change hands in an order that leaves none taken.
  this->must_commit(puts(a_schedule(5, "third"), a_schedule(3, "main"), a_schedule(5, "second")));
  EXPECT_EQ(this->named("main")->id, schedule_id(3));
  EXPECT_EQ(this->named("second")->id, schedule_id(5));
}

TYPED_TEST_P(ScheduleContract, OneThatIsTheSameIsFoundAmongThoseOfTheWorkflowThatAreNotDeleted) {
  ScheduleRow first = a_schedule(1, "a"), other = a_schedule(2, "b", "other"), gone = a_schedule(3, "c");
  first.same = other.same = "x";
  gone.same = "y";
  this->must_commit(puts(first, other, deleted(gone)));
  EXPECT_EQ(value(this->reader().same_schedule("nightly", "x"))->id, schedule_id(1));
  EXPECT_EQ(value(this->reader().same_schedule("other", "x"))->id, schedule_id(2));
  EXPECT_FALSE(value(this->reader().same_schedule("nightly", "y")));
  // The store knows no rule against two.
  gone.same = "x";
  this->must_commit(puts(gone));
  EXPECT_TRUE(value(this->reader().same_schedule("nightly", "x")));
  first.same = "z";
  this->must_commit(puts(first));
  EXPECT_EQ(value(this->reader().same_schedule("nightly", "x"))->id, schedule_id(3));
  EXPECT_EQ(value(this->reader().same_schedule("nightly", "z"))->id, schedule_id(1));
}

TYPED_TEST_P(ScheduleContract, SchedulesAreListedByWorkflowAndNameInPages) {
  const auto disabled = [](ScheduleRow row) { return row.enabled = false, row; };
  this->must_commit(puts(a_schedule(1, "b3", "b"), a_schedule(2, "a1", "a"), disabled(a_schedule(3, "b1", "b")),
                         a_schedule(4, "c1", "c"), a_schedule(5, "b2", "b"), deleted(a_schedule(6, "b4", "b")),
                         disabled(a_schedule(7, "a2", "a"))));
  for (const std::size_t limit : {1U, 2U, 3U, 100U}) {
    EXPECT_EQ(this->listed({}, limit), (Names{"a1", "a2", "b1", "b2", "b3", "c1"})) << limit;
    EXPECT_EQ(this->listed({.workflow = "b"}, limit), (Names{"b1", "b2", "b3"})) << limit;
    EXPECT_EQ(this->listed({.enabled = true}, limit), (Names{"a1", "b2", "b3", "c1"})) << limit;
    EXPECT_EQ(this->listed({.enabled = false}, limit), (Names{"a2", "b1"})) << limit;
    EXPECT_EQ(this->listed({.workflow = "b", .enabled = true}, limit), (Names{"b2", "b3"})) << limit;
    EXPECT_EQ(this->listed({.workflow = "d"}, limit), Names{}) << limit;
  }
  // What was seen last need not be of that workflow, nor exist.
  const auto behind = [&](const std::string& workflow, const std::string& name) {
    return this->names(value(this->reader().schedules({.workflow = "b"}, std::pair(workflow, name), 100)));
  };
  EXPECT_EQ(behind("a", "z"), (Names{"b1", "b2", "b3"}));
  EXPECT_EQ(behind("b", "b1x"), (Names{"b2", "b3"}));
  EXPECT_EQ(behind("c", ""), Names{});
}

TYPED_TEST_P(ScheduleContract, DefinedOnesAreThoseThatTheDefinitionCarries) {
  const auto defined = [](ScheduleRow row) { return row.defined = true, row; };
  this->must_commit(puts(defined(a_schedule(1, "b")), a_schedule(2, "api"), defined(a_schedule(3, "a")),
                         defined(deleted(a_schedule(4, "c"))), defined(a_schedule(5, "main", "other"))));
  EXPECT_EQ(this->names(value(this->reader().defined_schedules("nightly"))), (Names{"a", "b"}));
  EXPECT_EQ(this->names(value(this->reader().defined_schedules("other"))), Names{"main"});
}

TYPED_TEST_P(ScheduleContract, AStepMovesWhatStandsWhereItBegan) {
  const ScheduleRow row = due_at(a_schedule(1, "main"), slot(1));
  this->must_commit(puts(row), puts(due_at(a_schedule(2, "other"), slot(1))));
  ScheduleRow after = row;
  after.progress = {.cursor = slot(1),
                    .next_at = slot(2),
                    .parked = false,
                    .late = LateWatch{.slot = slot(1), .due = slot(3), .run = run_id(4)}};
  this->must_commit(moves(1, day_one, after.progress));
  expect_equal(*this->schedule(1), after);
  EXPECT_EQ(this->schedule(2)->progress.cursor, day_one);
  EXPECT_EQ(value(this->reader().next_schedule({}))->schedule, schedule_id(2));

  // It stands elsewhere by now, and nothing of the decision is kept.
  Changeset stale = moves(1, day_one, {.cursor = slot(7), .next_at = {}, .parked = false, .late = {}});
  stale.new_run = a_run(1);
  this->must_conflict(notes(an_entry(2, 1)), moves(2, day_one, {.cursor = slot(9), .next_at = {}, .parked = true}),
                      stale);
  expect_equal(*this->schedule(1), after);
  EXPECT_EQ(this->schedule(2)->progress.cursor, day_one);
  EXPECT_FALSE(this->stored(run_id(1)));
  EXPECT_EQ(this->entries(2), Minutes{});
  EXPECT_EQ(this->due(slot(1)), Names{"other"});
  EXPECT_EQ(this->parked_in(""), Names{});
  this->must_conflict(moves(3, day_one, {}));

  // Two steps in one commit, the second from where the first has led.
  this->must_commit(moves(1, slot(1), {.cursor = slot(2), .next_at = slot(3)}),
                    moves(1, slot(2), {.cursor = slot(3), .next_at = slot(4)}));
  EXPECT_EQ(this->schedule(1)->progress.cursor, slot(3));
  EXPECT_FALSE(this->schedule(1)->progress.late);
  // One that decides nothing about slots stands where it stood.
  this->must_commit(moves(1, slot(3), {.cursor = slot(3), .next_at = {}, .parked = true}));
  EXPECT_EQ(this->parked_in("nightly"), Names{"main"});
  this->must_commit(moves(1, slot(3), {.cursor = slot(3), .next_at = slot(8)}));
  EXPECT_EQ(this->parked_in("nightly"), Names{});
  EXPECT_EQ(value(this->reader().next_schedule(ScheduleTime{slot(1), schedule_id(2)})),
            (ScheduleTime{slot(8), schedule_id(1)}));
}

TYPED_TEST_P(ScheduleContract, DueOnesComeInOrderOfTimeAndId) {
  this->must_commit(puts(due_at(a_schedule(5, "e"), slot(1)), due_at(a_schedule(2, "b"), slot(2)),
                         due_at(a_schedule(4, "d"), slot(1)), a_schedule(3, "never"),
                         due_at(a_schedule(1, "a"), slot(3)), due_at(a_schedule(6, "f"), slot(1))));
  for (const std::size_t limit : {1U, 2U, 3U, 5U, 100U}) {
    EXPECT_EQ(this->due(Instant::max(), limit), (Names{"d", "e", "f", "b", "a"})) << limit;
    EXPECT_EQ(this->due(slot(2), limit), (Names{"d", "e", "f", "b"})) << limit;
    EXPECT_EQ(this->due(slot(2) - 1us, limit), (Names{"d", "e", "f"})) << limit;
  }
  EXPECT_EQ(this->due(slot(1) - 1us), Names{});

  std::optional<ScheduleTime> at;
  Names order;
  while ((at = value(this->reader().next_schedule(at))))
    order.push_back(value(this->reader().schedule(at->schedule))->name);
  EXPECT_EQ(order, (Names{"d", "e", "f", "b", "a"}));
  // What was seen last need not exist.
  EXPECT_EQ(value(this->reader().next_schedule(ScheduleTime{slot(1), schedule_id(9)})),
            (ScheduleTime{slot(2), schedule_id(2)}));
  EXPECT_FALSE(value(this->reader().next_schedule(ScheduleTime{slot(3), schedule_id(1)})));
}

TYPED_TEST_P(ScheduleContract, ParkedOnesAreFoundByTheirWorkflow) {
  this->must_commit(puts(parked(a_schedule(3, "c", "x")), parked(a_schedule(1, "a", "y")),
                         due_at(a_schedule(2, "b", "x"), slot(1)), parked(a_schedule(4, "d", "x"))));
  for (const std::size_t limit : {1U, 2U, 100U}) {
    EXPECT_EQ(this->parked_in("", limit), (Names{"a", "c", "d"})) << limit;
    EXPECT_EQ(this->parked_in("x", limit), (Names{"c", "d"})) << limit;
    EXPECT_EQ(this->parked_in("z", limit), Names{}) << limit;
  }
  EXPECT_TRUE(this->schedule(3)->progress.parked);
  EXPECT_EQ(this->due(Instant::max()), Names{"b"});
}

TYPED_TEST_P(ScheduleContract, AnEntryReadsBackWithEveryField) {
  LedgerRow fired = an_entry(1, 3);
  fired.outcome = SlotOutcome::fired;
  fired.reason = SlotReason::none;
  fired.run = run_id(7);  // which may be gone
  fired.run_number = 7;
  fired.lateness = 12ms;
  fired.at = slot(3) + 12ms;
  fired.backfill = backfill_id(2);
  LedgerRow refused = an_entry(1, 4, 8);
  refused.outcome = SlotOutcome::skipped;
  refused.reason = SlotReason::invalid;
  refused.message = "input 'day' is missing: \xE2\x82\xAC";
  refused.count = 1'000'000'000'000;
  this->must_commit(notes(fired, refused));
  this->reopen();
  const auto rows = value(this->reader().ledger(schedule_id(1), {}, 10));
  ASSERT_EQ(rows.size(), 2U);
  expect_equal(rows[0], refused);
  expect_equal(rows[1], fired);
}

TYPED_TEST_P(ScheduleContract, ASlotHasOneEntryUntilThatIsRemoved) {
  this->must_commit(notes(an_entry(1, 1, 9), an_entry(2, 1)));
  this->must_conflict(notes(an_entry(1, 20)), notes(an_entry(1, 1)));
  this->must_conflict(notes(an_entry(1, 30), an_entry(1, 30)));
  EXPECT_EQ(this->entries(1), Minutes{1});

  // A backfill takes a slot out of a span.
  ScheduleChanges split;
  split.ledger_removed = {an_entry(1, 1)};
  split.ledger = {an_entry(1, 1, 4), an_entry(1, 5), an_entry(1, 6, 9)};
  this->must_commit(changes(split));
  EXPECT_EQ(this->entries(1), (Minutes{6, 5, 1}));
  EXPECT_EQ(value(this->reader().ledger(schedule_id(1), {}, 10)).back().to, slot(4));
  EXPECT_EQ(this->entries(2), Minutes{1});

  // What is not there cannot be removed; and a conflict puts back what was.
  ScheduleChanges stale;
  stale.ledger_removed = {an_entry(1, 5), an_entry(1, 2)};
  this->must_conflict(changes(stale));
  stale.ledger_removed = {an_entry(1, 5), an_entry(2, 1)};
  stale.ledger = {an_entry(1, 5), an_entry(1, 6)};
  this->must_conflict(changes(stale));
  EXPECT_EQ(this->entries(1), (Minutes{6, 5, 1}));
  EXPECT_EQ(this->entries(2), Minutes{1});
}

TYPED_TEST_P(ScheduleContract, ALedgerIsReadNewestFirstFromAnyPartOfIt) {
  this->must_commit(
      notes(an_entry(1, 30), an_entry(1, 1), an_entry(1, 10, 19), an_entry(1, 2, 5), an_entry(1, 20), an_entry(2, 15)),
      notes(an_entry(0, 99)));
  EXPECT_EQ(this->entries(1), (Minutes{30, 20, 10, 2, 1}));
  EXPECT_EQ(this->entries(1, {}, 2), (Minutes{30, 20}));
  EXPECT_EQ(this->entries(1, {.before = slot(20)}, 2), (Minutes{10, 2}));
  EXPECT_EQ(this->entries(1, {.before = slot(2)}, 2), Minutes{1});
  EXPECT_EQ(this->entries(1, {.before = slot(1)}, 2), Minutes{});
  // Spans that reach into the range count.
  EXPECT_EQ(this->entries(1, {.since = slot(5), .until = slot(10)}), (Minutes{10, 2}));
  EXPECT_EQ(this->entries(1, {.since = slot(5) + 1us, .until = slot(10) - 1us}), Minutes{});
  EXPECT_EQ(this->entries(1, {.since = slot(12), .until = slot(13)}), Minutes{10});
  EXPECT_EQ(this->entries(1, {.since = slot(19)}), (Minutes{30, 20, 10}));
  EXPECT_EQ(this->entries(1, {.since = slot(20)}), (Minutes{30, 20}));
  EXPECT_EQ(this->entries(1, {.until = slot(1)}), Minutes{1});
  EXPECT_EQ(this->entries(1, {.since = slot(2), .until = slot(29), .before = slot(20)}), (Minutes{10, 2}));
  EXPECT_EQ(this->entries(1, {.until = slot(10), .before = slot(30)}, 2), (Minutes{10, 2}));
  EXPECT_EQ(this->entries(1, {.since = Instant::min(), .until = Instant::max(), .before = Instant::max()}).size(), 5U);
  EXPECT_EQ(this->entries(1, {.since = slot(31)}), Minutes{});
}

TYPED_TEST_P(ScheduleContract, ABackfillReadsBackAndIsReplaced) {
  BackfillRow row = a_backfill(1, 1);
  row.limit = 4;
  row.started = 3;
  row.passed_over = 90'000'000'000;
  row.user = "ada";
  row.client = "10.0.0.7";
  this->must_commit(puts(row));
  expect_equal(*value(this->reader().backfill(row.id)), row);
  row.cursor = slot(100);
  row.status = BackfillStatus::success;
  row.started = 97;
  row.finished_at = slot(200);
  this->must_commit(puts(row));
  this->reopen();
  expect_equal(*value(this->reader().backfill(row.id)), row);
}

TYPED_TEST_P(ScheduleContract, BackfillsAreListedBySchedulesAndThoseThatRun) {
  this->must_commit(puts(a_backfill(3, 1)), puts(a_backfill(1, 1)), puts(a_backfill(2, 2)),
                    puts(a_backfill(4, 1, BackfillStatus::cancelled)));
  const auto ids = [](const std::vector<BackfillRow>& rows) {
    std::vector<BackfillId> found;
    for (const BackfillRow& row : rows) found.push_back(row.id);
    return found;
  };
  EXPECT_EQ(ids(value(this->reader().backfills(schedule_id(1), 10))),
            (std::vector{backfill_id(4), backfill_id(3), backfill_id(1)}));
  EXPECT_EQ(ids(value(this->reader().backfills(schedule_id(1), 2))), (std::vector{backfill_id(4), backfill_id(3)}));
  EXPECT_EQ(ids(value(this->reader().running_backfills())),
            (std::vector{backfill_id(1), backfill_id(2), backfill_id(3)}));
  this->must_commit(puts(a_backfill(2, 2, BackfillStatus::success)));
  EXPECT_EQ(ids(value(this->reader().running_backfills())), (std::vector{backfill_id(1), backfill_id(3)}));
}

TYPED_TEST_P(ScheduleContract, DroppingAWorkflowsSchedulesDeletesThoseThatAreThereAndNoOthers) {
  ScheduleRow watched = due_at(a_schedule(1, "main"), slot(1));
  watched.progress.late = LateWatch{.slot = slot(0), .due = slot(2), .run = run_id(1)};
  const ScheduleRow before = deleted(a_schedule(3, "old"));
  this->must_commit(
      puts(watched, parked(a_schedule(2, "second")), before, due_at(a_schedule(4, "main", "other"), slot(1))));
  // In the same changeset the name may be used again: dropping comes first.
  ScheduleChanges anew;
  anew.dropped = {"nightly", slot(10)};
  anew.put = {due_at(a_schedule(5, "main"), slot(11))};
  this->must_commit(changes(anew));

  ScheduleRow dropped = watched;
  dropped.deleted_at = slot(10);
  dropped.progress = {.cursor = watched.progress.cursor, .next_at = {}, .parked = false, .late = {}};
  expect_equal(*this->schedule(1), dropped);
  EXPECT_EQ(this->schedule(2)->deleted_at, slot(10));
  EXPECT_FALSE(this->schedule(2)->progress.parked);
  expect_equal(*this->schedule(3), before);
  EXPECT_EQ(this->named("main")->id, schedule_id(5));
  EXPECT_EQ(this->listed({}), (Names{"main", "main"}));
  EXPECT_EQ(this->due(Instant::max()).size(), 2U);
  EXPECT_EQ(this->parked_in(""), Names{});

  // Undone with the commit it was part of.
  this->must_conflict(drops("nightly", slot(20)), drops("other", slot(20)), adds(a_record(run_id(1), 1)),
                      adds(a_record(run_id(1), 1)));
  EXPECT_FALSE(this->schedule(4)->deleted_at);
  EXPECT_EQ(this->named("main")->id, schedule_id(5));
  EXPECT_EQ(this->listed({}), (Names{"main", "main"}));
  EXPECT_EQ(this->due(Instant::max()).size(), 2U);
  this->must_commit(drops("nobody", slot(20)));
}

TYPED_TEST_P(ScheduleContract, AConflictLeavesNothingOfWhatItSaidAboutSchedules) {
  const ScheduleRow row = due_at(a_schedule(1, "main"), slot(1));
  this->must_commit(puts(row), notes(an_entry(1, 1), an_entry(1, 2)), puts(a_backfill(1, 1)));
  ScheduleChanges all;
  all.put = {deleted(a_schedule(1, "main")), parked(a_schedule(2, "main")), parked(a_schedule(3, "third"))};
  all.moved = {schedule_id(3), day_one, {.cursor = slot(9), .next_at = slot(10)}};
  all.ledger_removed = {an_entry(1, 2)};
  all.ledger = {an_entry(1, 2, 5), an_entry(3, 1)};
  all.backfill = a_backfill(1, 1, BackfillStatus::cancelled);
  all.pruned = {.before = slot(100), .most = 1};
  this->must_conflict(changes(all), puts(a_backfill(2, 1)), adds(a_record(run_id(1), 1)), adds(a_record(run_id(1), 1)));

  expect_equal(*this->schedule(1), row);
  EXPECT_FALSE(this->schedule(2));
  EXPECT_FALSE(this->schedule(3));
  EXPECT_EQ(this->named("main")->id, schedule_id(1));
  EXPECT_TRUE(value(this->reader().same_schedule("nightly", row.same)));
  EXPECT_EQ(this->listed({}), Names{"main"});
  EXPECT_EQ(this->due(Instant::max()), Names{"main"});
  EXPECT_EQ(this->parked_in(""), Names{});
  EXPECT_EQ(this->entries(1), (Minutes{2, 1}));
  EXPECT_EQ(value(this->reader().ledger(schedule_id(1), {}, 1)).at(0).to, slot(2));
  EXPECT_EQ(this->entries(3), Minutes{});
  EXPECT_EQ(value(this->reader().oldest_ledger()), slot(1));
  EXPECT_EQ(value(this->reader().running_backfills()).size(), 1U);
  EXPECT_FALSE(value(this->reader().backfill(backfill_id(2))));

  // Nor does it stand in the way of what comes next.
  this->must_commit(changes(all));
  EXPECT_EQ(this->named("main")->id, schedule_id(2));
  EXPECT_EQ(this->due(Instant::max()), Names{"third"});
  EXPECT_EQ(this->entries(1), Minutes{2});
  this->reopen();
  EXPECT_EQ(this->schedule(3)->progress.cursor, slot(9));
}

TYPED_TEST_P(ScheduleContract, TheLedgerIsPrunedFromItsOldestEntriesOn) {
  EXPECT_FALSE(value(this->reader().oldest_ledger()));
  // Its slots lie anywhere: when they were decided counts.
  const auto decided = [](LedgerRow row, int minute) { return row.at = slot(minute), row; };
  this->must_commit(notes(decided(an_entry(1, 50), 100), decided(an_entry(2, 1), 101), decided(an_entry(1, 40), 102),
                          decided(an_entry(1, 60), 103)));
  EXPECT_EQ(value(this->reader().oldest_ledger()), slot(100));
  this->must_commit(prunes(slot(100), 100));
  EXPECT_EQ(this->entries(1).size() + this->entries(2).size(), 4U);
  this->must_commit(prunes(slot(102), 1));
  EXPECT_EQ(this->entries(1), (Minutes{60, 40}));
  EXPECT_EQ(this->entries(2), Minutes{1});
  EXPECT_EQ(value(this->reader().oldest_ledger()), slot(101));
  this->must_commit(prunes(slot(102), 100));
  EXPECT_EQ(this->entries(2), Minutes{});
  EXPECT_EQ(this->entries(1), (Minutes{60, 40}));
  this->must_commit(prunes(slot(1000), 100), prunes(slot(1000), 100));
  EXPECT_EQ(this->entries(1), Minutes{});
  EXPECT_FALSE(value(this->reader().oldest_ledger()));
  this->must_commit(notes(an_entry(1, 50)));
  EXPECT_EQ(value(this->reader().oldest_ledger()), slot(50));
}

// The machine's clock stood wrong for a while: what was decided then does not hold up the rest.
TYPED_TEST_P(ScheduleContract, AnEntryFromAFarFutureIsPassedOverByThePruning) {
  LedgerRow wrong = an_entry(1, 1);
  wrong.at = day_one + 100'000h;
  this->must_commit(notes(wrong, an_entry(1, 2), an_entry(1, 3)));
  EXPECT_EQ(value(this->reader().oldest_ledger()), slot(2));
  this->must_commit(prunes(slot(3), Reader::written_first));
  EXPECT_EQ(this->entries(1), (Minutes{3, 1}));
  EXPECT_EQ(value(this->reader().oldest_ledger()), slot(3));
}

TYPED_TEST_P(ScheduleContract, WhatFiresIsOneCommitWithItsRun) {
  this->must_commit(puts(due_at(a_schedule(1, "main"), slot(1))));
  RunRow run = a_run(1);
  run.slot = SlotOrigin{.schedule = schedule_id(1), .name = "main", .slot = slot(1), .in_line = true, .backfill = {}};
  ScheduleChanges fires;
  fires.moved = {schedule_id(1), day_one, {.cursor = slot(1), .next_at = slot(2)}};
  fires.ledger = {an_entry(1, 1)};
  Changeset change = changes(fires);
  change.new_run = run;
  change.record = a_record(run.id, 1);
  this->must_commit(change);
  this->must_conflict(change);
  expect_equal(*this->stored(run.id), run);
  EXPECT_EQ(this->entries(1), Minutes{1});
  EXPECT_EQ(this->due(Instant::max()), Names{"main"});
  EXPECT_EQ(this->seqs(run.id), Numbers{1});
}

REGISTER_TYPED_TEST_SUITE_P(ScheduleContract, AnEmptyStoreHasNone, AScheduleReadsBackWithEveryFieldAndIsReplaced,
                            ANameIsUniqueInItsWorkflowAmongThoseThatAreNotDeleted,
                            OneThatIsTheSameIsFoundAmongThoseOfTheWorkflowThatAreNotDeleted,
                            SchedulesAreListedByWorkflowAndNameInPages, DefinedOnesAreThoseThatTheDefinitionCarries,
                            AStepMovesWhatStandsWhereItBegan, DueOnesComeInOrderOfTimeAndId,
                            ParkedOnesAreFoundByTheirWorkflow, AnEntryReadsBackWithEveryField,
                            ASlotHasOneEntryUntilThatIsRemoved, ALedgerIsReadNewestFirstFromAnyPartOfIt,
                            ABackfillReadsBackAndIsReplaced, BackfillsAreListedBySchedulesAndThoseThatRun,
                            DroppingAWorkflowsSchedulesDeletesThoseThatAreThereAndNoOthers,
                            AConflictLeavesNothingOfWhatItSaidAboutSchedules, TheLedgerIsPrunedFromItsOldestEntriesOn,
                            AnEntryFromAFarFutureIsPassedOverByThePruning, WhatFiresIsOneCommitWithItsRun);

}  // namespace pawl::store::contract
