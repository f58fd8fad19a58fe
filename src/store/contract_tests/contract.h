// What every store promises (store.h, reader.h). A store instantiates it with a Home: a place whose content outlives
// the stores opened on it.
//   struct Home {
//     Result<std::unique_ptr<Store>> open();  // only after the store opened before is gone
//   };
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "store/store.h"

namespace pawl::store::contract {

using namespace std::chrono_literals;

// Inside a test, `Run` is a function of GoogleTest's.
using RunRow = pawl::Run;

inline constexpr Instant day_one{Duration{1'795'500'000'000'000}};

// An id made at this many milliseconds after day_one.
inline RunId run_id(int ms, std::uint64_t tail = 0) {
  return RunId{uuid_v7(day_one + std::chrono::milliseconds(ms), 0, static_cast<std::uint64_t>(ms) << 20 | tail)};
}

inline Run a_run(int n, std::string workflow = "nightly") {
  Run run;
  run.id = run_id(n);
  run.workflow = std::move(workflow);
  run.number = n;
  run.version = 1;
  run.trace_id = trace_id(Instant{}, 7, static_cast<std::uint64_t>(n));
  run.status = RunStatus::running;
  run.who = {.trigger = Trigger::api, .user = "ada", .client = "10.0.0.7", .user_agent = "curl/8", .at = day_one};
  run.created_at = day_one + std::chrono::milliseconds(n);
  return run;
}

inline Run with_status(Run run, RunStatus status) {
  run.status = status;
  return run;
}

inline RecordRow a_record(RunId run, std::int64_t seq, std::string body = "[]") {
  return {.run = run, .seq = seq, .at = day_one + std::chrono::milliseconds(seq), .body = std::move(body)};
}

inline Changeset adds(Run run) {
  Changeset change;
  change.new_run = std::move(run);
  return change;
}
inline Changeset updates(Run run) {
  Changeset change;
  change.run = std::move(run);
  return change;
}
inline Changeset adds(RecordRow record) {
  Changeset change;
  change.record = std::move(record);
  return change;
}
inline Changeset adds(VersionRow version) {
  Changeset change;
  change.version = std::move(version);
  return change;
}
inline Changeset adds(StartKey key) {
  Changeset change;
  change.start_key = std::move(key);
  return change;
}
inline Changeset puts(WorkflowRow workflow) {
  Changeset change;
  change.workflow = std::move(workflow);
  return change;
}
inline Changeset beats(Instant at) {
  Changeset change;
  change.heartbeat = at;
  return change;
}

inline Changeset takes(RunId run) {
  Changeset change;
  change.gone = run;
  return change;
}
inline Changeset clears(RunId run) {
  Changeset change;
  change.cleared = run;
  return change;
}
// A final run that expires at this many seconds after day_one.
inline Run an_expiring_run(int n, int seconds, std::string workflow = "nightly") {
  Run run = with_status(a_run(n, std::move(workflow)), RunStatus::success);
  run.finished_at = day_one;
  run.expires_at = day_one + std::chrono::seconds(seconds);
  return run;
}

inline void expect_equal(const FailurePtr& is, const FailurePtr& should) {
  ASSERT_EQ(is == nullptr, should == nullptr);
  if (!is) return;
  EXPECT_EQ(is->code, should->code);
  EXPECT_EQ(is->message, should->message);
  EXPECT_EQ(is->cause, should->cause);
}

inline void expect_equal_but_for_values(const Run& is, const Run& should) {
  EXPECT_EQ(is.id, should.id);
  EXPECT_EQ(is.workflow, should.workflow);
  EXPECT_EQ(is.number, should.number);
  EXPECT_EQ(is.version, should.version);
  EXPECT_EQ(is.trace_id, should.trace_id);
  EXPECT_EQ(is.status, should.status);
  EXPECT_EQ(is.waits_for, should.waits_for);
  EXPECT_EQ(is.due, should.due);
  EXPECT_EQ(is.attempt, should.attempt);
  EXPECT_EQ(is.who.trigger, should.who.trigger);
  EXPECT_EQ(is.who.user, should.who.user);
  EXPECT_EQ(is.who.client, should.who.client);
  EXPECT_EQ(is.who.user_agent, should.who.user_agent);
  EXPECT_EQ(is.who.at, should.who.at);
  EXPECT_EQ(is.created_at, should.created_at);
  EXPECT_EQ(is.started_at, should.started_at);
  EXPECT_EQ(is.finished_at, should.finished_at);
  EXPECT_EQ(is.expires_at, should.expires_at);
  EXPECT_EQ(is.group, should.group);
  EXPECT_EQ(is.group_since, should.group_since);
  EXPECT_EQ(is.group_held, should.group_held);
  EXPECT_TRUE(is.slot == should.slot);
  expect_equal(is.error, should.error);
}

inline void expect_equal(const Run& is, const Run& should) {
  expect_equal_but_for_values(is, should);
  EXPECT_EQ(is.inputs, should.inputs);
  EXPECT_EQ(is.vars, should.vars);
  EXPECT_EQ(is.env, should.env);
}

// The value of a Result that has to be one; the test fails and goes on with an empty value otherwise.
template <class T>
T value(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << to_string(result.error().code) << ": " << result.error().message;
    return T{};
  }
  return std::move(*result);
}

template <class Home>
class StoreContract : public testing::Test {
 protected:
  void SetUp() override { reopen(); }

  void reopen() {
    reader_ = nullptr;
    store_ = nullptr;
    store_ = value(home_.open());
    ASSERT_NE(store_, nullptr);
    reader_ = value(store_->reader());
    ASSERT_NE(reader_, nullptr);
  }

  Store& store() { return *store_; }
  Reader& reader() { return *reader_; }

  template <class... Changes>
  Result<void> commit(Changes... changes) {
    const std::vector<Changeset> all{std::move(changes)...};
    return store_->commit(all);
  }
  template <class... Changes>
  void must_commit(Changes... changes) {
    const auto done = commit(std::move(changes)...);
    ASSERT_TRUE(done) << done.error().message;
  }
  template <class... Changes>
  void must_conflict(Changes... changes) {
    const auto done = commit(std::move(changes)...);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::conflict) << done.error().message;
  }

  std::optional<RunRow> stored(RunId id) { return value(reader_->run(id)); }
  std::vector<std::int64_t> seqs(RunId id) {
    std::vector<std::int64_t> found;
    for (const RecordRow& row : value(reader_->records(id))) found.push_back(row.seq);
    return found;
  }
  std::vector<std::int64_t> open_numbers() {
    std::vector<std::int64_t> found;
    const auto done = reader_->open_runs([&](RunRow&& run) { return found.push_back(run.number), true; });
    EXPECT_TRUE(done);
    return found;
  }
  // The numbers of all pages, in order.
  std::vector<std::int64_t> listed(const RunFilter& filter, std::size_t limit = 200) {
    std::vector<std::int64_t> found;
    std::string cursor;
    do {
      RunPage page = value(reader_->runs(filter, limit, cursor));
      EXPECT_LE(page.items.size(), limit);
      if (page.items.empty() && !page.next_cursor.empty()) return ADD_FAILURE() << "an empty page with a cursor", found;
      for (const RunRow& run : page.items) found.push_back(run.number);
      cursor = page.next_cursor;
    } while (!cursor.empty());
    return found;
  }

  Home home_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Reader> reader_;
};

TYPED_TEST_SUITE_P(StoreContract);

using Numbers = std::vector<std::int64_t>;

TYPED_TEST_P(StoreContract, AnEmptyStoreKnowsNothingAndSaysSo) {
  EXPECT_TRUE(value(this->reader().workflows()).empty());
  EXPECT_FALSE(value(this->reader().workflow("nightly")));
  EXPECT_FALSE(value(this->reader().version("nightly", 1)));
  EXPECT_EQ(value(this->reader().last_run_number("nightly")), 0);
  EXPECT_FALSE(this->stored(run_id(1)));
  EXPECT_FALSE(value(this->reader().run_by_number("nightly", 1)));
  EXPECT_FALSE(value(this->reader().start_key("nightly", "k")));
  EXPECT_EQ(this->listed({}), Numbers{});
  EXPECT_EQ(this->seqs(run_id(1)), Numbers{});
  EXPECT_EQ(this->open_numbers(), Numbers{});
}

TYPED_TEST_P(StoreContract, AWorkflowIsInsertedAndThenReplaced) {
  this->must_commit(puts({"b", true, 1, 0, day_one, day_one}), puts({"a", true, 4, 9, day_one, day_one + 1s}));
  this->must_commit(puts({"b", false, 2, 17, day_one, day_one + 5s}));
  const auto rows = value(this->reader().workflows());
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].name, "a");
  EXPECT_EQ(rows[1].name, "b");
  const auto row = value(this->reader().workflow("b"));
  ASSERT_TRUE(row);
  EXPECT_FALSE(row->enabled);
  EXPECT_EQ(row->version, 2);
  EXPECT_EQ(row->last_number, 17);
  EXPECT_EQ(row->created_at, day_one);
  EXPECT_EQ(row->updated_at, day_one + 5s);
}

