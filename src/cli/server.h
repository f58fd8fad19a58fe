// The server that the commands talk to, as they see it: paths in, JSON or trouble out.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/http_client.h"
#include "cli/options.h"
#include "cli/trouble.h"

namespace pawl::cli {

// RUN on the command line: an id, or NAME#42.
struct RunName {
  std::string id;        // lower case; empty: by name and number
  std::string workflow;
  std::int64_t number = 0;
};
Outcome<RunName> parse_run(std::string_view text);

class Server {
 public:
  // Finds the address and the token; sends nothing yet.
  static Outcome<Server> open(const Common& common);

  // `path` is percent-encoded and goes below /api/v1/.
  Outcome<Json> get(const std::string& path);
  Outcome<Json> post(const std::string& path, const Json& body,
                     const std::vector<std::pair<std::string, std::string>>& headers = {});
  Outcome<Json> put(const std::string& path, std::string text, const std::string& content_type);
  Outcome<Json> patch(const std::string& path, const Json& body);
  Outcome<Json> remove(const std::string& path);  // what has no answer answers with an empty object

  // All items of a list, page by page, at most `most`; `next_cursor` is that of the last page. `query` is empty or begins
  // with an ampersand.
  Outcome<json::object> list(const std::string& path, const std::string& query, std::int64_t most);

  // As get(), but goes on asking for half a minute while the server is away, as when it is started anew.
  Outcome<Json> get_patiently(const std::string& path);

  // The run with all its attempts.
  Outcome<Json> run(const std::string& name);

 private:
  Server(std::unique_ptr<HttpClient> client, std::string address, std::string token, std::string no_token)
      : client_(std::move(client)),
        address_(std::move(address)),
        token_(std::move(token)),
        no_token_(std::move(no_token)) {}
  Outcome<Json> send(HttpRequest request);

  std::unique_ptr<HttpClient> client_;
  std::string address_;
  std::string token_;
  std::string no_token_;  // why there is none
};

// A part of a path or query, percent-encoded.
std::string encoded(std::string_view part);

// Trouble of an answer that is no success.
Trouble problem_of(const HttpAnswer& answer);

}  // namespace pawl::cli
