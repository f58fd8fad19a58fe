// What all routes share.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "api/call.h"
#include "api/pool.h"
#include "base/thread_annotations.h"

namespace pawl::api {

class Service {
 public:
  Service(ApiOptions options, driver::Inbox& inbox, driver::Histories& histories, Readers readers,
          store::LogStore& logs);
  ~Service() { pool_->close(); }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Called on the sockets' thread.
  void handle(net::Request request, const net::Responder& respond);

  // Asks the engine; `then` is called on a thread of the pool when the answer is durable, or why there is none is known.
  using Then = std::move_only_function<void(Service&, store::Reader&, Call, Result<Answer>)>;
  void ask(Event event, Call call, Then then);
  // All of them at once; `then` gets their answers in the same order when the last is there.
  using ThenAll = std::move_only_function<void(Service&, store::Reader&, Call, std::vector<Result<Answer>>)>;
  void ask_all(std::vector<Event> events, Call call, ThenAll then);

  driver::Histories& histories() { return histories_; }
  Instant now() const;
  const std::string& timezone() const { return options_.timezone; }
  store::LogStore& logs() { return logs_; }
  std::optional<SeatCounts> seats() const { return options_.seats ? std::optional(options_.seats()) : std::nullopt; }

  // Logs what of a workflow is not served yet, once per name.
  void warn_once(const std::string& workflow, const std::vector<std::string>& sentences);

 private:
  bool authorized(const net::Request& request) const;
  net::Response answer_now(const Route& route) const;

  const ApiOptions options_;
  driver::Inbox& inbox_;
  driver::Histories& histories_;
  store::LogStore& logs_;
  Mutex mutex_;
  std::set<std::string> warned_ GUARDED_BY(mutex_);
  // Shared with replies that the driver still holds, and closed before the service goes.
  const std::shared_ptr<Pool> pool_;
};

}  // namespace pawl::api