TYPED_TEST_P(StoreContract, AWorkflowReadsBackWithEveryFieldAlsoWhenItIsDeleted) {
  WorkflowRow row{"b", true, 1, 17, day_one, day_one + 1s};
  row.switched_at = day_one + 3s;
  row.disabled_from = day_one + 2s;
  row.file = "sub/nächtlich.yaml";
  row.file_gone = true;
  row.file_error = "line 3: no such key";
  this->must_commit(puts({"a", true, 1, 0, day_one, day_one}), puts(row));
  const auto expect_stored = [&] {
    const auto back = value(this->reader().workflow("b"));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->switched_at, row.switched_at);
    EXPECT_EQ(back->disabled_from, row.disabled_from);
    EXPECT_EQ(back->deleted_at, row.deleted_at);
    EXPECT_EQ(back->file, row.file);
    EXPECT_EQ(back->file_gone, row.file_gone);
    EXPECT_EQ(back->file_error, row.file_error);
    EXPECT_EQ(back->last_number, row.last_number);
  };
  expect_stored();
  EXPECT_EQ(value(this->reader().workflows()).at(1).file, row.file);
  row.deleted_at = day_one + 5s;
  row.file = row.file_error = "";
  row.file_gone = false;
  this->must_commit(puts(row));
  expect_stored();
  EXPECT_EQ(value(this->reader().workflows()).size(), 1U);
  // Its runs go, and its numbers stay.
  this->must_commit(adds(an_expiring_run(18, 1, "b")));
  this->must_commit(takes(run_id(18)));
  row.last_number = 18;
  expect_stored();
  row.deleted_at.reset();
  this->must_commit(puts(row));
  EXPECT_EQ(value(this->reader().workflows()).size(), 2U);
}

