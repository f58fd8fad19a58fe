#include "net/problem.h"

#include "base/utf8.h"

namespace pawl::net {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return status < 400 ? "OK" : status < 500 ? "Client Error" : "Server Error";
  }
}

Response problem(int status, std::string_view code, std::string_view detail, json::object more) {
  json::object body;
  const std::string text = to_utf8_lossy(detail);
  const std::string_view title = reason_phrase(status);
  body["type"] = "about:blank";
  body["title"] = json::string_view(title.data(), title.size());
  body["status"] = status;
  body["detail"] = json::string_view(text.data(), text.size());
  body["code"] = json::string_view(code.data(), code.size());
  for (auto& member : more) body[member.key()] = std::move(member.value());
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  append_json(response.body, Json(std::move(body)));
  return response;
}

}  // namespace pawl::net
