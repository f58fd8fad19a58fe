// IP addresses, and what each of them is for. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sockaddr;

namespace pawl::runner {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  // of IPv4 the first four
  bool v4 = false;
  bool operator==(const IpAddress&) const = default;
};

// The usual texts, 127.0.0.1 and ::1, and no other: neither 0x7f.1 nor [::1] nor fe80::1%eth0.
std::optional<IpAddress> parse_ip(std::string_view text);
std::string to_string(const IpAddress& address);

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
};
std::string to_string(const Endpoint& endpoint);  // 127.0.0.1:80, [::1]:80
// Nothing, if it is neither IPv4 nor IPv6.
std::optional<Endpoint> to_endpoint(const sockaddr& address);

// The first `prefix` bits of both are alike, and they are of one family.
bool same_network(const IpAddress& one, const IpAddress& other, int prefix);

// An IPv6 address that stands for an IPv4 address (mapped, compatible, 64:ff9b::/96, 6to4): that one. Else itself.
IpAddress meant_by(const IpAddress& address);

// After IANA's registries of special-purpose addresses and of IPv6 unicast.
enum class AddressKind : std::uint8_t {
  public_,
  loopback,
  private_,    // RFC 1918, 100.64.0.0/10, fc00::/7
  link_local,  // 169.254.0.0/16, fe80::/10
  metadata,    // where clouds tell their machines secrets, whoever asks; also inside the other kinds
  unspecified,
  multicast,
  broadcast,
  reserved,
};
// Of what meant_by() says.
AddressKind kind_of(const IpAddress& address);
// public, link-local, …
std::string_view to_string(AddressKind kind);

}  // namespace pawl::runner