TYPED_TEST_P(StoreContract, AVersionIsKeptAsWrittenAndNeverOverwritten) {
  const std::string text("name: x\n# \xE2\x82\xAC and a zero: \0 .\n", 29);
  this->must_commit(adds(VersionRow{"x", 1, text, day_one, "ada"}), adds(VersionRow{"x", 2, "", day_one, ""}));
  this->must_conflict(adds(VersionRow{"x", 1, "other", day_one, "eve"}));
  const auto first = value(this->reader().version("x", 1));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->workflow, "x");
  EXPECT_EQ(first->version, 1);
  EXPECT_EQ(first->text, text);
  EXPECT_EQ(first->user, "ada");
  EXPECT_EQ(first->created_at, day_one);
  EXPECT_EQ(value(this->reader().version("x", 2))->text, "");
  EXPECT_FALSE(value(this->reader().version("x", 3)));
}

TYPED_TEST_P(StoreContract, ARunReadsBackWithEveryField) {
  RunRow run = a_run(5, "Nächtlich 夜 \xF0\x9F\x8C\x99");
  run.status = RunStatus::waiting;
  run.waits_for = WaitsFor::retry;
  run.due = day_one + 3h;
  run.attempt = 3;
  run.version = 12;
  run.inputs = json::object{{"date", "2026-11-23"}, {"n", 1.5}, {"list", json::array{1, nullptr, "\xC3\xA9"}}};
  run.vars = json::object{{"greeting", "say \"hi\"\n"}};
  run.env = json::object{};
  run.error = std::make_shared<Failure>(Failure{"task_failed", "exit code 3", json::object{{"exit_code", 3}}});
  run.started_at = day_one + 1s;
  run.finished_at = day_one + 2s;
  run.expires_at = day_one + 3s;
  this->must_commit(adds(run));
  const auto by_id = this->stored(run.id);
  ASSERT_TRUE(by_id);
  expect_equal(*by_id, run);
  const auto by_number = value(this->reader().run_by_number(run.workflow, 5));
  ASSERT_TRUE(by_number);
  expect_equal(*by_number, run);
}

TYPED_TEST_P(StoreContract, ARunSaysWhichSlotItWasStartedForHoweverItIsRead) {
  RunRow run = a_run(1);
  run.who.trigger = Trigger::schedule;
  run.slot = SlotOrigin{.schedule = ScheduleId{run_id(3).value},
                        .name = "nächtlich",
                        .slot = day_one + 1min,
                        .in_line = true,
                        .cancels = true,
                        .backfill = BackfillId{run_id(4).value}};
  RunRow other = a_run(2);
  other.slot = SlotOrigin{.schedule = ScheduleId{run_id(3).value},
                          .name = "",
                          .slot = day_one,
                          .in_line = false,
                          .cancels = false,
                          .backfill = {}};
  this->must_commit(adds(run), adds(other), adds(a_run(3)));
  expect_equal(*this->stored(run.id), run);
  // It stays with the run, but for its place in the line.
  RunRow changed = with_status(a_run(1), RunStatus::waiting);
  run.slot->in_line = run.slot->cancels = false;
  changed.slot = run.slot;
  this->must_commit(updates(changed));
  run.status = changed.status;
  expect_equal(*this->stored(run.id), run);
  expect_equal(*this->stored(other.id), other);
  std::vector<RunRow> open;
  ASSERT_TRUE(this->reader().open_runs([&](RunRow&& row) { return open.push_back(std::move(row)), true; }));
  const RunPage page = value(this->reader().runs({}, 10, ""));
  for (const auto& rows : {open, std::vector(page.items.rbegin(), page.items.rend())}) {
    ASSERT_EQ(rows.size(), 3U);
    expect_equal_but_for_values(rows[0], run);
    expect_equal_but_for_values(rows[1], other);
    EXPECT_FALSE(rows[2].slot);
  }
}

TYPED_TEST_P(StoreContract, ARunWithoutAnythingReadsBackAsSuch) {
  RunRow run;
  run.id = run_id(1);
  this->must_commit(adds(run));
  const auto back = this->stored(run.id);
  ASSERT_TRUE(back);
  expect_equal(*back, run);
}

