// Whom HTTP tasks may call (docs/http.md). What is judged is the address that a connection goes to, never the name that
// led there: names change their addresses, and an address has many spellings. Pure.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runner/http/ip_address.h"

namespace pawl::runner {

class EgressPolicy {
 public:
  // From the values of --egress-allow and --egress-deny; a deny beats an allow. Public addresses are allowed unless
  // denied, loopback and private ones if `near_too`. Error: invalid, which value is wrong and what to write.
  static Result<EgressPolicy> make(std::span<const std::string> allow, std::span<const std::string> deny,
                                   bool near_too);

  // The server's own interface listens here, on every address of this machine if it is the unspecified one. Tasks may
  // not call it.
  void protect(const Endpoint& own) { own_.push_back(own); }

  // `local` is this side's address, where it is known: a connection that leaves from the address it goes to stays on
  // this machine. Error: refused, with the reason and the option that would allow it; its name is the rule: `self`, the
  // kind of address, or the value of --egress-deny.
  Result<void> allows(const Endpoint& peer, const std::optional<IpAddress>& local = {}) const;

 private:
  struct Network {
    IpAddress address;
    int prefix = 0;
    std::string text;
    bool contains(const IpAddress& other) const { return same_network(other, address, prefix); }
  };
  struct Rules {
    std::array<bool, 4> kinds{};  // public, loopback, private, link-local
    bool any = false, self = false;
    std::vector<Network> networks;
  };
  static Result<Rules> read(std::string_view option, std::span<const std::string> values);
  static Result<Network> read_network(std::string_view option, std::string_view text);
  bool is_own(const Endpoint& peer, const std::optional<IpAddress>& local) const;

  Rules allowed_, denied_;
  std::vector<Endpoint> own_;
};

}  // namespace pawl::runner
