// The REST interface under /api/v1 (docs/api.md): routes, JSON, problem+json. Everything but /healthz and /readyz needs
// a bearer token; a route cannot stand in the table without the role that it asks for.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "driver/inbox.h"
#include "model/seat.h"
#include "net/server.h"
#include "store/log_store.h"
#include "store/reader.h"

namespace pawl::api {

struct ApiOptions {
  // Asked at each request, from any thread. Absent or empty: no token is right, and nothing but health is answered.
  std::function<std::string()> admin_token;
  std::function<bool()> ready;  // what /readyz says; must not block. Absent: ready
  std::size_t threads = 2;  // that read the store, fold histories and parse definitions
  std::size_t queue = 1'000;  // requests that may wait for them; more get 503
  std::function<Instant()> now;  // what time it is for the engine. Absent: the machine's clock. Threads: any
  std::function<SeatCounts()> seats;  // of the node that works, for `limit`; must not block. Absent: not shown
  std::string timezone;  // of expressions that name none, as the engine has it; empty: the machine's
};

using Readers = std::function<Result<std::unique_ptr<store::Reader>>()>;

// What the server calls for each request; it does not block. The threads end with the last copy of the handler, which
// must go before the rest given here.
net::Handler make_api(ApiOptions options, driver::Inbox& inbox, driver::Histories& histories, Readers readers,
                      store::LogStore& logs);

// What of `on` this version keeps and does not serve yet, a sentence each; to be said once when a workflow is accepted.
std::vector<std::string> not_served_yet(const Workflow& workflow);

}  // namespace pawl::api
