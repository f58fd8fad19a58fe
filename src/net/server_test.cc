#include "net/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

namespace pawl::net {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A client that sends bytes as they are and reads what comes.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void end() { ::shutdown(socket_, SHUT_WR); }
  // Until the text holds `end`, or the peer has ended.
  std::string read_until(std::string_view end) {
    while (in_.find(end) == std::string::npos && more()) {
    }
    const std::size_t at = in_.find(end);
    return take(at == std::string::npos ? in_.size() : at + end.size());
  }
  std::string read_all() {
    while (more()) {
    }
    return take(in_.size());
  }
  // One answer with its Content-Length.
  std::string response(bool with_body = true) {
    std::string text = read_until("\r\n\r\n");
    const std::size_t at = text.find("Content-Length: ");
    const std::size_t length = at == std::string::npos || !with_body ? 0 : std::stoul(text.substr(at + 16));
    while (in_.size() < length && more()) {
    }
    return text + take(std::min(length, in_.size()));
  }
  std::string ask(std::string_view request) {
    send(request);
    return response();
  }

 private:
  bool more() {
    pollfd waiting{socket_, POLLIN, 0};
    if (::poll(&waiting, 1, 20'000) <= 0) {
      ADD_FAILURE() << "no answer in time";
      return false;
    }
    char buffer[16384];
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    in_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  std::string take(std::size_t size) {
    std::string text = in_.substr(0, size);
    in_.erase(0, size);
    return text;
  }

  int socket_;
  bool connected_ = false;
  std::string in_;
};

const std::string get = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

// Says what it was asked.
void echo(Request request, Responder respond) {
  respond({.content_type = "text/plain",
           .headers = {},
           .body = request.method + " " + request.target + " " + request.body});
}

// Keeps every request until the test answers it.
class Held {
 public:
  Handler handler() {
    return [this](Request, Responder respond) {
      const std::lock_guard lock(mutex_);
      responders_.push_back(std::move(respond));
      arrived_.notify_all();
    };
  }
  Responder take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !responders_.empty(); });
    Responder responder = std::move(responders_.front());
    responders_.pop_front();
    return responder;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Responder> responders_;
};

struct Running {
  explicit Running(Handler handler = echo, ServerOptions options = {}) {
    options.port = 0;
    server = make_server(std::move(options), std::move(handler));
    const auto started = server->start();
    EXPECT_TRUE(started) << started.error().message;
  }
  std::uint16_t port() const { return server->port(); }
  std::unique_ptr<Server> server;
};

TEST(HttpServer, AnswersWithSafeHeaders) {
  Running running;
  const std::string answer = Client(running.port()).ask(get);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  for (const auto* header :
       {"\r\nContent-Type: text/plain\r\n", "\r\nContent-Length: 7\r\n", "\r\nX-Content-Type-Options: nosniff\r\n",
        "\r\nCache-Control: no-store\r\n", "\r\nReferrer-Policy: no-referrer\r\n", "frame-ancestors 'none'",
        "\r\nConnection: keep-alive\r\n", "\r\nDate: "})
    EXPECT_THAT(answer, HasSubstr(header));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nGET /x "));
}

