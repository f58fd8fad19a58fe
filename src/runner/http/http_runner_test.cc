// What is sent, over which connection, and how a call is stopped.
#include "runner/http/http_runner.h"

#include <latch>

#include "runner/http/test_calls.h"

namespace pawl::runner {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;
using testing::Not;
using End = Outcome::End;
using std::chrono::milliseconds;
using std::chrono::seconds;

using HttpRunnerTest = HttpCalls;

// --- what is sent

TEST_F(HttpRunnerTest, SendsMethodHeadersAndBodyAndReadsTheAnswer) {
  Seen requests;
  TestServer server([&](Connection& c) {
    auto request = c.read();
    if (!request) return;
    requests.add(*request);
    c.answer(R"({"ok":true})", "Content-Type: application/json\r\nX-A: 1\r\nx-a:  2 \r\n", "201 Created");
  });
  HttpInput input = post(server.url("/a/b?c=d"), R"({"tag":"x"})");
  input.headers = {{"X-Custom", "v"}, {"X-Empty", ""}};
  input.want_json = input.want_headers = true;
  const Outcome outcome = call(input);
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.reply->status, 201);
  EXPECT_EQ(outcome.reply->text, R"({"ok":true})");
  EXPECT_FALSE(outcome.reply->text_cut);
  ASSERT_TRUE(outcome.reply->json);
  EXPECT_EQ(to_text(*outcome.reply->json), R"({"ok":true})");
  EXPECT_EQ(find_string(outcome.reply->headers, "x-a"), "1, 2");
  EXPECT_EQ(find_string(outcome.reply->headers, "content-type"), "application/json");

  const SeenRequest seen = requests.take_one();
  EXPECT_EQ(seen.line, "POST /a/b?c=d HTTP/1.1");
  EXPECT_EQ(seen.body, R"({"tag":"x"})");
  EXPECT_EQ(seen.header("x-custom"), "v");
  EXPECT_EQ(seen.count("x-empty"), 1);
  EXPECT_EQ(seen.header("content-type"), "application/json");
  EXPECT_EQ(seen.header("accept"), "*/*");
  EXPECT_EQ(seen.header("user-agent"), options.user_agent);
  EXPECT_EQ(seen.header("idempotency-key"), "key-1");
  EXPECT_EQ(seen.header("x-request-id"), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_THAT(seen.header("traceparent"), testing::StartsWith("00-0af7651916cd43dd8448eb211c80319c-"));
  EXPECT_EQ(seen.count("expect"), 0);
}

TEST_F(HttpRunnerTest, SendsALargeBodyWithoutWaitingForA100) {
  Seen requests;
  TestServer server([&](Connection& c) {
    if (auto request = c.read()) {
      requests.add(*request);
      c.answer("");
    }
  });
  const std::string body(3 << 20, 'b');
  EXPECT_EQ(call(post(server.url(), body)).end, End::completed);
  const SeenRequest seen = requests.take_one();
  EXPECT_EQ(seen.body.size(), body.size());
  EXPECT_EQ(seen.count("expect"), 0);
}

TEST_F(HttpRunnerTest, AnnouncesAnEmptyBody) {
  Seen requests;
  TestServer server([&](Connection& c) {
    while (auto request = c.read()) {
      requests.add(*request);
      c.answer("");
    }
  });
  HttpInput input = get(server.url());
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"}) {
    input.method = method;
    ASSERT_EQ(call(input).end, End::completed);
    const SeenRequest seen = requests.take_one();
    EXPECT_EQ(seen.line, std::string(method) + " / HTTP/1.1");
    const bool announced = std::string_view("POST PUT PATCH").find(method) != std::string_view::npos;
    EXPECT_EQ(seen.header("content-length"), announced ? "0" : "") << method;
    EXPECT_EQ(seen.count("content-type"), 0) << method;
  }
}

