// The API over a store in memory and an engine that accepts everything and starts nothing.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <mutex>

#include "api/api.h"
#include "api/call.h"
#include "definition/definition.h"
#include "net/url.h"
#include "store/memory/memory_store.h"

namespace pawl::api {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

inline const std::string token = "0123456789abcdef0123456789abcdef";
inline const Instant noon = *parse_rfc3339("2026-11-23T12:00:00Z");

// Committed runs as a test puts them together.
class FakeHistories final : public driver::Histories {
 public:
  Result<RunHistory> history(RunId id) override {
    const std::lock_guard lock(mutex_);
    const auto found = histories_.find(id);
    if (found == histories_.end()) return fail(Code::not_found, "there is no run " + to_string(id), "run_unknown");
    return found->second;
  }
  Result<std::vector<Record>> records(RunId id) override {
    const std::lock_guard lock(mutex_);
    return records_[id];
  }
  Result<std::variant<ProcessInput, HttpInput>> input(RunId, TaskRef ref) override {
    if (ref.task > 0) return fail(Code::invalid, "tasks.first.outputs.x is null");
    return ProcessInput{.script = "echo", .shell = "bash", .env = {{"A", "b"}}};
  }

  void put(RunHistory history) {
    const std::lock_guard lock(mutex_);
    histories_[history.run.id] = std::move(history);
  }
  void put(RunId id, std::vector<Record> records) {
    const std::lock_guard lock(mutex_);
    records_[id] = std::move(records);
  }

 private:
  std::mutex mutex_;
  std::map<RunId, RunHistory> histories_;
  std::map<RunId, std::vector<Record>> records_;
};

inline RunHistory new_history(const Workflow& workflow, Run run) {
  RunHistory history;
  Attempt attempt;
  attempt.version = run.version;
  attempt.who = run.who;
  attempt.created_at = run.created_at;
  for (const Job& job : workflow.jobs) {
    JobRun& job_run = attempt.jobs.emplace_back();
    job_run.tasks.resize(job.tasks.size());
  }
  history.definitions[run.version] = std::make_shared<const Workflow>(workflow);
  history.attempts.push_back(std::move(attempt));
  history.run = std::move(run);
  return history;
}

// Accepts as the engine does, and starts nothing.
class FakeInbox final : public driver::Inbox {
 public:
  FakeInbox(store::Store& store, FakeHistories& histories) : store_(store), histories_(histories) {}

  Result<void> post(Event event, driver::Reply reply) override {
    const std::lock_guard lock(mutex_);
    if (full) return fail(Code::overloaded, "too many requests wait already", "overloaded");
    last = event;
    if (next_error) {
      reply(std::unexpected(*std::exchange(next_error, std::nullopt)));
      return {};
    }
    reply(std::visit([this](const auto& e) { return decide(e); }, event));
    return {};
  }

  bool full = false;
  std::optional<Error> next_error;
  Event last;

 private:
  Result<Answer> decide(const WorkflowSubmitted& event) {
    const std::string& name = event.workflow->name;
    auto row = *reader()->workflow(name);
    if (row && event.mode == WorkflowSubmitted::Mode::create)
      return fail(Code::conflict, "workflow exists already; change it with PUT", "workflow_exists");
    const bool created = !row;
    if (row && (*reader()->version(name, row->version))->text == event.text)
      return WorkflowAccepted{name, row->version, false, true};
    Changeset changes;
    changes.workflow = row.value_or(WorkflowRow{.name = name, .created_at = noon});
    changes.workflow->updated_at = noon;
    ++changes.workflow->version;
    changes.version = VersionRow{name, changes.workflow->version, event.text, noon, event.who.user};
    EXPECT_TRUE(store_.commit({&changes, 1}));
    return WorkflowAccepted{name, changes.workflow->version, created, false};
  }
  Result<Answer> decide(const RunRequested& event) {
    const auto row = *reader()->workflow(event.workflow);
    if (!row) return fail(Code::not_found, "there is no such workflow", "workflow_unknown");
    const auto workflow = definition::parse((*reader()->version(event.workflow, row->version))->text)->workflow;
    const auto inputs = definition::check_inputs(workflow, event.inputs);
    if (!inputs) return fail(Code::invalid, fmt::format("{}", fmt::join(inputs.error(), "; ")), "inputs_invalid");
    if (!event.key.empty()) {
      if (const auto known = keys_.find(event.key); known != keys_.end()) {
        if (known->second.second != *inputs) return fail(Code::conflict, "other inputs", "key_reused");
        return RunAccepted{known->second.first, 0, event.workflow, true};
      }
    }
    Run run;
    run.number = ++number_;
    run.id = RunId{uuid_v7(noon, static_cast<std::uint64_t>(number_), 1)};
    run.workflow = event.workflow;
    run.version = row->version;
    run.trace_id = trace_id(Instant{}, 7, static_cast<std::uint64_t>(number_));
    run.who = event.who;
    run.inputs = *inputs;
    run.vars = run.env = json::object();
    run.created_at = noon;
    Changeset changes;
    changes.new_run = run;
    EXPECT_TRUE(store_.commit({&changes, 1}));
    histories_.put(new_history(workflow, run));
    if (!event.key.empty()) keys_[event.key] = {run.id, *inputs};
    return RunAccepted{run.id, run.number, run.workflow, false};
  }
  Result<Answer> decide(const CancelRequested& event) {
    auto history = histories_.history(event.run);
    if (!history) return std::unexpected(history.error());
    if (is_final(history->run.status)) return fail(Code::conflict, "the run is final", "run_final");
    history->run.status = history->attempts.back().status = RunStatus::cancelled;
    histories_.put(*history);
    return RunAccepted{event.run, history->run.number, history->run.workflow, false};
  }
  Result<Answer> decide(const ResumeRequested& event) {
    auto history = histories_.history(event.run);
    if (!history) return std::unexpected(history.error());
    if (!is_final(history->run.status)) return fail(Code::conflict, "the run is open", "run_open");
    Attempt next = history->attempts.back();
    ++next.number;
    history->run.status = next.status = RunStatus::queued;
    history->attempts.push_back(std::move(next));
    histories_.put(*history);
    return RunAccepted{event.run, history->run.number, history->run.workflow, false};
  }
  Result<Answer> decide(const RerunRequested& event) {
    return decide(ResumeRequested{.run = event.run, .who = event.who});
  }
  Result<Answer> decide(const AnswerRequested& event) {
    auto history = histories_.history(event.run);
    if (!history) return std::unexpected(history.error());
    return RunAccepted{event.run, history->run.number, history->run.workflow, false};
  }
  template <class Other>
  Result<Answer> decide(const Other&) {
    return fail(Code::internal, "secret: /var/lib/pawl.db is gone");
  }
  std::unique_ptr<store::Reader> reader() { return *store_.reader(); }

