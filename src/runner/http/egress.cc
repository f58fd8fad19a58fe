#include "runner/http/egress.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/utf8.h"

namespace pawl::runner {
namespace {

constexpr std::string_view allow_option = "--egress-allow";
constexpr std::string_view deny_option = "--egress-deny";

// Names for whole kinds of addresses; the kind is the place in Rules::kinds.
constexpr AddressKind named_kinds[] = {AddressKind::public_, AddressKind::loopback, AddressKind::private_,
                                       AddressKind::link_local};
static_assert(std::ranges::is_sorted(named_kinds) && named_kinds[3] == AddressKind{3});
bool has_name(AddressKind kind) { return std::ranges::find(named_kinds, kind) != std::end(named_kinds); }

std::string_view in_words(AddressKind kind) {
  switch (kind) {
    case AddressKind::public_: return "a public address";
    case AddressKind::loopback: return "an address of this machine itself (loopback)";
    case AddressKind::private_: return "a private address";
    case AddressKind::link_local: return "a link-local address";
    case AddressKind::metadata: return "an address where clouds hand out credentials (metadata)";
    case AddressKind::unspecified: return "an unspecified address";
    case AddressKind::multicast: return "a multicast address";
    case AddressKind::broadcast: return "the broadcast address";
    case AddressKind::reserved: return "a reserved address";
  }
  unreachable();
}

// Whoever allows a wider network does not have the metadata address in it in mind.
bool may_open_metadata(const IpAddress& network, int prefix) { return prefix >= (network.v4 ? 16 : 32); }

std::unexpected<Error> refused(std::string message, std::string_view rule) {
  return fail(Code::refused, std::move(message), std::string(rule));
}

std::unexpected<Error> wrong(std::string_view option, std::string_view text, std::string_view why) {
  return fail(Code::invalid, fmt::format("{} {}: {}", option, to_utf8_lossy(cut_utf8(text, 100)), why), "usage");
}

}  // namespace

Result<EgressPolicy::Network> EgressPolicy::read_network(std::string_view option, std::string_view text) {
  const std::size_t slash = text.find('/');
  std::string_view address_text = text.substr(0, slash);
  if (address_text.starts_with('[') && address_text.ends_with(']'))
    address_text = address_text.substr(1, address_text.size() - 2);
  const auto address = parse_ip(address_text);
  if (!address) {
    if (text == "metadata")
      return wrong(option, text, "metadata addresses are always denied, and opened one by one: write 169.254.169.254");
    return wrong(option, text,
                 "write loopback, private, link-local, public, any or self, an address such as 10.1.2.3, or a network "
                 "such as 10.0.0.0/8; names of hosts are not taken, because what counts is the address they lead to");
  }
  const int longest = address->v4 ? 32 : 128;
  Network network{*address, longest, std::string(text)};
  if (slash == std::string_view::npos) {
    network.address = meant_by(*address);
    if (network.address.v4) network.prefix = 32;
    return network;
  }
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), network.prefix);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || network.prefix < 0 ||
      network.prefix > longest)
    return wrong(option, text, fmt::format("what stands after the slash must be a number from 0 to {}", longest));

  IpAddress masked;
  masked.v4 = address->v4;
  for (int bit = 0; bit < network.prefix; ++bit) {
    const auto at = static_cast<std::size_t>(bit / 8);
    masked.bytes[at] = static_cast<std::uint8_t>(masked.bytes[at] | (address->bytes[at] & (0x80 >> bit % 8)));
  }
  if (masked != *address)
    return wrong(option, text,
                 fmt::format("the address goes on behind the prefix; write {}/{} for the network or {} for the address",
                             to_string(masked), network.prefix, to_string(*address)));
  if (meant_by(*address) != *address)
    return wrong(option, text,
                 "such an IPv6 address is judged by the IPv4 address in it: write the network of that one");
  return network;
}