TYPED_TEST_P(StoreContract, AnUpdateChangesTheChangingColumnsOnly) {
  RunRow run = a_run(1);
  run.inputs = json::object{{"a", 1}};
  this->must_commit(adds(run));

  RunRow changed = a_run(99, "other");
  changed.id = run.id;
  changed.status = RunStatus::failed;
  changed.waits_for = WaitsFor::timer;
  changed.due = day_one + 1h;
  changed.attempt = 2;
  changed.version = 8;
  changed.error = std::make_shared<Failure>(Failure{"interrupted", "interrupted by system restart", {}});
  changed.started_at = day_one + 4s;
  changed.finished_at = day_one + 5s;
  changed.expires_at = day_one + 6s;
  changed.who.trigger = Trigger::recovery;
  this->must_commit(updates(changed));

  RunRow expected = run;
  expected.status = changed.status;
  expected.waits_for = changed.waits_for;
  expected.due = changed.due;
  expected.attempt = changed.attempt;
  expected.version = changed.version;
  expected.error = changed.error;
  expected.started_at = changed.started_at;
  expected.finished_at = changed.finished_at;
  expected.expires_at = changed.expires_at;
  expect_equal(*this->stored(run.id), expected);

  // And back to nothing, where there may be nothing.
  this->must_commit(updates(run));
  expect_equal(*this->stored(run.id), run);
}

TYPED_TEST_P(StoreContract, AnUpdateOfAMissingRunIsAConflict) {
  this->must_conflict(updates(a_run(1)));
  EXPECT_FALSE(this->stored(run_id(1)));
}

TYPED_TEST_P(StoreContract, TheSameRunTwiceIsAConflict) {
  this->must_commit(adds(a_run(1)));
  RunRow same_id = a_run(2);
  same_id.id = run_id(1);
  this->must_conflict(adds(same_id));
  RunRow same_number = a_run(2);
  same_number.number = 1;
  this->must_conflict(adds(same_number));
  this->must_conflict(adds(a_run(3)), adds(a_run(3)));
  EXPECT_EQ(this->listed({}), Numbers{1});
}

TYPED_TEST_P(StoreContract, OfTwoRecordsWithOneSeqTheFirstStays) {
  this->must_commit(adds(a_run(1)), adds(a_record(run_id(1), 1, "mine")));
  this->must_conflict(adds(a_record(run_id(1), 1, "theirs")));
  this->must_commit(adds(a_record(run_id(2), 1, "of another run")));
  const auto rows = value(this->reader().records(run_id(1)));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].body, "mine");
  EXPECT_EQ(rows[0].run, run_id(1));
  EXPECT_EQ(rows[0].at, day_one + 1ms);
}

TYPED_TEST_P(StoreContract, RecordsComeInOrderOfSeq) {
  this->must_commit(adds(a_record(run_id(1), 1)), adds(a_record(run_id(2), 1)), adds(a_record(run_id(1), 2)));
  for (std::int64_t seq = 3; seq <= 20; ++seq) this->must_commit(adds(a_record(run_id(1), seq)));
  Numbers expected;
  for (std::int64_t seq = 1; seq <= 20; ++seq) expected.push_back(seq);
  EXPECT_EQ(this->seqs(run_id(1)), expected);
}

TYPED_TEST_P(StoreContract, AConflictLeavesNothingBehindOfAnyChangesetOfTheCommit) {
  this->must_commit(puts({"nightly", true, 1, 0, day_one, day_one}), adds(a_run(1)), adds(a_record(run_id(1), 1)),
                    beats(day_one));
  Changeset whole = adds(a_run(2));
  whole.workflow = WorkflowRow{"nightly", false, 2, 5, day_one, day_one + 1s};
  whole.version = VersionRow{"nightly", 2, "text", day_one, "ada"};
  whole.start_key = StartKey{"nightly", "key", "hash", run_id(2), day_one};
  whole.record = a_record(run_id(2), 1);
  this->must_conflict(whole, puts({"fresh", true, 1, 0, day_one, day_one}),
                      updates(with_status(a_run(1), RunStatus::success)),
                      updates(with_status(a_run(2), RunStatus::failed)), adds(a_record(run_id(1), 2)),
                      beats(day_one + 1h), adds(a_record(run_id(1), 1, "taken")));

  EXPECT_FALSE(this->stored(run_id(2)));
  EXPECT_FALSE(value(this->reader().run_by_number("nightly", 2)));
  EXPECT_EQ(value(this->reader().last_run_number("nightly")), 1);
  EXPECT_EQ(this->stored(run_id(1))->status, RunStatus::running);
  EXPECT_EQ(this->open_numbers(), Numbers{1});
  EXPECT_EQ(this->seqs(run_id(1)), Numbers{1});
  EXPECT_EQ(this->seqs(run_id(2)), Numbers{});
  EXPECT_FALSE(value(this->reader().version("nightly", 2)));
  EXPECT_FALSE(value(this->reader().start_key("nightly", "key")));
  EXPECT_FALSE(value(this->reader().workflow("fresh")));
  EXPECT_TRUE(value(this->reader().workflow("nightly"))->enabled);
  // Nor does it stand in the way of what comes next.
  this->must_commit(whole);
  EXPECT_EQ(this->listed({}), (Numbers{2, 1}));
  this->reopen();
  EXPECT_EQ(value(this->reader().node()).heartbeat, day_one);
}

TYPED_TEST_P(StoreContract, OneCommitMayBuildOnItsOwnChanges) {
  Changeset first = adds(a_run(1));
  first.record = a_record(run_id(1), 1);
  Changeset second = updates(with_status(a_run(1), RunStatus::success));
  second.record = a_record(run_id(1), 2);
  this->must_commit(first, second);
  EXPECT_EQ(this->stored(run_id(1))->status, RunStatus::success);
  EXPECT_EQ(this->seqs(run_id(1)), (Numbers{1, 2}));
}

