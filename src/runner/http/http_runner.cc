#include "runner/http/http_runner.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/curl.h"
#include "base/log.h"
#include "base/thread_name.h"
#include "runner/http/transfer.h"

namespace pawl::runner {
namespace {

// Handles kept beside those in use.
constexpr std::size_t max_idle_transfers = 512;
// With no call for this long, connections and handles are given back.
constexpr auto idle_limit = std::chrono::seconds(60);

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

class CurlRunner final : public HttpRunner {
 public:
  CurlRunner(HttpOptions options, Results& results) : options_(std::move(options)), results_(results) {}
  ~CurlRunner() override { shutdown(); }

  void start(StartTask command) override { post(std::move(command)); }
  void stop(StopTask command) override { post(std::move(command)); }
  void shutdown() override;

 private:
  void post(Command command);
  void wake();  // with mutex_ held

  // All below is the thread's.
  void work();
  void take(Command command);
  void begin(StartTask command);
  void end(const StopTask& command);
  void collect();
  void wait();
  Result<void> load();
  bool open_multi();
  void close_multi();
  // Active ones stand before idle ones; both move a transfer over the border.
  Transfer* new_transfer();
  void put_back(Transfer& transfer);

  const HttpOptions options_;
  Results& results_;
  const std::string trusted_file_ = environment("SSL_CERT_FILE");
  const std::string trusted_folder_ = environment("SSL_CERT_DIR");

  std::mutex mutex_;
  std::condition_variable arrived_;  // wakes the thread while it has no multi handle
  std::vector<Command> commands_;    // with mutex_
  bool shut_down_ = false;           // with mutex_
  std::thread thread_;               // with mutex_
  CURLM* multi_ = nullptr;           // changed by the thread alone and with mutex_

  std::optional<CallContext> context_;  // from the first call on
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::size_t active_ = 0;
  std::vector<std::pair<CURL*, CURLcode>> done_;
};

void CurlRunner::post(Command command) {
  const std::lock_guard lock(mutex_);
  if (shut_down_) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  commands_.push_back(std::move(command));
  if (commands_.size() == 1) wake();  // later ones are taken together with it
}

void CurlRunner::wake() {
  if (multi_) {
    context_->curl.multi_wakeup(multi_);
  } else {
    arrived_.notify_one();
  }
}

void CurlRunner::shutdown() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    shut_down_ = true;
    wake();
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

void CurlRunner::work() {
  name_thread("pawl-http");
  // OpenSSL writes to sockets without MSG_NOSIGNAL.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);

  std::vector<Command> taken;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (shut_down_) break;
      taken.swap(commands_);
    }
    for (Command& command : taken) take(std::move(command));
    taken.clear();
    if (multi_) {
      int running = 0;
      context_->curl.multi_perform(multi_, &running);
      collect();
    }
    wait();
  }
  close_multi();
}

void CurlRunner::take(Command command) {
  if (auto* const start = std::get_if<StartTask>(&command)) {
    begin(std::move(*start));
  } else {
    end(std::get<StopTask>(command));
  }
}

void CurlRunner::begin(StartTask command) {
  const auto refuse = [&](std::string message) {
    Outcome outcome{.end = Outcome::End::failed,
                    .failure = {"runner_unavailable", std::move(message), {}},
                    .process = {},
                    .reply = {}};
    results_.finished({command.run, command.ref, command.try_number, std::move(outcome), command.attempt});
  };
  if (!std::holds_alternative<HttpInput>(command.input)) return refuse("the task is no http task");
  if (const auto loaded = load(); !loaded) return refuse(loaded.error().message);
  if (!multi_ && !open_multi()) return refuse("libcurl has no memory for calls");
  Transfer* const transfer = new_transfer();
  if (!transfer) return refuse("libcurl has no memory for another call");

  std::optional<TaskFinished> refused;
  if (const auto ready = transfer->prepare(std::move(command)); !ready) {
    refused = transfer->finish_failed("invalid_request", ready.error().message);
  } else if (const CURLMcode code = context_->curl.multi_add_handle(multi_, transfer->handle()); code != CURLM_OK) {
    refused = transfer->finish_failed("runner_unavailable", context_->curl.multi_strerror(code));
  }
  if (!refused) return;
  put_back(*transfer);
  results_.finished(std::move(*refused));
}

void CurlRunner::end(const StopTask& command) {
  const auto is_it = [&](const std::unique_ptr<Transfer>& t) {
    const StartTask& other = t->command();
    return other.run == command.run && other.ref == command.ref && other.try_number == command.try_number;
  };
  const auto last = transfers_.begin() + static_cast<std::ptrdiff_t>(active_);
  const auto found = std::find_if(transfers_.begin(), last, is_it);
  if (found == last) return;
  Transfer& transfer = **found;
  context_->curl.multi_remove_handle(multi_, transfer.handle());
  TaskFinished stopped = transfer.finish_stopped();
  put_back(transfer);
  results_.finished(std::move(stopped));
}

