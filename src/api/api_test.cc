#include "api/api.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <mutex>

#include "api/call.h"
#include "definition/definition.h"
#include "net/url.h"
#include "store/memory/memory_store.h"

namespace pawl::api {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const std::string token = "0123456789abcdef0123456789abcdef";
const Instant noon = *parse_rfc3339("2026-11-23T12:00:00Z");

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

RunHistory new_history(const Workflow& workflow, Run run) {
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
    if (next_error) return std::unexpected(*std::exchange(next_error, std::nullopt));
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
    run.trace_id = trace_id(7, static_cast<std::uint64_t>(number_));
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
    if (event.with_current) return fail(Code::refused, "not yet", "not_supported");
    Attempt next = history->attempts.back();
    ++next.number;
    history->run.status = next.status = RunStatus::queued;
    history->attempts.push_back(std::move(next));
    histories_.put(*history);
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

net::Request make_request(std::string method, const std::string& target, std::string body,
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

struct Answered {
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

class Api : public testing::Test {
 protected:
  Answered send(const net::Request& request) {
    auto promise = std::make_shared<std::promise<net::Response>>();
    auto future = promise->get_future();
    handler_(request, [promise](net::Response response) { promise->set_value(std::move(response)); });
    EXPECT_EQ(future.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    Answered answered{.response = future.get()};
    answered.status = answered.response.status;
    answered.text = answered.response.body;
    if (answered.response.content_type.starts_with("application/")) answered.body = *parse_json(answered.text);
    return answered;
  }
  Answered ask(const std::string& method, const std::string& target, const std::string& body = "",
               std::vector<std::pair<std::string, std::string>> headers = {}, std::string type = "application/json") {
    headers.emplace_back("authorization", "Bearer " + token);
    if (!body.empty()) headers.emplace_back("content-type", std::move(type));
    return send(make_request(method, target, body, std::move(headers)));
  }
  Answered get(const std::string& target) { return ask("GET", target); }
  Answered post_yaml(const std::string& target, const std::string& yaml) {
    return ask("POST", target, yaml, {}, "application/yaml");
  }

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
  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  std::unique_ptr<store::Store> store_ = store::open_memory(disk_);
  std::unique_ptr<store::LogStore> logs_ = store::memory_log();
  FakeHistories histories_;
  FakeInbox inbox_{*store_, histories_};
  net::Handler handler_ = make_api(
      {.admin_token = token, .ready = [this] { return ready_; }}, inbox_, histories_,
      [this] { return store_->reader(); }, *logs_);
};

TEST_F(Api, HealthNeedsNoToken) {
  EXPECT_EQ(send(make_request("GET", "/healthz", "", {})).status, 200);
  EXPECT_EQ(send(make_request("HEAD", "/healthz", "", {})).status, 200);
  EXPECT_EQ(send(make_request("GET", "/readyz", "", {})).status, 200);
  ready_ = false;
  const auto answer = send(make_request("GET", "/readyz", "", {}));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code(), "not_ready");
  EXPECT_EQ(send(make_request("GET", "/healthz", "", {})).status, 200);
}

// What stands for {…} so that the path is one.
std::string example_of(std::string_view pattern) {
  std::string path(pattern);
  for (std::size_t at = path.find('{'); at != std::string::npos; at = path.find('{'))
    path.replace(at, path.find('}') - at + 1, "x");
  return path;
}

TEST_F(Api, EveryRouteButHealthAsksForTheToken) {
  const std::vector<std::vector<std::pair<std::string, std::string>>> wrong = {
      {},
      {{"authorization", ""}},
      {{"authorization", "Bearer"}},
      {{"authorization", "Bearer "}},
      {{"authorization", token}},
      {{"authorization", "Basic " + token}},
      {{"authorization", "Bearer " + token.substr(1)}},
      {{"authorization", "Bearer " + token + "0"}},
      {{"authorization", "Bearer " + token + " "}},
      {{"authorization", "Bearer " + token}, {"authorization", "Bearer x"}},
      {{"cookie", "token=" + token}}};
  for (const Route& route : routes()) {
    const std::string path = example_of(route.pattern);
    const bool open = path == "/healthz" || path == "/readyz";
    EXPECT_EQ(route.role == Role::open, open) << path;
    for (const auto& headers : wrong) {
      for (const std::string method : {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "get"}) {
        const auto answer = send(make_request(method, path, "", headers));
        if (open) {
          EXPECT_EQ(answer.status, method == "GET" || method == "HEAD" ? 200 : 405) << method << path;
        } else {
          EXPECT_EQ(answer.status, 401) << method << path;
          EXPECT_EQ(answer.header("WWW-Authenticate"), "Bearer");
        }
      }
    }
    if (!open) {
      for (const std::string& variant :
           {path + "/", "/" + path, path + "%2f", path + ";x", path + "/../healthz", "/healthz/.." + path})
        EXPECT_EQ(send(make_request("GET", variant, "", {})).status, 401) << variant;
    }
  }
  for (const auto* path :
       {"/", "/api", "/api/v1", "/nothing", "/HEALTHZ", "/healthz/", "//healthz", "/metrics", "/healthz/configs"})
    EXPECT_EQ(send(make_request("GET", path, "", {})).status, 401) << path;
}

TEST_F(Api, TheTokenIsAcceptedInAnyCaseOfTheScheme) {
  EXPECT_EQ(send(make_request("GET", "/api/v1/runs", "", {{"authorization", "bearer  " + token}})).status, 200);
}

TEST_F(Api, WithoutAnAdminTokenNoTokenIsRight) {
  const auto handler = make_api({}, inbox_, histories_, [this] { return store_->reader(); }, *logs_);
  for (const auto* given : {"Bearer ", "Bearer x"}) {
    int status = 0;
    handler(make_request("GET", "/api/v1/runs", "", {{"authorization", given}}),
            [&](const net::Response& r) { status = r.status; });
    EXPECT_EQ(status, 401);
  }
}

TEST_F(Api, UnknownPathsAndMethodsAreToldApart) {
  EXPECT_EQ(get("/api/v1/nothing").status, 404);
  EXPECT_EQ(get("/api/v1/runs/").status, 404);
  EXPECT_EQ(get("/api/v1//runs").status, 404);
  EXPECT_EQ(get("/api/v1/RUNS").status, 404);
  const auto answer = ask("DELETE", "/api/v1/workflows/x");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("Allow"), "GET, HEAD, PUT");
  EXPECT_EQ(answer.response.content_type, "application/problem+json");
  for (const auto* member : {"type", "title", "detail", "code"})
    EXPECT_FALSE(find_string(answer.body, member).empty()) << member;
  EXPECT_EQ(find_int(answer.body, "status"), 405);
}

TEST_F(Api, UnknownParametersAndFieldsAreRefused) {
  const std::string id = with_run();
  EXPECT_EQ(get("/api/v1/runs?workflo=x").code(), "unknown_parameter");
  EXPECT_EQ(get("/api/v1/runs?limit=1&limit=2").status, 400);
  EXPECT_EQ(get("/api/v1/workflows/blog?x").status, 400);
  for (const auto* body :
       {R"({"epoch":1})", R"({"with_current":1})", "[]", "{", R"({"force":true,"force":true})", "null"})
    EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/resume", body).status, 400) << body;
  EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/cancel", R"({"x":1})").code(), "unknown_field");
  EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/cancel", "{}", {}, "text/plain").status, 415);
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{},"status":"success"})").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":[]})").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", std::string(5000, '[')).status, 400);
}

