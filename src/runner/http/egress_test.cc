#include "runner/http/egress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::runner {
namespace {

using testing::HasSubstr;
using Values = std::vector<std::string>;

constexpr bool near_too = true;
constexpr bool far_only = false;

EgressPolicy policy(const Values& allow, const Values& deny, bool near) {
  auto made = EgressPolicy::make(allow, deny, near);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : EgressPolicy();
}
Endpoint at(const char* address, std::uint16_t port = 80) { return {*parse_ip(address), port}; }
// The rule that refuses it, or `allowed`.
std::string verdict(const EgressPolicy& policy, const Endpoint& peer) {
  const auto allowed = policy.allows(peer);
  return allowed ? "allowed" : allowed.error().name;
}
std::string problem(const Values& allow, const Values& deny = {}) {
  const auto made = EgressPolicy::make(allow, deny, near_too);
  return made ? "none" : made.error().message;
}

TEST(Egress, ByDefaultPublicAddressesAreAllowedAndNearOnesWhereTheServerIsNear) {
  const EgressPolicy near = policy({}, {}, near_too);
  const EgressPolicy far = policy({}, {}, far_only);
  EXPECT_EQ(verdict(near, at("8.8.8.8")), "allowed");
  EXPECT_EQ(verdict(far, at("8.8.8.8")), "allowed");
  for (const char* address : {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_EQ(verdict(near, at(address)), "allowed") << address;
    EXPECT_EQ(verdict(far, at(address)), "loopback") << address;
  }
  for (const char* address : {"10.0.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "64:ff9b::10.0.0.1"}) {
    EXPECT_EQ(verdict(near, at(address)), "allowed") << address;
    EXPECT_EQ(verdict(far, at(address)), "private") << address;
  }
  const std::pair<const char*, const char*> never[] = {
      {"169.254.1.1", "link-local"}, {"fe80::1", "link-local"},        {"169.254.169.254", "metadata"},
      {"fd00:ec2::254", "metadata"}, {"100.100.100.200", "metadata"},  {"0.0.0.0", "unspecified"},
      {"::", "unspecified"},         {"224.0.0.1", "multicast"},       {"ff02::1", "multicast"},
      {"240.0.0.1", "reserved"},     {"255.255.255.255", "broadcast"}, {"2002:a9fe:a9fe::", "metadata"}};
  for (const auto& [address, rule] : never) EXPECT_EQ(verdict(near, at(address)), rule) << address;
}

TEST(Egress, ANameAllowsItsKindAndAnyAllFourOfThem) {
  EXPECT_EQ(verdict(policy({"loopback"}, {}, far_only), at("127.0.0.1")), "allowed");
  EXPECT_EQ(verdict(policy({"loopback"}, {}, far_only), at("10.0.0.1")), "private");
  EXPECT_EQ(verdict(policy({"private"}, {}, far_only), at("10.0.0.1")), "allowed");
  EXPECT_EQ(verdict(policy({"link-local"}, {}, far_only), at("169.254.1.1")), "allowed");
  const EgressPolicy any = policy({"any"}, {}, far_only);
  for (const char* address : {"127.0.0.1", "10.0.0.1", "169.254.1.1", "fe80::1", "8.8.8.8"})
    EXPECT_EQ(verdict(any, at(address)), "allowed") << address;
  for (const char* address : {"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "240.0.0.1"})
    EXPECT_NE(verdict(any, at(address)), "allowed") << address;
}

TEST(Egress, MetadataIsOpenedByAnAddressOrASmallNetworkAlone) {
  const Endpoint aws = at("169.254.169.254");
  for (const char* value : {"link-local", "any", "0.0.0.0/0", "160.0.0.0/8", "168.0.0.0/5"})
    EXPECT_EQ(verdict(policy({value}, {}, near_too), aws), "metadata") << value;
  for (const char* value : {"169.254.169.254", "169.254.169.254/32", "169.254.0.0/16", "::ffff:169.254.169.254"})
    EXPECT_EQ(verdict(policy({value}, {}, near_too), aws), "allowed") << value;
  EXPECT_EQ(verdict(policy({"fc00::/7", "private"}, {}, near_too), at("fd00:ec2::254")), "metadata");
  EXPECT_EQ(verdict(policy({"fd00:ec2::254"}, {}, near_too), at("fd00:ec2::254")), "allowed");
  EXPECT_EQ(verdict(policy({"100.64.0.0/10"}, {}, near_too), at("100.100.100.200")), "metadata");
}

TEST(Egress, ANetworkAllowsWhateverIsInIt) {
  const EgressPolicy some = policy({"10.1.0.0/16", "224.0.0.1", "[2001:db8::]/32", "0.0.0.0"}, {}, far_only);
  EXPECT_EQ(verdict(some, at("10.1.255.255")), "allowed");
  EXPECT_EQ(verdict(some, at("::ffff:10.1.0.1")), "allowed");
  EXPECT_EQ(verdict(some, at("10.2.0.0")), "private");
  EXPECT_EQ(verdict(some, at("224.0.0.1")), "allowed");
  EXPECT_EQ(verdict(some, at("2001:db8::1")), "allowed");
  EXPECT_EQ(verdict(some, at("0.0.0.0")), "allowed");
  EXPECT_EQ(verdict(policy({"::/0"}, {}, far_only), at("::ffff:10.1.0.1")), "private");
}

TEST(Egress, ADenyBeatsAnAllow) {
  EXPECT_EQ(verdict(policy({"any"}, {"private"}, near_too), at("10.0.0.1")), "private");
  EXPECT_EQ(verdict(policy({"10.0.0.0/8"}, {"private"}, near_too), at("10.0.0.1")), "private");
  EXPECT_EQ(verdict(policy({"10.0.0.1"}, {"10.0.0.0/8"}, near_too), at("10.0.0.1")), "10.0.0.0/8");
  EXPECT_EQ(verdict(policy({"8.8.8.8"}, {"public"}, near_too), at("8.8.8.8")), "public");
  EXPECT_EQ(verdict(policy({}, {"8.8.8.8"}, near_too), at("64:ff9b::8.8.8.8")), "8.8.8.8");
  EXPECT_EQ(verdict(policy({}, {"8.8.8.8"}, near_too), at("8.8.4.4")), "allowed");
}

TEST(Egress, ToDenyAnyLeavesWhatIsAllowedByName) {
  const EgressPolicy only = policy({"198.51.100.0/24", "loopback"}, {"any"}, near_too);
  EXPECT_EQ(verdict(only, at("198.51.100.7")), "allowed");
  EXPECT_EQ(verdict(only, at("127.0.0.1")), "allowed");
  EXPECT_EQ(verdict(only, at("10.0.0.1")), "private");
  EXPECT_EQ(verdict(only, at("8.8.8.8")), "public");
}

TEST(Egress, TheServersOwnInterfaceIsNotCalled) {
  EgressPolicy own = policy({"127.0.0.1"}, {}, near_too);
  own.protect(at("127.0.0.1", 7295));
  for (const char* address : {"127.0.0.1", "::ffff:127.0.0.1"}) {
    EXPECT_EQ(verdict(own, at(address, 7295)), "self") << address;
    EXPECT_EQ(verdict(own, at(address, 7296)), "allowed") << address;
  }
  EXPECT_EQ(verdict(own, at("10.0.0.1", 7295)), "allowed");
  EXPECT_EQ(verdict(own, at("0.0.0.0", 7295)), "self") << "Linux connects it to 127.0.0.1";

  EgressPolicy may = policy({"self"}, {}, far_only);
  may.protect(at("127.0.0.1", 7295));
  EXPECT_EQ(verdict(may, at("127.0.0.1", 7295)), "allowed");
  EXPECT_EQ(verdict(may, at("127.0.0.1", 7296)), "loopback");
  EgressPolicy may_not = policy({"self"}, {"self"}, near_too);
  may_not.protect(at("127.0.0.1", 7295));
  EXPECT_EQ(verdict(may_not, at("127.0.0.1", 7295)), "self");
}

TEST(Egress, AServerOnEveryAddressIsKnownByAConnectionThatStaysOnItsMachine) {
  for (const char* everywhere : {"0.0.0.0", "::"}) {
    EgressPolicy own = policy({}, {}, near_too);
    own.protect(at(everywhere, 7295));
    EXPECT_EQ(verdict(own, at("127.0.0.1", 7295)), "self");
    EXPECT_EQ(verdict(own, at("::1", 7295)), "self");
    EXPECT_EQ(verdict(own, at("10.0.0.1", 7295)), "allowed");
    EXPECT_TRUE(own.allows(at("10.0.0.1", 7295), parse_ip("10.0.0.2")));
    EXPECT_EQ(own.allows(at("10.0.0.1", 7295), parse_ip("10.0.0.1")).error().name, "self");
    EXPECT_TRUE(own.allows(at("10.0.0.1", 80), parse_ip("10.0.0.1")));
  }
}

TEST(Egress, ARefusalNamesAddressRuleAndRemedy) {
  const auto said = [](const EgressPolicy& one, const Endpoint& peer) { return one.allows(peer).error().message; };
  const EgressPolicy far = policy({}, {"8.8.0.0/16"}, far_only);
  EXPECT_EQ(said(far, at("10.0.0.1")),
            "10.0.0.1 is a private address; --egress-allow private or --egress-allow 10.0.0.1 would allow it");
  EXPECT_EQ(
      said(far, at("::ffff:10.0.0.1")),
      "::ffff:10.0.0.1, which stands for 10.0.0.1, is a private address; --egress-allow private or --egress-allow "
      "10.0.0.1 would allow it");
  EXPECT_EQ(
      said(far, at("169.254.169.254")),
      "169.254.169.254 is an address where clouds hand out credentials (metadata); --egress-allow 169.254.169.254 "
      "would allow it");
  EXPECT_EQ(said(far, at("8.8.8.8")), "8.8.8.8 is denied by --egress-deny 8.8.0.0/16");
}

TEST(Egress, AWrongValueIsToldWhatToWrite) {
  for (const char* value : {"", "lan", "example.com", "127.1", "0x7f000001", "10.0.0.0-10.0.0.9", "http://10.0.0.1",
                            "10.0.0.1:80", "PRIVATE", "fe80::1%eth0"}) {
    EXPECT_THAT(problem({value}), HasSubstr("write loopback, private")) << value;
    EXPECT_THAT(problem({}, {value}), HasSubstr("--egress-deny " + std::string(value) + ":")) << value;
  }
  for (const char* value : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/255.0.0.0"})
    EXPECT_THAT(problem({value}), HasSubstr("a number from 0 to 32")) << value;
  EXPECT_THAT(problem({"::/129"}), HasSubstr("a number from 0 to 128"));
  EXPECT_THAT(problem({"10.1.2.3/8"}), HasSubstr("write 10.0.0.0/8 for the network or 10.1.2.3 for the address"));
  EXPECT_THAT(problem({"2001:db8::1/32"}), HasSubstr("write 2001:db8::/32"));
  EXPECT_THAT(problem({"64:ff9b::/96"}), HasSubstr("the IPv4 address in it"));
  EXPECT_THAT(problem({"metadata"}), HasSubstr("write 169.254.169.254"));
  EXPECT_EQ(problem({"any", "10.0.0.0/8", "::1", "::/0", "self"}, {"link-local", "fe80::/10"}), "none");
}

}  // namespace
}  // namespace pawl::runner