TYPED_TEST_P(StoreContract, ACommitOfNothingSucceeds) {
  this->must_commit();
  this->must_commit(Changeset{}, Changeset{});
}

TYPED_TEST_P(StoreContract, AStartKeyBelongsToItsWorkflowAndIsTakenOnce) {
  this->must_commit(adds(StartKey{"a", "käse", "hash", run_id(1), day_one + 1us}),
                    adds(StartKey{"b", "käse", "hash", run_id(2), day_one}));
  this->must_conflict(adds(StartKey{"a", "käse", "other", run_id(3), day_one}));
  const auto key = value(this->reader().start_key("a", "käse"));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->workflow, "a");
  EXPECT_EQ(key->key, "käse");
  EXPECT_EQ(key->body_hash, "hash");
  EXPECT_EQ(key->run, run_id(1));
  EXPECT_EQ(key->at, day_one + 1us);
  EXPECT_FALSE(value(this->reader().start_key("a", "Käse")));
}

TYPED_TEST_P(StoreContract, WhatWasCommittedIsThereAfterReopening) {
  RunRow run = a_run(1);
  run.inputs = json::object{{"a", 1}};
  this->must_commit(puts({"nightly", true, 1, 0, day_one, day_one}),
                    adds(VersionRow{"nightly", 1, "text", day_one, ""}), adds(run), adds(a_record(run.id, 1, "one")),
                    adds(StartKey{"nightly", "k", "h", run.id, day_one}));
  this->must_commit(adds(a_record(run.id, 2, "two")), updates(with_status(run, RunStatus::waiting)));
  this->reopen();
  expect_equal(*this->stored(run.id), with_status(run, RunStatus::waiting));
  EXPECT_EQ(this->seqs(run.id), (Numbers{1, 2}));
  EXPECT_EQ(value(this->reader().records(run.id)).back().body, "two");
  EXPECT_EQ(value(this->reader().version("nightly", 1))->text, "text");
  EXPECT_TRUE(value(this->reader().workflow("nightly")));
  EXPECT_TRUE(value(this->reader().start_key("nightly", "k")));
  EXPECT_EQ(this->open_numbers(), Numbers{1});
  this->must_conflict(adds(a_record(run.id, 2)));
  this->must_commit(adds(a_record(run.id, 3)));
}

TYPED_TEST_P(StoreContract, EveryOpeningCountsTheEpochUp) {
  const std::int64_t first = value(this->reader().node()).epoch;
  EXPECT_GE(first, 1);
  for (std::int64_t n = 1; n <= 3; ++n) {
    this->reopen();
    EXPECT_EQ(value(this->reader().node()).epoch, first + n);
  }
}

TYPED_TEST_P(StoreContract, TheHeartbeatReadIsThatOfAnEarlierProcess) {
  EXPECT_FALSE(value(this->reader().node()).heartbeat);
  this->must_commit(beats(day_one));
  this->must_commit(beats(day_one + 5s));
  EXPECT_FALSE(value(this->reader().node()).heartbeat);
  this->reopen();
  this->must_commit(beats(day_one + 1h));
  EXPECT_EQ(value(this->reader().node()).heartbeat, day_one + 5s);
  this->reopen();
  this->reopen();
  EXPECT_EQ(value(this->reader().node()).heartbeat, day_one + 1h);
}

TYPED_TEST_P(StoreContract, TheLastRunNumberIsTheHighestOfItsWorkflow) {
  RunRow seventh = a_run(1, "b");
  seventh.number = 7;
  RunRow third = a_run(2, "b");
  third.number = 3;
  this->must_commit(adds(a_run(40, "a")), adds(seventh), adds(third), adds(a_run(90, "c")));
  EXPECT_EQ(value(this->reader().last_run_number("b")), 7);
  EXPECT_EQ(value(this->reader().last_run_number("a")), 40);
  EXPECT_EQ(value(this->reader().last_run_number("")), 0);
  EXPECT_EQ(value(this->reader().last_run_number("bb")), 0);
}

TYPED_TEST_P(StoreContract, OpenRunsAreThoseThatAreNotFinalOldestFirst) {
  const RunStatus statuses[] = {RunStatus::queued, RunStatus::success, RunStatus::waiting,
                                RunStatus::failed, RunStatus::running, RunStatus::cancelled};
  for (int n = 6; n >= 1; --n) this->must_commit(adds(with_status(a_run(n), statuses[n - 1])));
  EXPECT_EQ(this->open_numbers(), (Numbers{1, 3, 5}));
  this->must_commit(updates(with_status(a_run(1), RunStatus::failed)),
                    updates(with_status(a_run(2), RunStatus::running)));
  EXPECT_EQ(this->open_numbers(), (Numbers{2, 3, 5}));
}