TEST_F(HttpRunnerTest, SendsAnyMethodWithABodyAndForgetsItForTheNext) {
  Seen requests;
  TestServer server([&](Connection& c) {
    while (auto request = c.read()) {
      requests.add(*request);
      c.answer("");
    }
  });
  HttpInput input = post(server.url(), "body");
  for (const char* method : {"DELETE", "GET", "PUT", "QUERY"}) {
    input.method = method;
    ASSERT_EQ(call(input).end, End::completed);
    const SeenRequest seen = requests.take_one();
    EXPECT_EQ(seen.line, std::string(method) + " / HTTP/1.1");
    EXPECT_EQ(seen.body, "body");
  }
  ASSERT_EQ(call(get(server.url())).end, End::completed);
  const SeenRequest seen = requests.take_one();
  EXPECT_EQ(seen.line, "GET / HTTP/1.1");
  EXPECT_EQ(seen.count("content-length"), 0);
}

TEST_F(HttpRunnerTest, DoesNotWaitForTheBodyOfAHead) {
  TestServer server([](Connection& c) {
    while (c.read() && c.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")) {
    }
  });
  HttpInput input = get(server.url());
  input.method = "HEAD";
  input.want_headers = true;
  const Outcome outcome = call(input);
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.reply->text, "");
  EXPECT_EQ(find_string(outcome.reply->headers, "content-length"), "1000");
}

TEST_F(HttpRunnerTest, RefusesAWrongRequestBeforeAnythingIsSent) {
  TestServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  HttpInput input = get(server.url());
  input.headers = {{"X", "a\r\nEvil: 1"}};
  Outcome outcome = call(input);
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "invalid_request");
  outcome = call(get("http://127.0.0.1:99999/"));
  EXPECT_EQ(outcome.failure.code, "invalid_request") << outcome.failure.message;
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(HttpRunnerTest, AsksNoProxyOfTheEnvironment) {
  TestServer proxy(always("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy"));
  TestServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndirect"));
  setenv("http_proxy", proxy.url().c_str(), 1);
  const Outcome outcome = call(get(server.url()));
  unsetenv("http_proxy");
  EXPECT_EQ(outcome.reply->text, "direct");
}

// --- connections

TEST_F(HttpRunnerTest, UsesAConnectionAgain) {
  TestServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(call(get(server.url())).reply->text, "ok");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpRunnerTest, RunsManyCallsAtOnce) {
  constexpr int calls = 200;
  std::latch all_here(calls);
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    all_here.arrive_and_wait();  // none is answered before all have come
    c.answer("ok");
  });
  for (int i = 0; i < calls; ++i) start(get(server.url()));
  for (int i = 1; i <= calls; ++i) EXPECT_EQ(results.wait(i).end, End::completed);
}

TEST_F(HttpRunnerTest, SendsARequestOnceThoughAReusedConnectionClosesWithoutAnAnswer) {
  std::atomic<int> requests = 0;
  TestServer server([&](Connection& c) {
    // The first connection answers one request and takes the next one away with it.
    for (int i = 1; c.read(); ++i) {
      ++requests;
      if (c.number == 1 && i == 2) return;
      c.answer("ok");
    }
  });
  ASSERT_EQ(call(post(server.url(), "1")).end, End::completed);
  const Outcome outcome = call(post(server.url(), "2"));
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "connection_failed");
  EXPECT_THAT(outcome.failure.message, HasSubstr("not sent again"));
  EXPECT_EQ(requests, 2);
  EXPECT_EQ(call(get(server.url())).end, End::completed);
  EXPECT_EQ(requests, 3);
}

TEST_F(HttpRunnerTest, SendsARequestOnceThoughAReusedConnectionIsReset) {
  std::atomic<int> requests = 0;
  TestServer server([&](Connection& c) {
    for (int i = 1; c.read(); ++i) {
      ++requests;
      if (c.number == 1 && i == 2) return c.reset();
      c.answer("ok");
    }
  });
  ASSERT_EQ(call(get(server.url())).end, End::completed);
  EXPECT_EQ(call(get(server.url())).failure.code, "connection_failed");
  EXPECT_EQ(requests, 2);
}