TEST_F(Api, AWorkflowIsCreatedOnceAndChangedByPut) {
  const auto created = post_yaml("/api/v1/workflows", blog);
  ASSERT_EQ(created.status, 201) << created.text;
  EXPECT_EQ(created.header("Location"), "/api/v1/workflows/blog");
  EXPECT_EQ(find_int(created.body, "version"), 1);
  EXPECT_THAT(find(created.body, "warnings")->get_array(), IsEmpty());
  EXPECT_EQ(post_yaml("/api/v1/workflows", blog).status, 409);
  EXPECT_EQ(post_yaml("/api/v1/workflows", blog).code(), "workflow_exists");

  const auto same = ask("PUT", "/api/v1/workflows/blog", blog, {}, "text/yaml");
  EXPECT_EQ(same.status, 200);
  EXPECT_TRUE(find(same.body, "unchanged")->get_bool());
  const auto changed =
      ask("PUT", "/api/v1/workflows/blog", blog + "description: x\n", {}, "application/x-yaml; charset=utf-8");
  EXPECT_EQ(changed.status, 200);
  EXPECT_EQ(find_int(changed.body, "version"), 2);
  EXPECT_EQ(ask("PUT", "/api/v1/workflows/other", blog, {}, "text/yaml").code(), "name_mismatch");
  EXPECT_EQ(ask("PUT", "/api/v1/workflows/j%20son", R"({"name":"j son","jobs":{"a":{"tasks":[{"run":"x"}]}}})").status,
            201);
  EXPECT_EQ(ask("POST", "/api/v1/workflows", blog, {}, "text/plain").status, 415);
  EXPECT_EQ(ask("POST", "/api/v1/workflows", std::string(definition::max_text + 1, ' '), {}, "text/yaml").status, 413);
}

