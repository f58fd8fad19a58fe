#include "runner/http/http_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>

#include <chrono>
#include <condition_variable>
#include <latch>
#include <map>
#include <mutex>

#include "base/utf8.h"
#include "runner/http/test_server.h"

// Stands before the system's: a look-up of one name hangs until it is let go, as with a name server that is gone.
namespace {
std::mutex lookup_mutex;
std::condition_variable lookup_changed;
int lookups_hanging = 0;
bool lookups_released = false;
}  // namespace
extern "C" int getaddrinfo(const char* name, const char*, const addrinfo*, addrinfo** result) {
  *result = nullptr;
  if (name && std::string_view(name) == "hangs.example.test") {
    std::unique_lock lock(lookup_mutex);
    ++lookups_hanging;
    lookup_changed.notify_all();
    lookup_changed.wait(lock, [] { return lookups_released; });
    --lookups_hanging;
    lookup_changed.notify_all();
  }
  return EAI_NONAME;
}

namespace pawl::runner {
namespace {

using test::Connection;
using test::Seen;
using test::SeenRequest;
using test::TestServer;
using testing::HasSubstr;
using testing::Not;
using End = Outcome::End;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto patience = seconds(60);

class Collected : public Results {
 public:
  void finished(TaskFinished result) override {
    const std::lock_guard lock(mutex_);
    const int number = result.try_number;
    EXPECT_TRUE(results_.emplace(number, std::move(result.outcome)).second) << "a second result of try " << number;
    changed_.notify_all();
  }
  Outcome wait(int try_number) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [&] { return results_.contains(try_number); })) {
      ADD_FAILURE() << "no result of try " << try_number;
      return {};
    }
    return results_.at(try_number);
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return results_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Outcome> results_;  // by try number, which these tests never use twice
};

class HttpRunnerTest : public testing::Test {
 protected:
  ~HttpRunnerTest() override {
    if (runner_) runner_->shutdown();
  }
  HttpRunner& runner() {
    if (!runner_) runner_ = make_http_runner(options, results);
    return *runner_;
  }
  static HttpInput get(std::string url) {
    HttpInput input;
    input.method = "GET";
    input.url = std::move(url);
    input.want_text = true;
    return input;
  }
  static HttpInput post(std::string url, std::string body) {
    HttpInput input = get(std::move(url));
    input.method = "POST";
    input.body = std::move(body);
    input.has_body = true;
    input.content_type = "application/json";
    return input;
  }
  int start(HttpInput input, std::optional<Duration> timeout = {}) {
    StartTask command;
    command.try_number = ++last_try_;
    command.trace_id = "0af7651916cd43dd8448eb211c80319c";
    command.idempotency_key = "key-1";
    command.timeout = timeout;
    command.input = std::move(input);
    runner().start(std::move(command));
    return last_try_;
  }
  void stop(int try_number) {
    StopTask command;
    command.try_number = try_number;
    runner().stop(command);
  }
  Outcome call(HttpInput input, std::optional<Duration> timeout = {}) {
    return results.wait(start(std::move(input), timeout));
  }

  HttpOptions options;
  Collected results;
  int last_try_ = 0;
  std::unique_ptr<HttpRunner> runner_;
};

// A server that answers every request of every connection alike.
TestServer::Handler always(std::string answer) {
  return [answer = std::move(answer)](Connection& c) {
    while (c.read() && c.send(answer)) {
    }
  };
}
// One that sends this to the first request, then closes.
TestServer::Handler once(std::string answer) {
  return [answer = std::move(answer)](Connection& c) {
    if (c.read()) c.send(answer);
  };
}

std::string url_in(const Failure& failure) { return std::string(find_string(failure.cause, "url")); }

// gzip of a text, stored and not compressed.
std::string gzip(std::string_view text) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : text) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  crc = ~crc;
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  const auto put = [&](std::size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  };
  put(1, 1);  // last block, stored
  put(text.size(), 2);
  put(~text.size(), 2);
  out += text;
  put(crc, 4);
  put(text.size(), 4);
  return out;
}

