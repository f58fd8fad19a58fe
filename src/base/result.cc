#include "base/result.h"

#include "base/check.h"

namespace pawl {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::invalid: return "invalid";
    case Code::not_found: return "not_found";
    case Code::conflict: return "conflict";
    case Code::refused: return "refused";
    case Code::overloaded: return "overloaded";
    case Code::unavailable: return "unavailable";
    case Code::corrupt: return "corrupt";
    case Code::internal: return "internal";
  }
  unreachable();
}

}  // namespace pawl