TEST_F(Api, AnInvalidDefinitionIsToldWithItsLines) {
  for (const auto* target : {"/api/v1/workflows", "/api/v1/workflows/validate"}) {
    const auto answer = post_yaml(target, "name: x\njobz: {}\n");
    EXPECT_EQ(answer.status, 422);
    EXPECT_EQ(answer.code(), "definition_invalid");
    const auto& errors = find(answer.body, "errors")->get_array();
    ASSERT_THAT(errors, Not(IsEmpty()));
    EXPECT_TRUE(find_int(errors[0], "line"));
    EXPECT_TRUE(find_int(errors[0], "column"));
    EXPECT_FALSE(find_string(errors[0], "message").empty());
  }
  EXPECT_EQ(post_yaml("/api/v1/workflows", "").status, 415);
  const auto fine = post_yaml("/api/v1/workflows/validate", blog);
  EXPECT_EQ(fine.status, 200);
  EXPECT_TRUE(find(fine.body, "valid")->get_bool());
  EXPECT_EQ(get("/api/v1/workflows/blog").status, 404);
}

TEST_F(Api, WhatIsNotServedYetIsSaidWhenAWorkflowIsAccepted) {
  const auto answer = post_yaml("/api/v1/workflows", blog + "on: {schedule: {cron: '0 8 * * *'}}\n");
  ASSERT_EQ(answer.status, 201) << answer.text;
  const auto& warnings = find(answer.body, "warnings")->get_array();
  ASSERT_THAT(warnings, SizeIs(1));
  EXPECT_THAT(std::string(find_string(warnings[0], "message")), HasSubstr("not fired yet"));
}

TEST_F(Api, WorkflowsAreListedByNameInPages) {
  for (const auto* name : {"c", "a", "b"})
    ASSERT_EQ(
        post_yaml("/api/v1/workflows", fmt::format("name: {}\njobs: {{j: {{tasks: [{{run: x}}]}}}}\n", name)).status,
        201);
  const auto first = get("/api/v1/workflows?limit=2");
  EXPECT_EQ(to_text(find(first.body, "items")->get_array().at(1).at("name")), "\"b\"");
  const auto second = get("/api/v1/workflows?limit=2&cursor=" + std::string(find_string(first.body, "next_cursor")));
  ASSERT_THAT(find(second.body, "items")->get_array(), SizeIs(1));
  EXPECT_TRUE(find(second.body, "next_cursor")->is_null());
  for (const auto* query : {"limit=0", "limit=201", "limit=x", "limit=-1", "cursor=%21", "limit=99999999999999999999"})
    EXPECT_EQ(get(fmt::format("/api/v1/workflows?{}", query)).status, 400) << query;
}

TEST_F(Api, AWorkflowIsShownWithItsDefinitionAndVersions) {
  with_workflow();
  ask("PUT", "/api/v1/workflows/blog", blog + "description: x\n", {}, "text/yaml");
  const auto shown = get("/api/v1/workflows/blog");
  EXPECT_EQ(find_string(shown.body, "text"), blog + "description: x\n");
  EXPECT_EQ(find_string(*find(shown.body, "definition"), "description"), "x");
  EXPECT_EQ(find_string(shown.body, "created_at"), "2026-11-23T12:00:00.000Z");
  const auto versions = get("/api/v1/workflows/blog/versions?limit=1");
  EXPECT_EQ(find_int(find(versions.body, "items")->get_array().at(0), "version"), 2);
  const auto older =
      get("/api/v1/workflows/blog/versions?cursor=" + std::string(find_string(versions.body, "next_cursor")));
  EXPECT_EQ(find_int(find(older.body, "items")->get_array().at(0), "version"), 1);
  EXPECT_EQ(find_string(get("/api/v1/workflows/blog/versions/1").body, "text"), blog);
  for (const auto* path : {"/api/v1/workflows/x", "/api/v1/workflows/x/versions", "/api/v1/workflows/blog/versions/3",
                           "/api/v1/workflows/blog/versions/0", "/api/v1/workflows/blog/versions/x",
                           "/api/v1/workflows/a%2Fb", "/api/v1/workflows/validate"})
    EXPECT_EQ(get(path).status, 404) << path;
}

