// Which addresses are called, whatever the URL, a redirect or the name service says.
#include "runner/http/egress.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstdlib>

#include "runner/http/test_calls.h"

namespace pawl::runner {
namespace {

void hang_until_released(test::Names& all, std::unique_lock<std::mutex>& lock) {
  ++all.hanging;
  all.changed.notify_all();
  all.changed.wait(lock, [&] { return all.released; });
  --all.hanging;
  all.changed.notify_all();
}

}  // namespace
}  // namespace pawl::runner

// Stands before the system's. The system's freeaddrinfo() gives back what is made here with malloc().
extern "C" int getaddrinfo(const char* name, const char* port, const addrinfo*, addrinfo** result) {
  *result = nullptr;
  if (!name) return EAI_NONAME;
  auto& all = pawl::runner::test::names();
  std::unique_lock lock(all.mutex);
  if (std::string_view(name) == "hangs.example.test") pawl::runner::hang_until_released(all, lock);
  const auto found = all.addresses.find(std::string_view(name));
  if (found == all.addresses.end()) return EAI_NONAME;
  addrinfo** next = result;
  for (const std::string& text : found->second) {
    void* const memory = std::calloc(1, sizeof(addrinfo) + sizeof(sockaddr_in));
    auto* const info = static_cast<addrinfo*>(memory);
    auto* const address = reinterpret_cast<sockaddr_in*>(info + 1);
    address->sin_family = AF_INET;
    address->sin_port = htons(static_cast<std::uint16_t>(port ? std::atoi(port) : 0));
    inet_pton(AF_INET, text.c_str(), &address->sin_addr);
    info->ai_family = AF_INET;
    info->ai_socktype = SOCK_STREAM;
    info->ai_protocol = IPPROTO_TCP;
    info->ai_addrlen = sizeof *address;
    info->ai_addr = reinterpret_cast<sockaddr*>(address);
    *next = info;
    next = &info->ai_next;
  }
  return 0;
}