TEST_F(HttpRunnerTest, OpensANewConnectionWhenTheKeptOneWasClosed) {
  std::latch first_done(1);
  std::latch closed(1);
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    c.answer("ok");
    if (c.number > 1) return;
    first_done.wait();
    c.close();
    closed.count_down();
  });
  ASSERT_EQ(call(post(server.url(), "1")).end, End::completed);
  first_done.count_down();
  closed.wait();
  EXPECT_EQ(call(post(server.url(), "2")).end, End::completed);
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(HttpRunnerTest, TakesNoAnswerThatCameBeforeTheQuestion) {
  std::latch first_done(1);
  std::latch poisoned(1);
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    c.answer("good");
    if (c.number > 1) return c.drain();
    first_done.wait();
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    poisoned.count_down();
    c.drain();
  });
  EXPECT_EQ(call(get(server.url())).reply->text, "good");
  first_done.count_down();
  poisoned.wait();
  EXPECT_EQ(call(get(server.url())).reply->text, "good");
}

TEST_F(HttpRunnerTest, UsesNoConnectionThatSentMoreThanItsAnswer) {
  TestServer server([&](Connection& c) {
    while (c.read())
      c.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(call(get(server.url())).reply->text, "good");
  EXPECT_EQ(server.connections(), 3);
}

TEST_F(HttpRunnerTest, SaysWhoRefusedTheConnection) {
  int port = 0;
  {
    port = TestServer(once("")).port();
  }
  const std::string peer = "127.0.0.1:" + std::to_string(port);
  const Outcome outcome = call(get("http://user:secret@" + peer + "/x?token=secret"));
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "connection_failed");
  EXPECT_EQ(outcome.failure.message, "cannot connect to " + peer + ": Connection refused");
  EXPECT_EQ(url_in(outcome.failure), "http://" + peer + "/x");
  EXPECT_THAT(to_text(outcome.failure.cause), Not(HasSubstr("secret")));
}

TEST_F(HttpRunnerTest, EndsAConnectionThatTakesTooLong) {
  // A listener whose queue is full lets connections hang.
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 0), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::vector<int> queued;
  for (int i = 0; i < 3; ++i) {
    queued.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)::connect(queued.back(), reinterpret_cast<sockaddr*>(&address), size);
  }
  options.connect_timeout = milliseconds(200);
  const Outcome outcome = call(get("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/"), seconds(30));
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "timeout");
  EXPECT_THAT(outcome.failure.message, HasSubstr("no connection to 127.0.0.1:"));
  for (const int fd : queued) ::close(fd);
  ::close(listener);
}

// --- stop

TEST_F(HttpRunnerTest, DropsACallOnRequest) {
  std::latch asked(1);
  std::latch dropped(1);
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    asked.count_down();
    c.drain();
    dropped.count_down();
  });
  const int slow = start(get(server.url()));
  asked.wait();
  stop(slow);
  EXPECT_EQ(results.wait(slow).end, End::stopped);
  dropped.wait();  // the server saw it go
  stop(slow);
  stop(4711);
  EXPECT_EQ(results.count(), 1u);
}

TEST_F(HttpRunnerTest, DropsACallThatWasJustStarted) {
  TestServer server([](Connection& c) { c.drain(); });
  for (int i = 0; i < 50; ++i) {
    const int number = start(get(server.url()));
    stop(number);
    EXPECT_EQ(results.wait(number).end, End::stopped);
  }
}

TEST_F(HttpRunnerTest, AfterShutdownNothingIsAnsweredAnyMore) {
  std::latch asked(1);
  TestServer server([&](Connection& c) {
    if (c.read()) asked.count_down();
    c.drain();
  });
  start(get(server.url()));
  asked.wait();
  runner().shutdown();
  start(get(server.url()));
  runner().shutdown();
  EXPECT_EQ(results.count(), 0u);
}

}  // namespace
}  // namespace pawl::runner