TYPED_TEST_P(StoreContract, OpenRunsComeWithoutValuesAndStopWhenTheVisitorSaysSo) {
  for (int n = 1; n <= 5; ++n) {
    RunRow run = a_run(n);
    run.inputs = json::object{{"n", n}};
    this->must_commit(adds(run));
  }
  Numbers seen;
  const auto done = this->reader().open_runs([&](RunRow&& run) {
    EXPECT_TRUE(run.inputs.is_null());
    EXPECT_EQ(run.who.user, "ada");
    seen.push_back(run.number);
    return seen.size() < 2;
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(seen, (Numbers{1, 2}));
  // The scan that was left is over: what is committed now can be seen.
  this->must_commit(updates(with_status(a_run(1), RunStatus::success)));
  EXPECT_EQ(this->open_numbers(), (Numbers{2, 3, 4, 5}));
}

TYPED_TEST_P(StoreContract, RunsAreListedNewestFirstInPagesThatNeitherRepeatNorLeaveOut) {
  std::vector<Changeset> changes;
  Numbers expected;
  for (int n = 1; n <= 23; ++n) {
    RunRow run = a_run(n);
    run.inputs = json::object{{"n", n}};
    changes.push_back(adds(run));
    expected.insert(expected.begin(), n);
  }
  ASSERT_TRUE(this->store().commit(changes));
  for (const std::size_t limit : {1U, 5U, 22U, 23U, 24U, 200U}) EXPECT_EQ(this->listed({}, limit), expected) << limit;
  const RunPage page = value(this->reader().runs({}, 23, ""));
  EXPECT_EQ(page.next_cursor, "");
  EXPECT_TRUE(page.items[0].inputs.is_null());
  expect_equal_but_for_values(page.items[0], a_run(23));
}

TYPED_TEST_P(StoreContract, ACursorHoldsWhileRunsComeAndEnd) {
  for (int n = 1; n <= 6; ++n) this->must_commit(adds(a_run(n)));
  const RunPage first = value(this->reader().runs({}, 3, ""));
  this->must_commit(adds(a_run(7)), updates(with_status(a_run(3), RunStatus::success)));
  this->reopen();
  const RunPage second = value(this->reader().runs({}, 3, first.next_cursor));
  ASSERT_EQ(second.items.size(), 3U);
  EXPECT_EQ(second.items[0].number, 3);
  EXPECT_EQ(second.items[2].number, 1);
  EXPECT_EQ(second.next_cursor, "");
}

TYPED_TEST_P(StoreContract, ACursorOrLimitThatIsNoneIsInvalid) {
  this->must_commit(adds(a_run(1)));
  for (const char* cursor : {"x", "' OR 1=1 --", "0190", "00000000-0000-0000-0000-00000000000g"})
    EXPECT_EQ(this->reader().runs({}, 10, cursor).error().code, Code::invalid) << cursor;
  EXPECT_EQ(this->reader().runs({}, 0, "").error().code, Code::invalid);
  EXPECT_EQ(this->reader().runs({}, 201, "").error().code, Code::invalid);
}

// Every filter and every pair of filters, against a plain look at all runs.
TYPED_TEST_P(StoreContract, FiltersCombine) {
  SplitMix random(11);
  std::vector<RunRow> all;
  std::vector<Changeset> changes;
  for (int n = 1; n <= 120; ++n) {
    RunRow run = a_run(n, random.chance(0.5) ? "a" : "b");
    run.id = run_id(n * 600'000);
    run.created_at = day_one + n * 10min;
    run.status = static_cast<RunStatus>(random.below(6));
    run.who.trigger = random.chance(0.3) ? Trigger::manual : Trigger::schedule;
    run.trace_id = trace_id(Instant{}, 1, random.below(4));
    all.insert(all.begin(), run);
    changes.push_back(adds(run));
  }
  ASSERT_TRUE(this->store().commit(changes));
  const auto matching = [&](const RunFilter& filter) {
    Numbers found;
    for (const RunRow& run : all) {
      const bool hit =
          (filter.workflow.empty() || run.workflow == filter.workflow) &&
          (!filter.status || run.status == *filter.status) && (!filter.trigger || run.who.trigger == *filter.trigger) &&
          (!filter.since || run.created_at >= *filter.since) && (!filter.until || run.created_at < *filter.until) &&
          (filter.trace_id.empty() || run.trace_id == filter.trace_id);
      if (hit) found.push_back(run.number);
    }
    return found;
  };
  for (unsigned set = 0; set < 64; ++set) {
    for (int status = 0; status < 6; ++status) {
      RunFilter filter;
      if (set & 1U) filter.workflow = "a";
      if (set & 2U) filter.status = static_cast<RunStatus>(status);
      if (set & 4U) filter.trigger = Trigger::manual;
      if (set & 8U) filter.since = day_one + 300min;
      if (set & 16U) filter.until = day_one + 1000min;
      if (set & 32U) filter.trace_id = trace_id(Instant{}, 1, 2);
      EXPECT_EQ(this->listed(filter, 7), matching(filter)) << "filters " << set << ", status " << status;
      if (!(set & 2U)) break;
    }
  }
}

TYPED_TEST_P(StoreContract, SinceIsInsideItsSpanAndUntilIsNot) {
  for (int n = 1; n <= 3; ++n) this->must_commit(adds(a_run(n)));
  EXPECT_EQ(this->listed({.since = day_one + 2ms}), (Numbers{3, 2}));
  EXPECT_EQ(this->listed({.until = day_one + 2ms}), Numbers{1});
  EXPECT_EQ(this->listed({.since = day_one + 2ms, .until = day_one + 2ms}), Numbers{});
  EXPECT_EQ(this->listed({.since = Instant::min(), .until = Instant::max()}), (Numbers{3, 2, 1}));
}

TYPED_TEST_P(StoreContract, NamesAreComparedByteByByte) {
  const std::vector<std::string> names{"a",   "A",    "ä",  "a\xCC\x88", "a b",
                                       "a'b", "a\"b", "a%", "a_",        std::string("a\0b", 3)};
  int n = 0;
  for (const std::string& name : names) {
    ++n;
    this->must_commit(adds(a_run(n, name)), puts({name, true, n, 0, day_one, day_one}));
  }
  n = 0;
  for (const std::string& name : names) {
    ++n;
    EXPECT_EQ(this->listed({.workflow = name}), Numbers{n});
    EXPECT_EQ(value(this->reader().workflow(name))->version, n);
  }
}

TYPED_TEST_P(StoreContract, ABodyOfAMebibyteReadsBackByteByByte) {
  SplitMix random(3);
  std::string body(1 << 20, ' ');
  for (char& c : body) c = static_cast<char>(' ' + random.below(95));
  RunRow run = a_run(1);
  run.inputs = json::object{{"text", body}};
  this->must_commit(adds(run), adds(a_record(run.id, 1, body)), adds(a_record(run.id, 2, "")));
  this->must_commit(updates(with_status(run, RunStatus::success)));
  const auto rows = value(this->reader().records(run.id));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_TRUE(rows[0].body == body);
  EXPECT_EQ(rows[1].body, "");
  EXPECT_TRUE(this->stored(run.id)->inputs == run.inputs);
}

TYPED_TEST_P(StoreContract, AReaderSeesACommitAsSoonAsItIsDone) {
  const auto other = value(this->store().reader());
  for (int n = 1; n <= 3; ++n) {
    this->must_commit(adds(a_run(n)));
    EXPECT_TRUE(value(other->run(run_id(n))));
    EXPECT_EQ(this->listed({}).size(), static_cast<std::size_t>(n));
  }
}

TYPED_TEST_P(StoreContract, ReadersWorkBesideTheWriterAndSeeWholeCommitsOnly) {
  this->must_commit(adds(a_run(1)));
  std::atomic<bool> stop = false;
  const auto read = [&, reader = value(this->store().reader())] {
    std::size_t last = 0;
    while (!stop) {
      const auto rows = value(reader->records(run_id(1)));
      EXPECT_EQ(rows.size() % 2, 0U);
      EXPECT_GE(rows.size(), last);
      last = rows.size();
    }
  };
  {
    const std::jthread one([&] { read(); });
    for (std::int64_t n = 0; n < 200; ++n)
      this->must_commit(adds(a_record(run_id(1), 2 * n + 1)), adds(a_record(run_id(1), 2 * n + 2)));
    stop = true;
  }
  EXPECT_EQ(this->seqs(run_id(1)).size(), 400U);
}

TYPED_TEST_P(StoreContract, RunsThatExpireComeInTheOrderOfTheirInstants) {
  RunRow later = an_expiring_run(1, 30);
  this->must_commit(adds(later), adds(an_expiring_run(2, 10)), adds(an_expiring_run(3, 20)), adds(a_run(4)),
                    adds(an_expiring_run(5, 10)));
  const std::vector<Expiry> all{
      {day_one + 10s, run_id(2)}, {day_one + 10s, run_id(5)}, {day_one + 20s, run_id(3)}, {day_one + 30s, run_id(1)}};
  EXPECT_EQ(value(this->reader().expiring({}, 10)), all);
  EXPECT_EQ(value(this->reader().expiring({}, 2)), std::vector(all.begin(), all.begin() + 2));
  EXPECT_EQ(value(this->reader().expiring(all[0], 2)), std::vector(all.begin() + 1, all.begin() + 3));
  EXPECT_TRUE(value(this->reader().expiring(all[3], 2)).empty());
  // A person opens it again, and it ends once more.
  later.status = RunStatus::running;
  later.expires_at.reset();
  this->must_commit(updates(later));
  EXPECT_EQ(value(this->reader().expiring({}, 10)).size(), 3U);
  this->must_commit(updates(an_expiring_run(1, 5)));
  EXPECT_EQ(value(this->reader().expiring({}, 1)), (std::vector<Expiry>{{day_one + 5s, run_id(1)}}));
}

TYPED_TEST_P(StoreContract, ARunThatIsGoneLeavesNothingButItsMarkAndItsNumber) {
  RunRow run = an_expiring_run(7, 10);
  run.inputs = json::object{{"a", 1}};
  this->must_commit(puts({"nightly", true, 1, 3, day_one, day_one}), adds(run), adds(a_record(run.id, 1)),
                    adds(a_record(run.id, 2)), adds(StartKey{"nightly", "k1", "h", run.id, day_one}),
                    adds(StartKey{"nightly", "k2", "h", run_id(8), day_one}), adds(an_expiring_run(8, 20)),
                    adds(a_record(run_id(8), 1)));
  this->must_commit(takes(run.id));
  EXPECT_FALSE(this->stored(run.id));
  EXPECT_FALSE(value(this->reader().run_by_number("nightly", 7)));
  EXPECT_TRUE(this->seqs(run.id).empty());
  EXPECT_FALSE(value(this->reader().start_key("nightly", "k1")));
  EXPECT_EQ(value(this->reader().expiring({}, 10)), (std::vector<Expiry>{{day_one + 20s, run_id(8)}}));
  EXPECT_EQ(value(this->reader().gone({}, 10)), std::vector{run.id});
  EXPECT_EQ(value(this->reader().workflow("nightly"))->last_number, 7);
  EXPECT_EQ(this->listed({}), Numbers{8});
  // The mark outlives the process.
  this->reopen();
  EXPECT_EQ(value(this->reader().gone({}, 10)), std::vector{run.id});
  this->must_commit(clears(run.id));
  EXPECT_TRUE(value(this->reader().gone({}, 10)).empty());
  this->must_commit(clears(run.id));

  EXPECT_TRUE(this->stored(run_id(8)));
  EXPECT_EQ(this->seqs(run_id(8)), std::vector<std::int64_t>{1});
  EXPECT_TRUE(value(this->reader().start_key("nightly", "k2")));
}

TYPED_TEST_P(StoreContract, WhatIsNotThereCannotBeTakenAndAConflictTakesNothing) {
  this->must_conflict(takes(run_id(1)));
  this->must_commit(clears(run_id(1)));
  RunRow run = an_expiring_run(1, 10);
  run.inputs = json::object{{"a", 1}};
  this->must_commit(puts({"nightly", true, 1, 0, day_one, day_one}), adds(run), adds(a_record(run.id, 1)),
                    adds(StartKey{"nightly", "k", "h", run.id, day_one}));
  this->must_conflict(takes(run.id), clears(run.id), takes(run.id));
  expect_equal(*this->stored(run.id), run);
  EXPECT_EQ(this->seqs(run.id), std::vector<std::int64_t>{1});
  EXPECT_TRUE(value(this->reader().start_key("nightly", "k")));
  EXPECT_EQ(value(this->reader().expiring({}, 10)).size(), 1U);
  EXPECT_EQ(value(this->reader().workflow("nightly"))->last_number, 0);
  EXPECT_TRUE(value(this->reader().gone({}, 10)).empty());
}

TYPED_TEST_P(StoreContract, ACursorHoldsWhenTheRunItPointsAtIsGone) {
  for (int n = 1; n <= 5; ++n) this->must_commit(adds(an_expiring_run(n, n)));
  const auto first = value(this->reader().runs({}, 2, ""));
  this->must_commit(takes(run_id(4)));
  const auto second = value(this->reader().runs({}, 2, first.next_cursor));
  ASSERT_EQ(second.items.size(), 2U);
  EXPECT_EQ(second.items[0].number, 3);
}

REGISTER_TYPED_TEST_SUITE_P(
    StoreContract, AnEmptyStoreKnowsNothingAndSaysSo, AWorkflowIsInsertedAndThenReplaced,
    AWorkflowReadsBackWithEveryFieldAlsoWhenItIsDeleted, ARunSaysWhichSlotItWasStartedForHoweverItIsRead,
    AVersionIsKeptAsWrittenAndNeverOverwritten, ARunReadsBackWithEveryField, ARunWithoutAnythingReadsBackAsSuch,
    AnUpdateChangesTheChangingColumnsOnly, AnUpdateOfAMissingRunIsAConflict, TheSameRunTwiceIsAConflict,
    OfTwoRecordsWithOneSeqTheFirstStays, RecordsComeInOrderOfSeq, AConflictLeavesNothingBehindOfAnyChangesetOfTheCommit,
    OneCommitMayBuildOnItsOwnChanges, ACommitOfNothingSucceeds, AStartKeyBelongsToItsWorkflowAndIsTakenOnce,
    WhatWasCommittedIsThereAfterReopening, EveryOpeningCountsTheEpochUp, TheHeartbeatReadIsThatOfAnEarlierProcess,
    TheLastRunNumberIsTheHighestOfItsWorkflow, OpenRunsAreThoseThatAreNotFinalOldestFirst,
    OpenRunsComeWithoutValuesAndStopWhenTheVisitorSaysSo, RunsAreListedNewestFirstInPagesThatNeitherRepeatNorLeaveOut,
    ACursorHoldsWhileRunsComeAndEnd, ACursorOrLimitThatIsNoneIsInvalid, FiltersCombine,
    SinceIsInsideItsSpanAndUntilIsNot, NamesAreComparedByteByByte, ABodyOfAMebibyteReadsBackByteByByte,
    AReaderSeesACommitAsSoonAsItIsDone, ReadersWorkBesideTheWriterAndSeeWholeCommitsOnly,
    RunsThatExpireComeInTheOrderOfTheirInstants, ARunThatIsGoneLeavesNothingButItsMarkAndItsNumber,
    WhatIsNotThereCannotBeTakenAndAConflictTakesNothing, ACursorHoldsWhenTheRunItPointsAtIsGone);

}  // namespace pawl::store::contract
