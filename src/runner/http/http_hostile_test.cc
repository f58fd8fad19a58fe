// Peers that hang, drip, break off, talk nonsense or never stop talking.
#include <latch>

#include "runner/http/test_calls.h"
#include "runner/http/test_gzip.h"

namespace pawl::runner {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;
using End = Outcome::End;
using std::chrono::milliseconds;

using HostilePeer = HttpCalls;

TEST_F(HostilePeer, EndsACallWhoseTimeIsOver) {
  TestServer server([](Connection& c) {
    if (c.read()) c.drain();
  });
  const Outcome outcome = call(get(server.url()), milliseconds(200));
  EXPECT_EQ(outcome.end, End::timed_out);
  EXPECT_EQ(outcome.failure.code, "timeout");
  EXPECT_EQ(outcome.failure.message, "no answer after 200ms");
  EXPECT_EQ(url_in(outcome.failure), server.url());
}

TEST_F(HostilePeer, EndsACallWhoseAnswerDrips) {
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

TEST_F(HostilePeer, StopsReadingABodyThatIsTooLong) {
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

TEST_F(HostilePeer, CountsABodyAfterItIsUnzipped) {
  const std::string bomb = gzip_bomb(400'000);  // 103 MB
  ASSERT_LT(bomb.size(), 1u << 20);
  TestServer server([&](Connection& c) {
    if (c.read()) c.answer(bomb, "Content-Encoding: gzip\r\n");
    c.drain();
  });
  EXPECT_EQ(call(get(server.url())).failure.code, "response_too_large");
}

TEST_F(HostilePeer, CountsABodyThatUnzipsToNothing) {
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

TEST_F(HostilePeer, StopsReadingAHeaderThatNeverEnds) {
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

TEST_F(HostilePeer, SaysHowAnAnswerIsWrong) {
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

TEST_F(HostilePeer, SaysThatTheConnectionWasResetInTheMiddle) {
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    c.reset();
  });
  const Outcome outcome = call(get(server.url()));
  EXPECT_EQ(outcome.failure.code, "connection_failed");
  EXPECT_THAT(outcome.failure.message, HasSubstr("127.0.0.1:" + std::to_string(server.port())));
}

TEST_F(HostilePeer, SaysThatThereIsNoTlsWhereItIsAsked) {
  TestServer server([](Connection& c) {
    c.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    c.drain();
  });
  const Outcome outcome = call(get("https://127.0.0.1:" + std::to_string(server.port()) + "/"));
  EXPECT_EQ(outcome.failure.code, "tls_failed") << outcome.failure.message;
}

TEST_F(HostilePeer, SaysThatAFileOfCertificatesCannotBeRead) {
  TestServer server([](Connection& c) { c.drain(); });
  HttpInput input = get("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  input.tls_ca_file = "/nowhere/ca.pem";
  const Outcome outcome = call(input);
  EXPECT_EQ(outcome.failure.code, "tls_failed");
  EXPECT_THAT(outcome.failure.message, HasSubstr("/nowhere/ca.pem"));
}

// --- peers that stop

TEST_F(HostilePeer, StopsAnywhereAndTheTimeStillEnds) {
  for (const std::string part : {"", "HTT", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
                                 "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: 1\r\n"}) {
    TestServer server([&](Connection& c) {
      if (c.read()) c.send(part);
      c.drain();
    });
    const Outcome outcome = call(get(server.url()), milliseconds(100));
    EXPECT_EQ(outcome.end, End::timed_out) << part << ": " << outcome.failure.message;
  }
}

TEST_F(HostilePeer, DripsAByteAtATimeAndTheTimeStillEnds) {
  std::atomic<bool> over = false;
  TestServer server([&](Connection& c) {
    if (!c.read()) return;
    c.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
    while (!over && c.send("x")) std::this_thread::yield();
  });
  const Outcome outcome = call(get(server.url()), milliseconds(50));
  over = true;
  EXPECT_EQ(outcome.end, End::timed_out) << outcome.failure.message;
  EXPECT_GT(find_int(outcome.failure.cause, "received_bytes"), 1);
}

TEST_F(HostilePeer, BreaksOffAnywhereAndTheTryFails) {
  for (const std::string part :
       {"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"}) {
    for (const bool reset : {false, true}) {
      TestServer server([&](Connection& c) {
        if (!c.read()) return;
        c.send(part);
        if (reset) c.reset();
      });
      const Outcome outcome = call(get(server.url()));
      EXPECT_EQ(outcome.end, End::failed) << part << (reset ? " reset" : " closed");
      EXPECT_TRUE(outcome.failure.code == "connection_failed" || outcome.failure.code == "invalid_response")
          << part << ": " << outcome.failure.code << " " << outcome.failure.message;
    }
  }
}

// --- peers that never stop

TEST_F(HostilePeer, SendsTenGigabytesAndIsCutOffAfterALittle) {
  for (const char* header :
       {"Content-Length: 10737418240\r\n\r\n", "\r\n", "Content-Length: 99999999999999999999\r\n\r\n"}) {
    for (const bool wanted : {true, false}) {
      std::atomic<std::size_t> sent = 0;
      std::latch gone(1);
      {
        TestServer server([&](Connection& c) {
          if (c.read() && c.send("HTTP/1.1 200 OK\r\n" + std::string(header))) {
            const std::string part(1 << 20, 'x');
            while (c.send(part)) sent += part.size();
          }
          gone.count_down();
        });
        HttpInput input = get(server.url());
        input.want_text = wanted;
        const Outcome outcome = call(input);
        EXPECT_EQ(outcome.failure.code, "response_too_large") << header << outcome.failure.message;
        gone.wait();
      }
      EXPECT_LT(sent, 64u << 20) << header;
    }
  }
}

TEST_F(HostilePeer, PacksABombTwiceOrMoreOftenThanAnybodyWould) {
  options.max_body = 1 << 20;
  const std::string twice = gzip(gzip_bomb(20'000));  // 5 MB in 33 KB
  for (const auto& [encoding, code] :
       {std::pair("gzip, gzip", "response_too_large"),
        std::pair("gzip, gzip, gzip, gzip, gzip, gzip, gzip, gzip", "invalid_response")}) {
    TestServer server([&](Connection& c) {
      if (c.read()) c.answer(twice, "Content-Encoding: " + std::string(encoding) + "\r\n");
      c.drain();
    });
    const Outcome outcome = call(get(server.url()));
    EXPECT_EQ(outcome.failure.code, code) << encoding << ": " << outcome.failure.message;
  }
}

TEST_F(HostilePeer, CountsItsChunksWrong) {
  for (const char* chunks :
       {"-1\r\nabc", "0x3\r\nabc\r\n0\r\n\r\n", "\r\n\r\n", "ffffffffffffffffffff\r\nabc", "fffffffffffffff1\r\nabc",
        "g\r\n", "3\r\nabcX0\r\n\r\n", "00000000000000000000000000000000003\r\nabc\r\n0\r\n\r\n"}) {
    TestServer server(once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunks)));
    const Outcome outcome = call(get(server.url()));
    EXPECT_EQ(outcome.end, End::failed) << chunks;
    EXPECT_EQ(outcome.failure.code, "invalid_response") << chunks << ": " << outcome.failure.message;
  }
}

TEST_F(HostilePeer, NamesALengthAndSendsChunksThenTheChunksCountAndTheConnectionIsNotUsedAgain) {
  for (const char* headers :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"}) {
    TestServer server(always("HTTP/1.1 200 OK\r\n" + std::string(headers) + "\r\n5\r\nhello\r\n0\r\n\r\n"));
    for (int i = 0; i < 2; ++i) {
      const Outcome outcome = call(get(server.url()));
      ASSERT_EQ(outcome.end, End::completed) << headers << outcome.failure.message;
      EXPECT_EQ(outcome.reply->text, "hello") << headers;
    }
    EXPECT_EQ(server.connections(), 2) << headers;
  }
}

TEST_F(HostilePeer, WritesAHeaderThatIsNone) {
  for (const std::string& answer :
       {std::string("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello"),
        "HTTP/1.1 200 OK\r\nX: a" + std::string(1, '\0') + "b\r\nContent-Length: 0\r\n\r\n",
        std::string("HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n"),
        std::string("ICY 200 OK\r\nContent-Length: 0\r\n\r\n"), std::string("<html>hello</html>")}) {
    TestServer server(once(answer));
    const Outcome outcome = call(get(server.url()));
    EXPECT_EQ(outcome.end, End::failed) << answer;
    EXPECT_EQ(outcome.failure.code, "invalid_response") << answer << ": " << outcome.failure.message;
  }
}

}  // namespace
}  // namespace pawl::runner