// `matches` times 258 zeros: 13 bits each (RFC 1951, fixed codes: length 258 is code 285, then distance 1).
std::string gzip_bomb(std::size_t matches) {
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  std::uint32_t bits = 0;
  int count = 0;
  const auto bit = [&](unsigned value) {
    bits |= value << count;
    if (++count == 8) {
      out += static_cast<char>(bits);
      bits = 0;
      count = 0;
    }
  };
  const auto code = [&](unsigned value, int length) {
    for (int i = length - 1; i >= 0; --i) bit(value >> i & 1);
  };
  bit(1);
  bit(1);
  bit(0);           // last block, fixed codes
  code(0x30, 8);    // a zero
  for (std::size_t i = 0; i < matches; ++i) {
    code(0xc5, 8);
    code(0, 5);
  }
  code(0, 7);
  while (count != 0) bit(0);
  return out;
}

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

TEST_F(HttpRunnerTest, SaysThatAHostHasNoAddress) {
  const Outcome outcome = call(get("http://nowhere.example.test/"));
  EXPECT_EQ(outcome.failure.code, "connection_failed");
  EXPECT_THAT(outcome.failure.message, HasSubstr("nowhere.example.test:80"));
}

TEST_F(HttpRunnerTest, ChecksEveryAddressThatItConnectsTo) {
  TestServer inner(always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  TestServer outer(always("HTTP/1.1 302 Found\r\nLocation: " + inner.url() + "\r\nContent-Length: 0\r\n\r\n"));
  options.address_allowed = [&](const sockaddr& address) {
    return address.sa_family == AF_INET &&
           ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port) == outer.port();
  };
  HttpInput input = get(outer.url());
  input.follow_redirects = true;
  EXPECT_EQ(call(input).failure.code, "address_refused");
  EXPECT_EQ(inner.connections(), 0);
  input.follow_redirects = false;
  EXPECT_EQ(call(input).reply->status, 302);
}

// --- time

TEST_F(HttpRunnerTest, EndsACallWhoseTimeIsOver) {
  TestServer server([](Connection& c) {
    if (c.read()) c.drain();
  });
  const Outcome outcome = call(get(server.url()), milliseconds(200));
  EXPECT_EQ(outcome.end, End::timed_out);
  EXPECT_EQ(outcome.failure.code, "timeout");
  EXPECT_EQ(outcome.failure.message, "no answer after 200ms");
  EXPECT_EQ(url_in(outcome.failure), server.url());
}

TEST_F(HttpRunnerTest, EndsACallWhoseAnswerDrips) {
  std::latch ended(1);
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc");
    ended.wait();
  });
  const Outcome outcome = call(get(server.url()), milliseconds(200));
  ended.count_down();
  EXPECT_EQ(outcome.end, End::timed_out);
  EXPECT_EQ(outcome.failure.message, "no complete answer after 200ms, 3 bytes of its body had come");
  EXPECT_EQ(find_int(outcome.failure.cause, "received_bytes"), 3);
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

