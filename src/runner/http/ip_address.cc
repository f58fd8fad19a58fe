#include "runner/http/ip_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace pawl::runner {
namespace {

IpAddress literal(const char* text) {
  const auto address = parse_ip(text);
  check(address.has_value(), text);
  return *address;
}

struct Entry {
  IpAddress network;
  int prefix;
  AddressKind kind;
};

// The first that fits counts.
const std::vector<Entry>& registry() {
  using enum AddressKind;
  static const std::vector<Entry> all{
      // AWS and most others; credentials of containers on ECS and on EKS; Alibaba; Oracle; Azure; then AWS and Google.
      {literal("169.254.169.254"), 32, metadata},
      {literal("169.254.170.2"), 32, metadata},
      {literal("169.254.170.23"), 32, metadata},
      {literal("100.100.100.200"), 32, metadata},
      {literal("192.0.0.192"), 32, metadata},
      {literal("168.63.129.16"), 32, metadata},
      {literal("fd00:ec2::254"), 128, metadata},
      {literal("fd00:ec2::23"), 128, metadata},
      {literal("fd20:ce::254"), 128, metadata},

      {literal("0.0.0.0"), 8, unspecified},  // Linux connects them to itself
      {literal("10.0.0.0"), 8, private_},
      {literal("100.64.0.0"), 10, private_},
      {literal("127.0.0.0"), 8, loopback},
      {literal("169.254.0.0"), 16, link_local},
      {literal("172.16.0.0"), 12, private_},
      {literal("192.0.0.0"), 24, reserved},  // protocol assignments
      {literal("192.0.2.0"), 24, reserved},  // documentation, as are 198.51.100.0/24 and 203.0.113.0/24
      {literal("192.88.99.0"), 24, reserved},
      {literal("192.168.0.0"), 16, private_},
      {literal("198.18.0.0"), 15, reserved},
      {literal("198.51.100.0"), 24, reserved},
      {literal("203.0.113.0"), 24, reserved},
      {literal("224.0.0.0"), 4, multicast},
      {literal("255.255.255.255"), 32, broadcast},
      {literal("240.0.0.0"), 4, reserved},
      {literal("0.0.0.0"), 0, public_},

      {literal("::"), 128, unspecified},
      {literal("::1"), 128, loopback},
      {literal("fc00::"), 7, private_},
      {literal("fe80::"), 10, link_local},
      {literal("ff00::"), 8, multicast},
      {literal("2001::"), 23, reserved},  // protocol assignments, Teredo among them
      {literal("2001:db8::"), 32, reserved},
      {literal("3fff::"), 20, reserved},
      {literal("2000::"), 3, public_},
      {literal("::"), 0, reserved},
  };
  return all;
}

// IPv6 networks whose addresses hold an IPv4 address, and from which byte on.
struct Holder {
  IpAddress network;
  int prefix;
  int at;
};

const std::vector<Holder>& holders() {
  static const std::vector<Holder> all{{literal("::ffff:0:0"), 96, 12},
                                       {literal("64:ff9b::"), 96, 12},
                                       {literal("2002::"), 16, 2},
                                       {literal("::"), 96, 12}};
  return all;
}

template <class Raw>
IpAddress from_raw(const Raw& raw, bool v4) {
  IpAddress address{.bytes = {}, .v4 = v4};
  std::memcpy(address.bytes.data(), &raw, sizeof raw);
  return address;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return {};
  in_addr v4{};
  if (inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return from_raw(v4, true);
  in6_addr v6{};
  if (inet_pton(AF_INET6, terminated.c_str(), &v6) == 1) return from_raw(v6, false);
  return {};
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.v4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
  return text;
}

std::string to_string(const Endpoint& endpoint) {
  const std::string address = to_string(endpoint.address);
  return endpoint.address.v4 ? fmt::format("{}:{}", address, endpoint.port)
                             : fmt::format("[{}]:{}", address, endpoint.port);
}

std::optional<Endpoint> to_endpoint(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return Endpoint{from_raw(v4.sin_addr, true), ntohs(v4.sin_port)};
  }
  if (address.sa_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    return Endpoint{from_raw(v6.sin6_addr, false), ntohs(v6.sin6_port)};
  }
  return {};
}

bool same_network(const IpAddress& one, const IpAddress& other, int prefix) {
  if (one.v4 != other.v4) return false;
  const auto whole = static_cast<std::size_t>(prefix / 8);
  if (!std::equal(one.bytes.begin(), one.bytes.begin() + prefix / 8, other.bytes.begin())) return false;
  const int rest = prefix % 8;
  return rest == 0 || (one.bytes[whole] ^ other.bytes[whole]) >> (8 - rest) == 0;
}

IpAddress meant_by(const IpAddress& address) {
  if (address.v4 || same_network(address, literal("::"), 127)) return address;  // :: and ::1 are their own
  for (const Holder& holder : holders()) {
    if (!same_network(address, holder.network, holder.prefix)) continue;
    IpAddress inner{.bytes = {}, .v4 = true};
    std::copy_n(address.bytes.begin() + holder.at, 4, inner.bytes.begin());
    return inner;
  }
  return address;
}

AddressKind kind_of(const IpAddress& address) {
  const IpAddress meant = meant_by(address);
  for (const Entry& entry : registry()) {
    if (same_network(meant, entry.network, entry.prefix)) return entry.kind;
  }
  unreachable();
}

std::string_view to_string(AddressKind kind) {
  switch (kind) {
    case AddressKind::public_: return "public";
    case AddressKind::loopback: return "loopback";
    case AddressKind::private_: return "private";
    case AddressKind::link_local: return "link-local";
    case AddressKind::metadata: return "metadata";
    case AddressKind::unspecified: return "unspecified";
    case AddressKind::multicast: return "multicast";
    case AddressKind::broadcast: return "broadcast";
    case AddressKind::reserved: return "reserved";
  }
  unreachable();
}

}  // namespace pawl::runner