TEST_F(Api, AStartAnswersWithTheRun) {
  with_workflow();
  const auto answer =
      ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"b"}})", {{"user-agent", "test\xff/1"}});
  ASSERT_EQ(answer.status, 202) << answer.text;
  EXPECT_EQ(answer.header("Location"), "/api/v1/runs/" + std::string(find_string(answer.body, "id")));
  EXPECT_EQ(find_int(answer.body, "number"), 1);
  EXPECT_EQ(find_string(answer.body, "status"), "queued");
  EXPECT_EQ(find_string(answer.body, "trigger"), "api");
  EXPECT_EQ(find_string(answer.body, "user"), "admin");
  EXPECT_EQ(find_string(answer.body, "client"), "192.0.2.7");
  EXPECT_EQ(find_string(answer.body, "user_agent"), "test\xef\xbf\xbd/1");
  EXPECT_EQ(to_text(*find(answer.body, "inputs")), R"({"tag":"b"})");
  EXPECT_THAT(std::string(find_string(answer.body, "trace_id")), SizeIs(32));
  const auto by_hand = ask("POST", "/api/v1/workflows/blog/runs", "", {{"user-agent", "pawl-cli/0.1.0"}});
  EXPECT_EQ(find_string(by_hand.body, "trigger"), "manual");
}

TEST_F(Api, TheSameKeyGivesTheSameRun) {
  with_workflow();
  const std::vector<std::pair<std::string, std::string>> key = {{"idempotency-key", "k"}};
  const auto first = ask("POST", "/api/v1/workflows/blog/runs", "{}", key);
  EXPECT_EQ(first.status, 202);
  const auto again = ask("POST", "/api/v1/workflows/blog/runs", "", key);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(find_string(again.body, "id"), find_string(first.body, "id"));
  const auto other = ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"b"}})", key);
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.code(), "key_reused");
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", "", {{"idempotency-key", std::string(256, 'k')}}).code(),
            "bad_key");
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", "", {{"idempotency-key", ""}}).code(), "bad_key");
}

TEST_F(Api, AStartThatCannotBeSaysWhy) {
  with_workflow();
  EXPECT_EQ(ask("POST", "/api/v1/workflows/other/runs").status, 404);
  const auto invalid = ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"z","x":1}})");
  EXPECT_EQ(invalid.status, 422);
  EXPECT_EQ(invalid.code(), "inputs_invalid");
  EXPECT_THAT(find(invalid.body, "errors")->get_array(), SizeIs(2));
  inbox_.next_error = Error{Code::conflict, "workflow 'blog' is disabled", "workflow_disabled"};
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs").status, 409);
  inbox_.full = true;
  const auto full = ask("POST", "/api/v1/workflows/blog/runs");
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.header("Retry-After"), "1");
}

TEST_F(Api, ARunCanBeStartedLikeAnother) {
  with_workflow();
  post_yaml("/api/v1/workflows", "name: other\njobs: {j: {tasks: [{run: x}]}}\n");
  const auto first = ask("POST", "/api/v1/workflows/blog/runs", R"({"inputs":{"tag":"b"}})");
  const std::string like = fmt::format(R"({{"like":"{}"}})", find_string(first.body, "id"));
  const auto second = ask("POST", "/api/v1/workflows/blog/runs", like);
  EXPECT_EQ(second.status, 202);
  EXPECT_EQ(to_text(*find(second.body, "inputs")), R"({"tag":"b"})");
  EXPECT_NE(find_string(second.body, "id"), find_string(first.body, "id"));
  EXPECT_EQ(ask("POST", "/api/v1/workflows/other/runs", like).code(), "other_workflow");
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"like":"x"})").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"like":"01890000-0000-7000-8000-000000000000"})").status,
            404);
  EXPECT_EQ(ask("POST", "/api/v1/workflows/blog/runs", R"({"like":"x","inputs":{}})").status, 400);
}

TEST_F(Api, FaultsOfTheServerAreToldWithoutTheirDetails) {
  with_workflow();
  inbox_.next_error = Error{Code::corrupt, "table runs in /var/lib/pawl is damaged"};
  const auto answer = ask("POST", "/api/v1/workflows/blog/runs");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.code(), "corrupt");
  EXPECT_THAT(answer.text, Not(HasSubstr("/var")));
}

