#include "runner/http/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"

namespace pawl::runner {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

StartTask command() {
  StartTask command;
  command.trace_id = "0af7651916cd43dd8448eb211c80319c";
  command.idempotency_key = "key-1";
  return command;
}
HttpInput get(std::string url) {
  HttpInput input;
  input.method = "GET";
  input.url = std::move(url);
  return input;
}
std::string refusal(const HttpInput& input) {
  const auto request = make_request(command(), input, "pawl/test");
  return request ? "accepted" : request.error().message;
}

TEST(HttpRequest, CarriesTheNamesOfTheWork) {
  const auto request = make_request(command(), get("http://h/"), "pawl/test");
  ASSERT_TRUE(request);
  EXPECT_THAT(request->headers, Contains("User-Agent: pawl/test"));
  EXPECT_THAT(request->headers, Contains("X-Request-ID: 0af7651916cd43dd8448eb211c80319c"));
  EXPECT_THAT(request->headers, Contains("Idempotency-Key: key-1"));
  EXPECT_THAT(request->headers, Contains("traceparent: 00-0af7651916cd43dd8448eb211c80319c-" +
                                         sha256_hex("key-1").substr(0, 16) + "-01"));
}

TEST(HttpRequest, LeavesHeadersToTheDefinitionThatSetsThem) {
  HttpInput input = get("http://h/");
  input.method = "POST";
  input.has_body = true;
  input.content_type = "application/json";
  input.headers = {{"content-TYPE", "text/x"}, {"idempotency-key", "mine"}, {"user-agent", "me"}, {"x-request-id", ""}};
  const auto request = make_request(command(), input, "pawl/test");
  ASSERT_TRUE(request);
  EXPECT_THAT(request->headers, Contains("content-TYPE: text/x"));
  EXPECT_THAT(request->headers, Contains("idempotency-key: mine"));
  EXPECT_THAT(request->headers, Contains("x-request-id;"));
  EXPECT_THAT(request->headers, Not(Contains(StartsWith("Content-Type"))));
  EXPECT_THAT(request->headers, Not(Contains(StartsWith("Idempotency-Key"))));
  EXPECT_THAT(request->headers, Not(Contains(StartsWith("User-Agent"))));
  EXPECT_THAT(request->headers, Not(Contains(StartsWith("X-Request-ID"))));
}

TEST(HttpRequest, RefusesAMethodThatIsNoToken) {
  for (const std::string method : {"", "GE T", "GET\r\nX: y", "G\xc3\xa9T", "A/B"}) {
    HttpInput input = get("http://h/");
    input.method = method;
    EXPECT_THAT(refusal(input), HasSubstr("is no HTTP method")) << method;
  }
  HttpInput connect = get("http://h/");
  connect.method = "CONNECT";
  EXPECT_THAT(refusal(connect), HasSubstr("CONNECT"));
}

TEST(HttpRequest, RefusesAHeaderThatWouldEndItsLine) {
  const std::pair<std::string, std::string> bad[] = {
      {"X", "a\r\nEvil: 1"}, {"X", "a\nb"}, {"X", "a\rb"}, {"X", {"a\0b", 3}}, {"X\r\nEvil", "1"},
      {"X:", "1"},           {"", "1"},     {"X Y", "1"},  {"X", "a\x01"}};
  for (const auto& header : bad) {
    HttpInput input = get("http://h/");
    input.headers = {header};
    EXPECT_NE(refusal(input), "accepted") << header.first;
  }
  HttpInput type = get("http://h/");
  type.has_body = true;
  type.content_type = "a\r\nEvil: 1";
  EXPECT_THAT(refusal(type), HasSubstr("carriage return"));
}

TEST(HttpRequest, RefusesAHeaderThatContradictsTheBody) {
  for (const std::string name : {"Content-Length", "transfer-encoding"}) {
    HttpInput input = get("http://h/");
    input.headers = {{name, "5"}};
    EXPECT_THAT(refusal(input), HasSubstr("follows from the body"));
  }
}

TEST(HttpRequest, NamesWhatIsWrongWithAUrl) {
  EXPECT_THAT(refusal(get("")), HasSubstr("empty"));
  EXPECT_THAT(refusal(get("example.com/x")), HasSubstr("must begin with http://"));
  EXPECT_THAT(refusal(get("/x")), HasSubstr("must begin with http://"));
  EXPECT_THAT(refusal(get("file:///etc/passwd")), HasSubstr("scheme is file"));
  EXPECT_THAT(refusal(get("gopher://h/")), HasSubstr("scheme is gopher"));
  EXPECT_THAT(refusal(get("http:///path")), HasSubstr("names no host"));
  EXPECT_THAT(refusal(get("http://:80/")), HasSubstr("names no host"));
  EXPECT_THAT(refusal(get("http://h/a b")), HasSubstr("a space at position 11"));
  EXPECT_THAT(refusal(get("http://h/\r\nX: y")), HasSubstr("carriage return"));
  EXPECT_THAT(refusal(get(std::string("http://h/\0", 10))), HasSubstr("NUL"));
  EXPECT_THAT(refusal(get("http://h/" + std::string(100'000, 'x'))), HasSubstr("longer than"));
  EXPECT_EQ(refusal(get("HTTPS://h")), "accepted");
}

TEST(HttpRequest, NeverShowsUserInfoOrQueryOfAWrongUrl) {
  EXPECT_THAT(refusal(get("user:secret@h/x?token=secret")), Not(HasSubstr("secret")));
}

TEST(HttpRequest, EncodesWhatIsNotAsciiInPathAndQuery) {
  const auto request = make_request(command(), get("http://h/\xed\x95\x9c?q=\xc3\xa4%20"), "pawl/test");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->url, "http://h/%ED%95%9C?q=%C3%A4%20");
}

TEST(HttpRedirect, MakesAGetOfWhatItsStatusSays) {
  struct Case {
    int status;
    std::string method, then;
  };
  for (const Case& c : {Case{301, "POST", "GET"}, Case{302, "POST", "GET"}, Case{303, "POST", "GET"},
                        Case{303, "PUT", "GET"}, Case{303, "HEAD", "HEAD"}, Case{301, "PUT", "PUT"},
                        Case{307, "POST", "POST"}, Case{308, "DELETE", "DELETE"}, Case{302, "GET", "GET"}}) {
    HttpInput input = get("http://h/");
    input.method = c.method;
    input.body = "body";
    input.has_body = true;
    input.headers = {{"Content-Language", "en"}, {"X", "1"}};
    follow_redirect(input, c.status, "http://h/next");
    EXPECT_EQ(input.method, c.then) << c.status << c.method;
    const bool stays = c.method == c.then;
    EXPECT_EQ(input.has_body, stays);
    EXPECT_EQ(input.body, stays ? "body" : "");
    EXPECT_EQ(input.headers.size(), stays ? 2u : 1u);
    EXPECT_EQ(input.url, "http://h/next");
  }
}

TEST(HttpRedirect, KeepsSecretsAtTheirOrigin) {
  const Pairs headers = {{"Authorization", "a"}, {"X-Api-Key", "b"}, {"Accept-Language", "en"}, {"Host", "h"}};
  for (const std::string next : {"http://h:80/x", "http://H/x"}) {
    HttpInput input = get("http://u:p@h/");
    input.headers = headers;
    follow_redirect(input, 302, next);
    EXPECT_EQ(input.headers, headers) << next;
    EXPECT_EQ(input.url, "http://u:p@" + next.substr(7));
  }
  for (const std::string next :
       {"https://h/x", "http://h:81/x", "http://other/x", "http://h.other/x", "http://h@other/x"}) {
    HttpInput input = get("http://u:p@h/");
    input.headers = headers;
    follow_redirect(input, 302, next);
    EXPECT_EQ(input.headers, (Pairs{{"Accept-Language", "en"}})) << next;
    EXPECT_EQ(input.url, next);
  }
}

TEST(HttpRedirect, TakesNoSecretsFromHttpsToHttp) {
  HttpInput input = get("https://u:p@h/");
  input.headers = {{"Authorization", "a"}, {"Cookie", "b"}};
  follow_redirect(input, 307, "http://h/");
  EXPECT_TRUE(input.headers.empty());
  EXPECT_EQ(input.url, "http://h/");
}

TEST(HttpRequest, ShowsAUrlWithoutItsSecrets) {
  EXPECT_EQ(public_url("https://u:p@h:1/a/b?k=v#f"), "https://h:1/a/b");
  EXPECT_EQ(public_url("http://h?k=v"), "http://h");
  EXPECT_EQ(public_url("http://h/a@b"), "http://h/a@b");
}

TEST(HttpRequest, NamesThePeerWithItsPort) {
  EXPECT_EQ(peer_of("http://u:p@h/x:9"), "h:80");
  EXPECT_EQ(peer_of("https://h"), "h:443");
  EXPECT_EQ(peer_of("http://h:8000/"), "h:8000");
  EXPECT_EQ(peer_of("http://[::1]/"), "[::1]:80");
  EXPECT_EQ(peer_of("http://[::1]:8/"), "[::1]:8");
}

}  // namespace
}  // namespace pawl::runner