namespace pawl::runner {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;
using End = Outcome::End;
using std::chrono::milliseconds;

constexpr const char* ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class HttpEgress : public HttpCalls {
 protected:
  ~HttpEgress() override {
    const std::lock_guard lock(names().mutex);
    names().addresses.clear();
  }
  void policy(const std::vector<std::string>& allow, const std::vector<std::string>& deny = {}, int own_port = 0) {
    auto made = EgressPolicy::make(allow, deny, false);
    ASSERT_TRUE(made) << made.error().message;
    if (own_port != 0) made->protect({*parse_ip("127.0.0.1"), static_cast<std::uint16_t>(own_port)});
    options.egress = std::make_shared<const EgressPolicy>(std::move(*made));
  }
  static void name(const std::string& host, std::vector<std::string> addresses) {
    const std::lock_guard lock(names().mutex);
    names().addresses[host] = std::move(addresses);
  }
  static std::string url(const std::string& host, int port) {
    return "http://" + host + ":" + std::to_string(port) + "/";
  }
  static std::string rule(const Outcome& outcome) { return std::string(find_string(outcome.failure.cause, "rule")); }
};

TEST_F(HttpEgress, SaysThatAHostHasNoAddress) {
  const Outcome outcome = call(get("http://nowhere.example.test/"));
  EXPECT_EQ(outcome.failure.code, "connection_failed");
  EXPECT_THAT(outcome.failure.message, HasSubstr("nowhere.example.test:80"));
}

TEST_F(HttpEgress, ALookUpThatHangsHoldsUpNobodyElse) {
  TestServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  names().released = false;
  const int stopped = start(get("http://hangs.example.test/"));
  {
    std::unique_lock lock(names().mutex);
    ASSERT_TRUE(names().changed.wait_for(lock, patience, [] { return names().hanging == 1; }));
  }
  EXPECT_EQ(call(get(server.url())).end, End::completed);
  EXPECT_EQ(call(get("http://hangs.example.test/"), milliseconds(100)).end, End::timed_out);
  stop(stopped);
  EXPECT_EQ(results.wait(stopped).end, End::stopped);
  EXPECT_EQ(call(get(server.url())).end, End::completed);
  std::unique_lock lock(names().mutex);
  names().released = true;
  names().changed.notify_all();
  ASSERT_TRUE(names().changed.wait_for(lock, patience, [] { return names().hanging == 0; }));
}

TEST_F(HttpEgress, ADeniedAddressIsNotCalledHoweverItIsWritten) {
  TestServer server(always(ok));
  policy({});
  for (const char* host :
       {"127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "%31%32%37.0.0.1", "user@127.0.0.1",
        "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0", "0.0.0.0", "[::]"}) {
    const Outcome outcome = call(get(url(host, server.port())));
    EXPECT_EQ(outcome.end, End::failed) << host;
    EXPECT_EQ(outcome.failure.code, "egress_denied") << host << ": " << outcome.failure.message;
  }
  for (const char* host : {"169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]",
                           "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]"}) {
    const Outcome outcome = call(get(url(host, 80)));
    EXPECT_EQ(outcome.failure.code, "egress_denied") << host << ": " << outcome.failure.message;
    EXPECT_EQ(rule(outcome), "metadata") << host;
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(HttpEgress, ANameIsJudgedByItsAddress) {
  TestServer server(always(ok));
  policy({});
  name("inner.example.test", {"127.0.0.1"});
  const Outcome outcome = call(get(url("inner.example.test", server.port())));
  EXPECT_EQ(outcome.failure.code, "egress_denied");
  EXPECT_EQ(
      outcome.failure.message,
      "inner.example.test:" + std::to_string(server.port()) +
          " may not be called: 127.0.0.1 is an address of this machine itself (loopback); --egress-allow loopback "
          "or --egress-allow 127.0.0.1 would allow it");
  EXPECT_EQ(find_string(outcome.failure.cause, "address"), "127.0.0.1");
  EXPECT_EQ(rule(outcome), "loopback");
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(HttpEgress, OfSeveralAddressesOfANameTheAllowedOnesAreCalled) {
  TestServer server(always(ok));
  policy({"127.0.0.1"});
  name("mixed.example.test", {"10.255.255.1", "169.254.169.254", "127.0.0.1"});
  const Outcome outcome = call(get(url("mixed.example.test", server.port())));
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.reply->text, "ok");
}

TEST_F(HttpEgress, WhereTheAllowedAddressCannotBeReachedThatIsTheReason) {
  int port = 0;
  {
    port = TestServer(once("")).port();
  }
  policy({"127.0.0.1"});
  name("mixed.example.test", {"169.254.169.254", "127.0.0.1"});
  const Outcome outcome = call(get(url("mixed.example.test", port)));
  EXPECT_EQ(outcome.failure.code, "connection_failed") << outcome.failure.message;
  EXPECT_THAT(outcome.failure.message, HasSubstr("Connection refused"));
  EXPECT_THAT(outcome.failure.message, HasSubstr("may not be called: 169.254.169.254"));
}

TEST_F(HttpEgress, EveryHopOfARedirectIsJudged) {
  policy({"127.0.0.1"});
  name("inner.example.test", {"10.0.0.1"});
  for (const char* target : {"http://169.254.169.254/latest/meta-data/", "http://2852039166/", "//[::ffff:a9fe:a9fe]/",
                             "http://inner.example.test/", "http://127.0.0.2/", "http://0/"}) {
    TestServer server(redirecting(target));
    const Outcome outcome = call(following(server.url()));
    EXPECT_EQ(outcome.failure.code, "egress_denied") << target << ": " << outcome.failure.message;
    EXPECT_EQ(call(get(server.url())).reply->status, 302);
  }
}

TEST_F(HttpEgress, TheServersOwnInterfaceIsNotCalledNorRedirectedTo) {
  TestServer own(always(ok));
  TestServer server(redirecting(own.url()));
  policy({"loopback", "0.0.0.0"}, {}, own.port());
  name("own.example.test", {"127.0.0.1"});
  for (const std::string& address :
       {own.url(), url("own.example.test", own.port()), url("0", own.port()), server.url()}) {
    const Outcome outcome = call(following(address));
    EXPECT_EQ(outcome.failure.code, "egress_denied") << address;
    EXPECT_EQ(rule(outcome), "self") << address;
  }
  EXPECT_EQ(own.connections(), 0);
  EXPECT_GT(server.connections(), 0);
}

TEST_F(HttpEgress, APolicyThatAllowsIsNotNoticed) {
  TestServer server(always(ok));
  policy({"loopback"});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(call(get(server.url())).reply->text, "ok");
  EXPECT_EQ(server.connections(), 1);
}

}  // namespace
}  // namespace pawl::runner