TEST_F(Api, RunsAreListedByFilter) {
  const std::string id = with_run();
  ask("POST", "/api/v1/workflows/blog/runs", "", {{"user-agent", "pawl-cli/1"}});
  const auto count = [&](const std::string& query) {
    const auto answer = get("/api/v1/runs?" + query);
    EXPECT_EQ(answer.status, 200) << query << answer.text;
    return find(answer.body, "items")->get_array().size();
  };
  EXPECT_EQ(count(""), 2u);
  EXPECT_EQ(count("workflow=blog&status=queued"), 2u);
  EXPECT_EQ(count("workflow=x"), 0u);
  EXPECT_EQ(count("status=failed"), 0u);
  EXPECT_EQ(count("trigger=manual"), 1u);
  EXPECT_EQ(count("since=2026-11-23T12:00:00Z"), 2u);
  EXPECT_EQ(count("since=2026-11-23T21:00:00%2B09:00"), 2u);
  EXPECT_EQ(count("since=2026-11-23T21:00:00+09:00"), 2u);
  EXPECT_EQ(count("until=2026-11-23T12:00:00Z"), 0u);
  EXPECT_EQ(count("until=" + std::to_string(to_us(noon) / 1'000'000 + 1)), 2u);
  EXPECT_EQ(count("trace_id=" + history_of(id).run.trace_id), 1u);
  const auto first = get("/api/v1/runs?limit=1");
  EXPECT_EQ(find_int(find(first.body, "items")->get_array().at(0), "number"), 2);
  EXPECT_EQ(count("limit=1&cursor=" + std::string(find_string(first.body, "next_cursor"))), 1u);
  for (const auto* query :
       {"status=done", "trigger=x", "since=yesterday", "until=-5", "cursor=zz", "limit=0", "label=a"})
    EXPECT_EQ(get(fmt::format("/api/v1/runs?{}", query)).status, 400) << query;
}

TEST_F(Api, ARunIsShownWithEveryJobAndTaskOfEveryAttempt) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  const auto interrupted = std::make_shared<const Failure>(
      Failure{"interrupted", "interrupted by system restart", json::object{{"signal", 9}}});
  Attempt& first = history.attempts[0];
  first.status = RunStatus::failed;
  first.error = interrupted;
  first.jobs[0].status = WorkStatus::failed;
  TaskRun& done = first.jobs[0].tasks[0];
  done.status = WorkStatus::success;
  done.outputs = std::make_shared<const Json>(json::object{{"x", 1}});
  done.tries.push_back({1, TryStatus::success, noon, noon, nullptr});
  Attempt second = first;
  second.number = 2;
  second.status = RunStatus::waiting;
  second.error = nullptr;
  second.who = {Trigger::recovery, "", "system-recovery", "workflow-system-recovery", noon};
  second.jobs[0].tasks[0].status = WorkStatus::skipped;
  second.jobs[0].tasks[0].reason = SkipReason::done;
  second.jobs[0].tasks[0].done_in_attempt = 1;
  second.jobs[0].tasks[0].tries.clear();
  second.jobs[0].tasks[1].status = WorkStatus::waiting;
  second.jobs[0].tasks[1].waits_for = WaitsFor::retry;
  second.jobs[0].tasks[1].due = noon;
  history.attempts.push_back(second);
  histories_.put(history);

  const auto answer = get("/api/v1/runs/" + id);
  ASSERT_EQ(answer.status, 200);
  const auto& attempts = find(answer.body, "attempts")->get_array();
  ASSERT_THAT(attempts, SizeIs(2));
  EXPECT_EQ(to_text(*find(attempts[0], "error")),
            R"({"code":"interrupted","message":"interrupted by system restart","cause":{"signal":9}})");
  const Json& job = find(attempts[0], "job_runs")->get_array().at(0);
  EXPECT_EQ(find_string(job, "job"), "analyse");
  EXPECT_EQ(find_string(job, "name"), "분석");
  const Json& task = find(job, "task_runs")->get_array().at(0);
  EXPECT_EQ(find_string(task, "task"), "first");
  EXPECT_EQ(find_string(task, "name"), "The first");
  EXPECT_EQ(to_text(*find(task, "outputs")), R"({"x":1})");
  EXPECT_EQ(to_text(*find(task, "tries")),
            R"([{"try":1,"status":"success","error":null,"started_at":"2026-11-23T12:00:00.000Z",)"
            R"("finished_at":"2026-11-23T12:00:00.000Z"}])");
  EXPECT_EQ(find_string(attempts[1], "trigger"), "recovery");
  EXPECT_EQ(find_string(attempts[1], "client"), "system-recovery");
  EXPECT_EQ(find_string(attempts[1], "user_agent"), "workflow-system-recovery");
  const auto& tasks = find(find(attempts[1], "job_runs")->get_array().at(0), "task_runs")->get_array();
  ASSERT_THAT(tasks, SizeIs(2));
  EXPECT_EQ(find_string(tasks[0], "reason"), "done");
  EXPECT_EQ(find_int(tasks[0], "done_in_attempt"), 1);
  EXPECT_EQ(find_string(tasks[1], "waits_for"), "retry");
  EXPECT_EQ(find_string(tasks[1], "due"), "2026-11-23T12:00:00.000Z");

  EXPECT_EQ(get("/api/v1/workflows/blog/runs/1").text, answer.text);
  for (const auto* path :
       {"/api/v1/workflows/blog/runs/2", "/api/v1/workflows/x/runs/1", "/api/v1/workflows/blog/runs/x",
        "/api/v1/runs/x", "/api/v1/runs/..", "/api/v1/runs/01890000-0000-7000-8000-000000000000"})
    EXPECT_EQ(get(path).status, 404) << path;
}

