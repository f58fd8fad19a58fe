// How answers are read that are as they should be.
#include "base/utf8.h"
#include "runner/http/test_calls.h"
#include "runner/http/test_gzip.h"

namespace pawl::runner {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using End = Outcome::End;

using HttpAnswer = HttpCalls;

TEST_F(HttpAnswer, KeepsTheFirstBytesOfABodyThatNobodyNames) {
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

TEST_F(HttpAnswer, SaysWhyABodyIsNoJson) {
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

TEST_F(HttpAnswer, MakesTextOfBytesThatAreNone) {
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

TEST_F(HttpAnswer, ReadsChunksAndLeavesTrailersOutOfTheHeaders) {
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

TEST_F(HttpAnswer, TakesTheLastOfSeveralResponses) {
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

TEST_F(HttpAnswer, AnErrorStatusIsAnAnswer) {
  TestServer server(always("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"));
  const Outcome outcome = call(get(server.url()));
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.reply->status, 503);
  EXPECT_EQ(outcome.reply->text, "busy");
}

TEST_F(HttpAnswer, Unzips) {
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

TEST_F(HttpAnswer, TakesABodyOfExactlyTheLimit) {
  options.max_body = 1000;
  TestServer server([](Connection& c) {
    while (const auto request = c.read()) c.answer(request->body);
  });
  std::string body(1000, 'x');
  EXPECT_EQ(call(post(server.url(), body)).end, End::completed);
  body += 'x';
  EXPECT_EQ(call(post(server.url(), body)).failure.code, "response_too_large");
}

}  // namespace
}  // namespace pawl::runner