TEST_F(HttpRunnerTest, ALookUpThatHangsHoldsUpNobodyElse) {
  TestServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  lookups_released = false;
  const int stopped = start(get("http://hangs.example.test/"));
  {
    std::unique_lock lock(lookup_mutex);
    ASSERT_TRUE(lookup_changed.wait_for(lock, patience, [] { return lookups_hanging == 1; }));
  }
  EXPECT_EQ(call(get(server.url())).end, End::completed);
  EXPECT_EQ(call(get("http://hangs.example.test/"), milliseconds(100)).end, End::timed_out);
  stop(stopped);
  EXPECT_EQ(results.wait(stopped).end, End::stopped);
  EXPECT_EQ(call(get(server.url())).end, End::completed);
  std::unique_lock lock(lookup_mutex);
  lookups_released = true;
  lookup_changed.notify_all();
  ASSERT_TRUE(lookup_changed.wait_for(lock, patience, [] { return lookups_hanging == 0; }));
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

// --- answers

TEST_F(HttpRunnerTest, KeepsTheFirstBytesOfABodyThatNobodyNames) {
  // 16 KiB end in the middle of a character.
  std::string body = "x";
  while (body.size() < 40'000) body += "\xed\x95\x9c";
  TestServer server([&](Connection& c) {
    while (c.read()) c.answer(body);
  });
  HttpInput input = get(server.url());
  input.want_text = false;
  const Outcome outcome = call(input);
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_TRUE(outcome.reply->text_cut);
  EXPECT_EQ(outcome.reply->text, cut_utf8(body, preview_bytes));
  EXPECT_FALSE(outcome.reply->json);
  input.want_text = true;
  EXPECT_EQ(call(input).reply->text, body);
}

TEST_F(HttpRunnerTest, SaysWhyABodyIsNoJson) {
  TestServer server([](Connection& c) {
    while (const auto request = c.read()) c.answer(request->body);
  });
  HttpInput input = post(server.url(), "");
  input.want_json = true;
  input.want_text = false;
  for (const char* wrong : {"", "<html>", "{\"a\":1,}", "{\"a\":\"\xff\"}"}) {
    input.body = wrong;
    const Outcome outcome = call(input);
    ASSERT_EQ(outcome.end, End::completed);
    EXPECT_FALSE(outcome.reply->json);
    EXPECT_NE(outcome.reply->json_error, "") << wrong;
  }
  input.body = "\xef\xbb\xbf[1]";
  EXPECT_EQ(to_text(*call(input).reply->json), "[1]");
}

TEST_F(HttpRunnerTest, MakesTextOfBytesThatAreNone) {
  TestServer server([](Connection& c) {
    while (c.read()) c.answer("a\xff\xc3", "X-Bad: b\xff\r\n");
  });
  HttpInput input = get(server.url());
  input.want_headers = true;
  const Outcome outcome = call(input);
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.reply->text, "a\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(find_string(outcome.reply->headers, "x-bad"), "b\xef\xbf\xbd");
}

TEST_F(HttpRunnerTest, ReadsChunksAndLeavesTrailersOutOfTheHeaders) {
  TestServer server(
      always("HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n"
             "2\r\nab\r\n1\r\nc\r\n0\r\nX-A: 2\r\n\r\n"));
  HttpInput input = get(server.url());
  input.want_headers = true;
  const Outcome outcome = call(input);
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.reply->text, "abc");
  EXPECT_EQ(find_string(outcome.reply->headers, "x-a"), "1");
}

TEST_F(HttpRunnerTest, TakesTheLastOfSeveralResponses) {
  TestServer server(
      always("HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  HttpInput input = get(server.url());
  input.want_headers = true;
  const Outcome outcome = call(input);
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.reply->status, 200);
  EXPECT_EQ(find(outcome.reply->headers, "x-early"), nullptr);
}

TEST_F(HttpRunnerTest, AnErrorStatusIsAnAnswer) {
  TestServer server(always("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"));
  const Outcome outcome = call(get(server.url()));
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.reply->status, 503);
  EXPECT_EQ(outcome.reply->text, "busy");
}

// --- sizes

TEST_F(HttpRunnerTest, StopsReadingABodyThatIsTooLong) {
  TestServer server([](Connection& c) {
    if (!c.read()) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    std::size_t sent = 0;
    const std::string part(1 << 20, 'x');
    while (sent < 104'857'600 && c.send(part)) sent += part.size();
  });
  const Outcome outcome = call(get(server.url()));
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "response_too_large");
  EXPECT_THAT(outcome.failure.message, HasSubstr("16777216 bytes"));
}

TEST_F(HttpRunnerTest, TakesABodyOfExactlyTheLimit) {
  options.max_body = 1000;
  TestServer server([](Connection& c) {
    while (const auto request = c.read()) c.answer(request->body);
  });
  std::string body(1000, 'x');
  EXPECT_EQ(call(post(server.url(), body)).end, End::completed);
  body += 'x';
  EXPECT_EQ(call(post(server.url(), body)).failure.code, "response_too_large");
}

TEST_F(HttpRunnerTest, Unzips) {
  Seen requests;
  TestServer server([&](Connection& c) {
    auto request = c.read();
    if (!request) return;
    requests.add(*request);
    c.answer(gzip("hello"), "Content-Encoding: gzip\r\n");
  });
  EXPECT_EQ(call(get(server.url())).reply->text, "hello");
  EXPECT_EQ(requests.take_one().header("accept-encoding"), "gzip, deflate");
}