Result<EgressPolicy::Rules> EgressPolicy::read(std::string_view option, std::span<const std::string> values) {
  Rules rules;
  for (const std::string& value : values) {
    const auto named = std::ranges::find(named_kinds, value, [](AddressKind kind) { return to_string(kind); });
    if (named != std::end(named_kinds)) {
      rules.kinds[static_cast<std::size_t>(*named)] = true;
    } else if (value == "any") {
      rules.any = true;
    } else if (value == "self") {
      rules.self = true;
    } else {
      auto network = read_network(option, value);
      if (!network) return std::unexpected(network.error());
      rules.networks.push_back(std::move(*network));
    }
  }
  return rules;
}

Result<EgressPolicy> EgressPolicy::make(std::span<const std::string> allow, std::span<const std::string> deny,
                                        bool near_too) {
  EgressPolicy policy;
  auto allowed = read(allow_option, allow);
  if (!allowed) return std::unexpected(allowed.error());
  auto denied = read(deny_option, deny);
  if (!denied) return std::unexpected(denied.error());
  policy.allowed_ = std::move(*allowed);
  policy.denied_ = std::move(*denied);
  auto& kinds = policy.allowed_.kinds;
  // To deny any means to begin with nothing.
  if (!policy.denied_.any) {
    kinds[static_cast<std::size_t>(AddressKind::public_)] = true;
    if (near_too)
      kinds[static_cast<std::size_t>(AddressKind::loopback)] = kinds[static_cast<std::size_t>(AddressKind::private_)] =
          true;
  }
  if (policy.allowed_.any) kinds.fill(true);
  return policy;
}

bool EgressPolicy::is_own(const Endpoint& peer, const std::optional<IpAddress>& local) const {
  const IpAddress address = meant_by(peer.address);
  const AddressKind kind = kind_of(address);
  return std::ranges::any_of(own_, [&](const Endpoint& own) {
    if (own.port != peer.port) return false;
    const AddressKind listening = kind_of(own.address);
    if (listening == AddressKind::unspecified)
      return kind == AddressKind::loopback || kind == AddressKind::unspecified || local == peer.address;
    return meant_by(own.address) == address || (listening == AddressKind::loopback && kind == AddressKind::unspecified);
  });
}

Result<void> EgressPolicy::allows(const Endpoint& peer, const std::optional<IpAddress>& local) const {
  const IpAddress address = meant_by(peer.address);
  const AddressKind kind = kind_of(address);
  const std::string text = to_string(address);
  std::string shown = to_string(peer.address);
  if (address != peer.address) shown += ", which stands for " + text + ",";

  const auto contains = [&](const Network& network) { return network.contains(address); };
  if (const auto found = std::ranges::find_if(denied_.networks, contains); found != denied_.networks.end())
    return refused(fmt::format("{} is denied by {} {}", shown, deny_option, found->text), found->text);
  if (has_name(kind) && denied_.kinds[static_cast<std::size_t>(kind)])
    return refused(fmt::format("{} is {}, denied by {} {}", shown, in_words(kind), deny_option, to_string(kind)),
                   to_string(kind));
  if (is_own(peer, local)) {
    if (allowed_.self && !denied_.self) return {};
    return refused(denied_.self
                       ? fmt::format("{} is this server itself, denied by {} self", to_string(peer), deny_option)
                       : fmt::format("{} is this server itself; {} self would allow it", to_string(peer), allow_option),
                   "self");
  }

  if (std::ranges::any_of(allowed_.networks, [&](const Network& network) {
        return contains(network) &&
               (kind != AddressKind::metadata || may_open_metadata(network.address, network.prefix));
      }))
    return {};
  if (has_name(kind)) {
    if (allowed_.kinds[static_cast<std::size_t>(kind)]) return {};
    return refused(fmt::format("{} is {}; {} {} or {} {} would allow it", shown, in_words(kind), allow_option,
                               to_string(kind), allow_option, text),
                   to_string(kind));
  }
  return refused(fmt::format("{} is {}; {} {} would allow it", shown, in_words(kind), allow_option, text),
                 to_string(kind));
}

}  // namespace pawl::runner
