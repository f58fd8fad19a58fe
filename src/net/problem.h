// Errors as RFC 9457 tells them: application/problem+json.
#pragma once

#include <string_view>

#include "base/json.h"
#include "net/server.h"

namespace pawl::net {

// `code` is the stable word for programs, `detail` the sentence for people; `more` are further members.
Response problem(int status, std::string_view code, std::string_view detail, json::object more = {});

// `Not Found` for 404; a general word for a status without a phrase of its own.
std::string_view reason_phrase(int status);

}  // namespace pawl::net
