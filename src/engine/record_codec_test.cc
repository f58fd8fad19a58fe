#include "engine/record_codec.h"

#include <gtest/gtest.h>

#include <set>

namespace pawl::engine {
namespace {

const Who somebody{Trigger::api, "kim", "127.0.0.1", "curl/8", from_us(5)};
const FailurePtr because =
    std::make_shared<const Failure>(Failure{"timeout", "too \"long\"", Json(json::object{{"status", 503}})});
const FailurePtr without_cause = std::make_shared<const Failure>(Failure{"interrupted", "cut off", nullptr});
std::shared_ptr<const Json> value(Json json) { return std::make_shared<const Json>(std::move(json)); }

struct Written {
  Change change;
  const char* text;
};

// The texts stand in stores: what is written today has to be read by every later version.
const std::vector<Written>& all_kinds() {
  static const std::vector<Written> kinds = {
      {AttemptStarted{2, 3, somebody},
       R"({"t":"attempt_started","attempt":2,"version":3,"trigger":"api","user":"kim","client":"127.0.0.1","agent":"curl/8","asked_us":5})"},
      {AttemptInterrupted{"cut off", true, from_us(7)},
       R"({"t":"attempt_interrupted","message":"cut off","counted":true,"last_life_us":7})"},
      {AttemptHeld{WaitsFor::timer, from_us(9)}, R"({"t":"attempt_held","waits_for":"timer","due_us":9})"},
      {AttemptHeld{}, R"({"t":"attempt_held"})"},
      {AttemptEnded{RunStatus::failed, because},
       R"({"t":"attempt_ended","status":"failed","error":{"code":"timeout","message":"too \"long\"","cause":{"status":503}}})"},
      {StopAsked{somebody, true, without_cause},
       R"({"t":"stop_asked","trigger":"api","user":"kim","client":"127.0.0.1","agent":"curl/8","asked_us":5,"hard":true,"error":{"code":"interrupted","message":"cut off"}})"},
      {StopNoted{}, R"({"t":"stop_noted"})"},
      {AttemptStarted{3, 3, somebody, TaskRef{1, -1}, value(json::object{}), value(json::object{{"a", 1}}), nullptr},
       R"({"t":"attempt_started","attempt":3,"version":3,"trigger":"api","user":"kim","client":"127.0.0.1","agent":"curl/8","asked_us":5,"from_job":1,"inputs":{},"vars":{"a":1}})"},
      {VerdictReached{RunStatus::failed, without_cause},
       R"({"t":"verdict_reached","status":"failed","error":{"code":"interrupted","message":"cut off"}})"},
      {GroupTaken{}, R"({"t":"group_taken"})"},
      {LineLeft{}, R"({"t":"line_left"})"},
      {JobExpanded{1, {json::object{{"os", "a"}}, json::object{{"os", "b"}}}},
       R"({"t":"job_expanded","job":1,"values":[{"os":"a"},{"os":"b"}]})"},
      {InstanceStopped{4}, R"({"t":"instance_stopped","job":4})"},
      {TaskWaits{{0, 2}, WaitsFor::approval, std::nullopt, "now?"},
       R"({"t":"task_waits","job":0,"task":2,"waits_for":"approval","message":"now?"})"},
      {TaskAnswered{{0, 2}, {Answered::rejected, somebody, "no"}},
       R"({"t":"task_answered","job":0,"task":2,"answer":"rejected","trigger":"api","user":"kim","client":"127.0.0.1","agent":"curl/8","asked_us":5,"comment":"no"})"},
      {TaskEnded{{0, 2}, WorkStatus::success, SkipReason::none, nullptr, value(json::object{{"a", 1}})},
       R"({"t":"task_ended","job":0,"task":2,"status":"success","outputs":{"a":1}})"},
      {JobStarted{0}, R"({"t":"job_started","job":0})"},
      {JobEnded{1, WorkStatus::skipped, SkipReason::upstream, nullptr},
       R"({"t":"job_ended","job":1,"status":"skipped","reason":"upstream"})"},
      {TaskStarted{{1, 0}, 4}, R"({"t":"task_started","job":1,"task":0,"try":4})"},
      {TaskWaits{{0, 2}, WaitsFor::limit, std::nullopt}, R"({"t":"task_waits","job":0,"task":2,"waits_for":"limit"})"},
      {TaskWaits{{0, 2}, WaitsFor::retry, from_us(0)},
       R"({"t":"task_waits","job":0,"task":2,"waits_for":"retry","due_us":0})"},
      {TryEnded{{0, 1},
                2,
                TryStatus::timed_out,
                because,
                value(json::object{{"a", nullptr}}),
                value(json::object{{"stdout", "x"}})},
       R"({"t":"try_ended","job":0,"task":1,"try":2,"status":"timed_out","error":{"code":"timeout","message":"too \"long\"","cause":{"status":503}},"outputs":{"a":null},"preview":{"stdout":"x"}})"},
      {TaskEnded{{0, 1}, WorkStatus::failed, SkipReason::none, without_cause},
       R"({"t":"task_ended","job":0,"task":1,"status":"failed","error":{"code":"interrupted","message":"cut off"}})"},
  };
  return kinds;
}

TEST(RecordCodec, EveryKindOfChangeIsCovered) {
  std::set<std::size_t> seen;
  for (const Written& kind : all_kinds()) seen.insert(kind.change.index());
  EXPECT_EQ(seen.size(), std::variant_size_v<Change>);
}

TEST(RecordCodec, EveryKindOfChangeHasItsText) {
  for (const Written& kind : all_kinds()) EXPECT_EQ(encode({kind.change}), std::string("[") + kind.text + "]");
}

TEST(RecordCodec, WhatIsReadIsWhatWasWritten) {
  std::vector<Change> changes;
  for (const Written& kind : all_kinds()) changes.push_back(kind.change);
  const std::string body = encode(changes);
  const auto read = decode(body);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), changes.size());
  for (std::size_t i = 0; i < changes.size(); ++i) EXPECT_EQ((*read)[i].index(), changes[i].index());
  EXPECT_EQ(encode(*read), body);
}

TEST(RecordCodec, ARecordWithoutChangesIsAnEmptyList) {
  EXPECT_EQ(encode({}), "[]");
  ASSERT_TRUE(decode("[]"));
  EXPECT_TRUE(decode("[]")->empty());
}

TEST(RecordCodec, WhatIsNoRecordIsCorrupt) {
  for (const auto* body :
       {"", "{}", "[1]", "[{}]", R"([{"t":"moon_landed"}])", R"([{"t":"job_started","job":"x"}])",
        R"([{"t":"job_started","job":99999999999}])", R"([{"t":"job_ended","job":0,"status":"sideways"}])",
        R"([{"t":"attempt_ended","status":"failed","error":"x"}])", R"([{"t":"stop_noted"})"}) {
    const auto read = decode(body);
    ASSERT_FALSE(read) << body;
    EXPECT_EQ(read.error().code, Code::corrupt) << body;
  }
}

}  // namespace
}  // namespace pawl::engine
