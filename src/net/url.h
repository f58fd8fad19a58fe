// The two texts of a request target: path and query (RFC 3986, and the form encoding of the URL Standard).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::net {

// %XX becomes its byte. Nothing for a bad escape, for a result that holds NUL or is not UTF-8.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
// Everything but letters, digits and -._~ becomes %XX.
std::string percent_encode(std::string_view text);

// Name and value pairs between &; a name without = has an empty value. Nothing if one of them cannot be decoded.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text);

}  // namespace pawl::net
