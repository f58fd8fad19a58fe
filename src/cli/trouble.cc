#include "cli/trouble.h"

#include "base/utf8.h"
#include "cli/text.h"

namespace pawl::cli {

Trouble to_trouble(const Error& error) {
  const bool refusal = error.code == Code::conflict || error.code == Code::refused;
  return {refusal                               ? Exit::refused
          : error.name == "usage"               ? Exit::wrong_usage
          : error.name == "too_few_descriptors" ? Exit::unreachable_server
                                                : Exit::failed,
          error.name.empty() ? std::string(pawl::to_string(error.code)) : error.name,
          error.message,
          {}};
}

void tell(Console& console, const Trouble& trouble, bool as_json) {
  if (as_json) {
    json::object error{{"code", trouble.code}, {"message", to_utf8_lossy(trouble.message)}};
    for (const auto& member : trouble.more) error.insert_or_assign(member.key(), member.value());
    console.line(to_text(Json(json::object{{"error", std::move(error)}})));
    return;
  }
  bool first = true;
  for (const std::string& line : printable_lines(trouble.message)) {
    console.complain((first ? "pawl: " : "") + line);
    first = false;
  }
}

}  // namespace pawl::cli
