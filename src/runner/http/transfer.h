// One HTTP call after another on one libcurl handle: a handle, what libcurl tells about its call, and the outcome that
// this makes. Belongs to the runner's thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/curl.h"
#include "base/json.h"
#include "model/command.h"
#include "model/event.h"
#include "runner/http/connections.h"
#include "runner/http/http_runner.h"
#include "runner/http/request.h"

namespace pawl::runner {

// What all transfers of a runner share.
struct CallContext {
  const Curl& curl;
  const HttpOptions& options;
  std::string trusted_file, trusted_folder;  // certificates, where a task names no file of its own; empty: none
  Connections connections;
};

class Transfer {
 public:
  // Keeps a reference.
  explicit Transfer(CallContext& context);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Null if there was no memory for one.
  CURL* handle() const { return handle_; }
  static Transfer* of(const Curl& curl, CURL* handle);

  // Makes the handle ready to be added to the multi handle. Error: invalid, why the request cannot be made; the
  // command stays with the transfer for finish_failed().
  Result<void> prepare(StartTask command);

  const StartTask& command() const { return command_; }

  // After libcurl is done and the handle removed: true if there is more to do, a redirect to follow or a request that
  // did not go out on a kept connection, and the handle is to be added again.
  bool goes_on(CURLcode code);

  // Each ends the call, hands out its outcome and leaves the transfer ready for another one.
  TaskFinished finish(CURLcode code);
  TaskFinished finish_stopped();
  TaskFinished finish_failed(std::string code, std::string message);  // it never began

  std::size_t position = 0;  // of the transfer in the runner's list

 private:
  // Why this side ended the call, where libcurl's code does not say.
  enum class Trouble : std::uint8_t {
    none,
    kept_connection_used_up,  // nothing was sent: goes on with a new one
    resend_refused,
    egress_denied,
    body_too_large,
    header_too_large,
    two_lengths,
    too_many_redirects,
    bad_redirect,
  };

  static std::size_t on_body(char* bytes, std::size_t one, std::size_t count, void* self) noexcept;
  static std::size_t on_header(char* bytes, std::size_t one, std::size_t count, void* self) noexcept;
  static int on_progress(void* self, curl_off_t, curl_off_t now, curl_off_t, curl_off_t) noexcept;
  static int before_request(void* self, char* peer, char* local, int peer_port, int local_port) noexcept;
  static curl_socket_t open_socket(void* self, curlsocktype, curl_sockaddr* address) noexcept;

  template <class Value>
  void set(CURLoption option, Value value) {
    check(context_.curl.easy_setopt(handle_, option, value) == CURLE_OK, "an option that libcurl refuses");
  }
  HttpInput& input() { return std::get<HttpInput>(command_.input); }
  long status() const;
  void set_up(bool new_connection);
  void set_method();
  void set_trust();
  bool take_header(std::string_view line);
  bool may_call(const std::optional<Endpoint>& peer, const std::optional<IpAddress>& local);
  void forget_answer();
  HttpReply reply();
  Outcome failed(CURLcode code);
  TaskFinished answer(Outcome outcome);

  CallContext& context_;
  CURL* handle_ = nullptr;
  char error_[CURL_ERROR_SIZE] = {};
  std::optional<std::pair<bool, std::string>> trust_;  // as set: verify, file of the task

  StartTask command_;
  HttpRequest request_;
  curl_slist* headers_ = nullptr;
  Duration timeout_{};
  std::chrono::steady_clock::time_point started_;
  int redirects_ = 0;
  std::string bad_redirect_;  // what is wrong with it

  // Of the answer, or of the hop.
  std::size_t keep_ = 0;  // bytes of the body to keep
  std::size_t received_ = 0;  // bytes of the body so far, decompressed
  std::size_t header_received_ = 0;
  std::string body_;
  json::object answer_headers_;
  std::string last_header_;
  std::string length_;  // as its header says
  bool chunked_ = false;
  bool header_ended_ = false;
  bool sent_ = false;  // a request has gone out
  std::vector<int> opened_;
  std::string denied_;  // the last address that the policy refused; empty: none
  Error denial_;
  int socket_error_ = 0;
  Trouble trouble_ = Trouble::none;
};

}  // namespace pawl::runner
