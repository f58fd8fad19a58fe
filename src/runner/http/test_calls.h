// For tests: a runner, calls made by it and their outcomes; look-ups of host names that answer as they are told.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runner/http/http_runner.h"
#include "runner/http/test_server.h"

namespace pawl::runner::test {

constexpr auto patience = std::chrono::seconds(60);

// What http_egress_test.cc puts in place of the system's name service: names have the addresses that are set here, and
// no others. A look-up of `hangs.example.test` takes until it is let go, as with a name server that is gone.
struct Names {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::vector<std::string>, std::less<>> addresses;  // IPv4
  int hanging = 0;
  bool released = false;
};
inline Names& names() {
  static Names all;
  return all;
}

class Collected : public Results {
 public:
  void finished(TaskFinished result) override {
    const std::lock_guard lock(mutex_);
    const int number = result.try_number;
    EXPECT_TRUE(results_.emplace(number, std::move(result.outcome)).second) << "a second result of try " << number;
    changed_.notify_all();
  }
  Outcome wait(int try_number) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [&] { return results_.contains(try_number); })) {
      ADD_FAILURE() << "no result of try " << try_number;
      return {};
    }
    return results_.at(try_number);
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return results_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Outcome> results_;  // by try number, which these tests never use twice
};

class HttpCalls : public testing::Test {
 protected:
  ~HttpCalls() override {
    if (runner_) runner_->shutdown();
  }
  HttpRunner& runner() {
    if (!runner_) runner_ = make_http_runner(options, results);
    return *runner_;
  }
  static HttpInput get(std::string url) {
    HttpInput input;
    input.method = "GET";
    input.url = std::move(url);
    input.want_text = true;
    return input;
  }
  static HttpInput following(std::string url) {
    HttpInput input = get(std::move(url));
    input.follow_redirects = true;
    return input;
  }
  static HttpInput post(std::string url, std::string body) {
    HttpInput input = get(std::move(url));
    input.method = "POST";
    input.body = std::move(body);
    input.has_body = true;
    input.content_type = "application/json";
    return input;
  }
  int start(HttpInput input, std::optional<Duration> timeout = {}) {
    StartTask command;
    command.try_number = ++last_try_;
    command.trace_id = "0af7651916cd43dd8448eb211c80319c";
    command.idempotency_key = "key-1";
    command.timeout = timeout;
    command.input = std::move(input);
    runner().start(std::move(command));
    return last_try_;
  }
  void stop(int try_number) {
    StopTask command;
    command.try_number = try_number;
    runner().stop(command);
  }
  Outcome call(HttpInput input, std::optional<Duration> timeout = {}) {
    return results.wait(start(std::move(input), timeout));
  }

  HttpOptions options;
  Collected results;

 private:
  int last_try_ = 0;
  std::unique_ptr<HttpRunner> runner_;
};

// A server that answers every request of every connection alike.
inline TestServer::Handler always(std::string answer) {
  return [answer = std::move(answer)](Connection& c) {
    while (c.read() && c.send(answer)) {
    }
  };
}
// One that sends this to the first request, then closes.
inline TestServer::Handler once(std::string answer) {
  return [answer = std::move(answer)](Connection& c) {
    if (c.read()) c.send(answer);
  };
}
inline TestServer::Handler redirecting(std::string target) {
  return [target = std::move(target)](Connection& c) {
    while (c.read()) c.answer("", "Location: " + target + "\r\n", "302 Found");
  };
}

inline std::string url_in(const Failure& failure) { return std::string(find_string(failure.cause, "url")); }

}  // namespace pawl::runner::test