TEST(HttpServer, AnAnswersOwnHeadersStandAboveTheDefaultsAndCannotBeSplit) {
  Running running([](Request, Responder respond) {
    respond({.headers = {{"cache-control", "max-age=1"}, {"X-Evil", "a\r\nSet-Cookie: b"}}, .body = "{}"});
  });
  const std::string answer = Client(running.port()).ask(get);
  EXPECT_THAT(answer, HasSubstr("cache-control: max-age=1\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("no-store")));
  EXPECT_THAT(answer, Not(HasSubstr("\nSet-Cookie")));
}

TEST(HttpServer, AThousandRequestsShareOneConnection) {
  Running running;
  Client client(running.port());
  for (int i = 0; i < 1000; ++i) {
    const std::string path = "/" + std::to_string(i);
    ASSERT_THAT(client.ask("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"), EndsWith("GET " + path + " ")) << i;
  }
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrderThoughLaterOnesAreQuicker) {
  Held held;
  Running running(held.handler());
  Client client(running.port());
  client.send(get + get + get);
  for (const auto* name : {"one", "two", "three"}) held.take()({.headers = {}, .body = name});
  for (const auto* name : {"one", "two", "three"}) EXPECT_THAT(client.response(), EndsWith(name));
}

TEST(HttpServer, HeadSendsNoBodyButItsLength) {
  Running running;
  Client client(running.port());
  client.send("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string answer = client.response(false);
  EXPECT_THAT(answer, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
  EXPECT_THAT(client.ask(get), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, BodiesComeByLengthAndInChunks) {
  Running running;
  Client client(running.port());
  const std::string big(1'000'000, 'x');
  EXPECT_THAT(client.ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + big),
              EndsWith("POST / " + big));
  EXPECT_THAT(client.ask("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "5\r\nhello\r\n0\r\n\r\n"),
              EndsWith("POST / hello"));
}

TEST(HttpServer, AClientThatWaitsForContinueIsTold) {
  Running running;
  Client client(running.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(client.ask("hi"), EndsWith("POST / hi"));
}

TEST(HttpServer, ABodyTooLargeIsRefusedBeforeItIsSent) {
  Running running(echo, {.max_body = 10, .allowed_hosts = {}});
  Client client(running.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(answer, HasSubstr(R"("code":"content_too_large")"));
}

TEST(HttpServer, ARefusalReachesAClientThatGoesOnSending) {
  Running running(echo, {.max_body = 10, .allowed_hosts = {}});
  Client client(running.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n" + std::string(3'000'000, 'x'));
  client.end();
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServer, AllBodiesTogetherAreBounded) {
  Running running(echo, {.max_buffered = 100'000, .allowed_hosts = {}});
  const std::string post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
  Client client(running.port());
  client.send(post + std::string(200'000, 'x'));
  client.end();
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(Client(running.port()).ask(get), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, AfterARequestThatCannotBeReadNothingFurtherOfTheConnectionIs) {
  Running running;
  Client client(running.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
              get);
  client.end();
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, Not(HasSubstr("200 OK")));
}

TEST(HttpServer, CloseIsHonoured) {
  Running running;
  Client client(running.port());
  client.send("GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  client.end();
  EXPECT_THAT(client.read_all(), HasSubstr("\r\nConnection: close\r\n"));
  Client old(running.port());
  old.send("GET /x HTTP/1.0\r\n\r\n");
  old.end();
  EXPECT_THAT(old.read_all(), HasSubstr("\r\nConnection: close\r\n"));
}

TEST(HttpServer, AHostThatIsNotOursIsRefusedOnLoopback) {
  Running running;
  const auto ask = [&](const std::string& host) {
    return Client(running.port()).ask("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  };
  for (const auto* host : {"localhost", "LocalHost:1234", "127.0.0.1:7295", "[::1]"})
    EXPECT_THAT(ask(host), StartsWith("HTTP/1.1 200 ")) << host;
  for (const auto* host : {"evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "127.0.0.2"})
    EXPECT_THAT(ask(host), StartsWith("HTTP/1.1 421 ")) << host;
}

TEST(HttpServer, TheHostsAllowedCanBeChosen) {
  Running running(echo, {.allowed_hosts = {"pawl.test"}});
  EXPECT_THAT(Client(running.port()).ask("GET / HTTP/1.1\r\nHost: pawl.test\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Client(running.port()).ask(get), StartsWith("HTTP/1.1 421 "));
}

TEST(HttpServer, AHeadThatDoesNotEndInTimeIsCutOff) {
  Running running(echo, {.header_timeout = 50ms, .allowed_hosts = {}});
  Client client(running.port());
  client.send("GET / HTTP/1.1\r\nHo");
  EXPECT_THAT(client.read_until("request_timeout"), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, ABodyThatDoesNotEndInTimeIsCutOff) {
  Running running(echo, {.body_timeout = 50ms, .allowed_hosts = {}});
  Client client(running.port());
  client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel");
  EXPECT_THAT(client.read_until("request_timeout"), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, AnIdleConnectionIsClosedInSilence) {
  Running running(echo, {.idle_timeout = 50ms, .allowed_hosts = {}});
  Client fresh(running.port());
  EXPECT_EQ(fresh.read_all(), "");
  Client used(running.port());
  EXPECT_THAT(used.ask(get), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(used.read_all(), "");
}

TEST(HttpServer, ASlowHandlerIsNotATimeout) {
  Held held;
  Running running(held.handler(),
                  {.header_timeout = 20ms, .body_timeout = 20ms, .idle_timeout = 20ms, .allowed_hosts = {}});
  Client slow(running.port());
  slow.send(get);
  const Responder respond = held.take();
  // Another connection runs into its idle deadline twice meanwhile.
  for (int i = 0; i < 2; ++i) Client(running.port()).read_all();
  respond({.headers = {}, .body = "late"});
  EXPECT_THAT(slow.response(), EndsWith("late"));
}

TEST(HttpServer, AnAnswerMayComeFromAnotherThread) {
  std::vector<std::jthread> threads;
  Running running([&](Request request, Responder respond) {
    threads.emplace_back([target = request.target, respond] { respond({.headers = {}, .body = target}); });
  });
  Client client(running.port());
  for (int i = 0; i < 100; ++i) ASSERT_THAT(client.ask(get), EndsWith("/x"));
  running.server->stop(1s);
}

TEST(HttpServer, OnlyTheFirstAnswerCounts) {
  Running running([](Request, Responder respond) {
    respond({.headers = {}, .body = "first"});
    respond({.headers = {}, .body = "second"});
  });
  Client client(running.port());
  EXPECT_THAT(client.ask(get), EndsWith("first"));
  EXPECT_THAT(client.ask(get), EndsWith("first"));
}

TEST(HttpServer, ARequestThatIsDroppedOrThrownAtIsAnswered500) {
  Running dropping([](Request, Responder) {});
  EXPECT_THAT(Client(dropping.port()).ask(get), StartsWith("HTTP/1.1 500 "));
  Running throwing([](Request, Responder) { throw std::runtime_error("no"); });
  EXPECT_THAT(Client(throwing.port()).ask(get), StartsWith("HTTP/1.1 500 "));
}

TEST(HttpServer, StopLetsAnAnswerUnderWayBeWritten) {
  Held held;
  Running running(held.handler());
  Client busy(running.port()), idle(running.port());
  busy.send(get);
  const Responder respond = held.take();
  auto stopped = std::async(std::launch::async, [&] { running.server->stop(20s); });
  // The idle connection ends when stopping has begun.
  EXPECT_EQ(idle.read_all(), "");
  respond({.headers = {}, .body = "last"});
  const std::string answer = busy.read_all();
  EXPECT_THAT(answer, EndsWith("last"));
  EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_EQ(stopped.wait_for(10s), std::future_status::ready);
  EXPECT_FALSE(Client(running.port()).connected());
}

TEST(HttpServer, StopDoesNotWaitLongerThanItsPatience) {
  Held held;
  Running running(held.handler());
  Client busy(running.port()), half(running.port());
  busy.send(get);
  half.send("GET / HT");
  const Responder respond = held.take();
  running.server->stop(10ms);
  running.server->stop(10ms);
  respond({.headers = {}, .body = "nobody hears"});
  EXPECT_EQ(busy.read_all(), "");
}

TEST(HttpServer, AResponderMayOutliveItsServer) {
  Held held;
  std::optional<Responder> respond;
  {
    Running running(held.handler());
    Client client(running.port());
    client.send(get);
    respond = held.take();
  }
  (*respond)({.headers = {}, .body = "x"});
}

TEST(HttpServer, ThePortIsFreeAgainAfterStopAndTakenBefore) {
  auto first = std::make_unique<Running>();
  const std::uint16_t port = first->port();
  Client(port).ask(get);
  ServerOptions options;
  options.port = port;
  auto second = make_server(options, echo);
  const auto taken = second->start();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::unavailable);
  EXPECT_THAT(taken.error().message, HasSubstr("is taken"));
  first->server->stop(1s);
  auto third = make_server(options, echo);
  ASSERT_TRUE(third->start());
  EXPECT_EQ(third->port(), port);
  EXPECT_THAT(Client(port).ask(get), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, AnAddressThatIsNoneIsInvalid) {
  for (const auto* address : {"nowhere", "1.2.3", "192.0.2.1"}) {
    auto server = make_server({.address = address, .port = 0, .allowed_hosts = {}}, echo);
    const auto started = server->start();
    ASSERT_FALSE(started) << address;
    EXPECT_EQ(started.error().code, Code::invalid) << address;
  }
}

TEST(HttpServer, StopBeforeStartIsFine) { make_server({}, echo)->stop(1s); }

TEST(HttpServer, WhenAllConnectionsAreTakenTheNextWaitsItsTurn) {
  Running running(echo, {.max_connections = 1, .allowed_hosts = {}});
  auto first = std::make_unique<Client>(running.port());
  EXPECT_THAT(first->ask(get), StartsWith("HTTP/1.1 200 "));
  Client second(running.port());
  second.send(get);
  first.reset();
  EXPECT_THAT(second.response(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, SurvivesHavingNoDescriptorsLeft) {
  Running running;
  Client before(running.port()), first(running.port()), second(running.port());
  EXPECT_THAT(before.ask(get), StartsWith("HTTP/1.1 200 "));
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const int lowest = dup(0);
  ASSERT_GE(lowest, 0);
  {
    Client waiting(running.port());
    // From here on no descriptor can be made, and the connections still to be accepted have to wait.
    rlimit none = old;
    none.rlim_cur = static_cast<rlim_t>(lowest);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_THAT(before.ask(get), StartsWith("HTTP/1.1 200 "));
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    EXPECT_THAT(waiting.ask(get), StartsWith("HTTP/1.1 200 "));
  }
  close(lowest);
  EXPECT_THAT(Client(running.port()).ask(get), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, ManyConnectionsAreServedSideBySide) {
  Running running;
  std::deque<Client> clients;
  for (int i = 0; i < 200; ++i) clients.emplace_back(running.port());
  for (int round = 0; round < 3; ++round) {
    for (Client& client : clients) client.send(get);
    for (Client& client : clients) ASSERT_THAT(client.response(), StartsWith("HTTP/1.1 200 "));
  }
}

TEST(HttpServer, ABigAnswerReachesASlowReader) {
  const std::string big(20'000'000, 'x');
  Running running([&](Request, Responder respond) { respond({.headers = {}, .body = big}); });
  Client client(running.port());
  EXPECT_THAT(client.ask(get).size(), testing::Gt(big.size()));
}

}  // namespace
}  // namespace pawl::net
