#include "runner/http/test_calls.h"

namespace pawl::runner {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;
using End = Outcome::End;

using HttpRedirects = HttpCalls;

TEST_F(HttpRedirects, FollowsARedirectOnlyWhereAsked) {
  Seen requests;
  TestServer server([&](Connection& c) {
    while (auto request = c.read()) {
      requests.add(*request);
      if (request->line.find("/to") != std::string::npos) {
        c.answer("arrived");
      } else {
        c.answer("moved", "Location: /to\r\n", "302 Found");
      }
    }
  });
  Outcome outcome = call(get(server.url()));
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.reply->status, 302);
  EXPECT_EQ(outcome.reply->text, "moved");

  HttpInput input = get(server.url());
  input.follow_redirects = true;
  outcome = call(input);
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.reply->status, 200);
  EXPECT_EQ(outcome.reply->text, "arrived");

  requests.take();
  input = post(server.url(), "body");
  input.follow_redirects = true;
  EXPECT_EQ(call(input).reply->text, "arrived");
  const std::vector<SeenRequest> seen = requests.take();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].line, "POST / HTTP/1.1");
  EXPECT_EQ(seen[1].line, "GET /to HTTP/1.1");
}

TEST_F(HttpRedirects, ARedirectKeepsMethodAndBodyWhereItsStatusSaysSo) {
  Seen requests;
  TestServer server([&](Connection& c) {
    while (auto request = c.read()) {
      requests.add(*request);
      if (request->line.find("/to") != std::string::npos) {
        c.answer("arrived");
      } else {
        const std::size_t slash = request->line.find('/');
        c.answer("", "Location: /to\r\n", request->line.substr(slash + 1, 3) + " Moved");
      }
    }
  });
  struct Case {
    const char *method, *status, *then, *body;
  };
  for (const Case& c : {Case{"POST", "307", "POST", "body"}, Case{"PUT", "308", "PUT", "body"},
                        Case{"POST", "303", "GET", ""}, Case{"PUT", "303", "GET", ""}}) {
    HttpInput input = post(server.url(), "body");
    input.method = c.method;
    input.follow_redirects = true;
    input.url = server.url("/" + std::string(c.status, 3));
    ASSERT_EQ(call(input).end, End::completed);
    const std::vector<SeenRequest> seen = requests.take();
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[1].line, std::string(c.then) + " /to HTTP/1.1") << c.method << " " << c.status;
    EXPECT_EQ(seen[1].body, c.body) << c.method << " " << c.status;
  }
}

TEST_F(HttpRedirects, FollowsTenRedirectsAndNoMore) {
  std::atomic<int> requests = 0;
  TestServer server([&](Connection& c) {
    while (c.read()) {
      ++requests;
      c.answer("", "Location: /again\r\n", "302 Found");
    }
  });
  HttpInput input = get(server.url());
  input.follow_redirects = true;
  EXPECT_EQ(call(input).failure.code, "too_many_redirects");
  EXPECT_EQ(requests, 11);
}

TEST_F(HttpRedirects, FollowsARedirectToNothingButHttp) {
  for (const char* target : {"file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "//[broken"}) {
    TestServer server([&](Connection& c) {
      while (c.read()) c.answer("", "Location: " + std::string(target) + "\r\n", "302 Found");
    });
    HttpInput input = get(server.url());
    input.follow_redirects = true;
    const Outcome outcome = call(input);
    EXPECT_EQ(outcome.end, End::failed) << target;
    EXPECT_EQ(outcome.failure.code, "invalid_response") << target << ": " << outcome.failure.message;
  }
}

TEST_F(HttpRedirects, TellsNoOtherHostTheCredentialsOfTheFirst) {
  Seen requests;
  TestServer other([&](Connection& c) {
    if (auto request = c.read()) {
      requests.add(*request);
      c.answer("ok");
    }
  });
  TestServer server([&](Connection& c) {
    if (c.read()) c.answer("", "Location: " + other.url() + "\r\n", "302 Found");
  });
  HttpInput input = get("http://user:secret@127.0.0.1:" + std::to_string(server.port()) + "/");
  input.headers = {{"Cookie", "secret"}};
  input.follow_redirects = true;
  ASSERT_EQ(call(input).end, End::completed);
  SeenRequest seen = requests.take_one();
  EXPECT_EQ(seen.header("authorization"), "");
  EXPECT_EQ(seen.header("cookie"), "");
  input.url = server.url();
  input.headers = {{"Authorization", "Bearer secret"}, {"X-Other", "secret"}, {"Accept", "text/plain"}};
  ASSERT_EQ(call(input).end, End::completed);
  seen = requests.take_one();
  EXPECT_EQ(seen.header("authorization"), "");
  EXPECT_EQ(seen.header("x-other"), "");
  EXPECT_EQ(seen.header("accept"), "text/plain");
  EXPECT_EQ(seen.header("idempotency-key"), "key-1");
}

TEST_F(HttpRedirects, ALoopOverSeveralHostsEndsAtTheTenth) {
  std::atomic<int> requests = 0;
  std::string first_url;
  TestServer second([&](Connection& c) {
    while (const auto request = c.read()) {
      const int hop = ++requests;
      c.answer("", "Location: " + first_url + std::to_string(hop) + "\r\n", "307 Temporary Redirect");
    }
  });
  TestServer first([&](Connection& c) {
    while (const auto request = c.read()) {
      const int hop = ++requests;
      c.answer("", "Location: " + second.url("/") + std::to_string(hop) + "\r\n", "308 Permanent Redirect");
    }
  });
  first_url = first.url("/");
  HttpInput input = post(first.url(), "body");
  input.follow_redirects = true;
  const Outcome outcome = call(input);
  EXPECT_EQ(outcome.failure.code, "too_many_redirects");
  EXPECT_THAT(outcome.failure.message, HasSubstr("more than 10 redirects"));
  EXPECT_EQ(requests, 11);
}

TEST_F(HttpRedirects, AllHopsTogetherHaveTheTimeOfOneCall) {
  TestServer server([](Connection& c) {
    while (const auto request = c.read()) {
      if (request->line.find("/last") != std::string::npos) return c.drain();
      c.answer("", "Location: /last\r\n", "302 Found");
    }
  });
  const Outcome outcome = call(following(server.url()), std::chrono::milliseconds(200));
  EXPECT_EQ(outcome.end, End::timed_out);
  EXPECT_EQ(outcome.failure.message, "no answer after 200ms");
}

TEST_F(HttpRedirects, TheAnswerOfAHopCountsAsAnyOther) {
  options.max_body = 1000;
  TestServer server([](Connection& c) {
    while (c.read()) c.answer(std::string(1001, 'x'), "Location: /on\r\n", "302 Found");
  });
  EXPECT_EQ(call(following(server.url())).failure.code, "response_too_large");
}

TEST_F(HttpRedirects, WithoutATargetARedirectIsAnAnswer) {
  TestServer server(always("HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno"));
  const Outcome outcome = call(following(server.url()));
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.reply->status, 302);
}

}  // namespace
}  // namespace pawl::runner