TEST_F(Api, AJobOfManyTasksIsShownInPages) {
  std::string yaml = "name: many\njobs:\n  j:\n    tasks:\n";
  for (int i = 0; i < 1100; ++i) yaml += "      - run: x\n";
  ASSERT_EQ(post_yaml("/api/v1/workflows", yaml).status, 201);
  const auto run = ask("POST", "/api/v1/workflows/many/runs");
  const std::string path = "/api/v1/runs/" + std::string(find_string(run.body, "id")) + "/tasks?job=j";
  const Json& job = find(find(run.body, "attempts")->get_array().at(0), "job_runs")->get_array().at(0);
  EXPECT_THAT(find(job, "task_runs")->get_array(), SizeIs(1000));
  const auto rest = get(path + "&attempt=1&limit=99&cursor=" + std::string(find_string(job, "next_cursor")));
  ASSERT_THAT(find(rest.body, "items")->get_array(), SizeIs(99)) << rest.text;
  EXPECT_EQ(find_string(find(rest.body, "items")->get_array()[0], "task"), "task-1001");
  const auto last = get(path + "&cursor=" + std::string(find_string(rest.body, "next_cursor")));
  EXPECT_THAT(find(last.body, "items")->get_array(), SizeIs(1));
  EXPECT_TRUE(find(last.body, "next_cursor")->is_null());
  EXPECT_EQ(get(path + "&attempt=2").status, 404);
  EXPECT_EQ(get(path + "x").status, 404);
  EXPECT_EQ(get(path.substr(0, path.find('?'))).status, 400);
}