  std::mutex mutex_;
  store::Store& store_;
  FakeHistories& histories_;
  std::int64_t number_ = 0;
  std::map<std::string, std::pair<RunId, Json>> keys_;
};

inline net::Request make_request(std::string method, const std::string& target, std::string body,
                                 std::vector<std::pair<std::string, std::string>> headers) {
  net::Request request;
  request.method = std::move(method);
  request.target = target;
  request.body = std::move(body);
  request.client = "192.0.2.7";
  request.headers = std::move(headers);
  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string path = target.substr(0, question);
  request.path = *net::percent_decode(path);
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t slash = std::min(path.find('/', begin), path.size());
    request.segments.push_back(*net::percent_decode(path.substr(begin, slash - begin)));
    begin = slash + 1;
  }
  request.query = *net::parse_query(target.substr(std::min(question + 1, target.size())));
  return request;
}

struct HttpAnswer {
  int status = 0;
  std::string text;
  Json body;
  net::Response response;
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : response.headers)
      if (key == name) return value;
    return {};
  }
  std::string_view code() const { return find_string(body, "code"); }
};

// Somebody who asks the API, with the right token.
class Client : public testing::Test {
 protected:
  virtual const net::Handler& handler() const = 0;

  HttpAnswer send(const net::Request& request) {
    auto promise = std::make_shared<std::promise<net::Response>>();
    auto future = promise->get_future();
    handler()(request, [promise](net::Response response) { promise->set_value(std::move(response)); });
    EXPECT_EQ(future.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    HttpAnswer answered{.response = future.get()};
    answered.status = answered.response.status;
    answered.text = answered.response.body;
    if (answered.response.content_type.starts_with("application/")) answered.body = *parse_json(answered.text);
    return answered;
  }
  HttpAnswer ask(const std::string& method, const std::string& target, const std::string& body = "",
                 std::vector<std::pair<std::string, std::string>> headers = {}, std::string type = "application/json") {
    headers.emplace_back("authorization", "Bearer " + token);
    if (!body.empty()) headers.emplace_back("content-type", std::move(type));
    return send(make_request(method, target, body, std::move(headers)));
  }
  HttpAnswer get(const std::string& target) { return ask("GET", target); }
  HttpAnswer post_yaml(const std::string& target, const std::string& yaml) {
    return ask("POST", target, yaml, {}, "application/yaml");
  }
};

class Api : public Client {
 protected:
  const net::Handler& handler() const override { return handler_; }

  void with_workflow() { ASSERT_EQ(post_yaml("/api/v1/workflows", blog).status, 201); }
  std::string with_run() {
    with_workflow();
    return std::string(find_string(ask("POST", "/api/v1/workflows/blog/runs").body, "id"));
  }
  RunHistory history_of(const std::string& id) { return *histories_.history(RunId{*parse_uuid(id)}); }

  const std::string blog =
      "name: blog\n"
      "inputs: {tag: {type: choice, options: [a, b], default: a}}\n"
      "jobs:\n"
      "  analyse:\n"
      "    name: 분석\n"
      "    tasks:\n"
      "      - {id: first, name: The first, run: 'echo one'}\n"
      "      - {id: second, run: 'echo two'}\n";

  bool ready_ = true;
  SeatCounts seats_;
  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  std::unique_ptr<store::Store> store_ = store::open_memory(disk_);
  std::unique_ptr<store::LogStore> logs_ = store::memory_log();
  FakeHistories histories_;
  FakeInbox inbox_{*store_, histories_};
  net::Handler handler_ = make_api(
      {.admin_token = [] { return std::string(token); },
       .ready = [this] { return ready_; },
       .seats = [this] { return seats_; }},
      inbox_, histories_, [this] { return store_->reader(); }, *logs_);
};

}  // namespace pawl::api
