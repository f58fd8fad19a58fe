#include "net/request_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::net {
namespace {

using Step = RequestReader::Step;
using testing::ElementsAre;
using testing::Pair;

// Reads the whole text as one request, `piece` bytes at a time.
struct Reading {
  explicit Reading(std::string_view text, std::size_t piece = std::string::npos, ReadLimits limits = {})
      : reader(limits) {
    for (std::size_t at = 0; at < text.size() && !done && status == 0; at += piece) {
      rest += text.substr(at, piece);
      if (piece == std::string::npos) at = text.size() - piece;
      for (;;) {
        const auto step = reader.read(rest);
        if (!step) {
          status = step.error().status;
          detail = step.error().detail;
          break;
        }
        if (*step == Step::head) continue;
        done = *step == Step::done;
        break;
      }
    }
    if (done) request = reader.take();
  }
  RequestReader reader;
  std::string rest, detail;
  bool done = false;
  int status = 0;
  Request request;
};

int status_of(std::string_view text) { return Reading(text).status; }

TEST(RequestReader, AGetIsRead) {
  Reading r("GET /a%20b/c%2Fd/?x=1&y=%EC%83%81+z HTTP/1.1\r\nHost: Example.test:80\r\nX-A:  b \r\n\r\nrest");
  ASSERT_TRUE(r.done) << r.detail;
  EXPECT_EQ(r.request.method, "GET");
  EXPECT_EQ(r.request.target, "/a%20b/c%2Fd/?x=1&y=%EC%83%81+z");
  EXPECT_EQ(r.request.path, "/a b/c/d/");
  EXPECT_THAT(r.request.segments, ElementsAre("a b", "c/d", ""));
  EXPECT_THAT(r.request.query, ElementsAre(Pair("x", "1"), Pair("y", "상 z")));
  EXPECT_EQ(r.request.header("x-a"), "b");
  EXPECT_EQ(r.request.parameter("x"), "1");
  EXPECT_EQ(r.reader.host(), "example.test");
  EXPECT_EQ(r.rest, "rest");
  EXPECT_TRUE(r.reader.keep_alive());
}

TEST(RequestReader, ABodyComesByLengthOrInChunksInPiecesOfAnySize) {
  for (std::size_t piece : {1, 2, 3, 7, 1000}) {
    Reading sized("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", piece);
    ASSERT_TRUE(sized.done) << piece << sized.detail;
    EXPECT_EQ(sized.request.body, "hello");
    Reading chunked(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nHost: trailer\r\nX-Late: 1\r\n\r\n",
        piece);
    ASSERT_TRUE(chunked.done) << piece << chunked.detail;
    EXPECT_EQ(chunked.request.body, "hello");
    EXPECT_EQ(chunked.request.header("x-late"), "");
    EXPECT_EQ(chunked.request.header("host"), "a");
  }
}

TEST(RequestReader, AnEmptyLineBeforeARequestIsForgiven) {
  EXPECT_TRUE(Reading("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1).done);
}

TEST(RequestReader, AnHttp10RequestNeedsNoHostAndCloses) {
  Reading r("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(r.done);
  EXPECT_FALSE(r.reader.keep_alive());
}

TEST(RequestReader, TheAbsoluteFormNamesTheHost) {
  Reading r("GET http://localhost:7295?x=1 HTTP/1.1\r\nHost: other\r\n\r\n");
  ASSERT_TRUE(r.done) << r.detail;
  EXPECT_EQ(r.reader.host(), "localhost");
  EXPECT_EQ(r.request.path, "/");
  EXPECT_EQ(r.request.parameter("x"), "1");
}

TEST(RequestReader, WhatTwoReadersCouldReadDifferentlyIsRefused) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(status_of(post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: 5, 5\r\n\r\nhello"), 400);
  for (const auto* length : {"+5", "-5", "0x5", "5 5", "", "99999999999999999999", "5a"})
    EXPECT_EQ(status_of(post + "Content-Length: " + length + "\r\n\r\nhello"), 400) << length;
  EXPECT_EQ(status_of(post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 501);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501);
  EXPECT_EQ(status_of(post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "X: a\r\n b\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + " X: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "\tX: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "X: a\nY: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "X: a\rY: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + std::string("X: a\0b\r\n\r\n", 10)), 400);
  EXPECT_EQ(status_of(post + "X: a\x7f\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "X\x01: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "no colon\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + ": no name\r\n\r\n"), 400);
}

TEST(RequestReader, ABadChunkIsRefused) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const auto* body :
       {"x\r\n", "\r\n", "-1\r\n", "0x3\r\nhel\r\n0\r\n\r\n", "3\nhel\r\n0\r\n\r\n", "3\r\nhelloo\r\n0\r\n\r\n",
        "10000000000000000\r\n", " 3\r\nhel\r\n0\r\n\r\n", "3\r\nhel\n\n0\r\n\r\n"})
    EXPECT_EQ(status_of(post + body), 400) << body;
  EXPECT_EQ(status_of(post + "1;" + std::string(20'000, 'x')), 400);
}

TEST(RequestReader, TargetsAreChecked) {
  for (const auto* target : {"x", "*", "/%", "/%00", "/%ff", "/?a=%", "/a#b", "/\xec\x83\x81", "ftp://x/", "http://"})
    EXPECT_EQ(status_of("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n"), 400) << target;
  EXPECT_EQ(status_of("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /\r\n\r\n"), 400);
}

TEST(RequestReader, HostIsGivenOnceAndIsAName) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  for (const auto* host : {"a\r\nHost: a", "a b", "a/b", "a:b", "[::1", ":80", "user@a", ""})
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"), 400) << host;
  EXPECT_EQ(Reading("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").reader.host(), "[::1]");
}

TEST(RequestReader, LimitsHold) {
  const ReadLimits limits{.head = 200, .fields = 5, .body = 10};
  const auto status = [&](const std::string& text) { return Reading(text, 50, limits).status; };
  EXPECT_EQ(status("GET /" + std::string(300, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(300, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n"), 0);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n"), 431);
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(status(post + "Content-Length: 10\r\n\r\n0123456789"), 0);
  EXPECT_EQ(status(post + "Content-Length: 11\r\n\r\n"), 413);
  EXPECT_EQ(status(post + "Transfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n3\r\n890\r\n0\r\n\r\n"), 413);
  EXPECT_EQ(status(post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), 413);
}

TEST(RequestReader, OtherProtocolsAreToldSo) {
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(status_of("\x16\x03\x01\x02"), 400);
  EXPECT_EQ(status_of("SSH-2.0-OpenSSH\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), 417);
}

}  // namespace
}  // namespace pawl::net