TEST_F(Api, LargeOutputsAreLeftToTheirOwnPlace) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  TaskRun& task = history.attempts[0].jobs[0].tasks[0];
  task.outputs = std::make_shared<const Json>(json::object{{"x", json::string(100'000, 'x')}});
  histories_.put(history);
  const auto run = get("/api/v1/runs/" + id);
  EXPECT_THAT(run.text, HasSubstr(R"("outputs":null,"outputs_cut":true)"));
  const auto io = get("/api/v1/runs/" + id + "/tasks/analyse/first/io");
  EXPECT_EQ(text_size(*find(io.body, "outputs")), text_size(*task.outputs));
}

TEST_F(Api, CancelAndResumeAnswerWithTheRun) {
  const std::string id = with_run();
  EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/resume").code(), "run_open");
  const auto cancelled = ask("POST", "/api/v1/runs/" + id + "/cancel", "", {{"user-agent", "pawl-cli/1"}});
  EXPECT_EQ(cancelled.status, 202);
  EXPECT_EQ(find_string(cancelled.body, "status"), "cancelled");
  EXPECT_EQ(std::get<CancelRequested>(inbox_.last).who.trigger, Trigger::manual);
  EXPECT_EQ(std::get<CancelRequested>(inbox_.last).who.user, "admin");
  EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/cancel").code(), "run_final");
  EXPECT_EQ(ask("POST", "/api/v1/runs/" + id + "/resume", R"({"with_current":true,"force":true})").status, 422);
  const auto resumed = ask("POST", "/api/v1/runs/" + id + "/resume", R"({"with_current":false})");
  EXPECT_EQ(resumed.status, 202);
  EXPECT_THAT(find(resumed.body, "attempts")->get_array(), SizeIs(2));
  for (const auto* action : {"cancel", "resume"}) {
    EXPECT_EQ(ask("POST", fmt::format("/api/v1/runs/x/{}", action)).status, 404);
    EXPECT_EQ(ask("POST", fmt::format("/api/v1/runs/01890000-0000-7000-8000-000000000000/{}", action)).status, 404);
  }
}

TEST_F(Api, ATasksInputAndOutputsAreShown) {
  const std::string path = "/api/v1/runs/" + with_run() + "/tasks/";
  const auto io = get(path + "analyse/first/io");
  EXPECT_EQ(io.status, 200);
  EXPECT_EQ(find_string(*find(io.body, "input"), "script"), "echo");
  EXPECT_EQ(find_string(io.body, "status"), "pending");
  const auto unready = get(path + "analyse/second/io");
  EXPECT_TRUE(find(unready.body, "input")->is_null());
  EXPECT_EQ(find_string(unready.body, "input_error"), "tasks.first.outputs.x is null");
  for (const auto* task : {"analyse/x", "x/first", "analyse%2Ffirst/x"})
    EXPECT_EQ(get(path + task + "/io").status, 404) << task;
}

TEST_F(Api, LogsAreReadFromAnOffsetOn) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  history.attempts[0].jobs[0].tasks[0].tries = {{1, TryStatus::failed, noon, noon, nullptr}};
  Attempt second = history.attempts[0];
  second.number = 2;
  second.jobs[0].tasks[0].tries = {{2, TryStatus::running, noon, {}, nullptr}};
  history.attempts.push_back(second);
  histories_.put(history);
  const RunId run{*parse_uuid(id)};
  const auto append = [&](std::string task, int number, std::string bytes) {
    ASSERT_TRUE(
        logs_->append(run, {"analyse", std::move(task), number, store::LogStream::out, noon, std::move(bytes)}));
  };
  append("first", 1, "one\n");
  append("second", 1, "other\n");
  append("first", 2, "two \xff\n");

  const std::string path = "/api/v1/runs/" + id + "/tasks/analyse/first/logs";
  const auto all = get(path);
  EXPECT_EQ(all.text, "one\ntwo \xef\xbf\xbd\n");
  EXPECT_EQ(all.response.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(get(path + "?try=1").text, "one\n");
  EXPECT_EQ(get(path + "?attempt=2").text, "two \xef\xbf\xbd\n");
  EXPECT_EQ(get(path + "?attempt=3").text, "");
  const std::string offset = all.header("Pawl-Next-Offset");
  EXPECT_EQ(get(path + "?offset=" + offset).text, "");
  append("first", 2, "three\n");
  EXPECT_EQ(get(path + "?offset=" + offset).text, "three\n");
  EXPECT_EQ(get(path + "?offset=x").status, 400);
  EXPECT_EQ(get("/api/v1/runs/" + id + "/tasks/analyse/x/logs").status, 404);

  const auto frames = get("/api/v1/runs/" + id + "/logs?offset=" + offset);
  EXPECT_EQ(
      to_text(*find(frames.body, "items")),
      R"([{"job":"analyse","task":"first","try":2,"stream":"stdout","at":"2026-11-23T12:00:00.000Z","text":"three\n"}])");
  EXPECT_GT(find_int(frames.body, "next_offset"), std::stoll(offset));
  EXPECT_EQ(find_string(frames.body, "status"), "queued");
  EXPECT_EQ(get("/api/v1/runs/01890000-0000-7000-8000-000000000000/logs").status, 404);
}

TEST_F(Api, WhatHappenedToARunIsToldInSentences) {
  const std::string id = with_run();
  RunHistory history = history_of(id);
  Attempt second = history.attempts[0];
  second.number = 2;
  second.jobs[0].tasks[0].reason = SkipReason::done;
  second.jobs[0].tasks[0].done_in_attempt = 1;
  history.attempts.push_back(second);
  histories_.put(history);
  const auto broke = std::make_shared<const Failure>(Failure{"task_failed", "exit code 1", {}});
  const Who admin{Trigger::api, "admin", "192.0.2.7", "curl", noon};
  histories_.put(
      RunId{*parse_uuid(id)},
      {{1, noon, {AttemptStarted{1, 1, admin}, JobStarted{0}, TaskStarted{{0, 0}, 1}}},
       {2, noon, {TryEnded{{0, 0}, 1, TryStatus::failed, broke, {}, {}}, TaskWaits{{0, 0}, WaitsFor::retry, noon}}},
       {3,
        noon,
        {TaskEnded{{0, 1}, WorkStatus::skipped, SkipReason::upstream, {}}, JobEnded{0, WorkStatus::failed, {}, broke}}},
       {4,
        noon,
        {StopAsked{admin, false, {}}, StopAsked{admin, true, {}}, StopNoted{}, AttemptHeld{WaitsFor::limit, {}}}},
       {5,
        noon,
        {AttemptInterrupted{"interrupted by system restart", true, noon},
         AttemptStarted{2, 1, {Trigger::recovery, "", "system-recovery", "", noon}}}},
       {6, noon, {AttemptEnded{RunStatus::success, {}}}}});
  const std::string path = "/api/v1/runs/" + id + "/log";
  const auto answer = get(path);
  ASSERT_EQ(answer.status, 200);
  for (const auto* sentence :
       {"attempt 1 of version 1 begins: api, asked by admin at 192.0.2.7", "job analyse begins",
        "try 1 of analyse/first begins", "try 1 of analyse/first: failed (task_failed: exit code 1)",
        "analyse/first waits for retry until 2026-11-23T12:00:00.000Z",
        "analyse/second: skipped, something it needs failed", "job analyse: failed (task_failed: exit code 1)",
        "cancel was asked for by admin at 192.0.2.7", "clean-up stops too", "the server was asked to stop",
        "attempt 1 waits for limit", "attempt 1 was cut off: interrupted by system restart",
        "attempt 2 of version 1 begins: recovery, asked by system-recovery",
        "analyse/first is skipped: attempt 1 has done it", "attempt 2 ended: success"})
    EXPECT_THAT(answer.text, HasSubstr(sentence));
  const auto first = get(path + "?limit=4");
  EXPECT_THAT(find(first.body, "items")->get_array(), SizeIs(4));
  const auto rest = get(path + "?cursor=" + std::string(find_string(first.body, "next_cursor")));
  ASSERT_THAT(find(rest.body, "items")->get_array(), SizeIs(2));
  EXPECT_TRUE(find(rest.body, "next_cursor")->is_null());
  EXPECT_THAT(rest.text, HasSubstr(R"("attempt":2)"));
}

TEST_F(Api, TheDescriptionNamesEveryRoute) {
  const auto answer = get("/api/v1/openapi.json");
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(find_string(answer.body, "openapi"), "3.1.0");
  for (const Route& route : routes()) {
    const Json* path = find(*find(answer.body, "paths"), route.pattern);
    ASSERT_NE(path, nullptr) << route.pattern;
    std::string method(route.method);
    std::ranges::transform(method, method.begin(), [](char c) { return static_cast<char>(c | 0x20); });
    EXPECT_NE(find(*path, method), nullptr) << route.pattern;
  }
}

TEST_F(Api, AStoreThatCannotBeReadIsToldAsUnavailable) {
  const auto handler =
      make_api({.admin_token = token}, inbox_, histories_, [] { return fail(Code::unavailable, "no store"); }, *logs_);
  std::promise<int> status;
  handler(make_request("GET", "/api/v1/runs", "", {{"authorization", "Bearer " + token}}),
          [&](const net::Response& r) { status.set_value(r.status); });
  EXPECT_EQ(status.get_future().get(), 503);
}

TEST_F(Api, AQueueThatIsFullTurnsRequestsAwayAtOnce) {
  // The one thread is held while it opens its reader.
  std::promise<void> opening, go;
  const auto handler = make_api(
      {.admin_token = token, .threads = 1, .queue = 1}, inbox_, histories_,
      [&]() -> Result<std::unique_ptr<store::Reader>> {
        opening.set_value();
        go.get_future().wait();
        return store_->reader();
      },
      *logs_);
  const auto request = make_request("GET", "/api/v1/runs", "", {{"authorization", "Bearer " + token}});
  opening.get_future().wait();
  std::promise<int> first;
  handler(request, [&](const net::Response& r) { first.set_value(r.status); });
  int second = 0;
  handler(request, [&](const net::Response& r) { second = r.status; });
  EXPECT_EQ(second, 503);
  go.set_value();
  EXPECT_EQ(first.get_future().get(), 200);
}

TEST_F(Api, WhatIsMissingOfALogStandsOnALineOfItsOwn) {
  const std::string id = with_run();
  const RunId run{*parse_uuid(id)};
  const auto append = [&](const std::string& job, store::LogStream stream, std::string bytes) {
    ASSERT_TRUE(logs_->append(run, {job, job.empty() ? "" : "first", 1, stream, noon, std::move(bytes)}));
  };
  append("analyse", store::LogStream::out, "half a li");
  append("analyse", store::LogStream::note, "5 bytes are missing here");
  append("analyse", store::LogStream::out, "whole\n");
  append("", store::LogStream::note, "40 bytes are damaged");
  EXPECT_EQ(get("/api/v1/runs/" + id + "/tasks/analyse/first/logs").text,
            "half a li\npawl: 5 bytes are missing here\nwhole\npawl: 40 bytes are damaged\n");
}

}  // namespace
}  // namespace pawl::api