void CurlRunner::collect() {
  // All messages first: to remove a handle, libcurl looks through all that wait.
  done_.clear();
  int left = 0;
  while (const CURLMsg* const message = context_->curl.multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) done_.emplace_back(message->easy_handle, message->data.result);
  }
  for (const auto& [handle, code] : done_) {
    Transfer& transfer = *Transfer::of(context_->curl, handle);
    context_->curl.multi_remove_handle(multi_, handle);
    TaskFinished finished;
    if (!transfer.goes_on(code)) {
      finished = transfer.finish(code);
    } else if (const CURLMcode added = context_->curl.multi_add_handle(multi_, handle); added == CURLM_OK) {
      continue;
    } else {
      finished = transfer.finish_failed("runner_unavailable", context_->curl.multi_strerror(added));
    }
    put_back(transfer);
    results_.finished(std::move(finished));
  }
}

void CurlRunner::wait() {
  using std::chrono::milliseconds;
  if (!multi_) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return shut_down_ || !commands_.empty(); });
    return;
  }
  const bool idle = active_ == 0;
  const auto since = std::chrono::steady_clock::now();
  const CURLMcode code =
      context_->curl.multi_poll(multi_, nullptr, 0, static_cast<int>(milliseconds(idle_limit).count()), nullptr);
  if (code != CURLM_OK) {
    log::error("waiting for HTTP calls failed", {{"reason", context_->curl.multi_strerror(code)}});
    std::this_thread::sleep_for(milliseconds(10));  // a fault that stays must not take a whole core
  }
  if (idle && std::chrono::steady_clock::now() - since >= idle_limit) close_multi();
}

Result<void> CurlRunner::load() {
  if (context_) return {};
  const auto loaded = load_curl();
  if (!loaded) return std::unexpected(loaded.error());
  const Curl& curl = **loaded;
  CURL* const handle = curl.easy_init();
  if (!handle) return fail(Code::unavailable, "libcurl has no memory for calls");
  // The newest option that a call sets.
  if (curl.easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L) != CURLE_OK) {
    curl.easy_cleanup(handle);
    return fail(Code::unavailable, "libcurl is too old: 7.87 or later is needed");
  }
  // Where the environment names no certificates, those that libcurl was built for; asked for, because it forgets them
  // when a task names a file of its own.
  const auto or_built_in = [&](const std::string& named, CURLINFO what) {
    char* value = nullptr;
    if (named.empty() && curl.easy_getinfo(handle, what, &value) == CURLE_OK && value) return std::string(value);
    return named;
  };
  context_.emplace(curl, options_, or_built_in(trusted_file_, CURLINFO_CAINFO),
                   or_built_in(trusted_folder_, CURLINFO_CAPATH), Connections());
  curl.easy_cleanup(handle);
  return {};
}

bool CurlRunner::open_multi() {
  CURLM* const multi = context_->curl.multi_init();
  if (!multi) return false;
  // Connections in use count as kept ones: fewer than calls at once would close each after its call.
  context_->curl.multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.max_connections));
  // One call a connection, with HTTP/2 too: one that breaks takes one call with it.
  context_->curl.multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  const std::lock_guard lock(mutex_);
  multi_ = multi;
  // What came while there was none to wake would wait for the next.
  if (shut_down_ || !commands_.empty()) wake();
  return true;
}

void CurlRunner::close_multi() {
  if (!multi_) return;
  for (std::size_t i = 0; i < active_; ++i) context_->curl.multi_remove_handle(multi_, transfers_[i]->handle());
  transfers_.clear();
  active_ = 0;
  const std::lock_guard lock(mutex_);
  context_->curl.multi_cleanup(multi_);
  multi_ = nullptr;
}

Transfer* CurlRunner::new_transfer() {
  if (active_ == transfers_.size()) {
    auto transfer = std::make_unique<Transfer>(*context_);
    if (!transfer->handle()) return nullptr;
    transfer->position = active_;
    transfers_.push_back(std::move(transfer));
  }
  return transfers_[active_++].get();
}

void CurlRunner::put_back(Transfer& transfer) {
  --active_;
  const std::size_t position = transfer.position;
  std::swap(transfers_[position], transfers_[active_]);
  transfers_[position]->position = position;
  transfers_[active_]->position = active_;
  if (transfers_.size() - active_ > max_idle_transfers) transfers_.pop_back();
}

}  // namespace

std::unique_ptr<HttpRunner> make_http_runner(HttpOptions options, Results& results) {
  return std::make_unique<CurlRunner>(std::move(options), results);
}

}  // namespace pawl::runner
