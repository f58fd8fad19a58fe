#include "runner/http/ip_address.h"

#include <gtest/gtest.h>

namespace pawl::runner {
namespace {

AddressKind kind(const char* text) {
  const auto address = parse_ip(text);
  EXPECT_TRUE(address) << text;
  return address ? kind_of(*address) : AddressKind::reserved;
}

TEST(IpAddress, IsReadInItsUsualTextAlone) {
  for (const char* text : {"127.0.0.1", "::1", "fe80::1", "2001:db8::", "::ffff:10.0.0.1"}) {
    const auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
  for (const char* text :
       {"", "0x7f.1", "2130706433", "127.1", "0177.0.0.1", "[::1]", "fe80::1%eth0", "localhost", "1.2.3.4 "})
    EXPECT_FALSE(parse_ip(text)) << text;
  EXPECT_FALSE(parse_ip({"1.2.3.4\0", 8}));
}

TEST(IpAddress, AnEndpointIsShownAsInAUrl) {
  EXPECT_EQ(to_string(Endpoint{*parse_ip("10.0.0.1"), 80}), "10.0.0.1:80");
  EXPECT_EQ(to_string(Endpoint{*parse_ip("::1"), 65535}), "[::1]:65535");
}

TEST(IpAddress, ANetworkIsItsFirstBits) {
  const auto alike = [](const char* a, const char* b, int prefix) {
    return same_network(*parse_ip(a), *parse_ip(b), prefix);
  };
  EXPECT_TRUE(alike("172.16.0.0", "172.31.255.255", 12));
  EXPECT_FALSE(alike("172.16.0.0", "172.32.0.0", 12));
  EXPECT_TRUE(alike("1.2.3.4", "9.9.9.9", 0));
  EXPECT_TRUE(alike("1.2.3.4", "1.2.3.4", 32));
  EXPECT_FALSE(alike("1.2.3.4", "1.2.3.5", 32));
  EXPECT_TRUE(alike("::1", "::1", 128));
  EXPECT_FALSE(alike("::1", "::2", 128));
  EXPECT_FALSE(alike("0.0.0.0", "::", 0)) << "they are of two families";
}

TEST(IpAddress, HasTheKindThatTheRegistriesGiveIt) {
  using enum AddressKind;
  const std::pair<const char*, AddressKind> cases[] = {{"1.1.1.1", public_},
                                                       {"9.255.255.255", public_},
                                                       {"11.0.0.0", public_},
                                                       {"172.15.255.255", public_},
                                                       {"172.32.0.0", public_},
                                                       {"100.63.255.255", public_},
                                                       {"100.128.0.0", public_},
                                                       {"169.253.255.255", public_},
                                                       {"223.255.255.255", public_},
                                                       {"10.0.0.0", private_},
                                                       {"10.255.255.255", private_},
                                                       {"172.16.0.1", private_},
                                                       {"172.31.255.255", private_},
                                                       {"192.168.0.1", private_},
                                                       {"100.64.0.0", private_},
                                                       {"100.127.255.255", private_},
                                                       {"127.0.0.1", loopback},
                                                       {"127.255.255.254", loopback},
                                                       {"169.254.0.1", link_local},
                                                       {"169.254.169.253", link_local},
                                                       {"169.254.169.254", metadata},
                                                       {"169.254.170.2", metadata},
                                                       {"100.100.100.200", metadata},
                                                       {"192.0.0.192", metadata},
                                                       {"168.63.129.16", metadata},
                                                       {"0.0.0.0", unspecified},
                                                       {"0.1.2.3", unspecified},
                                                       {"224.0.0.1", multicast},
                                                       {"239.255.255.255", multicast},
                                                       {"255.255.255.255", broadcast},
                                                       {"240.0.0.1", reserved},
                                                       {"192.0.2.1", reserved},
                                                       {"198.18.0.1", reserved},
                                                       {"2606:4700::1111", public_},
                                                       {"::1", loopback},
                                                       {"::", unspecified},
                                                       {"fe80::1", link_local},
                                                       {"febf::1", link_local},
                                                       {"fec0::1", reserved},
                                                       {"fc00::1", private_},
                                                       {"fdff::1", private_},
                                                       {"fd00:ec2::254", metadata},
                                                       {"ff02::1", multicast},
                                                       {"2001:db8::1", reserved},
                                                       {"2001::1", reserved},
                                                       {"2001:200::1", public_},
                                                       {"100::1", reserved},
                                                       {"64:ff9b:1::1", reserved},
                                                       {"4000::1", reserved},
                                                       {"::ffff:0:127.0.0.1", reserved}};
  for (const auto& [text, expected] : cases) EXPECT_EQ(to_string(kind(text)), to_string(expected)) << text;
}

TEST(IpAddress, InsideIPv6IsJudgedAsTheIPv4AddressThatIsMeant) {
  const std::pair<const char*, const char*> cases[] = {{"::ffff:127.0.0.1", "127.0.0.1"},
                                                       {"::ffff:a9fe:a9fe", "169.254.169.254"},
                                                       {"::10.0.0.1", "10.0.0.1"},
                                                       {"64:ff9b::169.254.169.254", "169.254.169.254"},
                                                       {"64:ff9b::8.8.8.8", "8.8.8.8"},
                                                       {"2002:7f00:1::", "127.0.0.1"},
                                                       {"2002:a00:1:ffff::1", "10.0.0.1"},
                                                       {"::2", "0.0.0.2"},
                                                       {"::1", "::1"},
                                                       {"::", "::"},
                                                       {"2606:4700::1111", "2606:4700::1111"}};
  for (const auto& [text, meant] : cases) {
    EXPECT_EQ(to_string(meant_by(*parse_ip(text))), meant) << text;
    EXPECT_EQ(kind(text), kind(meant)) << text;
  }
}

}  // namespace
}  // namespace pawl::runner