TEST_F(HttpRunnerTest, CountsABodyAfterItIsUnzipped) {
  const std::string bomb = gzip_bomb(400'000);  // 103 MB
  ASSERT_LT(bomb.size(), 1u << 20);
  TestServer server([&](Connection& c) {
    if (c.read()) c.answer(bomb, "Content-Encoding: gzip\r\n");
    c.drain();
  });
  EXPECT_EQ(call(get(server.url())).failure.code, "response_too_large");
}

TEST_F(HttpRunnerTest, CountsABodyThatUnzipsToNothing) {
  options.max_body = 1 << 20;
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
    c.send(std::string_view("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
    std::string nothing;
    for (int i = 0; i < 10'000; ++i) nothing.append("\0\0\0\xff\xff", 5);
    while (c.send(nothing)) {
    }
  });
  EXPECT_EQ(call(get(server.url())).failure.code, "response_too_large");
}

TEST_F(HttpRunnerTest, StopsReadingAHeaderThatNeverEnds) {
  for (const std::string endless : {"X-More: yes\r\n", "X-Long-Line", "\r\nHTTP/1.1 100 Continue\r\n"}) {
    TestServer server([&](Connection& c) {
      if (!c.read()) return;
      c.send("HTTP/1.1 100 Continue\r\n");
      std::string part;
      while (part.size() < 100'000) part += endless;
      while (c.send(part)) {
      }
    });
    const Outcome outcome = call(get(server.url()));
    EXPECT_EQ(outcome.failure.code, "response_too_large") << endless << ": " << outcome.failure.message;
  }
}

// --- wrong answers

TEST_F(HttpRunnerTest, SaysHowAnAnswerIsWrong) {
  const std::tuple<const char*, const char*> cases[] = {
      {"", "connection_failed"},
      {"HTTP/1.1 200 OK\r\nContent-Le", "invalid_response"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "connection_failed"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", "invalid_response"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "connection_failed"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", "invalid_response"},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "invalid_response"},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 5\r\n\r\nhello", "invalid_response"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "invalid_response"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "invalid_response"},
      {"\r\n\r\n", "invalid_response"},
  };
  for (const auto& [answer, code] : cases) {
    TestServer server(once(answer));
    const Outcome outcome = call(get(server.url()));
    EXPECT_EQ(outcome.end, End::failed) << answer;
    EXPECT_EQ(outcome.failure.code, code) << answer << "\n"
                                          << outcome.failure.message << to_text(outcome.failure.cause);
  }
}

TEST_F(HttpRunnerTest, SaysThatTheConnectionWasResetInTheMiddle) {
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    c.reset();
  });
  const Outcome outcome = call(get(server.url()));
  EXPECT_EQ(outcome.failure.code, "connection_failed");
  EXPECT_THAT(outcome.failure.message, HasSubstr("127.0.0.1:" + std::to_string(server.port())));
}

TEST_F(HttpRunnerTest, SaysThatThereIsNoTlsWhereItIsAsked) {
  TestServer server([](Connection& c) {
    c.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    c.drain();
  });
  const Outcome outcome = call(get("https://127.0.0.1:" + std::to_string(server.port()) + "/"));
  EXPECT_EQ(outcome.failure.code, "tls_failed") << outcome.failure.message;
}

TEST_F(HttpRunnerTest, SaysThatAFileOfCertificatesCannotBeRead) {
  TestServer server([](Connection& c) { c.drain(); });
  HttpInput input = get("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  input.tls_ca_file = "/nowhere/ca.pem";
  const Outcome outcome = call(input);
  EXPECT_EQ(outcome.failure.code, "tls_failed");
  EXPECT_THAT(outcome.failure.message, HasSubstr("/nowhere/ca.pem"));
}

// --- redirects

TEST_F(HttpRunnerTest, FollowsARedirectOnlyWhereAsked) {
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

TEST_F(HttpRunnerTest, ARedirectKeepsMethodAndBodyWhereItsStatusSaysSo) {
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

TEST_F(HttpRunnerTest, FollowsTenRedirectsAndNoMore) {
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

TEST_F(HttpRunnerTest, FollowsARedirectToNothingButHttp) {
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

TEST_F(HttpRunnerTest, TellsNoOtherHostTheCredentialsOfTheFirst) {
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

}  // namespace
}  // namespace pawl::runner
