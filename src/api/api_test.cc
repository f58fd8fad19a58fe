#include "api/test_world.h"

namespace pawl::api {
namespace {

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
  const auto answer = ask("POST", "/api/v1/workflows/x");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("Allow"), "GET, HEAD, PUT, PATCH, DELETE");
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

TEST_F(Api, FaultsOfTheServerAreToldWithoutTheirDetails) {
  with_workflow();
  inbox_.next_error = Error{Code::corrupt, "table runs in /var/lib/pawl is damaged"};
  const auto answer = ask("POST", "/api/v1/workflows/blog/runs");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.code(), "corrupt");
  EXPECT_THAT(answer.text, Not(HasSubstr("/var")));
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
  const auto handler = make_api(
      {.admin_token = [] { return std::string(token); }}, inbox_, histories_,
      [] { return fail(Code::unavailable, "no store"); }, *logs_);
  std::promise<int> status;
  handler(make_request("GET", "/api/v1/runs", "", {{"authorization", "Bearer " + token}}),
          [&](const net::Response& r) { status.set_value(r.status); });
  EXPECT_EQ(status.get_future().get(), 503);
}

TEST_F(Api, AQueueThatIsFullTurnsRequestsAwayAtOnce) {
  // The one thread is held while it opens its reader.
  std::promise<void> opening, go;
  const auto handler = make_api(
      {.admin_token = [] { return std::string(token); }, .threads = 1, .queue = 1}, inbox_, histories_,
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

}  // namespace
}  // namespace pawl::api
