// From bytes to one request. Beast's parser does the work; before it the head is checked for what Beast lets pass and
// others read differently: obsolete line folding, control characters, a length given twice.
// Threads: one at a time.
#pragma once

#include "net/asio.h"

#include <boost/beast/http/basic_parser.hpp>
#include <expected>
#include <string>

#include "net/server.h"

namespace pawl::net {

// Why a request is not taken; the connection is closed after the answer.
struct Refusal {
  int status = 400;
  std::string_view code;
  std::string detail;
};

struct ReadLimits {
  std::size_t head = 64 << 10;
  std::size_t fields = 100;
  std::size_t body = 4 << 20;
};

class RequestReader : private boost::beast::http::basic_parser<true> {
 public:
  enum class Step {
    more,  // all of `in` is used up, or too short to go on: read more
    head,  // given once: the head is read
    done,  // the request is whole; what is left of `in` is the next one's
  };

  explicit RequestReader(const ReadLimits& limits);

  // Takes from the front of `in` what belongs to this request. After a refusal nothing more may be read.
  std::expected<Step, Refusal> read(std::string& in);

  bool begun() const { return begun_; }                    // a byte of the request has come
  bool expects_continue() const { return expects_continue_; }  // and a body is still to come
  bool keep_alive() const;
  std::size_t body_size() const { return request_.body.size(); }
  const Request& request() const { return request_; }
  std::string_view host() const { return host_; }  // without port, in lower case; empty if HTTP/1.0 gave none
  Request take() { return std::move(request_); }

 private:
  using Ec = boost::system::error_code;
  using View = boost::beast::string_view;
  enum class Phase { head, body, done };

  std::expected<Step, Refusal> read_head(std::string& in);
  std::expected<Step, Refusal> read_body(std::string& in);
  std::expected<void, Refusal> finish_head();
  Refusal refusal(const Ec& ec) const;

  void on_request_impl(boost::beast::http::verb, View method, View target, int version, Ec& ec) override;
  void on_response_impl(int, View, int, Ec&) override {}
  void on_field_impl(boost::beast::http::field, View name, View value, Ec& ec) override;
  void on_header_impl(Ec&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Ec&) override {}
  std::size_t on_body_impl(View bytes, Ec& ec) override;
  void on_chunk_header_impl(std::uint64_t, View, Ec&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View bytes, Ec& ec) override { return on_body_impl(bytes, ec); }
  void on_finish_impl(Ec&) override {}

  ReadLimits limits_;
  Phase phase_ = Phase::head;
  Request request_;
  std::string host_;
  std::size_t scanned_ = 0;  // bytes of `in` known to be fine
  std::size_t lines_ = 0;
  std::size_t line_start_ = 0;
  int version_ = 11;
  bool begun_ = false;
  bool expects_continue_ = false;
};

}  // namespace pawl::net
